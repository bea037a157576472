//! Waiting until an entry is as somebody wants it.

use std::time::{Duration, Instant};

use super::Store;
use crate::address::Address;
use crate::auth::Action;
use crate::clock::Millis;
use crate::engine::{Awaited, Mark, Space, View, Wait};
use crate::error::Result;
use crate::record::{Head, Record, Version};

/// The longest time between two looks at the wall clock where something depends on it: somebody may set it.
const CLOCK_LOOK: Duration = Duration::from_secs(1);

/// What an entry has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// There.
    Present,
    /// There, with this value.
    Value(Vec<u8>),
    /// Not there: removed, expired, or never written.
    Absent,
    /// Another state than that of this version, 0 where there is none; without a version, than the one at the beginning.
    Changed(Option<Version>),
}

/// What came of waiting for an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    /// It is as it has to be; here it is, if it is there.
    Met(Option<Record>),
    /// The time is over.
    TimedOut,
    /// Nobody reads the answer any more.
    ReaderGone,
}

/// What one look at an entry has found.
struct Look {
    version: Version,
    expires: Option<Millis>,
    /// The entry, if it is there, where it is as it has to be.
    met: Option<Option<Record>>,
}

impl Store {
    /// A mark of the present state of the data, for [`Store::await_change`].
    ///
    /// # Errors
    /// Those of reading.
    pub fn mark(&self) -> Result<Mark> {
        self.engine.mark()
    }

    /// Waits until somebody else has written since a mark was made; see [`Engine::await_change`](crate::engine::Engine::await_change).
    ///
    /// # Errors
    /// Those of reading.
    pub fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.engine.await_change(seen, wait)
    }

    /// Waits until the entry at `address` is as `until` says. That is no read that a cache would count as use. Whoever may not read
    /// it any more by then is told nothing of it.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied), and those of reading.
    pub fn await_entry(&mut self, address: &Address, until: &Until, wait: Wait<'_>) -> Result<Met> {
        self.allow(Action::Read, Some(&address.namespace))?;
        let begun = Instant::now();
        let (mut until, mut compared) = (until.clone(), None);
        loop {
            let mark = self.engine.mark()?;
            let look = self.look(address, &mut until, compared)?;
            // Behind the look: who may read now what was seen could do so then.
            self.renew_identity()?;
            self.allow(Action::Read, Some(&address.namespace))?;
            if let Some(met) = look.met {
                return Ok(Met::Met(met));
            }
            compared = Some(look.version);
            let left = wait.at_most.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(Met::TimedOut);
            }
            let at_most = look.expires.map_or(left, |at| left.min(self.until(at)));
            if self.engine.await_change(mark, Wait { at_most, ..wait })? == Awaited::ReaderGone {
                return Ok(Met::ReaderGone);
            }
        }
    }

    /// How long to sleep until a moment by the wall clock.
    pub(super) fn until(&self, at: Millis) -> Duration {
        let left = at.0.saturating_sub(self.now().0);
        Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(CLOCK_LOOK)
    }

    /// Looks at an entry; its value is not compared with that of a version that has been.
    fn look(&self, address: &Address, until: &mut Until, compared: Option<Version>) -> Result<Look> {
        let mut look = Look { version: Version(0), expires: None, met: None };
        self.read(&mut |view| {
            let (now, name) = (self.now(), address.name.as_str());
            let space = view.space(&address.namespace)?;
            let head = match &space {
                Some(space) => view.head(space, name)?.filter(|head| head.visible_at(now)),
                None => None,
            };
            let version = head.as_ref().map_or(Version(0), |head| head.version);
            look = Look { version, expires: head.as_ref().and_then(|head| head.expires), met: None };
            let read = |space: &Option<Space>, head: &Option<Head>| match (space, head) {
                (Some(space), Some(_)) => self.coder.record(view as &dyn View, space, name, Some(now)),
                _ => Ok(None),
            };
            look.met = match until {
                Until::Present if head.is_some() => Some(read(&space, &head)?),
                Until::Absent if head.is_none() => Some(None),
                Until::Value(value) if head.is_some() && compared != Some(version) => {
                    read(&space, &head)?.filter(|record| record.value == *value).map(Some)
                }
                Until::Changed(Some(seen)) if *seen != version => Some(read(&space, &head)?),
                Until::Changed(seen) => {
                    *seen = Some(version);
                    None
                }
                Until::Present | Until::Absent | Until::Value(_) => None,
            };
            Ok(())
        })?;
        Ok(look)
    }
}
