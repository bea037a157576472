//! Queues: entries of a namespace that are handed to one worker at a time, until one says that it is done.
//!
//! The values are entries like any others, with an id as their key. What a queue adds is a place for each: *ready*, in the order of
//! priority and age; *delayed* until a moment; *handed* to a user; *claimed*, under a lease with a fencing token; or *dead*, after
//! so many claims that came to nothing. A claim that lapses goes back to the ready ones. An entry that somebody has deleted is in no place any
//! more as soon as anybody meets it.
//!
//! Places are records of a catalog, in whose order the next item is the first (docs/design/0019-queues.md).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::locks::{Claim, Fence};
use super::once::Guard;
use super::{Answer, Request, Ruling, SetOptions, Store};
use crate::address::{Address, EntryName, Namespace};
use crate::auth::Action;
use crate::clock::{Millis, Ttl};
use crate::engine::{Catalog, Space, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;
use crate::records::{self, Kept};

/// How many claims a worker may make of an item before it is dead, unless it was pushed with another number.
pub const DEFAULT_TRIES: u32 = 5;
/// The priority of items that are pushed without one.
pub const DEFAULT_PRIORITY: u8 = 100;
/// How many claimed items each claim looks at in two places, to bring back those whose claims have lapsed.
const LOOKED_AT: usize = 16;
/// How many items one transaction brings back because their time has come, or because nothing else is left.
const BROUGHT_AT_ONCE: usize = 256;
/// How many items that somebody has deleted one transaction passes over.
const PASSED_OVER: usize = 1000;
/// How many records are read at a time.
const PAGE: usize = 64;
/// How many are looked at by one transaction of those that remove what is left over.
const SWEPT: usize = 1000;

/// How an item is pushed.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions {
    /// Those of a higher one are handed out first.
    pub priority: u8,
    /// How long it waits before anybody gets it.
    pub delay: Option<Ttl>,
    /// How many claims may be made of it.
    pub tries: u32,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { priority: DEFAULT_PRIORITY, delay: None, tries: DEFAULT_TRIES }
    }
}

/// Where an item is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Whoever comes next gets it.
    Ready,
    /// Nobody gets it before this moment.
    Delayed(Millis),
    /// This user alone gets it.
    Handed(String),
    /// Somebody has it, under this token.
    Claimed(Fence),
    /// Too many have had it.
    Dead,
}

impl Answer for Place {}

/// An item, but for its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id, the key of its entry.
    pub id: String,
    /// Where it is.
    pub place: Place,
    /// Its priority.
    pub priority: u8,
    /// How many claims there have been.
    pub tries: u32,
    /// How many there may be.
    pub most_tries: u32,
}

/// An item that is somebody's for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Its id.
    pub id: String,
    /// The token of the claim.
    pub fence: Fence,
    /// Which claim it is, from 1.
    pub tries: u32,
    /// Its priority.
    pub priority: u8,
    /// Its value.
    #[serde(with = "records::base64_text")]
    pub value: Vec<u8>,
    /// What whoever handed it on had to say.
    pub note: Option<Note>,
}

impl Answer for Option<Claimed> {
    fn claim(&self) -> Option<Fence> {
        self.as_ref().map(|claimed| claimed.fence)
    }

    fn ruling(&self) -> Ruling {
        if self.is_some() { Ruling::Done } else { Ruling::Open }
    }
}

/// What goes with an item that is handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Who handed it on, if they said.
    pub from: Option<String>,
    /// What they said.
    pub text: String,
}

/// What is kept of an item, wherever it is.
#[derive(Clone, Serialize, Deserialize)]
struct Kin {
    id: String,
    priority: u8,
    tries: u32,
    most: u32,
    /// The token of its claim,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    /// whom it had been handed to before that,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// and the operation that has made it, if it had an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
}

impl Kept for Kin {
    const CATALOG: Catalog = Catalog::Queues;
}

impl Kin {
    /// The same when nobody has it.
    fn unclaimed(self) -> Self {
        Self { fence: None, to: None, op: None, ..self }
    }

    fn token(&self) -> Fence {
        Fence(self.fence.unwrap_or_default())
    }
}

/// What was found of a place.
#[derive(Default)]
struct Page {
    /// Items, each with its key.
    found: Vec<(String, Kin)>,
    /// Why something else cannot be read.
    damage: Option<Error>,
}

