//! A queue that 32 processes claim from, while one task in ten costs a process its life and some are stopped for longer than
//! their claims last. Each process notes outside of the database what it was granted and what it has written; afterwards
//! the notes are held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use prontodb_core::clock::Ttl;
use prontodb_core::error::ErrorKind;
use prontodb_core::store::{Condition, Fence, Presence, PushOptions, SetOptions};
use prontodb_core::{Address, Namespace, Notation, Store};

use super::ledger::{self, Ledger};
use super::uptime;
use crate::lab::Lab;
use crate::stats::Dice;
use crate::table::{Row, Unit};
use crate::{Result, process, worker};

const PROCESSES: usize = 32;
const TASKS: u64 = 100_000;
/// One task in so many costs a process its life.
const KILL_ONE_OF: u64 = 10;
/// One kill in so many is a stop that outlasts the claim, in place of it.
const STOP_ONE_OF: u64 = 50;
/// How long a claim is good for, in milliseconds: much longer than a task takes, and short enough to lapse often.
const TTL: u64 = 1500;
/// How long it is from one kill to the next.
const PACE: Duration = Duration::from_millis(3);
const PROCESSES_FOR_SPEED: usize = 8;
const SECONDS_AT_MOST: u64 = 900;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>> {
    let tasks = lab.scaled(TASKS);
    let fleet = Fleet::new(lab, "claims", tasks)?;
    let chaos = fleet.run_to_the_end(PROCESSES, Some(tasks / KILL_ONE_OF))?;
    let found = Findings::of(&fleet, tasks)?;
    let count = |what: &str, number: u64| Row::new(what, Unit::Count, number as f64);
    Ok(vec![
        count("tasks", tasks),
        count("processes killed", chaos.killed),
        count("processes stopped past the end of their claims", chaos.stopped),
        count("claims that were granted and noted", found.grants),
        count("claims that had lapsed and were granted anew", found.again),
        count("tasks that nobody has done", found.undone).at_most(0.0),
        count("tasks done twice", found.twice).at_most(0.0),
        count("grants while another was good", found.double).at_most(0.0),
        count("writes under a claim that somebody else had by then", found.late).at_most(0.0),
        count("late writes that were refused", found.refused),
        count("processes that failed by themselves", chaos.failed).at_most(0.0),
    ])
}

/// How many tasks are claimed, done and acknowledged in a second when nobody dies.
pub(super) fn speed(lab: &Lab) -> Result<Vec<Row>> {
    let tasks = lab.scaled(TASKS / 4);
    let fleet = Fleet::new(lab, "speed", tasks)?;
    let start = Instant::now();
    fleet.run_to_the_end(PROCESSES_FOR_SPEED, None)?;
    let a_second = tasks as f64 / start.elapsed().as_secs_f64();
    Ok(vec![Row::new("tasks a second, 8 processes", Unit::Count, a_second).at_least(1000.0)])
}

/// A queue with tasks, and the ledgers of those who work on them.
struct Fleet {
    file: PathBuf,
    ledgers: PathBuf,
}

/// What was done to the processes, and what they did by themselves.
#[derive(Default)]
struct Chaos {
    killed: u64,
    stopped: u64,
    failed: u64,
}

impl Fleet {
    fn new(lab: &Lab, name: &str, tasks: u64) -> Result<Self> {
        let folder = lab.folder(name)?;
        let (file, ledgers) = (folder.join("store.prdb"), folder.join("ledgers"));
        fs::create_dir(&ledgers)?;
        process::output(worker::command("push")?.arg(&file).arg(tasks.to_string()))?;
        Ok(Self { file, ledgers })
    }

    fn start(&self, index: usize) -> Result<Child> {
        let mut command: Command = worker::command("claim")?;
        command.arg(&self.file).arg(self.ledgers.join(index.to_string())).arg(TTL.to_string());
        Ok(command.stdin(Stdio::null()).spawn()?)
    }

