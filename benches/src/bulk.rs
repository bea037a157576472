//! What it takes to write a million rows at once, beside the import of the sqlite3 program.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::contest::{self, Entrant, Turn};
use crate::lab::Lab;
use crate::stats::Dice;
use crate::table::{self, Row, Unit};

const ROWS: u64 = 1_000_000;
const ROUNDS: u64 = 5;
/// What the sqlite3 program imports into: names in order, as in our own tables.
const TABLE: &str = "CREATE TABLE kv (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID";
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The same rows as a stream and as text with tabs.
struct Rows {
    stream: PathBuf,
    tabs: PathBuf,
}

pub(crate) fn run(lab: &Lab) -> Result {
    let folder = lab.folder("bulk")?;
    let mut keys = random_keys(lab.scaled(ROWS));
    let random = Rows::write(&folder, "random", &keys)?;
    keys.sort_unstable();
    let sorted = Rows::write(&folder, "sorted", &keys)?;
    let entrants = [
        Entrant::new("sqlite3 .import, random", |turn| import(lab, &folder, &random, turn)),
        Entrant::new("prontodb stream, random", |turn| stream(lab, &folder, &random, turn)),
        Entrant::new("sqlite3 .import, sorted", |turn| import(lab, &folder, &sorted, turn)),
        Entrant::new("prontodb stream, sorted", |turn| stream(lab, &folder, &sorted, turn)),
    ];
    let standings = contest::hold(&entrants, ROUNDS)?;
    contest::print("a million rows at once", &standings);

    let [import_random, stream_random, import_sorted, stream_sorted] = standings;
    let rows = [
        Row::new(
            "stream, random rows: speed, times sqlite3",
            Unit::Times,
            1.0 / stream_random.times(&import_random),
        )
        .at_least(2.0),
        Row::new(
            "stream, sorted rows: speed, times sqlite3",
            Unit::Times,
            1.0 / stream_sorted.times(&import_sorted),
        )
        .at_least(0.8),
        Row::new("stream, random rows: memory", Unit::Bytes, stream_random.peak_bytes).at_most(210e6),
        Row::new("stream, sorted rows: memory", Unit::Bytes, stream_sorted.peak_bytes).at_most(210e6),
    ];
    table::print_goals("bulk", &rows);
    Ok(())
}

/// Keys of 16 letters and digits, no two the same.
fn random_keys(count: u64) -> Vec<String> {
    let mut dice = Dice::new(1);
    (0..count).map(|number| format!("{}{number:07}", letters(&mut dice, 9))).collect()
}

fn letters(dice: &mut Dice, count: usize) -> String {
    (0..count).map(|_| char::from(LETTERS[dice.below(LETTERS.len() as u64) as usize])).collect()
}

impl Rows {
    /// Writes each key with a value of 100 letters and digits.
    fn write(folder: &Path, name: &str, keys: &[String]) -> Result<Self> {
        let rows =
            Self { stream: folder.join(format!("{name}.stream")), tabs: folder.join(format!("{name}.tabs")) };
        let mut stream = BufWriter::new(File::create(&rows.stream)?);
        let mut tabs = BufWriter::new(File::create(&rows.tabs)?);
        let mut dice = Dice::new(2);
        writeln!(stream, "meta:path=bench.rows;")?;
        for key in keys {
            let value = letters(&mut dice, 100);
            writeln!(stream, "{key}={value};")?;
            writeln!(tabs, "{key}\t{value}")?;
        }
        stream.flush()?;
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

fn stream(lab: &Lab, folder: &Path, rows: &Rows, turn: Turn) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec \"$0\" -d \"$1\" stream <\"$2\" 2>/dev/null"]);
    command.arg(lab.prontodb_binary()).arg(fresh(folder, "prontodb", turn)).arg(&rows.stream);
    command.env("PRONTO_SECURITY", "false");
    command
}
