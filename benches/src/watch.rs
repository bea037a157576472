//! What watching costs: how soon a change is seen while many processes write, what an idle watcher uses, and whether a watcher
//! that is killed again and again sees each of a million changes once.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::stats::{Dice, Samples};
use crate::table::{self, Row, Unit};
use crate::{Result, process};

const WRITERS: u64 = 32;
/// Of each writer.
const SETS: u64 = 200;
/// Between two writes of one that is not always at it.
const PAUSE: Duration = Duration::from_millis(150);
const IDLE_SECONDS: u64 = 20;
const CHANGES: u64 = 1_000_000;
/// How many processes make these changes, and how many each commits at a time.
const STREAMS: u64 = 8;
const CHUNK: &str = "20";

pub(crate) fn run(lab: &Lab) -> Result {
    let mut rows = Vec::new();
    for (what, pause) in [("32 writers with pauses", PAUSE), ("32 writers without", Duration::ZERO)] {
        let file = lab.folder("watch-latency")?.join("store.prdb");
        let seen = latency(lab, &file, pause)?;
        let goal = |row: Row| if pause.is_zero() { row } else { row.at_most(0.02) };
        rows.push(Row::new(format!("{what}: seen after, median"), Unit::Seconds, seen.median()));
        rows.push(goal(Row::new(format!("{what}: p99"), Unit::Seconds, seen.percentile(99.0))));
        rows.push(Row::new(format!("{what}: worst"), Unit::Seconds, seen.max()));
    }
    rows.push(Row::new("idle: percent of a processor", Unit::Each, idle(lab)?).at_most(0.1));
    rows.extend(resumes(lab)?);
    table::print_goals("watch", &rows);
    Ok(())
}

/// Between the end of a `set` and its line: less than nothing where the line was quicker than the end of the process.
fn latency(lab: &Lab, file: &Path, pause: Duration) -> Result<Samples> {
    let (watcher, lines, _) = begin(lab, file)?;
    let sets = lab.scaled(SETS);
    let seen = thread::spawn(move || {
        let events = lines.lines().take((WRITERS * sets) as usize);
        events.map(|line| Ok((key_of(&line?)?, Instant::now()))).collect::<Result<HashMap<_, _>>>()
    });
    let written = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let written = &written;
        let write = |writer: u64| -> Result {
            let mut dice = Dice::new(writer);
            for number in 0..sets {
                thread::sleep(pause.mul_f64(dice.below(2000) as f64 / 1000.0));
                let address = format!("bench.ns.w{writer}k{number}");
                process::output(&mut lab.prontodb(file, ["set", &address, "v"]))?;
                written.lock().map_err(|_| "a writer has panicked")?.push((address, Instant::now()));
            }
            Ok(())
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer has panicked")?)
    })?;
    let seen = seen.join().map_err(|_| "the reader has panicked")??;
    end(watcher)?;
    let written = written.into_inner().map_err(|_| "a writer has panicked")?;
    let latency = |(address, at): (String, Instant)| {
        let seen = seen.get(&address).ok_or_else(|| format!("{address} was not seen"))?;
        Ok(seen.saturating_duration_since(at))
    };
    Ok(Samples::of_times(written.into_iter().map(latency).collect::<Result<Vec<_>>>()?))
}

/// What a watcher uses while nothing happens, in percent; what its start takes is taken off.
fn idle(lab: &Lab) -> Result<f64> {
    let file = lab.folder("watch-idle")?.join("store.prdb");
    process::output(&mut lab.prontodb(&file, ["set", "bench.ns.k", "v"]))?;
    let seconds = IDLE_SECONDS.min(lab.scaled(IDLE_SECONDS).max(4));
    let used = |seconds: u64| {
        let mut watch = lab.prontodb(&file, ["watch", "--timeout", &format!("{seconds}s")]);
        Ok::<_, crate::Error>(process::run(watch.stderr(Stdio::null()))?.usage.cpu)
    };
    let (start, whole) = (used(1)?, used(1 + seconds)?);
    Ok(whole.saturating_sub(start).as_secs_f64() / seconds as f64 * 100.0)
}

