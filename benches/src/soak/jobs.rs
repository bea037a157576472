//! A queue with those who fill it and those who work on it, some of whom stall until their claim is over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Soak;
use crate::Result;
use crate::stats::Dice;
use crate::table::{Row, Unit};

const QUEUE: &str = "soak.jobs";
/// What is added to for each item that is done, under the claim.
const DEEDS: &str = "soak.deeds.total";
/// Between two items that are pushed.
const PAUSE: Duration = Duration::from_millis(200);
const TTL: Duration = Duration::from_secs(10);
/// One item in so many is held for longer than the claim is good for.
const STALL_ONE_OF: u64 = 60;
/// One push in so many is tried again.
const AGAIN_ONE_OF: u64 = 5;

/// What was pushed: the ids, and how many answers of second tries were others.
#[derive(Default)]
pub(super) struct Pushed {
    ids: Vec<String>,
    differing: u64,
}

pub(super) fn push(soak: &Soak<'_>) -> Result<Pushed> {
    let (mut pushed, mut dice, mut number) = (Pushed::default(), Dice::new(7), 0_u64);
    while soak.pause(PAUSE) {
        number += 1;
        let (op, value) = (format!("push/{number}"), number.to_string());
        let push = ["--op-id", &op, "queue", "push", "--tries", "1000", QUEUE, &value];
        let id = soak.must(&push)?;
        if dice.below(AGAIN_ONE_OF) == 0 && soak.must(&push)? != id {
            pushed.differing += 1;
        }
        pushed.ids.push(id.trim().to_owned());
    }
    Ok(pushed)
}

/// What a worker has done.
#[derive(Default)]
pub(super) struct Worked {
    /// The items that it was acknowledged.
    done: Vec<String>,
    stalls: u64,
    /// How often something was written under a claim that was over.
    late: u64,
}

/// Works until the run is over and nothing is left.
pub(super) fn work(soak: &Soak<'_>, number: u64) -> Result<Worked> {
    let (mut worked, mut dice) = (Worked::default(), Dice::new(number * 100));
    let ttl = format!("{}s", TTL.as_secs());
    loop {
        let claim = ["queue", "claim", QUEUE, "--ttl", &ttl, "--wait", "1s", "--json"];
        let (code, claim) = soak.say(&claim)?;
        match code {
            0 => finish(soak, &claim, &mut worked, dice.below(STALL_ONE_OF) == 0)?,
            2 | 4 if soak.is_over() && soak.count(QUEUE)? == 0 => return Ok(worked),
            2 | 4 => {}
            code => return Err(format!("queue claim ends with {code}").into()),
        }
    }
}

fn finish(soak: &Soak<'_>, claim: &str, worked: &mut Worked, stalls: bool) -> Result {
    let (id, fence) = (member(claim, "\"id\":\"", '"')?, member(claim, "\"fence\":", ',')?);
    if stalls && !soak.is_over() {
        worked.stalls += 1;
        std::thread::sleep(TTL + Duration::from_secs(1));
        let (code, _) = soak.say(&["--fence", fence, "incr", DEEDS, "1"])?;
        worked.late += u64::from(code != 3);
        return Ok(());
    }
    soak.must(&["--fence", fence, "incr", DEEDS, "1"])?;
    soak.must(&["queue", "ack", QUEUE, "--fence", fence])?;
    worked.done.push(id.to_owned());
    Ok(())
}

/// What stands in JSON between a name and the end of its value.
fn member<'j>(json: &'j str, name: &str, end: char) -> Result<&'j str> {
    let behind = json.split_once(name).and_then(|(_, behind)| behind.split_once(end));
    behind.map(|(text, _)| text).ok_or_else(|| format!("no {name} in {json}").into())
}

/// What has become of all items.
pub(super) struct Done {
    pushed: Pushed,
    worked: Vec<Worked>,
}

impl Done {
    pub(super) fn of(pushed: Pushed, worked: Vec<Worked>) -> Self {
        Self { pushed, worked }
    }

    pub(super) fn rows(&self, soak: &Soak<'_>) -> Result<Vec<Row>> {
        let mut times: BTreeMap<&str, u64> = self.pushed.ids.iter().map(|id| (id.as_str(), 0)).collect();
        for id in self.worked.iter().flat_map(|worked| &worked.done) {
            *times.entry(id).or_default() += 1;
        }
        let deeds: u64 = soak.must(&["get", DEEDS])?.trim().parse()?;
        let items = self.pushed.ids.len() as u64;
        let sum = |count: fn(&Worked) -> u64| self.worked.iter().map(count).sum::<u64>();
        let count = |what: &str, number: u64| Row::new(what, Unit::Count, number as f64);
        let none = |what: &str, number: u64| count(what, number).at_most(0.0);
        Ok(vec![
            count("items of a queue", items).at_least(1.0),
            none("items that nobody has done", times.values().filter(|times| **times == 0).count() as u64),
            none("items done twice", times.values().filter(|times| **times > 1).count() as u64),
            none("deeds more or less than items", deeds.abs_diff(items)),
            none("pushes that were tried again and answered otherwise", self.pushed.differing),
            count("workers that stalled", sum(|worked| worked.stalls)),
            none("writes under a claim that was over", sum(|worked| worked.late)),
        ])
    }
}