impl Page {
    /// Remembers damage; other errors stay what they are.
    fn pass_over(&mut self, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Damaged {
            return Err(error);
        }
        self.damage.get_or_insert(error);
        Ok(())
    }
}

/// The letters that places have in keys.
const READY: char = 'r';
const DELAYED: char = 'd';
const CLAIMED: char = 'c';
const DEAD: char = 'x';
const HANDED: char = 'h';
/// Stands behind the name of a user in keys, for no name has it.
const END: char = '\u{1}';

/// What the keys of a place begin with.
fn prefix(space: &Space, place: char) -> String {
    format!("{:016x}{place}", space.id)
}

fn ready_key(space: &Space, kin: &Kin) -> String {
    format!("{}{:02x}{}", prefix(space, READY), u8::MAX - kin.priority, kin.id)
}

fn delayed_key(space: &Space, until: Millis, kin: &Kin) -> String {
    format!("{}{:016x}{}", prefix(space, DELAYED), until.0.max(0), kin.id)
}

fn claimed_key(space: &Space, id: &str) -> String {
    format!("{}{id}", prefix(space, CLAIMED))
}

/// What the keys of items begin with that were handed to a user.
fn handed(space: &Space, user: &str) -> String {
    format!("{}{user}{END}", prefix(space, HANDED))
}

fn handed_key(space: &Space, user: &str, kin: &Kin) -> String {
    format!("{}{}", handed(space, user), kin.id)
}

fn dead_key(space: &Space, kin: &Kin) -> String {
    format!("{}{}", prefix(space, DEAD), kin.id)
}

/// When the item behind a key is due.
fn due(space: &Space, key: &str) -> Millis {
    let digits =
        key.strip_prefix(&prefix(space, DELAYED)).and_then(|rest| rest.get(..16)).unwrap_or_default();
    Millis(i64::from_str_radix(digits, 16).unwrap_or_default())
}

/// Up to `limit` items of a place, the beginning of their keys, behind the key `after`, which is one of them or that beginning. What
/// cannot be read is passed over.
fn look<V: View + ?Sized>(view: &V, place: &str, after: &str, limit: usize) -> Result<Page> {
    let (mut page, mut after) = (Page::default(), after.to_owned());
    while page.found.len() < limit {
        let records = view.records(Catalog::Queues, &after, (limit - page.found.len()).min(PAGE))?;
        let Some((last, _)) = records.last() else { break };
        after.clone_from(last);
        for (key, record) in records {
            if !key.starts_with(place) {
                return Ok(page);
            }
            match read(&key, &record) {
                Ok(kin) => page.found.push((key, kin)),
                Err(error) => page.pass_over(error)?,
            }
        }
    }
    Ok(page)
}

/// The same where all has to be read.
fn page<V: View + ?Sized>(view: &V, place: &str, after: &str, limit: usize) -> Result<Vec<(String, Kin)>> {
    match look(view, place, after, limit)? {
        Page { damage: Some(error), .. } => Err(error),
        Page { found, .. } => Ok(found),
    }
}

fn read(key: &str, record: &str) -> Result<Kin> {
    let kin: Kin = records::read(record)?;
    if !key.ends_with(&kin.id) || kin.id.is_empty() {
        return Err(Error::new(ErrorKind::Damaged, "a place of a queue is that of another item"));
    }
    Ok(kin)
}

/// Reads what is kept of an item.
pub(super) fn check_place(key: &str, record: &str) -> Result<()> {
    read(key, record).map(drop)
}

impl Store {
    /// Puts an item at the end of the queue that a namespace is, and makes that with the first; its id.
    ///
    /// # Errors
    /// Those of [`Store::set`].
    pub fn push(&self, queue: &Namespace, value: &[u8], options: &PushOptions) -> Result<String> {
        let describe = |request: &mut Request| {
            let PushOptions { priority, delay, tries } = *options;
            request.text("queue push").namespace(Action::Write, queue).value(value);
            request.number(priority.into()).ttl(delay).number(tries.into());
        };
        self.write_once(&describe, |writer| {
            let mut version = Version(0);
            writer.reshape(|_, txn| {
                version = txn.version()?;
                Ok(())
            })?;
            let mut id = format!("{:012}", version.0);
            // Somebody may have brought entries from a queue of another database.
            while writer.stored_head(&address(queue, &id)?)?.is_some() {
                id.push('+');
            }
            writer.set(&address(queue, &id)?, value, &SetOptions::default())?;
            let now = writer.now();
            let PushOptions { priority, delay, tries } = *options;
            let kin = Kin {
                id: id.clone(),
                priority,
                tries: 0,
                most: tries,
                fence: None,
                to: None,
                op: None,
                note: None,
            };
            writer.reshape(|_, txn| match txn.space(queue)? {
                Some(space) => put_back(txn, &space, kin, delay.map(|delay| now.after(delay))),
                None => Ok(()),
            })?;
            Ok(id)
        })
    }

