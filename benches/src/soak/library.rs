//! What uses the library in place of the program: a writer that lives as long as the run, and a reader that pins the log.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use prontodb_core::engine::Row;
use prontodb_core::store::{OpId, Query, SetOptions, Sink};
use prontodb_core::{Namespace, Notation};

use super::Soak;
use super::hands::{Written, value};
use crate::{Result, process, worker};

const KEYS: u64 = 300;
const PAUSE: Duration = Duration::from_millis(25);

/// What a process of this program does in a soak.
pub(crate) fn work(task: &[&str]) -> Result {
    match *task {
        ["write", file] => write(Path::new(file)),
        ["remember", file, operations] => do_under_ids(Path::new(file), operations.parse()?),
        ["pin", file, seconds] => pin(Path::new(file), Duration::from_secs_f64(seconds.parse()?)),
        _ => Err("no such task of a soak".into()),
    }
}

fn task(name: &str, file: &Path) -> Result<Command> {
    let mut command = worker::command("soak")?;
    command.arg(name).arg(file);
    Ok(command)
}

/// Has a process write until the run is over.
pub(super) fn drive(soak: &Soak<'_>) -> Result<Written> {
    let mut command = task("write", &soak.file)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = soak.settle("library", &mut command)?;
    while soak.pause(soak.span) {}
    // Its input ends here.
    let output = child.wait_with_output()?;
    let total: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let mut written = Written::default();
    (0..total).for_each(|serial| written.note(format!("soak.kv.l{}", serial % KEYS), value(serial)));
    if output.status.success() { Ok(written) } else { Err("the writer of the library has failed".into()) }
}

/// Writes until its input ends, and prints how often.
fn write(file: &Path) -> Result {
    let store = worker::open(file)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            is_over.store(true, Ordering::SeqCst);
        });
        let mut serial = 0;
        while !is_over.load(Ordering::SeqCst) {
            let address = Notation::default().address(&format!("soak.kv.l{}", serial % KEYS))?;
            store.set(&address, value(serial).as_bytes(), &SetOptions::default())?;
            serial += 1;
            thread::sleep(PAUSE);
        }
        println!("{serial}");
        Ok(())
    })
}

/// Does so many operations under ids, which are remembered.
pub(super) fn remember(soak: &Soak<'_>, operations: u64) -> Result {
    process::output(task("remember", &soak.file)?.arg(operations.to_string()))?;
    Ok(())
}

fn do_under_ids(file: &Path, operations: u64) -> Result {
    let (mut store, address) = (worker::open(file)?, Notation::default().address("soak.before.sum")?);
    for number in 0..operations {
        store = store.with_op(Some(OpId::new(&format!("before/{number}"), None)?));
        store.increment(&address, 1)?;
    }
    Ok(())
}

/// A process that reads for so long, and keeps its transaction open meanwhile.
pub(super) fn pinning(soak: &Soak<'_>, time: Duration) -> Result<Command> {
    let mut command = task("pin", &soak.file)?;
    command.arg(time.as_secs_f64().to_string());
    Ok(command)
}

/// Stands still at the first entry.
struct Slow(Duration);

impl Sink for Slow {
    fn row(&mut self, _row: Row<'_>) {
        thread::sleep(std::mem::take(&mut self.0));
    }

    fn page(&mut self) -> prontodb_core::Result<ControlFlow<()>> {
        Ok(ControlFlow::Break(()))
    }
}

fn pin(file: &Path, time: Duration) -> Result {
    let namespace = Namespace::new("soak", "kv")?;
    worker::open(file)?.list(&namespace, &Query::default(), &mut Slow(time))?;
    Ok(())
}
