//! What looking after a database costs: backups and restores beside a plain copy of the file, what writers notice of
//! them, and how long `admin status` takes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::contention::Writer;
use crate::contest::{self, Entrant, Turn};
use crate::lab::Lab;
use crate::rivals::Database;
use crate::stats::Samples;
use crate::table::{self, Row, Unit};
use crate::{Result, process, worker};

/// A gigabyte, in values that are kept in the rows.
const ROWS: u64 = 1_200_000;
const BYTES_A_ROW: u64 = 800;
const ROUNDS: u64 = 5;
const KEYS: u64 = 1_000_000;
const STATUS_ROUNDS: u64 = 15;
const SECONDS: u64 = 20;
/// So many copies are made beside a writer; more would fill the disk.
const COPIES: u64 = 5;

pub(crate) fn run(lab: &Lab) -> Result {
    let folder = lab.folder("lifecycle")?;
    let database = folder.join("store.prdb");
    worker::fill_with_text(&database, lab.scaled(ROWS), BYTES_A_ROW)?;
    let mut rows = copies(lab, &folder, &database)?;
    rows.extend(stalls(lab, &folder, &database)?);
    fs::remove_dir_all(&folder)?;
    rows.extend(status(lab)?);
    table::print_goals("lifecycle", &rows);
    Ok(())
}

fn copies(lab: &Lab, folder: &Path, database: &Path) -> Result<Vec<Row>> {
    let archive = folder.join("whole.tar.gz");
    process::output(&mut backup(lab, database, &archive))?;
    let taken = |turn: Turn| fresh(folder, "taken", "tar.gz", turn);
    let entrants = [
        Entrant::new("cp, then sync", |turn| copy(database, &fresh(folder, "copy", "prdb", turn))),
        Entrant::new("prontodb backup", |turn| backup(lab, database, &taken(turn))),
        Entrant::new("prontodb restore, to a new place", |turn| {
            restore(lab, &archive, &fresh(folder, "restored", "prdb", turn))
        }),
    ];
    let standings = contest::hold(&entrants, ROUNDS)?;
    contest::print("one gigabyte", &standings);
    let [copy, backup, restore] = &standings;
    let size = |path: &Path| fs::metadata(path).map_or(f64::NAN, |meta| meta.len() as f64);
    Ok(vec![
        Row::new("the database", Unit::Bytes, size(database)),
        Row::new("its archive", Unit::Bytes, size(&archive)),
        Row::new("backup, times a copy", Unit::Times, backup.times(copy)).at_most(2.5),
        Row::new("restore, times a copy", Unit::Times, restore.times(copy)).at_most(2.0),
        Row::new("backup: memory", Unit::Bytes, backup.peak_bytes),
        Row::new("restore: memory", Unit::Bytes, restore.peak_bytes),
    ])
}

/// How long the unluckiest write waits while nothing else happens, while the file is copied, and while it is backed up:
/// the disk and the processor are taken up by both alike.
fn stalls(lab: &Lab, folder: &Path, database: &Path) -> Result<Vec<Row>> {
    let seconds = lab.scaled(SECONDS);
    let place = |serial: u64| folder.join(format!("beside-{serial}.tar.gz"));
    let alone = worst_wait(database, seconds, |_| None)?;
    let beside_copies = worst_wait(database, seconds, |serial| Some(copy(database, &place(serial))))?;
    remove(place)?;
    let beside_backups = worst_wait(database, seconds, |serial| Some(backup(lab, database, &place(serial))))?;
    remove(place)?;
    let row = |what: &str, wait: Duration| {
        Row::new(format!("worst wait of a writer, {what}"), Unit::Seconds, wait.as_secs_f64())
    };
    Ok(vec![
        row("alone", alone),
        row("beside copies", beside_copies),
        row("beside backups", beside_backups).at_most(0.05),
    ])
}

/// What was made is removed only when nobody is measured: the disk may have to be told of each gigabyte that it may forget.
fn remove(place: impl Fn(u64) -> PathBuf) -> Result {
    for serial in 1..=COPIES {
        match fs::remove_file(place(serial)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Has a process write for some seconds while `work` is done up to [`COPIES`] times beside it.
fn worst_wait(database: &Path, seconds: u64, work: impl Fn(u64) -> Option<Command>) -> Result<Duration> {
    let store = Database { file: database.to_owned(), keys: 1, namespaces: 1 };
    let mut writer = Writer::start(&store, 0, seconds)?;
    writer.wait_until_ready()?;
    writer.begin();
    let mut serial = 0;
    while !writer.has_ended()? {
        serial += 1;
        match work(serial).filter(|_| serial <= COPIES) {
            Some(mut command) => drop(process::output(&mut command)?),
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    let tally = writer.finish()?;
    if tally.failures > 0 {
        return Err(format!("{} writes failed beside a backup", tally.failures).into());
    }
    Ok(tally.worst_wait)
}

fn status(lab: &Lab) -> Result<Vec<Row>> {
    let file = lab.folder("status")?.join("store.prdb");
    let store = Database::make(file, lab.scaled(KEYS), 10)?;
    let mut times = Vec::new();
    for _ in 0..STATUS_ROUNDS {
        let run = process::run(&mut lab.prontodb(&store.file, ["admin", "status"]))?;
        if !run.usage.status.success() {
            return Err("admin status has failed".into());
        }
        times.push(run.took);
    }
    let median = Samples::of_times(times).median();
    Ok(vec![Row::new("admin status, a million keys", Unit::Seconds, median).at_most(0.1)])
}

/// What a script would do to keep a copy that outlives a power cut.
fn copy(from: &Path, to: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cp \"$0\" \"$1\" && sync \"$1\""]).arg(from).arg(to);
    command
}

fn backup(lab: &Lab, database: &Path, archive: &Path) -> Command {
    let mut command = lab.prontodb(database, ["backup", "--output"]);
    command.arg(archive);
    command
}

fn restore(lab: &Lab, archive: &Path, to: &Path) -> Command {
    let mut command = lab.prontodb(to, ["restore"]);
    command.arg(archive);
    command
}

/// A place where nothing is yet; what the round before this one made goes, so that the disk is not filled.
fn fresh(folder: &Path, name: &str, ending: &str, turn: Turn) -> PathBuf {
    let place = |serial: u64| folder.join(format!("{name}-{serial}.{ending}"));
    for suffix in ["", "-wal", "-shm", "-turn"] {
        for serial in [turn.serial.saturating_sub(1), turn.serial] {
            // Most of them are not there.
            let _ = fs::remove_file(format!("{}{suffix}", place(serial).display()));
        }
    }
    place(turn.serial)
}