    /// Has the processes work until nothing is left to do. With a number of kills, kills so many of them one after the other,
    /// and starts others in their place.
    fn run_to_the_end(&self, processes: usize, kills: Option<u64>) -> Result<Chaos> {
        let workers = (0..processes).map(|index| self.start(index)).collect::<Result<Vec<_>>>()?;
        let mut crew = Crew { fleet: self, workers, stopped: BTreeMap::new(), chaos: Chaos::default() };
        let mut dice = Dice::new(1);
        let deadline = Instant::now() + Duration::from_secs(SECONDS_AT_MOST);
        while crew.is_at_work()? {
            if Instant::now() > deadline {
                return Err("the work does not come to an end".into());
            }
            crew.let_go_on();
            if kills.is_some_and(|kills| crew.chaos.killed + crew.chaos.stopped < kills) {
                crew.strike(dice.below(processes as u64) as usize, dice.below(STOP_ONE_OF) == 0)?;
            }
            thread::sleep(PACE);
        }
        Ok(crew.chaos)
    }
}

/// The processes at work.
struct Crew<'f> {
    fleet: &'f Fleet,
    workers: Vec<Child>,
    /// Until when those are to stand still that were stopped.
    stopped: BTreeMap<usize, Instant>,
    chaos: Chaos,
}

impl Crew<'_> {
    /// Whether anybody still works. Starts others for those that have failed.
    fn is_at_work(&mut self) -> Result<bool> {
        let mut is_at_work = false;
        for (index, worker) in self.workers.iter_mut().enumerate() {
            match worker.try_wait()? {
                Some(status) if status.success() => continue,
                Some(_) => {
                    self.chaos.failed += 1;
                    *worker = self.fleet.start(index)?;
                }
                None => {}
            }
            is_at_work = true;
        }
        Ok(is_at_work)
    }

    /// Wakes those that have stood still for long enough.
    fn let_go_on(&mut self) {
        let now = Instant::now();
        for (&index, _) in self.stopped.iter().filter(|(_, until)| **until <= now) {
            signal(&self.workers[index], libc::SIGCONT);
        }
        self.stopped.retain(|_, until| *until > now);
    }

    /// Kills a process, or stops it for longer than its claim is good for, unless it stands still or has ended.
    fn strike(&mut self, index: usize, only_stop: bool) -> Result {
        let worker = &mut self.workers[index];
        if self.stopped.contains_key(&index) || worker.try_wait()?.is_some() {
            return Ok(());
        }
        if only_stop {
            signal(worker, libc::SIGSTOP);
            self.stopped.insert(index, Instant::now() + Duration::from_millis(TTL * 2));
            self.chaos.stopped += 1;
        } else {
            worker.kill()?;
            worker.wait()?;
            *worker = self.fleet.start(index)?;
            self.chaos.killed += 1;
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "kill has no safe interface in std")]
fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: the child was not waited for, so the number is its own.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

fn queue() -> Result<Namespace> {
    Ok(Namespace::new("bench", "jobs")?)
}

/// Fills the queue.
pub(super) fn push(file: &Path, items: u64) -> Result {
    let (store, queue) = (worker::open(file)?, queue()?);
    let options = PushOptions { tries: u32::MAX, ..PushOptions::default() };
    for number in 0..items {
        store.push(&queue, number.to_string().as_bytes(), &options)?;
    }
    Ok(())
}

/// Claims tasks and does them until there are none: the deed is an entry that nobody may have made before.
pub(super) fn work(file: &Path, ledger: &Path, ttl: u64) -> Result {
    let (mut store, queue, mut ledger) = (worker::open_with_patience(file)?, queue()?, Ledger::open(ledger)?);
    let ttl = Ttl::from_millis(ttl)?;
    loop {
        let asked = uptime()?;
        let Some(claim) = store.claim(&queue, ttl)? else {
            if store.items(&queue)?.is_empty() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        let (task, fence) = (String::from_utf8(claim.value)?, claim.fence);
        ledger.note(format_args!("granted {task} {} {asked} {}", fence.0, uptime()?))?;
        store = store.with_fence(Some(fence));
        finish(&store, &queue, &task, fence, &mut ledger)?;
        store = store.with_fence(None);
    }
}

fn finish(store: &Store, queue: &Namespace, task: &str, fence: Fence, ledger: &mut Ledger) -> Result {
    let began = uptime()?;
    let condition = Condition { presence: Some(Presence::Absent), ..Condition::default() };
    let options = SetOptions { condition, ..SetOptions::default() };
    match store.set(&done(task)?, fence.0.to_string().as_bytes(), &options) {
        Ok(_) => ledger.note(format_args!("did {task} {} {began} {}", fence.0, uptime()?))?,
        // Whoever had it before died or was stopped between its deed and its acknowledgement, or this one was late itself.
        Err(error) if error.kind() == ErrorKind::Conflict => {
            ledger.note(format_args!("refused {task} {} {began} {}", fence.0, uptime()?))?;
        }
        Err(error) => return Err(error.into()),
    }
    match store.ack(queue, fence) {
        Err(error) if error.kind() != ErrorKind::Conflict => Err(error.into()),
        _ => Ok(()),
    }
}

fn done(task: &str) -> Result<Address> {
    Ok(Notation::default().address(&format!("bench.done.{task}"))?)
}

/// What the ledgers and the database say together.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    grants: u64,
    again: u64,
    undone: u64,
    twice: u64,
    double: u64,
    late: u64,
    refused: u64,
}