/// Has processes write as fast as they can, and kills the watcher again and again.
fn resumes(lab: &Lab) -> Result<Vec<Row>> {
    let file = lab.folder("watch-resumes")?.join("store.prdb");
    let each = lab.scaled(CHANGES) / STREAMS;
    let (watcher, _, mut position) = begin(lab, &file)?;
    end(watcher)?;
    let (mut seen, mut kills) = (vec![0_u8; (STREAMS * each) as usize], 0_u64);
    let (mut repeats, mut disorder) = (0_u64, 0_u64);
    let begun = Instant::now();
    thread::scope(|scope| -> Result {
        let file = &file;
        let write = move |stream| scope.spawn(move || write_stream(lab, file, stream, each));
        let writers: Vec<_> = (0..STREAMS).map(write).collect();
        let mut dice = Dice::new(1);
        let mut last = (0, 0);
        while seen.contains(&0) {
            let (mut watcher, lines) = start(lab, file, &position)?;
            let life = Duration::from_millis(200 + dice.below(1500));
            let pid = watcher.id();
            // The last one is not killed: it has all the time it needs.
            let is_last = writers.iter().all(thread::ScopedJoinHandle::is_finished);
            let killer = (!is_last).then(|| scope.spawn(move || kill_after(pid, life)));
            for line in lines.split(b'\n') {
                let line = String::from_utf8(line?)?;
                // What was cut off is no event.
                if !line.ends_with('}') {
                    break;
                }
                let (at, key) = (position_of(&line)?, key_of(&line)?);
                disorder += u64::from(at <= last);
                last = at;
                position = format!("{}.{}", at.0, at.1);
                let place = place_of(&key, each)?;
                repeats += u64::from(seen[place] > 0);
                seen[place] = 1;
                if is_last && !seen.contains(&0) {
                    break;
                }
            }
            kills += u64::from(!is_last);
            if let Some(killer) = killer {
                killer.join().map_err(|_| "the killer has panicked")??;
            } else {
                watcher.kill()?;
            }
            watcher.wait()?;
            if is_last {
                break;
            }
        }
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer has panicked")?)
    })?;
    let gaps = seen.iter().filter(|seen| **seen == 0).count();
    Ok(vec![
        Row::new("changes with kills and resumes", Unit::Count, seen.len() as f64),
        Row::new("a second", Unit::Count, seen.len() as f64 / begun.elapsed().as_secs_f64()),
        Row::new("kills", Unit::Count, kills as f64),
        Row::new("gaps", Unit::Count, gaps as f64).at_most(0.0),
        Row::new("repeats", Unit::Count, repeats as f64).at_most(0.0),
        Row::new("out of order", Unit::Count, disorder as f64).at_most(0.0),
    ])
}

fn write_stream(lab: &Lab, file: &Path, stream: u64, changes: u64) -> Result {
    let mut command = lab.prontodb(file, ["stream", "--format", "jsonl", "--chunk", CHUNK]);
    command.env("PRONTO_SECURITY", "false").stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().ok_or("no pipe to a stream")?;
    for number in 0..changes {
        writeln!(input, "{{\"k\":\"bench.ns.w{stream}k{number}\",\"v\":\"v\"}}")?;
    }
    drop(input);
    if child.wait()?.success() { Ok(()) } else { Err("a stream has failed".into()) }
}

/// What a watch prints.
type Lines = BufReader<std::process::ChildStdout>;

/// A database with a watch, and the place where the changes begin that are kept for it.
fn begin(lab: &Lab, file: &Path) -> Result<(Child, Lines, String)> {
    let first = ["set", "bench.first.k", "v", "--return", "version"];
    let position = process::output(&mut lab.prontodb(file, first))?.trim().to_owned();
    let (child, lines) = start(lab, file, &position)?;
    while !is_watched(lab, file)? {
        thread::sleep(Duration::from_millis(5));
    }
    Ok((child, lines, position))
}

fn start(lab: &Lab, file: &Path, from: &str) -> Result<(Child, Lines)> {
    let mut command = lab.prontodb(file, ["watch", "--jsonl", "--from", from]);
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
    let stdout = child.stdout.take().ok_or("no pipe from a watch")?;
    Ok((child, BufReader::new(stdout)))
}

/// Whether changes are kept by now.
fn is_watched(lab: &Lab, file: &Path) -> Result<bool> {
    let mut query = lab.patient_sqlite(file, "SELECT changes IS NOT NULL FROM sys_state");
    Ok(query.stderr(Stdio::null()).output()?.stdout.starts_with(b"1"))
}

fn end(mut watcher: Child) -> Result {
    watcher.kill()?;
    watcher.wait()?;
    Ok(())
}

pub(crate) fn kill_after(pid: u32, life: Duration) -> Result {
    thread::sleep(life);
    Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    Ok(())
}

/// The text of a member of an event.
fn member<'l>(line: &'l str, name: &str) -> Result<&'l str> {
    let behind = line.split_once(&format!("\"{name}\":\"")).and_then(|(_, behind)| behind.split_once('"'));
    behind.map(|(text, _)| text).ok_or_else(|| format!("no {name} in {line}").into())
}

fn key_of(line: &str) -> Result<String> {
    member(line, "k").map(str::to_owned)
}

pub(crate) fn position_of(line: &str) -> Result<(u64, u64)> {
    let (revision, number) = member(line, "position")?.split_once('.').ok_or("no position")?;
    Ok((revision.parse()?, number.parse()?))
}

/// Which of all changes an entry is.
fn place_of(key: &str, each: u64) -> Result<usize> {
    let numbers =
        key.strip_prefix("bench.ns.w").and_then(|rest| rest.split_once('k')).ok_or("a foreign key")?;
    let (stream, number): (u64, u64) = (numbers.0.parse()?, numbers.1.parse()?);
    Ok((stream * each + number) as usize)
}
