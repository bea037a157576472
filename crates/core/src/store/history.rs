//! Histories: the versions that namespaces keep of their entries, with who made each of them, when and why.
//!
//! Every change of an entry comes by [`note`] before it is made. What it makes is kept as a whole, so that the newest version
//! is there twice, and no later change has to save what it replaces (docs/design/0021-histories-keep-states.md).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Store;
use super::moves::{has_left_history, leave_history};
use super::spaces::{missing, named};
use crate::address::{Delimiter, Namespace};
use crate::auth::Action;
use crate::clock::{Millis, Ttl};
use crate::engine::{Catalog, Space, Txn, View};
use crate::error::{Error, ErrorKind, Obstacle, Result};
use crate::record::{Coding, Deed, Head, Past, Version};
use crate::records::{self, Kept};

/// How long a version is kept after its end, unless the namespace was given another time: thirty days in milliseconds.
const USUAL_AGE: u64 = 30 * 24 * 60 * 60 * 1000;
/// The most versions of an entry that a namespace can keep.
const MAX_VERSIONS: u64 = 1_000_000;
/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 1024;
/// How many versions that are too old the first write of a transaction removes at most, so that writes stay quick,
const SWEEP: usize = 32;
/// and how many one transaction that does nothing else.
const CHUNK: usize = 1000;

/// Why changes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    text: String,
    /// Whether nothing is written where it would be lost.
    pub must_be_kept: bool,
}

impl Reason {
    /// A text that can be a reason.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one that is empty, longer than a kibibyte, or holds control characters.
    pub fn new(text: &str, must_be_kept: bool) -> Result<Self> {
        let why = if text.trim().is_empty() {
            "it is empty".to_owned()
        } else if text.len() > MAX_REASON_BYTES {
            format!("it is {} bytes long, and at most {MAX_REASON_BYTES} are kept", text.len())
        } else if text.contains(char::is_control) {
            "it holds control characters; a reason is one line".to_owned()
        } else {
            return Ok(Self { text: text.to_owned(), must_be_kept });
        };
        Err(invalid(format!("this can be no reason; {why}")))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What is to be kept of the past of a namespace. What is not given stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistorySettings {
    /// How many versions of each entry, the present one included; 0 for none.
    pub versions: Option<u64>,
    /// For how long after its end a version is kept; `None` in it is for good.
    pub age: Option<Option<Ttl>>,
}

impl HistorySettings {
    /// Reads pairs `key=value` apart by `;` or blanks: `history=20;history_age=90d`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for unknown keys, repeated keys and values that do not fit.
    pub fn parse(text: &str) -> Result<Self> {
        let mut settings = Self::default();
        for pair in text.split(|c: char| c == ';' || c.is_whitespace()).filter(|pair| !pair.is_empty()) {
            let is_new = match pair.split_once('=') {
                Some(("history", value)) => settings.versions.replace(versions(value)?).is_none(),
                Some(("history_age", value)) => settings.age.replace(age(value)?).is_none(),
                _ => return Err(invalid(format!("`{pair}` says nothing of a history"))),
            };
            if !is_new {
                return Err(invalid(format!("`{pair}` is the second of its kind")));
            }
        }
        Ok(settings)
    }
}

fn versions(value: &str) -> Result<u64> {
    let versions = value.parse().ok().filter(|versions| *versions <= MAX_VERSIONS);
    versions.ok_or_else(|| {
        invalid(format!("history is a number of versions up to {MAX_VERSIONS}, 0 for none, not `{value}`"))
    })
}

fn age(value: &str) -> Result<Option<Ttl>> {
    match value {
        "0" => Ok(None),
        _ => Ttl::parse(value).map(Some).map_err(|error| {
            invalid(format!("history_age: {error}; 0 keeps versions as long as their number allows"))
        }),
    }
}

/// What came of settings for a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryChanged {
    /// How many versions of each entry are kept from now on.
    pub versions: Option<u64>,
    /// For how long after its end a version is; `None` is for good.
    pub age: Option<Ttl>,
    /// Whether the namespace was made for it.
    pub is_new: bool,
}

/// For how long a namespace keeps what was.
#[derive(Serialize, Deserialize)]
pub(super) struct HistoryRecord {
    /// The number of its space.
    space: u64,
    /// In milliseconds; 0 is for good.
    age: u64,
}

impl Kept for HistoryRecord {
    const CATALOG: Catalog = Catalog::Histories;
}

fn key(space: &Space) -> String {
    format!("{:020}", space.id)
}

impl Store {
    /// Has a namespace keep versions of its entries, more or fewer of them, or none. It is made when it is not there.
    ///
    /// What is too much by that is removed in steps, so that other writers get their turn. What an interrupted call leaves
    /// goes with the next write of each entry, and of a history that has ended with [`Store::collect_garbage`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a time without a history; [`ErrorKind::Denied`]; those of writing.
    pub fn set_history(&self, namespace: &Namespace, settings: &HistorySettings) -> Result<HistoryChanged> {
        self.allow(Action::Admin, Some(namespace))?;
        let (had, changed) = loop {
            let mut turned = None;
            self.transact(&mut |txn| {
                turned = self.turn_history(txn, namespace, settings)?;
                Ok(())
            })?;
            match turned {
                Some(turned) => break turned,
                // What an earlier history has left would be a part of the new one.
                None => drop(self.sweep_leftovers()?),
            }
        };
        match (changed.versions, had) {
            (Some(versions), Some(had)) => {
                // The same number once more finishes what was interrupted.
                if settings.versions.is_some() && versions <= had {
                    self.trim_history(namespace)?;
                }
                self.forget_history(namespace)?;
            }
            (Some(_), None) => {}
            (None, _) => drop(self.sweep_leftovers()?),
        }
        Ok(changed)
    }

