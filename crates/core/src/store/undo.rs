//! Taking changes back: what an entry was before comes back as a new write, so that an undo can be undone, too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::{Condition, Writer};
use super::history::keeps_none;
use super::past::{Changes, address_in, states};
use super::{Answer, LogQuery, Request, Scope, Store};
use crate::address::{Address, Delimiter};
use crate::auth::Action;
use crate::engine::{Space, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Deed, Past, Version};

/// What changes are made for that say no other reason.
const REASON: &str = "undo";

/// An entry of which changes are taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The entry.
    #[serde(with = "parts")]
    pub address: Address,
    /// Its versions that are taken back, the newest first.
    pub versions: Vec<Version>,
    /// The version that it is like from then on; `None` where there was no entry before.
    pub like: Option<Version>,
}

impl Answer for Vec<Undone> {}

/// One entry of an undo.
struct Step {
    space: Space,
    done: Undone,
    /// What comes back; where that is nothing, the entry goes.
    before: Option<Past>,
}

/// An entry of which the newest versions are to be taken back.
struct Chosen {
    space: Space,
    /// How many.
    newest: usize,
    /// Whether one of them is more than that it had to leave a cache.
    is_meant: bool,
}

impl Chosen {
    fn nothing_of(space: &Space) -> Self {
        Self { space: space.clone(), newest: 0, is_meant: false }
    }
}

impl Store {
    /// Brings an entry back to what it was before its last change. What came into being by it goes, and what was removed
    /// by it comes back; nothing comes back that would have expired by now. With `dry`, it is told and not done.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] when there is no change to take back, or what was before is not kept;
    /// [`ErrorKind::Invalid`] where the namespace keeps no history; those of writing.
    pub fn undo(&self, address: &Address, dry: bool) -> Result<Undone> {
        self.allow(Action::Write, Some(&address.namespace))?;
        let describe = |request: &mut Request| {
            request.text("undo").changes(address);
        };
        let mut undone = self.undo_all(dry, &describe, &|view| Ok(vec![self.last_change(view, address)?]))?;
        undone.pop().ok_or_else(|| nothing_to_undo("nothing"))
    }

    /// Takes back the last `count` changes that somebody made, of all that a scope covers: all of them, or none. Where they
    /// made fewer, all they made.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody else has changed one of these entries since, and those of [`Store::undo`].
    pub fn undo_last(&self, scope: &Scope, by: &str, count: usize, dry: bool) -> Result<Vec<Undone>> {
        let describe = |request: &mut Request| {
            request.text("undo last").text(by).number(count.try_into().unwrap_or(i64::MAX));
            scope.describe(request);
        };
        let query = LogQuery { scope, by: Some(by) };
        self.undo_all(dry, &describe, &|view| self.last_changes(view, &query, by, count))
    }

    /// Makes the steps that `plan` finds in the state of the moment.
    fn undo_all(
        &self,
        dry: bool,
        describe: &dyn Fn(&mut Request),
        plan: &dyn Fn(&dyn View) -> Result<Vec<Step>>,
    ) -> Result<Vec<Undone>> {
        let told = |steps: Vec<Step>| steps.into_iter().map(|step| step.done).collect();
        if dry {
            let mut steps = Vec::new();
            self.engine.read(&mut |view| {
                steps = plan(view)?;
                Ok(())
            })?;
            return Ok(told(steps));
        }
        self.write_once(describe, |writer| {
            let steps = writer.look(plan)?;
            writer.give_reason(REASON);
            steps.iter().try_for_each(|step| writer.take_back(step))?;
            Ok(told(steps))
        })
    }

    /// What takes back the last change of an entry.
    fn last_change(&self, view: &dyn View, address: &Address) -> Result<Step> {
        let name = shown(address);
        let Some(space) = view.space(&address.namespace)? else { return Err(nothing_to_undo(&name)) };
        if space.history.is_none() {
            return Err(keeps_none(&address.namespace));
        }
        let mut versions = states(view, &space, address.name.as_str(), None, self.now(), 2)?.into_iter();
        let Some(last) = versions.next() else { return Err(nothing_to_undo(&name)) };
        self.step(view, space, address.clone(), vec![last], versions.next())
    }

