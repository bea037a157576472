//! Whether what many processes saw of one object can have happened one operation after the other, each at some moment
//! between its call and its answer: linearizability (Herlihy and Wing, 1990). The search is that of Wing and Gong with Lowe's
//! memory, of the crate `todc-utils`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use prontodb_core::clock::Ttl;
use prontodb_core::error::ErrorKind;
use prontodb_core::record::Version;
use prontodb_core::store::{Acquired, Condition, Fence, PushOptions, SetOptions};
use prontodb_core::{Address, Namespace, Notation, Store};
use rustix::time::{ClockId, clock_gettime};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use super::ledger::{self, Ledger};
use super::objects::{Counter, Lock, Operation, Queue, Register};
use crate::lab::Lab;
use crate::stats::Dice;
use crate::table::{Row, Unit};
use crate::{Result, worker};

const PROCESSES: [u64; 4] = [4, 8, 16, 32];
/// Operations of all processes in each of [`PROCESSES`].
const OPERATIONS: u64 = 64_000;
/// So many objects of each kind: a history of one is short enough to be searched.
const OBJECTS: u64 = 40;
/// No lease ends while it is watched.
const FOR_LONG: u64 = 3_600_000;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for processes in PROCESSES {
        let (operations, overlapping, bad) = round(lab, processes)?;
        let name = |what: &str| format!("{processes} processes: {what}");
        rows.push(Row::new(name("operations"), Unit::Count, operations as f64));
        rows.push(Row::new(name("that met others at the same object"), Unit::Count, overlapping as f64));
        rows.push(Row::new(name("objects out of order"), Unit::Count, bad as f64).at_most(0.0));
    }
    Ok(rows)
}

fn round(lab: &Lab, processes: u64) -> Result<(usize, usize, usize)> {
    let folder = lab.folder("histories")?;
    let (file, ledgers) = (folder.join("store.prdb"), folder.join("ledgers"));
    fs::create_dir(&ledgers)?;
    drop(worker::open(&file)?);
    let start = |index: u64| {
        let mut command = worker::command("operate")?;
        command.arg(&file).arg(ledgers.join(index.to_string()));
        command.args([index.to_string(), (lab.scaled(OPERATIONS) / processes).to_string()]);
        Ok(command.stdin(Stdio::null()).spawn()?)
    };
    let workers = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
    for mut worker in workers {
        if !worker.wait()?.success() {
            return Err("a process that operates has failed".into());
        }
    }
    let histories = histories(&ledger::read_all(&ledgers)?)?;
    let operations = histories.values().map(Vec::len).sum();
    let overlapping = histories.values().map(|history| overlaps(history)).sum();
    let bad = histories.iter().filter(|(object, history)| !holds(object, history)).count();
    Ok((operations, overlapping, bad))
}

/// An operation, its process, and when it was called and answered.
#[derive(Clone, Debug)]
struct Span {
    process: usize,
    called: u64,
    answered: u64,
    operation: Operation,
}

/// The history of each object.
fn histories(lines: &[Vec<String>]) -> Result<BTreeMap<String, Vec<Span>>> {
    let mut histories = BTreeMap::<_, Vec<Span>>::new();
    for line in lines {
        let [object, process, called, answered, operation @ ..] = line.as_slice() else {
            return Err("a line of a ledger is short".into());
        };
        let (process, called, answered) = (process.parse()?, called.parse()?, answered.parse()?);
        let operation = read(operation)?;
        histories.entry(object.clone()).or_default().push(Span { process, called, answered, operation });
    }
    Ok(histories)
}

/// How many operations began before an earlier one was answered.
fn overlaps(history: &[Span]) -> usize {
    let mut spans: Vec<_> = history.iter().map(|span| (span.called, span.answered)).collect();
    spans.sort_unstable();
    let (mut last, mut count) = (0, 0);
    for (called, answered) in spans {
        count += usize::from(called < last);
        last = last.max(answered);
    }
    count
}

fn holds(object: &str, history: &[Span]) -> bool {
    match object.split('.').next() {
        Some("register") => is_linearizable::<Register>(history),
        Some("counter") => is_linearizable::<Counter>(history),
        Some("lock") => is_linearizable::<Lock>(history),
        _ => is_linearizable::<Queue>(history),
    }
}