    /// Hands the next item to whoever asks, for `ttl`; `None` when there is none to be had.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to those who may not read and write there; [`ErrorKind::Conflict`] when a lease has ended that this
    /// store writes under; [`ErrorKind::Damaged`] when there is nothing but what cannot be read; those of writing.
    pub fn claim(&self, queue: &Namespace, ttl: Ttl) -> Result<Option<Claimed>> {
        self.allow(Action::Read, Some(queue))?;
        self.allow(Action::Write, Some(queue))?;
        let describe = |request: &mut Request| {
            request.text("queue claim").namespace(Action::Write, queue).ttl(Some(ttl)).answers_with_values();
        };
        let claimed = loop {
            // Whoever waits asks often, and should keep nobody from writing.
            let Outlook { has_one, due, damage } = self.outlook(queue)?;
            if !has_one {
                let Some(answer) = self.answer_given(&describe)? else {
                    self.require_fence()?;
                    return damage.map_or(Ok(None), Err);
                };
                break answer;
            }
            // Which one is the first shows when all that are due are there.
            if due > BROUGHT_AT_ONCE {
                self.engine.write(&mut |txn| match txn.space(queue)? {
                    Some(space) => bring_due(txn, &space, self.now()),
                    None => Ok(()),
                })?;
                continue;
            }
            let claimed = self.once(Guard::Fence, &describe, |txn| match txn.space(queue)? {
                Some(space) => self.claim_in(txn, &space, ttl),
                None => Ok(None),
            })?;
            if claimed.is_some() {
                break claimed;
            }
        };
        if self.has_op() { self.still_claimed(claimed) } else { Ok(claimed) }
    }

    /// What may have been claimed before, as long as its claim stands.
    fn still_claimed(&self, claimed: Option<Claimed>) -> Result<Option<Claimed>> {
        let Some(Claimed { fence, .. }) = claimed else { return Ok(None) };
        let mut stands = false;
        self.engine.read(&mut |view| {
            stands = self.stands(view, fence)?;
            Ok(())
        })?;
        if stands { Ok(claimed) } else { Err(super::locks::ended(fence)) }
    }

    /// Whether there is anything that may be handed out.
    fn outlook(&self, queue: &Namespace) -> Result<Outlook> {
        let mut outlook = Outlook::default();
        self.engine.read(&mut |view| {
            outlook = Outlook::default();
            let Some(space) = view.space(queue)? else { return Ok(()) };
            outlook.due = due_items(view, &space, self.now(), BROUGHT_AT_ONCE + 1)?.len();
            outlook.has_one = outlook.due > 0;
            let first = |place: &str| look(view, place, place, 1);
            outlook.damage = first(&prefix(&space, DELAYED))?.damage;
            for place in [prefix(&space, READY), self.handed_to_us(&space)] {
                outlook.add(first(&place)?);
            }
            if !outlook.has_one {
                outlook.add(self.lapsed(view, &space, &prefix(&space, CLAIMED), usize::MAX)?);
            }
            Ok(())
        })?;
        Ok(outlook)
    }