    /// What takes back the last changes of somebody.
    fn last_changes(
        &self,
        view: &dyn View,
        query: &LogQuery<'_>,
        by: &str,
        count: usize,
    ) -> Result<Vec<Step>> {
        let mut changes = Changes::of(view, self.kept_spaces(view, query)?, None)?;
        let mut entries: BTreeMap<Address, Chosen> = BTreeMap::new();
        let mut left = count;
        while left > 0
            && let Some((space, past)) = changes.next(query)?
        {
            if past.deed == Deed::Found {
                continue;
            }
            let address = address_in(space, &past.name)?;
            let chosen = entries.entry(address).or_insert_with(|| Chosen::nothing_of(space));
            chosen.newest += 1;
            // What has left a full cache left it because of another change.
            if past.deed != Deed::Evicted {
                chosen.is_meant = true;
                left -= 1;
            }
        }
        entries.retain(|_, chosen| chosen.is_meant);
        if entries.is_empty() {
            let what = format!("there is no change by {} that could be undone", by.escape_debug());
            return Err(Error::new(ErrorKind::Missing, what));
        }
        entries.into_iter().map(|(address, chosen)| self.changes_by(view, by, address, chosen)).collect()
    }

    /// What takes back the newest versions of an entry, all of which have to be somebody's.
    fn changes_by(&self, view: &dyn View, by: &str, address: Address, chosen: Chosen) -> Result<Step> {
        self.permit(Action::Write, &address.namespace)?;
        let Chosen { space, newest, .. } = chosen;
        let mut versions = states(view, &space, address.name.as_str(), None, self.now(), newest + 1)?;
        let before = if versions.len() > newest { versions.pop() } else { None };
        let is_anothers = |past: &&Past| past.head.writer.as_deref() != Some(by) || past.deed == Deed::Found;
        if let Some(other) = versions.iter().find(is_anothers) {
            let who = other.head.writer.as_deref().unwrap_or("somebody").escape_debug();
            let (name, at) = (shown(&address), other.head.version);
            let what = format!("nothing was undone; {name} has been changed since by {who} (version {at})");
            return Err(Error::new(ErrorKind::Conflict, what));
        }
        self.step(view, space, address, versions, before)
    }

    /// What takes back the newest versions of an entry, `undone`, of which `before` is the one before.
    fn step(
        &self,
        view: &dyn View,
        space: Space,
        address: Address,
        undone: Vec<Past>,
        before: Option<Past>,
    ) -> Result<Step> {
        let (name, now) = (shown(&address), self.now());
        let (Some(newest), Some(oldest)) = (undone.first(), undone.last()) else {
            return Err(nothing_to_undo(&name));
        };
        let stored = view.head(&space, address.name.as_str())?;
        if !newest.deed.is_removal() && stored.is_none_or(|head| !head.visible_at(now)) {
            return Err(expired(&format!("{name} has expired")));
        }
        let before = match (oldest.deed, before) {
            (Deed::Created, _) => None,
            (Deed::Found, None) => return Err(nothing_to_undo(&name)),
            (_, Some(before)) if before.deed.is_removal() => None,
            (_, Some(before)) if !before.head.visible_at(now) => {
                let what = format!("what {name} was before version {} has expired", oldest.head.version);
                return Err(expired(&what));
            }
            (_, Some(before)) => Some(before),
            (_, None) => {
                let what = format!("what {name} was before version {} is not kept", oldest.head.version);
                return Err(Error::new(ErrorKind::Missing, what));
            }
        };
        let versions = undone.iter().map(|past| past.head.version).collect();
        let like = before.as_ref().map(|before| before.head.version);
        Ok(Step { space, done: Undone { address, versions, like }, before })
    }
}

impl Writer<'_> {
    /// Makes a step of an undo.
    fn take_back(&mut self, step: &Step) -> Result<()> {
        let Step { space, done: Undone { address, .. }, before } = step;
        match before {
            Some(before) => self.bring_back(space, address, before),
            None => self.delete(address, &Condition::default()).map(drop),
        }
    }
}

fn nothing_to_undo(name: &str) -> Error {
    Error::new(ErrorKind::Missing, format!("there is no change of {name} that could be undone"))
}

fn expired(what: &str) -> Error {
    Error::new(
        ErrorKind::Missing,
        format!("nothing was undone; {what}, and an undo brings back nothing that has"),
    )
}

fn shown(address: &Address) -> String {
    address.display(Delimiter::default())
}

/// An address as its parts.
mod parts {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::address::{Address, EntryName, Namespace};

    pub(super) fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        let Address { namespace, name } = address;
        (namespace.project(), namespace.namespace(), name.as_str()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        let (project, namespace, name) = <(String, String, String)>::deserialize(from)?;
        let namespace = Namespace::new(project, namespace).map_err(D::Error::custom)?;
        Ok(Address { namespace, name: EntryName::parse(&name).map_err(D::Error::custom)? })
    }
}