    /// Notes what is to be kept, and says what was until then; `None` when something that was left behind has to go first.
    fn turn_history(
        &self,
        txn: &mut dyn Txn,
        namespace: &Namespace,
        settings: &HistorySettings,
    ) -> Result<Option<(Option<u64>, HistoryChanged)>> {
        let present = txn.space(namespace)?;
        let had = present.as_ref().and_then(|space| space.history);
        let versions = versions_kept(namespace, present.as_ref(), settings)?;
        let is_new = present.is_none();
        let space = match present {
            Some(space) => space,
            None if versions.is_none() => return Err(missing(namespace)),
            None => txn.create_space(namespace, self.now())?,
        };
        if had.is_none() && versions.is_some() && has_left_history(txn, &space)? {
            return Ok(None);
        }
        txn.version()?;
        txn.set_history(&space, versions)?;
        match versions {
            None => forget_age(txn, &space)?,
            Some(_) => settings.age.map_or(Ok(()), |age| keep_age(txn, &space, age))?,
        }
        if had.is_some() && versions.is_none() {
            leave_history(txn, &space)?;
        }
        let target = format!("{} {}", named(namespace), versions.unwrap_or(0));
        self.note_done_by_others(txn, "set history", &target)?;
        Ok(Some((had, HistoryChanged { versions, age: age_of(txn, &space)?, is_new })))
    }

    /// Removes what is too much of each entry, in steps.
    fn trim_history(&self, namespace: &Namespace) -> Result<()> {
        let mut before = None;
        loop {
            let mut last = None;
            self.transact(&mut |txn| {
                let Some((space, versions)) = keeping(txn, namespace)? else { return Ok(()) };
                let page = txn.past(&space, before.as_ref(), CHUNK)?;
                page.iter().try_for_each(|past| txn.trim_past(&space, &past.name, versions))?;
                last = page.last().map(Past::place);
                Ok(())
            })?;
            if last.is_none() {
                return Ok(());
            }
            before = last;
        }
    }

    /// Removes what is older than it may be from the history of a namespace, in steps; says how many versions that were.
    pub(super) fn forget_history(&self, namespace: &Namespace) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut swept = 0;
            self.transact(&mut |txn| {
                let Some((space, _)) = keeping(txn, namespace)? else { return Ok(()) };
                swept = forget(txn, &space, self.now(), CHUNK)?;
                Ok(())
            })?;
            removed += swept as u64;
            if swept < CHUNK {
                return Ok(removed);
            }
        }
    }

    /// Who makes a change here and now.
    pub(super) fn by(&self, now: Millis) -> By<'_> {
        By { now, writer: self.writer.as_deref(), reason: None, must_be_kept: false }
    }
}

/// How many versions of each entry a namespace is to keep; `None` for no history.
pub(super) fn versions_kept(
    namespace: &Namespace,
    present: Option<&Space>,
    settings: &HistorySettings,
) -> Result<Option<u64>> {
    let had = present.and_then(|space| space.history);
    let versions = settings.versions.map_or(had, |versions| Some(versions).filter(|most| *most > 0));
    if versions.is_none() && settings.versions.is_none() {
        let what = format!("{} keeps no history that could have an age", named(namespace));
        return Err(invalid(what).met(Obstacle::NoHistory(namespace.clone())));
    }
    Ok(versions)
}