/// A grant or a deed: its token, and between which moments it was made.
type Moment = (u64, u64, u64);

impl Findings {
    fn of(fleet: &Fleet, tasks: u64) -> Result<Self> {
        let lines = ledger::read_all(&fleet.ledgers)?;
        let store = worker::open(&fleet.file)?;
        let mut done = BTreeSet::new();
        for task in 0..tasks {
            if store.get(&self::done(&task.to_string())?)?.is_some() {
                done.insert(task);
            }
        }
        Self::of_lines(&lines, &done, tasks)
    }

    fn of_lines(lines: &[Vec<String>], done: &BTreeSet<u64>, tasks: u64) -> Result<Self> {
        let (mut grants, mut deeds) =
            (BTreeMap::<u64, Vec<Moment>>::new(), BTreeMap::<u64, Vec<Moment>>::new());
        let mut found = Self { undone: tasks - done.len() as u64, ..Self::default() };
        for line in lines {
            let [what, task, numbers @ ..] = line.as_slice() else {
                return Err("a line of a ledger is short".into());
            };
            let numbers = numbers.iter().map(|number| number.parse()).collect::<Result<Vec<u64>, _>>()?;
            let [token, before, after] = numbers[..] else {
                return Err("a line of a ledger is short".into());
            };
            let moments = match what.as_str() {
                "granted" => &mut grants,
                "did" => &mut deeds,
                _ => {
                    found.refused += 1;
                    continue;
                }
            };
            moments.entry(task.parse()?).or_default().push((token, before, after));
        }
        for (task, grants) in &mut grants {
            grants.sort_unstable();
            found.grants += grants.len() as u64;
            found.again += grants.len() as u64 - 1;
            found.double += grants.windows(2).filter(|pair| pair[1].2 < pair[0].1 + TTL).count() as u64;
            let deeds = deeds.get(task).map(Vec::as_slice).unwrap_or_default();
            found.twice += (deeds.len() as u64).saturating_sub(1);
            let is_late = |deed: &&Moment| grants.iter().any(|grant| grant.0 > deed.0 && grant.2 < deed.1);
            found.late += deeds.iter().filter(is_late).count() as u64;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str]) -> Findings {
        let lines: Vec<Vec<String>> =
            lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
        Findings::of_lines(&lines, &BTreeSet::from([0]), 1).unwrap()
    }

    #[test]
    fn a_claim_that_lapses_is_granted_anew() {
        let lines =
            ["granted 0 5 100 101", "granted 0 9 1601 1602", "did 0 9 1603 1604", "refused 0 5 1700 1701"];
        let expected = Findings { grants: 2, again: 1, refused: 1, ..Findings::default() };
        assert_eq!(found(&lines), expected);
    }

    #[test]
    fn what_must_not_be_is_found() {
        assert_eq!(found(&["granted 0 5 100 101", "granted 0 9 200 201"]).double, 1);
        assert_eq!(found(&["granted 0 5 1 2", "did 0 5 2 3", "did 0 9 2 3"]).twice, 1);
        assert_eq!(found(&["granted 0 5 1 2", "granted 0 9 1600 1601", "did 0 5 1602 1603"]).late, 1);
        assert_eq!(Findings::of_lines(&[], &BTreeSet::new(), 3).unwrap().undone, 3);
    }
}