fn is_linearizable<S: Specification<Operation = Operation>>(history: &[Span]) -> bool {
    let mut actions = Vec::new();
    for Span { process, called, answered, operation } in history {
        // Of two at the same moment the call is the first: they may have overlapped.
        actions.push((*called, 0, *process, Action::Call(operation.clone())));
        actions.push((*answered, 1, *process, Action::Response(operation.clone())));
    }
    actions.sort_by_key(|(at, kind, ..)| (*at, *kind));
    let actions = actions.into_iter().map(|(_, _, process, action)| (process, action)).collect();
    WGLChecker::<S>::is_linearizable(History::from_actions(actions))
}

/// Nanoseconds on a clock that all processes share.
fn nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Does `rounds` operations on objects that others use, and notes what it saw.
pub(super) fn operate(file: &Path, ledger: &Path, seed: u64, rounds: u64) -> Result {
    let mut process = Process {
        store: worker::open(file)?,
        dice: Dice::new(seed),
        seed,
        tokens: BTreeMap::new(),
        versions: BTreeMap::new(),
    };
    let mut ledger = Ledger::open(ledger)?;
    for serial in 0..rounds {
        let number = process.dice.below(OBJECTS);
        let kind = ["register", "counter", "lock", "queue"][process.dice.below(4) as usize];
        let object = format!("{kind}.{number}");
        let called = nanoseconds();
        let operation = match kind {
            "register" => process.register(number, serial),
            "counter" => process.count(number),
            "lock" => process.lock(number),
            _ => process.queue(number),
        }?;
        let answered = nanoseconds();
        ledger.note(format_args!("{object} {seed} {called} {answered} {}", write(&operation)))?;
    }
    Ok(())
}

struct Process {
    store: Store,
    dice: Dice,
    seed: u64,
    /// Tokens it holds, by object.
    tokens: BTreeMap<String, Fence>,
    /// Versions it has seen, by register.
    versions: BTreeMap<u64, Version>,
}

impl Process {
    fn register(&mut self, number: u64, serial: u64) -> Result<Operation> {
        let address = address("register", number)?;
        let value = self.seed * 1_000_000 + serial;
        let bytes = value.to_string().into_bytes();
        match (self.dice.below(8), self.versions.get(&number)) {
            (0, _) => Ok(Operation::Delete(
                self.store.write(|writer| writer.delete(&address, &Condition::default()))?,
            )),
            (1 | 2, _) => {
                let written = self.store.set(&address, &bytes, &SetOptions::default())?;
                self.versions.insert(number, written.version);
                Ok(Operation::Write(value, written.version.0))
            }
            (3 | 4, Some(&seen)) => {
                let condition = Condition { version: Some(seen), ..Condition::default() };
                let options = SetOptions { condition, ..SetOptions::default() };
                let written = unless_conflict(self.store.set(&address, &bytes, &options))?;
                Ok(Operation::WriteIf(value, seen.0, written.map(|written| written.version.0)))
            }
            _ => {
                let Some(record) = self.store.get(&address)? else { return Ok(Operation::Read(None)) };
                self.versions.insert(number, record.head.version);
                let value = String::from_utf8(record.value)?.parse()?;
                Ok(Operation::Read(Some((value, record.head.version.0))))
            }
        }
    }

    fn count(&self, number: u64) -> Result<Operation> {
        let sum = self.store.increment(&address("counter", number)?, 1)?;
        Ok(Operation::Increment(sum.unsigned_abs()))
    }

    fn lock(&mut self, number: u64) -> Result<Operation> {
        let name = format!("lock{number}");
        if let Some(fence) = self.tokens.get(&name).copied() {
            // Given back twice now and then.
            if self.dice.below(4) > 0 {
                self.tokens.remove(&name);
            }
            let released = unless_conflict(self.store.release_lock(&name, fence))?;
            return Ok(Operation::Release(fence.0, released.is_some()));
        }
        match self.store.acquire_lock(&name, Ttl::from_millis(FOR_LONG)?)? {
            Acquired::Granted(lock) => {
                self.tokens.insert(name, lock.fence);
                Ok(Operation::Acquire(Some(lock.fence.0)))
            }
            Acquired::Held(_) => Ok(Operation::Acquire(None)),
        }
    }