/// The space of a namespace that keeps history, and how many versions of each entry.
fn keeping(txn: &dyn Txn, namespace: &Namespace) -> Result<Option<(Space, u64)>> {
    let space = txn.space(namespace)?;
    Ok(space.and_then(|space| space.history.map(|versions| (space, versions))))
}

/// Notes for how long a space keeps what was.
fn keep_age(txn: &mut dyn Txn, space: &Space, age: Option<Ttl>) -> Result<()> {
    let age = age.map_or(0, |age| age.millis().unsigned_abs());
    match age {
        USUAL_AGE => forget_age(txn, space),
        _ => records::keep(txn, &key(space), &HistoryRecord { space: space.id, age }),
    }
}

/// Removes what was noted of the history of a space.
pub(super) fn forget_age(txn: &mut dyn Txn, space: &Space) -> Result<()> {
    txn.remove_record(Catalog::Histories, &key(space))
}

/// For how long a space keeps what was; `None` is for good.
pub(super) fn age_of<V: View + ?Sized>(view: &V, space: &Space) -> Result<Option<Ttl>> {
    let record: Option<HistoryRecord> = records::find(view, &key(space))?;
    let age = record.map_or(USUAL_AGE, |record| record.age);
    Ok(Ttl::from_millis(age).ok())
}

/// Removes up to `limit` versions that are older than they may be; says how many there were.
fn forget(txn: &mut dyn Txn, space: &Space, now: Millis, limit: usize) -> Result<usize> {
    match age_of(txn, space)? {
        Some(age) => txn.forget_past(space, Millis(now.0.saturating_sub(age.millis())), limit),
        None => Ok(0),
    }
}

/// The same for a write that has something else to do.
pub(super) fn forget_some(txn: &mut dyn Txn, space: &Space, now: Millis) -> Result<()> {
    match space.history {
        Some(_) => forget(txn, space, now, SWEEP).map(drop),
        None => Ok(()),
    }
}

/// Who makes a change, when and why.
pub(super) struct By<'a> {
    pub now: Millis,
    pub writer: Option<&'a str>,
    pub reason: Option<&'a str>,
    /// Whether nothing is to be written where the reason would be lost.
    pub must_be_kept: bool,
}

impl By<'_> {
    fn refuse_loss(&self, space: &Space) -> Result<()> {
        if self.reason.is_none() || !self.must_be_kept {
            return Ok(());
        }
        let namespace = space.namespace.display(Delimiter::default());
        let what = format!("{namespace} keeps no history, and the reason would be lost; nothing was written");
        Err(invalid(what).met(Obstacle::NoHistory(space.namespace.clone())))
    }
}

/// What a change makes of an entry.
pub(super) enum Made<'m> {
    /// This, with a value as it is kept.
    Stored(&'m Head, &'m [u8]),
    /// This, with the value that it has.
    Headed(&'m Head),
    /// Nothing.
    Removed(Deed),
}

/// Keeps a change of an entry that is about to be made, where its space keeps history; `stored` is the head that lies there.
pub(super) fn note(
    txn: &mut dyn Txn,
    space: &Space,
    name: &str,
    stored: Option<&Head>,
    made: &Made<'_>,
    by: &By<'_>,
) -> Result<()> {
    let Some(versions) = space.history else { return by.refuse_loss(space) };
    let version = txn.version()?;
    let present = stored.filter(|head| head.visible_at(by.now));
    if let Some(replaced) = present.filter(|head| head.version != version) {
        end(txn, space, name, replaced, by.now)?;
    }
    let Some(deed) = deed_of(txn, space, name, present, made)? else {
        return txn.drop_past(space, name, version);
    };
    let (head, value) = match made {
        Made::Stored(head, value) => ((*head).clone(), Some(Cow::Borrowed(*value))),
        Made::Headed(head) => ((*head).clone(), txn.get(space, name)?.map(|record| record.value.into())),
        Made::Removed(_) => (nothing(present.map_or(by.now, |head| head.created)), None),
    };
    let ended = if deed.is_removal() { Some(by.now) } else { head.expires };
    let (updated, writer) = (by.now, by.writer.map(str::to_owned));
    let head = Head { version, updated, writer, rank: None, ..head };
    let (name, reason) = (name.to_owned(), by.reason.map(str::to_owned));
    let past = Past { name, deed, head, ended, reason };
    txn.keep_past(space, &past, value.as_deref())?;
    txn.trim_past(space, &past.name, versions)
}

