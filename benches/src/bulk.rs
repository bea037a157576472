//! What it takes to write a million rows at once, beside the import of the sqlite3 program.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prontodb_core::stream::{Options, Parser, Step};

use crate::Result;
use crate::contest::{self, Entrant, Standing, Turn};
use crate::lab::Lab;
use crate::stats::Dice;
use crate::table::{self, Row, Unit};

const ROWS: u64 = 1_000_000;
const ROUNDS: u64 = 9;
/// What the sqlite3 program imports into: names in order, as in our own tables.
const TABLE: &str = "CREATE TABLE kv (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID";

/// The same rows as a stream, as what `import` reads, and as text with tabs.
struct Rows {
    stream: PathBuf,
    tsv: PathBuf,
    tabs: PathBuf,
}

pub(crate) fn run(lab: &Lab) -> Result {
    let folder = lab.folder("bulk")?;
    let mut keys = random_keys(lab.scaled(ROWS));
    let random = Rows::write(&folder, "random", &keys)?;
    keys.sort_unstable();
    let sorted = Rows::write(&folder, "sorted", &keys)?;
    // What this process holds counts for those that it starts.
    drop(keys);
    let entrants = [
        Entrant::new("sqlite3 .import, random", |turn| import(lab, &folder, &random, turn)),
        Entrant::new("prontodb stream, random", |turn| load(lab, &folder, &["stream"], &random.stream, turn)),
        Entrant::new("prontodb import, random", |turn| {
            load(lab, &folder, &["import", "bench.rows"], &random.tsv, turn)
        }),
        Entrant::new("sqlite3 .import, sorted", |turn| import(lab, &folder, &sorted, turn)),
        Entrant::new("prontodb stream, sorted", |turn| load(lab, &folder, &["stream"], &sorted.stream, turn)),
    ];
    let standings = contest::hold(&entrants, ROUNDS)?;
    contest::print("a million rows at once", &standings);

    let [sqlite_random, stream_random, import_random, sqlite_sorted, stream_sorted] = standings;
    let speed = |what: &str, ours: &Standing, theirs: &Standing| {
        Row::new(format!("{what} rows: speed, times sqlite3"), Unit::Times, 1.0 / ours.times(theirs))
    };
    let memory = |what: &str, ours: &Standing| {
        Row::new(format!("{what} rows: memory"), Unit::Bytes, ours.peak_bytes).at_most(210e6)
    };
    let rows = [
        speed("stream, random", &stream_random, &sqlite_random).at_least(2.0),
        speed("import, random", &import_random, &sqlite_random).at_least(2.0),
        speed("stream, sorted", &stream_sorted, &sqlite_sorted).at_least(0.8),
        memory("stream, random", &stream_random),
        memory("import, random", &import_random),
        memory("stream, sorted", &stream_sorted),
        Row::new("the parser alone: bytes a second", Unit::Bytes, parsed_bytes_a_second(&random.stream)?)
            .at_least(200e6),
    ];
    table::print_goals("bulk", &rows);
    Ok(())
}

/// Keys of 16 letters and digits, no two the same; in one piece, so that it is gone for good when it is dropped.
fn random_keys(count: u64) -> Vec<[u8; 16]> {
    let mut dice = Dice::new(1);
    let mut key = |number| {
        let mut key = [0; 16];
        key.copy_from_slice(format!("{}{number:07}", letters(&mut dice, 9)).as_bytes());
        key
    };
    (0..count).map(&mut key).collect()
}

fn letters(dice: &mut Dice, count: usize) -> String {
    (0..count).map(|_| char::from(dice.letter())).collect()
}

impl Rows {
    /// Writes each key with a value of 100 letters and digits.
    fn write(folder: &Path, name: &str, keys: &[[u8; 16]]) -> Result<Self> {
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        let rows = Self { stream: file("stream"), tsv: file("tsv"), tabs: file("tabs") };
        let mut stream = BufWriter::new(File::create(&rows.stream)?);
        let mut tsv = BufWriter::new(File::create(&rows.tsv)?);
        let mut tabs = BufWriter::new(File::create(&rows.tabs)?);
        let mut dice = Dice::new(2);
        writeln!(stream, "meta:path=bench.rows;")?;
        for key in keys {
            let key = String::from_utf8_lossy(key);
            let value = letters(&mut dice, 100);
            writeln!(stream, "{key}={value};")?;
            writeln!(tsv, "{key}\t{}", STANDARD.encode(&value))?;
            writeln!(tabs, "{key}\t{value}")?;
        }
        stream.flush()?;
        tsv.flush()?;
        tabs.flush()?;
        Ok(rows)
    }
}

/// A file that is not there yet; what the last round left goes, so that the disk is not filled.
fn fresh(folder: &Path, program: &str, turn: Turn) -> PathBuf {
    let file = |serial: u64| folder.join(format!("{program}-{serial}.db"));
    for suffix in ["", "-wal", "-shm", "-turn"] {
        for serial in [turn.serial.saturating_sub(1), turn.serial] {
            // Most of them are not there.
            let _ = fs::remove_file(format!("{}{suffix}", file(serial).display()));
        }
    }
    file(turn.serial)
}

fn import(lab: &Lab, folder: &Path, rows: &Rows, turn: Turn) -> Command {
    let mut command = lab.sqlite(&fresh(folder, "sqlite", turn), TABLE);
    command.args([".mode tabs".to_owned(), format!(".import {} kv", rows.tabs.display())]);
    command
}

/// Writes what a file holds into a new database.
fn load(lab: &Lab, folder: &Path, words: &[&str], rows: &Path, turn: Turn) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "rows=$1; shift; exec \"$0\" \"$@\" <\"$rows\" 2>/dev/null"]);
    command.arg(lab.prontodb_binary()).arg(rows).args(words);
    command.arg("-d").arg(fresh(folder, words[0], turn));
    command.env("PRONTO_SECURITY", "false");
    command
}

/// How fast the grammar goes through a stream that is in memory: the best of some rounds.
fn parsed_bytes_a_second(stream: &Path) -> Result<f64> {
    let text = fs::read(stream)?;
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (mut parser, mut rest) = (Parser::new(Options::default()), text.as_slice());
        while let Step::Item(_) = parser.next(&mut rest, true)? {}
        best = best.max(text.len() as f64 / start.elapsed().as_secs_f64());
    }
    Ok(best)
}
