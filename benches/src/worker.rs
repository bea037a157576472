//! What further processes of this program do. The main one stays small: the kernel counts a parent's memory as its
//! child's peak.

use std::env;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use prontodb_core::engine::sqlite::{OpenOptions, SqliteEngine};
use prontodb_core::store::SetOptions;
use prontodb_core::{Address, Notation, Store};

use crate::rivals::{Database, key, namespace, value};
use crate::stats::Dice;
use crate::{Result, fleet, process, soak};

/// What makes this program a worker.
pub(crate) const WORD: &str = "worker";
const ROWS_A_TRANSACTION: usize = 10_000;
/// How many keys a writer writes in turn.
const KEYS_OF_A_WRITER: u64 = 1000;

pub(crate) fn run(task: &[&str]) -> Result {
    match *task {
        ["fill", file, keys, namespaces] => run_fill(Path::new(file), keys.parse()?, namespaces.parse()?),
        ["text", file, rows, bytes] => run_fill_with_text(Path::new(file), rows.parse()?, bytes.parse()?),
        ["write", file, index, seconds] => {
            run_writer(Path::new(file), index, Duration::from_secs(seconds.parse()?))
        }
        ["set", times, program, file, address, ref flags @ ..] => {
            run_sets(times.parse()?, program, file, address, flags)
        }
        ["soak", ref task @ ..] => soak::work(task),
        ref other => fleet::work(other),
    }
}

/// This program, as a worker with this task.
pub(crate) fn command(task: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(WORD).arg(task);
    Ok(command)
}

/// Makes a database of `keys` entries.
pub(crate) fn fill(file: &Path, keys: u64, namespaces: u64) -> Result {
    let numbers = [keys, namespaces].map(|number| number.to_string());
    process::output(command("fill")?.arg(file).args(numbers)).map(drop)
}

fn run_fill(file: &Path, keys: u64, namespaces: u64) -> Result {
    let store = open(file)?;
    let in_order = (0..namespaces).flat_map(|first| (first..keys).step_by(namespaces as usize));
    let numbers: Vec<u64> = in_order.collect();
    for numbers in numbers.chunks(ROWS_A_TRANSACTION) {
        let entries = numbers.iter().map(|&number| entry(number, namespaces)).collect::<Result<Vec<_>>>()?;
        store.write(|writer| {
            entries.iter().try_for_each(|(address, value)| {
                writer.set(address, value.as_bytes(), &SetOptions::default()).map(drop)
            })
        })?;
    }
    Ok(())
}

/// Makes a database of entries whose values are letters and digits without a pattern.
pub(crate) fn fill_with_text(file: &Path, rows: u64, bytes: u64) -> Result {
    let numbers = [rows, bytes].map(|number| number.to_string());
    process::output(command("text")?.arg(file).args(numbers)).map(drop)
}

fn run_fill_with_text(file: &Path, rows: u64, bytes: u64) -> Result {
    let (store, mut dice) = (open(file)?, Dice::new(rows));
    let numbers: Vec<u64> = (0..rows).collect();
    for numbers in numbers.chunks(ROWS_A_TRANSACTION) {
        let addresses = numbers.iter().map(|&number| address(&key(number), 0)).collect::<Result<Vec<_>>>()?;
        let mut text = vec![0; addresses.len() * bytes as usize];
        text.fill_with(|| dice.letter());
        store.write(|writer| {
            let values = text.chunks(bytes as usize);
            addresses
                .iter()
                .zip(values)
                .try_for_each(|(address, value)| writer.set(address, value, &SetOptions::default()).map(drop))
        })?;
    }
    Ok(())
}

fn entry(number: u64, namespaces: u64) -> Result<(Address, String)> {
    Ok((address(&key(number), number % namespaces)?, value(number)))
}

fn address(key: &str, number_of_namespace: u64) -> Result<Address> {
    Ok(Notation::default().address(&format!("{}.{key}", namespace(number_of_namespace)))?)
}

/// Opens a database that is made when it is not there.
pub(crate) fn open(file: &Path) -> Result<Store> {
    Ok(Store::new(SqliteEngine::open(OpenOptions::new(file))?))
}

/// The same for whoever waits for others that were stopped in the midst of a transaction, or is stopped itself while it waits.
pub(crate) fn open_with_patience(file: &Path) -> Result<Store> {
    let options = OpenOptions { busy_timeout: Duration::from_secs(60), ..OpenOptions::new(file) };
    Ok(Store::new(SqliteEngine::open(options)?))
}

/// A process that says when it is ready, begins when its input ends, writes for some seconds, and prints its tally.
pub(crate) fn writer(database: &Database, index: usize, seconds: u64) -> Result<Command> {
    let mut command = command("write")?;
    command.arg(&database.file).arg(index.to_string()).arg(seconds.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

fn run_writer(file: &Path, index: &str, span: Duration) -> Result {
    let store = open(file)?;
    let addresses = (0..KEYS_OF_A_WRITER).map(|number| address(&format!("writer{index}k{number}"), 0));
    let addresses = addresses.collect::<Result<Vec<_>>>()?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;

    let mut tally = Tally::default();
    let end = Instant::now() + span;
    for (serial, address) in (0..).zip(addresses.iter().cycle()) {
        let start = Instant::now();
        if start >= end {
            break;
        }
        match store.set(address, value(serial).as_bytes(), &SetOptions::default()) {
            Ok(_) => tally.writes += 1,
            Err(_) => tally.failures += 1,
        }
        tally.worst_wait = tally.worst_wait.max(start.elapsed());
    }
    println!("{} {} {}", tally.writes, tally.failures, tally.worst_wait.as_micros());
    Ok(())
}

/// What a writer has done.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) writes: u64,
    pub(crate) failures: u64,
    pub(crate) worst_wait: Duration,
}

impl Tally {
    pub(crate) fn parse(report: &str) -> Result<Self> {
        let numbers = report.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let [writes, failures, worst] = numbers[..] else {
            return Err(format!("a writer reports `{report}`").into());
        };
        Ok(Self { writes, failures, worst_wait: Duration::from_micros(worst) })
    }
}

/// A process that runs `set` many times, one after the other.
pub(crate) fn sets_in_turn(
    prontodb: &Path,
    database: &Database,
    times: u64,
    durable: bool,
) -> Result<Command> {
    let mut command = command("set")?;
    command.arg(times.to_string()).arg(prontodb).arg(&database.file).arg(database.address(0));
    command.args(durable.then_some("--durable"));
    Ok(command)
}

fn run_sets(times: u64, program: &str, file: &str, address: &str, flags: &[&str]) -> Result {
    // Values that no other run writes: these sets are made more than once.
    let first = std::time::UNIX_EPOCH.elapsed()?.as_micros() as u64;
    for serial in first..first + times {
        let mut set = Command::new(program);
        set.args(flags).args(["-d", file, "set", address, &value(serial)]);
        process::output(&mut set)?;
    }
    Ok(())
}