/// What is left of an entry that is removed.
fn nothing(created: Millis) -> Head {
    Head {
        version: Version(0),
        created,
        updated: created,
        expires: None,
        writer: None,
        rank: None,
        size: 0,
        coding: Coding::PLAIN,
        metakeys: None,
    }
}

/// Keeps that an entry has to leave a cache.
pub(super) fn note_eviction(txn: &mut dyn Txn, space: &Space, name: &str, by: &By<'_>) -> Result<()> {
    if space.history.is_none() {
        return Ok(());
    }
    let stored = txn.head(space, name)?;
    // What has expired is gone without a change.
    match stored.filter(|head| head.visible_at(by.now)) {
        Some(head) => note(txn, space, name, Some(&head), &Made::Removed(Deed::Evicted), by),
        None => Ok(()),
    }
}

/// Notes that a version is no more. One from before the history began comes into it by that.
fn end(txn: &mut dyn Txn, space: &Space, name: &str, replaced: &Head, now: Millis) -> Result<()> {
    if txn.end_past(space, name, replaced.version, now)? {
        return Ok(());
    }
    let Some(record) = txn.get(space, name)? else { return Ok(()) };
    let found = Past { ended: Some(now), ..found(name, record.head) };
    txn.keep_past(space, &found, Some(&record.value))
}

/// A version that no history has seen the beginning of.
pub(super) fn found(name: &str, head: Head) -> Past {
    let ended = head.expires;
    Past { name: name.to_owned(), deed: Deed::Found, head: Head { rank: None, ..head }, ended, reason: None }
}

/// What a change does to an entry, together with what the same transaction has done to it before; nothing where it removes what
/// came into being by that. So whatever the transaction has removed before was there before the transaction.
fn deed_of(
    txn: &mut dyn Txn,
    space: &Space,
    name: &str,
    present: Option<&Head>,
    made: &Made<'_>,
) -> Result<Option<Deed>> {
    let version = txn.version()?;
    let is_first = present.is_some_and(|head| head.version != version);
    let earlier = match is_first {
        true => None,
        false => txn.past_of(space, name, None, 1)?.pop().filter(|past| past.head.version == version),
    };
    Ok(match (made, earlier.map(|past| past.deed)) {
        (Made::Removed(_), Some(Deed::Created)) => None,
        (Made::Removed(deed), _) => Some(*deed),
        (Made::Stored(..), Some(Deed::Created)) => Some(Deed::Created),
        (Made::Headed(_), Some(deed)) => Some(deed),
        (Made::Headed(_), None) => Some(Deed::Touched),
        // It was there before this transaction.
        (Made::Stored(..), Some(_)) => Some(Deed::Set),
        (Made::Stored(..), None) if present.is_some() => Some(Deed::Set),
        (Made::Stored(..), None) => Some(Deed::Created),
    })
}

/// The error of asking for the past where none is kept.
pub(super) fn keeps_none(namespace: &Namespace) -> Error {
    invalid(format!("{} keeps no history", named(namespace))).met(Obstacle::NoHistory(namespace.clone()))
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_histories_stand_apart_by_semicolons_or_blanks() {
        let week = Ttl::parse("7d").ok();
        for (text, versions, age) in [
            ("history=20", Some(20), None),
            ("history=0;", Some(0), None),
            ("history_age=7d", None, Some(week)),
            ("history=1;history_age=7d", Some(1), Some(week)),
            ("history_age=0 history=1000000", Some(1_000_000), Some(None)),
        ] {
            assert_eq!(HistorySettings::parse(text).unwrap(), HistorySettings { versions, age }, "{text}");
        }
        for text in
            ["history=-1", "history=", "history=many", "history=1000001", "history=1 history=2", "age=5"]
        {
            assert!(HistorySettings::parse(text).is_err(), "{text}");
        }
        for text in ["history_age=", "history_age=soon", "history_age=-1", "history", "20"] {
            assert!(HistorySettings::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reasons_are_lines_of_some_length() {
        assert_eq!(Reason::new(&"ä".repeat(512), true).unwrap().text().len(), MAX_REASON_BYTES);
        for text in ["", "  ", "a\nb", "a\u{1b}[31m", "\0", &"ä".repeat(513)] {
            assert!(Reason::new(text, true).is_err(), "{text:?}");
        }
    }
}
