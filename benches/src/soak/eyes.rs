//! Those who watch: one as long as the run, one that is killed and goes on where it was. And those who stand still while they read.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Soak, library};
use crate::table::{Row, Unit};
use crate::watch::{kill_after, position_of};
use crate::{Result, process};

/// What is watched.
const WATCHED: &str = "soak.kv";
/// How long nothing has happened when the run is over.
const SILENCE: &str = "20s";
/// How long a watcher lives before it is killed.
const LIFE: Duration = Duration::from_secs(10);
/// From which part of the run on the log is pinned,
const PINNED_FROM: f64 = 0.5;
/// and for how much of it,
const PINNED_FOR: f64 = 0.1;
/// but no longer than this.
const PINNED_AT_MOST: Duration = Duration::from_secs(300);
/// How long the steady watcher is stopped: shorter than the silence that ends it.
const STOPPED: Duration = Duration::from_secs(8);

/// What a watcher has seen.
pub(super) struct Seen {
    who: &'static str,
    events: u64,
    kills: u64,
    disorder: u64,
}

impl Seen {
    fn of(who: &'static str) -> Self {
        Self { who, events: 0, kills: 0, disorder: 0 }
    }

    pub(super) fn rows(&self, made: u64) -> Vec<Row> {
        let Self { who, events, kills, disorder } = self;
        let count = |what: &str, number: u64| Row::new(format!("{who}: {what}"), Unit::Count, number as f64);
        vec![
            count("changes seen", *events).at_least(1.0),
            count("changes more or less than were made", events.abs_diff(made)).at_most(0.0),
            count("out of order", *disorder).at_most(0.0),
            count("kills", *kills),
        ]
    }
}

/// A watch, and what it prints.
type Watch = (Child, BufReader<ChildStdout>);

fn start(command: &mut Command, spawn: impl FnOnce(&mut Command) -> Result<Child>) -> Result<Watch> {
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let stdout = child.stdout.take().ok_or("no pipe from a watch")?;
    Ok((child, BufReader::new(stdout)))
}

fn watch(soak: &Soak<'_>, from: &str) -> Command {
    soak.command(&["watch", "--jsonl", "--timeout", SILENCE, "--from", from, WATCHED])
}

/// The watcher that lives as long as the run.
pub(super) fn steady(soak: &Soak<'_>) -> Result<Watch> {
    start(&mut watch(soak, &soak.origin), |command| soak.settle("watch", command))
}

pub(super) fn read((mut child, lines): Watch) -> Result<Seen> {
    let (mut seen, mut last) = (Seen::of("the watcher"), (0, 0));
    for line in lines.lines() {
        note(&line?, &mut seen, &mut last)?;
    }
    child.wait()?;
    Ok(seen)
}

/// Notes an event that is whole; its position.
fn note(line: &str, seen: &mut Seen, last: &mut (u64, u64)) -> Result<String> {
    let at = position_of(line)?;
    seen.disorder += u64::from(at <= *last);
    seen.events += 1;
    *last = at;
    Ok(format!("{}.{}", at.0, at.1))
}

/// Watches, is killed, and goes on behind what it has printed, again and again.
pub(super) fn resumed(soak: &Soak<'_>) -> Result<Seen> {
    let (mut seen, mut position, mut last) = (Seen::of("the killed watcher"), soak.origin.clone(), (0, 0));
    loop {
        let is_last = soak.is_over();
        let (mut child, lines) = start(&mut watch(soak, &position), |command| Ok(command.spawn()?))?;
        let pid = child.id();
        let killer = (!is_last).then(|| thread::spawn(move || kill_after(pid, LIFE)));
        for line in lines.split(b'\n') {
            let line = String::from_utf8(line?)?;
            // What was cut off is no event.
            if !line.ends_with('}') {
                break;
            }
            position = note(&line, &mut seen, &mut last)?;
        }
        // The number is nobody else's before it has been waited for.
        if let Some(killer) = killer {
            killer.join().map_err(|_| "the killer has panicked")??;
        }
        child.wait()?;
        if is_last {
            return Ok(seen);
        }
        seen.kills += 1;
    }
}

/// Has somebody stand still within a transaction, a listing whose pipe nobody reads, and a watcher that is stopped. Says between which
/// parts of the run the log was pinned.
pub(super) fn pin(soak: &Soak<'_>) -> Result<(f64, f64)> {
    while soak.part() < PINNED_FROM && soak.pause(Duration::from_millis(100)) {}
    let begun = soak.part();
    let time = soak.span.mul_f64(PINNED_FOR).min(PINNED_AT_MOST);
    let mut pinning = library::pinning(soak, time)?.spawn()?;
    let mut listing = soak.command(&["scan", WATCHED]).stdout(Stdio::piped()).spawn()?;
    let watcher = soak.resident("watch").ok_or("nobody watches")?;
    signal(watcher, "-STOP")?;
    soak.pause(STOPPED.min(time));
    signal(watcher, "-CONT")?;
    let is_well = pinning.wait()?.success();
    drop(listing.stdout.take());
    listing.wait()?;
    if is_well { Ok((begun, soak.part())) } else { Err("whoever was to pin the log has failed".into()) }
}

fn signal(pid: u32, signal: &str) -> Result {
    process::output(Command::new("kill").args([signal, &pid.to_string()])).map(drop)
}