    /// How long it is until something may be handed out though nobody writes: until a delay is over, or a claim lapses.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]; those of reading.
    pub fn until_next(&self, queue: &Namespace) -> Result<Option<Duration>> {
        self.allow(Action::Read, Some(queue))?;
        let mut soonest = None;
        self.engine.read(&mut |view| {
            soonest = None;
            let Some(space) = view.space(queue)? else { return Ok(()) };
            let delayed = look(view, &prefix(&space, DELAYED), &prefix(&space, DELAYED), 1)?.found;
            let mut waits: Vec<_> = delayed.iter().map(|(key, _)| self.until(due(&space, key))).collect();
            let mut claimed = look(view, &prefix(&space, CLAIMED), &prefix(&space, CLAIMED), usize::MAX)?;
            for (_, kin) in std::mem::take(&mut claimed.found) {
                match self.left_of(view, kin.token()) {
                    Ok(left) => waits.push(left.unwrap_or_default()),
                    Err(error) => claimed.pass_over(error)?,
                }
            }
            soonest = waits.into_iter().min();
            Ok(())
        })?;
        Ok(soonest)
    }

    /// Hands out the next item. `None` says that it has passed over as much as one transaction should, or that there is none.
    fn claim_in(&self, txn: &mut dyn Txn, space: &Space, ttl: Ttl) -> Result<Option<Claimed>> {
        bring_due(txn, space, self.now())?;
        let token = txn.version()?.0;
        self.bring_lapsed(txn, space, token)?;
        for _ in 0..PASSED_OVER {
            let Some((key, kin)) = self.first(txn, space)? else {
                // All that is left may be with somebody who is no more.
                let lapsed = self.lapsed(txn, space, &prefix(space, CLAIMED), usize::MAX)?.found;
                let mut some = lapsed.into_iter().take(BROUGHT_AT_ONCE);
                some.try_for_each(|(_, kin)| self.take_back(txn, space, kin, None))?;
                if self.first(txn, space)?.is_none() {
                    return Ok(None);
                }
                continue;
            };
            txn.remove_record(Catalog::Queues, &key)?;
            let record = self.coder.record(txn, space, &kin.id, Some(self.now()))?;
            let Some(record) = record.filter(|record| record.head.visible_at(self.now())) else { continue };
            let to = key.starts_with(&prefix(space, HANDED)).then(|| self.writer.clone().unwrap_or_default());
            let (fence, op) = (Some(token), self.op_key());
            let kin = Kin { tries: kin.tries.saturating_add(1), fence, to, op, ..kin };
            records::keep(txn, &claimed_key(space, &kin.id), &kin)?;
            self.lend_item(txn, Fence(token), Claim { space: space.id, item: kin.id.clone() }, ttl)?;
            let Kin { id, tries, priority, note, .. } = kin;
            return Ok(Some(Claimed { id, fence: Fence(token), tries, priority, value: record.value, note }));
        }
        Ok(None)
    }

