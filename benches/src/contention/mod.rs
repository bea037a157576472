//! Many processes at one database: what fails, what is lost, and how long the unluckiest waits.

mod incr;
mod oneshots;
mod writers;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::writers::Writer;
use crate::lab::Lab;
use crate::{Result, table};

const PROCESSES: usize = 32;

pub(crate) fn run(lab: &Lab) -> Result {
    let mut rows = oneshots::run(lab)?;
    rows.extend(writers::run(lab)?);
    rows.extend(incr::run(lab)?);
    table::print_goals("32 processes", &rows);
    Ok(())
}

/// Has `work` done by as many threads as there are to be processes at a time, all starting at once; also tells how long
/// all of them took together.
fn all_at_once<T: Send>(work: impl Fn(usize) -> Result<T> + Sync) -> Result<(Vec<T>, Duration)> {
    let barrier = Barrier::new(PROCESSES + 1);
    thread::scope(|scope| {
        let start = |worker| {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(worker)
            })
        };
        let threads: Vec<_> = (0..PROCESSES).map(start).collect();
        barrier.wait();
        let start = Instant::now();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let elapsed = start.elapsed();
        let results = results.into_iter().map(|result| result.map_err(|_| "a thread has panicked")?);
        Ok((results.collect::<Result<_>>()?, elapsed))
    })
}

/// Does `work`, and tells the largest size that `file` had meanwhile.
fn watching_size<T>(file: &Path, work: impl FnOnce() -> T) -> (T, u64) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut largest = 0;
            while !done.load(Ordering::Relaxed) {
                largest = largest.max(fs::metadata(file).map_or(0, |meta| meta.len()));
                thread::sleep(Duration::from_millis(2));
            }
            largest
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, watcher.join().unwrap_or_default())
    })
}

/// Throws away what a command says; whether it failed is counted.
fn silent(mut command: Command) -> Command {
    command.stderr(Stdio::null());
    command
}