    fn queue(&mut self, number: u64) -> Result<Operation> {
        let queue = Namespace::new("queue", format!("q{number}"))?;
        let name = format!("queue{number}");
        if let Some(fence) = self.tokens.get(&name).copied() {
            if self.dice.below(4) > 0 {
                self.tokens.remove(&name);
            }
            let acked = unless_conflict(self.store.ack(&queue, fence))?;
            return Ok(Operation::Ack(fence.0, acked.is_some()));
        }
        if self.dice.below(2) == 0 {
            return Ok(Operation::Push(self.store.push(&queue, b"task", &PushOptions::default())?.parse()?));
        }
        let Some(claimed) = self.store.claim(&queue, Ttl::from_millis(FOR_LONG)?)? else {
            return Ok(Operation::Claim(None));
        };
        self.tokens.insert(name, claimed.fence);
        Ok(Operation::Claim(Some((claimed.id.parse()?, claimed.fence.0))))
    }
}

fn address(kind: &str, number: u64) -> Result<Address> {
    Ok(Notation::default().address(&format!("bench.{kind}.k{number}"))?)
}

/// `None` where a condition did not hold.
fn unless_conflict<T>(result: prontodb_core::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An operation as a line of a ledger says it.
fn write(operation: &Operation) -> String {
    match *operation {
        Operation::Read(Some((value, version))) => format!("read {value} {version}"),
        Operation::Read(None) => "read".to_owned(),
        Operation::Write(value, version) => format!("write {value} {version}"),
        Operation::WriteIf(value, wanted, Some(version)) => format!("write-if {value} {wanted} {version}"),
        Operation::WriteIf(value, wanted, None) => format!("write-if {value} {wanted}"),
        Operation::Delete(was_there) => format!("delete {}", u64::from(was_there)),
        Operation::Increment(sum) => format!("increment {sum}"),
        Operation::Acquire(Some(token)) => format!("acquire {token}"),
        Operation::Acquire(None) => "acquire".to_owned(),
        Operation::Release(token, was_good) => format!("release {token} {}", u64::from(was_good)),
        Operation::Push(id) => format!("push {id}"),
        Operation::Claim(Some((id, token))) => format!("claim {id} {token}"),
        Operation::Claim(None) => "claim".to_owned(),
        Operation::Ack(token, was_good) => format!("ack {token} {}", u64::from(was_good)),
    }
}

/// What [`write()`] has written.
fn read(words: &[String]) -> Result<Operation> {
    let [word, numbers @ ..] = words else { return Err("a line of a ledger is short".into()) };
    let numbers = numbers.iter().map(|number| number.parse()).collect::<Result<Vec<u64>, _>>()?;
    Ok(match (word.as_str(), &numbers[..]) {
        ("read", []) => Operation::Read(None),
        ("read", &[value, version]) => Operation::Read(Some((value, version))),
        ("write", &[value, version]) => Operation::Write(value, version),
        ("write-if", &[value, wanted]) => Operation::WriteIf(value, wanted, None),
        ("write-if", &[value, wanted, version]) => Operation::WriteIf(value, wanted, Some(version)),
        ("delete", &[was_there]) => Operation::Delete(was_there == 1),
        ("increment", &[sum]) => Operation::Increment(sum),
        ("acquire", []) => Operation::Acquire(None),
        ("acquire", &[token]) => Operation::Acquire(Some(token)),
        ("release", &[token, was_good]) => Operation::Release(token, was_good == 1),
        ("push", &[id]) => Operation::Push(id),
        ("claim", []) => Operation::Claim(None),
        ("claim", &[id, token]) => Operation::Claim(Some((id, token))),
        ("ack", &[token, was_good]) => Operation::Ack(token, was_good == 1),
        _ => return Err(format!("no operation reads {words:?}").into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans of (process, called, answered).
    fn holds_for<S: Specification<Operation = Operation>>(spans: &[(usize, u64, u64, Operation)]) -> bool {
        let span = |(process, called, answered, operation): &(usize, u64, u64, Operation)| Span {
            process: *process,
            called: *called,
            answered: *answered,
            operation: operation.clone(),
        };
        is_linearizable::<S>(&spans.iter().map(span).collect::<Vec<_>>())
    }

    #[test]
    fn a_read_may_see_what_is_being_written_and_not_what_was_overwritten() {
        use Operation::{Read, Write};
        let seen = |value, version| Read(Some((value, version)));
        assert!(holds_for::<Register>(&[
            (0, 0, 10, Write(1, 5)),
            (1, 2, 4, seen(1, 5)),
            (2, 1, 3, Read(None))
        ]));
        assert!(!holds_for::<Register>(&[
            (0, 0, 1, Write(1, 5)),
            (0, 2, 3, Write(2, 6)),
            (1, 4, 5, seen(1, 5))
        ]));
        assert!(!holds_for::<Register>(&[(0, 0, 1, Write(1, 5)), (0, 2, 3, Write(2, 4))]));
    }

    #[test]
    fn of_two_conditional_writes_one_wins() {
        use Operation::{Write, WriteIf};
        let both = |second| {
            [(0, 0, 1, Write(1, 5)), (1, 2, 9, WriteIf(2, 5, Some(6))), (2, 3, 8, WriteIf(3, 5, second))]
        };
        assert!(holds_for::<Register>(&both(None)));
        assert!(!holds_for::<Register>(&both(Some(7))));
    }

    #[test]
    fn a_number_is_counted_once() {
        use Operation::Increment;
        assert!(holds_for::<Counter>(&[(0, 0, 9, Increment(2)), (1, 1, 8, Increment(1))]));
        assert!(!holds_for::<Counter>(&[(0, 0, 9, Increment(1)), (1, 1, 8, Increment(1))]));
        assert!(!holds_for::<Counter>(&[(0, 0, 1, Increment(2)), (1, 2, 3, Increment(1))]));
    }

    #[test]
    fn a_lock_has_one_holder() {
        use Operation::{Acquire, Release};
        let second =
            |token| [(0, 0, 1, Acquire(Some(5))), (1, 2, 3, Acquire(token)), (0, 4, 5, Release(5, true))];
        assert!(holds_for::<Lock>(&second(None)));
        assert!(!holds_for::<Lock>(&second(Some(6))));
        assert!(!holds_for::<Lock>(&[
            (0, 0, 1, Acquire(Some(5))),
            (0, 2, 3, Release(5, true)),
            (0, 4, 5, Release(5, true))
        ]));
    }

    #[test]
    fn a_queue_hands_out_each_item_once_and_in_order() {
        use Operation::{Ack, Claim, Push};
        let claims = |first, second| {
            [(0, 0, 1, Push(7)), (0, 2, 3, Push(8)), (1, 4, 5, Claim(Some(first))), (2, 6, 7, Claim(second))]
        };
        assert!(holds_for::<Queue>(&claims((7, 9), Some((8, 10)))));
        assert!(!holds_for::<Queue>(&claims((8, 9), Some((7, 10)))));
        assert!(!holds_for::<Queue>(&claims((7, 9), Some((7, 10)))));
        assert!(!holds_for::<Queue>(&claims((7, 9), None)));
        assert!(!holds_for::<Queue>(&[(0, 0, 1, Push(7)), (1, 2, 3, Ack(9, true))]));
    }

    #[test]
    fn what_is_written_is_read() {
        let operations = [
            Operation::Read(None),
            Operation::WriteIf(1, 2, Some(3)),
            Operation::Claim(Some((4, 5))),
            Operation::Ack(6, false),
        ];
        for operation in operations {
            let words: Vec<_> = write(&operation).split(' ').map(str::to_owned).collect();
            assert_eq!(read(&words).unwrap(), operation);
        }
    }

    #[test]
    fn overlapping_operations_are_counted() {
        let span = |called, answered| Span { process: 0, called, answered, operation: Operation::Read(None) };
        assert_eq!(overlaps(&[span(0, 10), span(5, 6), span(9, 12), span(13, 14)]), 2);
    }
}