    /// The item that is handed out next, of those that are ready.
    fn first(&self, view: &dyn View, space: &Space) -> Result<Option<(String, Kin)>> {
        for place in [self.handed_to_us(space), prefix(space, READY)] {
            if let Some(first) = look(view, &place, &place, 1)?.found.pop() {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Removes an item that is done.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the claim has ended, or is one of another queue; those of writing.
    pub fn ack(&self, queue: &Namespace, fence: Fence) -> Result<()> {
        let describe = |request: &mut Request| {
            request.text("queue ack").namespace(Action::Write, queue).fence(fence);
        };
        self.write_once(&describe, |writer| {
            let mut id = String::new();
            writer.reshape(|store, txn| {
                let (space, kin) = store.claim_of(txn, queue, fence)?;
                store.end_claim(txn, &space, &kin, fence)?;
                id = kin.id;
                Ok(())
            })?;
            writer.delete(&address(queue, &id)?, &super::Condition::default()).map(drop)
        })
    }

    /// Gives an item back, for whoever comes next or after a while; it is dead when it has been claimed as often as it may be. Says
    /// where it is.
    ///
    /// # Errors
    /// Those of [`Store::ack`].
    pub fn nack(&self, queue: &Namespace, fence: Fence, delay: Option<Ttl>) -> Result<Place> {
        self.allow(Action::Write, Some(queue))?;
        let describe = |request: &mut Request| {
            request.text("queue nack").namespace(Action::Write, queue).fence(fence).ttl(delay);
        };
        self.once(Guard::Fence, &describe, |txn| {
            txn.version()?;
            let (space, kin) = self.claim_of(txn, queue, fence)?;
            let until = delay.map(|delay| self.now().after(delay));
            let place = match until {
                _ if kin.tries >= kin.most => Place::Dead,
                Some(until) => Place::Delayed(until),
                None => Place::Ready,
            };
            self.take_back(txn, &space, kin, until)?;
            Ok(place)
        })
    }

    /// Gives an item to a user, who alone gets it with their next claim, before all others. That is no claim that came to nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that no user has, and those of [`Store::ack`].
    pub fn hand_on(&self, queue: &Namespace, fence: Fence, to: &str, text: &str) -> Result<()> {
        self.allow(Action::Write, Some(queue))?;
        if to.is_empty() || to.chars().any(char::is_control) {
            return Err(Error::new(ErrorKind::Invalid, "no user can be called like that"));
        }
        let describe = |request: &mut Request| {
            request.text("queue handoff").namespace(Action::Write, queue).fence(fence).text(to).text(text);
        };
        self.once(Guard::Fence, &describe, |txn| {
            txn.version()?;
            let (space, kin) = self.claim_of(txn, queue, fence)?;
            self.end_claim(txn, &space, &kin, fence)?;
            let note = Some(Note { from: self.writer.clone(), text: text.to_owned() });
            let kin = Kin { tries: kin.tries.saturating_sub(1), note, ..kin.unclaimed() };
            records::keep(txn, &handed_key(&space, to, &kin), &kin)
        })
    }

    /// Gives an item back that nobody has seen, as if it had not been claimed: to where it was, with all its tries. For whoever could
    /// not tell what was claimed.
    ///
    /// # Errors
    /// Those of [`Store::ack`].
    pub fn unclaim(&self, queue: &Namespace, fence: Fence) -> Result<()> {
        self.allow(Action::Write, Some(queue))?;
        let describe = |request: &mut Request| {
            request.text("queue unclaim").namespace(Action::Write, queue).fence(fence);
        };
        self.once(Guard::Own, &describe, |txn| {
            txn.version()?;
            let (space, kin) = self.claim_of(txn, queue, fence)?;
            self.end_claim(txn, &space, &kin, fence)?;
            let to = kin.to.clone();
            let kin = Kin { tries: kin.tries.saturating_sub(1), ..kin.unclaimed() };
            match to {
                Some(user) => records::keep(txn, &handed_key(&space, &user, &kin), &kin),
                None => put_back(txn, &space, kin, None),
            }
        })
    }

    /// What the keys of items begin with that were handed to whom this store writes for; nobody's where that is nobody.
    fn handed_to_us(&self, space: &Space) -> String {
        handed(space, self.writer.as_deref().unwrap_or_default())
    }

    /// Has a claim last for `ttl` from now, or as long as it would anyway if that is longer.
    ///
    /// # Errors
    /// Those of [`Store::ack`].
    pub fn extend(&self, queue: &Namespace, fence: Fence, ttl: Ttl) -> Result<()> {
        self.allow(Action::Write, Some(queue))?;
        let describe = |request: &mut Request| {
            request.text("queue extend").namespace(Action::Write, queue).fence(fence).ttl(Some(ttl));
        };
        self.once(Guard::Fence, &describe, |txn| {
            self.claim_of(txn, queue, fence)?;
            self.extend_lease(txn, fence, ttl)
        })
    }

    /// Makes an item ready again that is dead, or was handed to somebody, as if it had never been claimed; false when there is
    /// none of this id.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]; those of writing.
    pub fn revive(&self, queue: &Namespace, id: &str) -> Result<bool> {
        self.allow(Action::Write, Some(queue))?;
        let describe = |request: &mut Request| {
            request.text("queue retry").namespace(Action::Write, queue).text(id);
        };
        self.once(Guard::Fence, &describe, |txn| {
            let Some(space) = txn.space(queue)? else { return Ok(false) };
            // A claim that has lapsed is none, though nobody has met it since.
            let claimed = records::find::<Kin, _>(txn, &claimed_key(&space, id))?;
            if let Some(kin) = claimed
                && !self.stands(txn, kin.token())?
            {
                txn.version()?;
                self.take_back(txn, &space, kin, None)?;
            }
            let mut waiting = Vec::new();
            for letter in [DEAD, HANDED] {
                waiting
                    .extend(look(txn, &prefix(&space, letter), &prefix(&space, letter), usize::MAX)?.found);
            }
            let Some((key, kin)) = waiting.into_iter().find(|(_, kin)| kin.id == id) else {
                return Ok(false);
            };
            txn.version()?;
            txn.remove_record(Catalog::Queues, &key)?;
            put_back(txn, &space, Kin { tries: 0, ..kin }, None)?;
            Ok(true)
        })
    }

    /// All items of a queue: the ready ones in their order, then delayed, claimed and dead ones.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]; those of reading.
    pub fn items(&self, queue: &Namespace) -> Result<Vec<Item>> {
        self.allow(Action::Read, Some(queue))?;
        let mut items = Vec::new();
        self.engine.read(&mut |view| {
            items.clear();
            let Some(space) = view.space(queue)? else { return Ok(()) };
            for letter in [READY, DELAYED, HANDED, CLAIMED, DEAD] {
                for (key, kin) in page(view, &prefix(&space, letter), &prefix(&space, letter), usize::MAX)? {
                    let is_there =
                        view.head(&space, &kin.id)?.is_some_and(|head| head.visible_at(self.now()));
                    if is_there {
                        items.push(self.item(view, &space, &key, kin)?);
                    }
                }
            }
            Ok(())
        })?;
        Ok(items)
    }

    /// Removes places of items that somebody has deleted, and of namespaces that are no more; says how many there were.
    pub(super) fn sweep_queues(&self) -> Result<u64> {
        let (mut removed, mut after) = (0, Some(String::new()));
        while let Some(behind) = after.take() {
            let (mut swept, mut last) = (0, None);
            self.transact(&mut |txn| {
                (swept, last) = sweep_page(txn, &behind)?;
                Ok(())
            })?;
            (removed, after) = (removed + swept, last);
        }
        Ok(removed)
    }

    fn item(&self, view: &dyn View, space: &Space, key: &str, kin: Kin) -> Result<Item> {
        let handed = key.strip_prefix(&prefix(space, HANDED)).and_then(|rest| rest.split_once(END));
        let place = if let Some((user, _)) = handed {
            Place::Handed(user.to_owned())
        } else if key.starts_with(&prefix(space, DEAD)) {
            Place::Dead
        } else if key.starts_with(&prefix(space, DELAYED)) {
            match due(space, key) {
                until if until > self.now() => Place::Delayed(until),
                _ => Place::Ready,
            }
        } else {
            match kin.fence.map(Fence) {
                Some(fence) if self.stands(view, fence)? => Place::Claimed(fence),
                Some(_) if kin.tries >= kin.most => Place::Dead,
                _ => Place::Ready,
            }
        };
        let Kin { id, priority, tries, most, .. } = kin;
        Ok(Item { id, place, priority, tries, most_tries: most })
    }

    /// The item that a token stands for.
    fn claim_of(&self, txn: &dyn Txn, queue: &Namespace, fence: Fence) -> Result<(Space, Kin)> {
        let claim = self.claim_under(txn, fence)?;
        let Some(space) = txn.space(queue)?.filter(|space| space.id == claim.space) else {
            let is_there = txn.spaces(None)?.iter().any(|space| space.id == claim.space);
            return Err(match is_there {
                true => super::locks::of_another(fence, "an item of another queue"),
                // It went with its namespace.
                false => super::locks::ended(fence),
            });
        };
        let kin = records::find::<Kin, _>(txn, &claimed_key(&space, &claim.item))?;
        let kin = kin.filter(|kin| kin.fence == Some(fence.0));
        kin.map(|kin| (space, kin)).ok_or_else(|| super::locks::ended(fence))
    }

    fn end_claim(&self, txn: &mut dyn Txn, space: &Space, kin: &Kin, fence: Fence) -> Result<()> {
        txn.remove_record(Catalog::Queues, &claimed_key(space, &kin.id))?;
        if let Some(op) = &kin.op {
            super::once::forget_claimed(txn, op, fence)?;
        }
        self.end_lease(txn, fence)
    }

    /// Ends a claim that came to nothing.
    fn take_back(&self, txn: &mut dyn Txn, space: &Space, kin: Kin, until: Option<Millis>) -> Result<()> {
        self.end_claim(txn, space, &kin, kin.token())?;
        let kin = kin.unclaimed();
        match kin.tries >= kin.most {
            true => records::keep(txn, &dead_key(space, &kin), &kin),
            false => put_back(txn, space, kin, until),
        }
    }

    /// Brings back those of some claimed items whose claims have lapsed, of the first ones and from another place each time.
    fn bring_lapsed(&self, txn: &mut dyn Txn, space: &Space, token: u64) -> Result<()> {
        // Ids are versions, so one below this is somewhere among them.
        let after = claimed_key(space, &format!("{:012}", super::locks::spread(token)));
        for after in [after, prefix(space, CLAIMED)] {
            for (_, kin) in self.lapsed(txn, space, &after, LOOKED_AT)?.found {
                self.take_back(txn, space, kin, None)?;
            }
        }
        Ok(())
    }

    /// Those of up to `limit` claimed items behind a key whose claims have lapsed.
    fn lapsed<V: View + ?Sized>(&self, view: &V, space: &Space, after: &str, limit: usize) -> Result<Page> {
        let Page { found, damage } = look(view, &prefix(space, CLAIMED), after, limit)?;
        let mut lapsed = Page { found: Vec::new(), damage };
        for (key, kin) in found {
            match self.stands(view, kin.token()) {
                Ok(true) => {}
                Ok(false) => lapsed.found.push((key, kin)),
                Err(error) => lapsed.pass_over(error)?,
            }
        }
        Ok(lapsed)
    }
}

/// Whether a claim has a chance, and why something in its way cannot be read.
#[derive(Default)]
struct Outlook {
    has_one: bool,
    /// How many delayed items are due, up to more than one transaction brings back.
    due: usize,
    damage: Option<Error>,
}

impl Outlook {
    fn add(&mut self, Page { found, damage }: Page) {
        self.has_one |= !found.is_empty();
        self.damage = self.damage.take().or(damage);
    }
}

/// Removes what is in no queue any more among the places behind a key; how many, and the last of them all, if there was any.
fn sweep_page(txn: &mut dyn Txn, after: &str) -> Result<(u64, Option<String>)> {
    let records = txn.records(Catalog::Queues, after, SWEPT)?;
    let Some((last, _)) = records.last().cloned() else { return Ok((0, None)) };
    let spaces = txn.spaces(None)?;
    let mut removed = 0;
    for (key, record) in records {
        let kin = read(&key, &record).ok();
        let number = key.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let space = spaces.iter().find(|space| Some(space.id) == number);
        let is_there = match (space, &kin) {
            (Some(space), Some(kin)) => txn.head(space, &kin.id)?.is_some(),
            // Whoever checks the database has to learn of it.
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_there {
            continue;
        }
        if let Some(Kin { op: Some(op), fence: Some(fence), .. }) = kin {
            super::once::forget_claimed(txn, &op, Fence(fence))?;
        }
        txn.remove_record(Catalog::Queues, &key)?;
        removed += 1;
    }
    Ok((removed, Some(last)))
}

/// Makes items ready whose delay is over, up to [`BROUGHT_AT_ONCE`].
fn bring_due(txn: &mut dyn Txn, space: &Space, now: Millis) -> Result<()> {
    for (key, kin) in due_items(txn, space, now, BROUGHT_AT_ONCE)? {
        txn.remove_record(Catalog::Queues, &key)?;
        // What has been deleted meanwhile is in no queue.
        if txn.head(space, &kin.id)?.is_some() {
            put_back(txn, space, kin, None)?;
        }
    }
    Ok(())
}

/// Up to `limit` items whose delay is over.
fn due_items<V: View + ?Sized>(
    view: &V,
    space: &Space,
    now: Millis,
    limit: usize,
) -> Result<Vec<(String, Kin)>> {
    let place = prefix(space, DELAYED);
    let is_due = |(key, _): &(String, Kin)| due(space, key) <= now;
    // Most often none is.
    if !look(view, &place, &place, 1)?.found.iter().any(is_due) {
        return Ok(Vec::new());
    }
    let mut items = look(view, &place, &place, limit)?.found;
    items.retain(is_due);
    Ok(items)
}

/// Puts an item where it is handed out, from a moment on.
fn put_back(txn: &mut dyn Txn, space: &Space, kin: Kin, until: Option<Millis>) -> Result<()> {
    let key = match until {
        Some(until) => delayed_key(space, until, &kin),
        None => ready_key(space, &kin),
    };
    records::keep(txn, &key, &kin)
}

fn address(queue: &Namespace, id: &str) -> Result<Address> {
    Ok(Address { namespace: queue.clone(), name: EntryName::parse(id)? })
}
