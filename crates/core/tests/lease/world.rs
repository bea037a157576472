//! What clients share: a store in memory and a clock, of which there can be as many copies as there are states.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prontodb_core::engine::memory::MemoryEngine;
use prontodb_core::engine::{Awaited, Catalog, Engine, Mark, Txn, View, Wait};
use prontodb_core::store::Fence;
use prontodb_core::{Clock, ManualClock, Millis, Result, Store, Ttl, Uptime};
use serde_json::Value;

/// Some moment to begin at.
const START: i64 = 1_795_253_400_000;
/// By how much the wall clock is set back.
pub const DAY: i64 = 24 * 60 * 60 * 1000;
/// Times from here on are one and the same in what tells states apart, in milliseconds: no lease or delay is as long.
const FAR: i64 = 8;
/// How many records are read, more than there ever are.
const MANY: usize = 100;

/// What happens to all clients alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// So many milliseconds pass.
    Pass(u64),
    /// Somebody sets the wall clock back by a day,
    SetBack,
    /// or forward again.
    SetForward,
    /// The machine starts anew.
    Reboot,
}

/// What is made wrong on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    /// Writes go without their token.
    Unfenced,
    /// Leases go by the wall clock.
    WallClock,
    /// Every start of the machine looks like the first.
    OneBoot,
}

/// All that is kept, and what time it is.
#[derive(Clone)]
pub struct World {
    engine: Arc<MemoryEngine>,
    now: i64,
    boot: u64,
    uptime: u64,
    flaw: Option<Flaw>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot {} + {} ms, wall {}", self.boot, self.uptime, self.now - START)
    }
}

impl World {
    pub fn new(flaw: Option<Flaw>) -> Self {
        Self { engine: Arc::default(), now: START, boot: 1, uptime: 0, flaw }
    }

    /// Whether the wall clock has been set back.
    pub fn is_set_back(&self) -> bool {
        self.now < START - DAY / 2
    }

    /// A copy in which something can be tried.
    pub fn play(&self) -> Scene {
        let uptime = i64::try_from(self.uptime).unwrap();
        let clock = ManualClock::at(Millis(self.now - uptime));
        (1..self.boot).for_each(|_| clock.reboot());
        clock.advance(uptime);
        Scene { engine: Arc::new((*self.engine).clone()), clock: Arc::new(clock), flaw: self.flaw }
    }

    /// How long it is until a moment on the wall clock, as it is and as it is when it is set a day back.
    pub fn until(&self, moment: i64) -> [i64; 2] {
        let left = moment - self.now;
        let as_it_is = if self.is_set_back() { left - DAY } else { left };
        [as_it_is, as_it_is + DAY].map(|left| left.clamp(0, FAR))
    }

    /// The records of a catalog.
    pub fn records(&self, catalog: Catalog) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        let read: &mut dyn FnMut(&dyn View) -> Result<()> = &mut |view| {
            found = view.records(catalog, "", MANY)?;
            Ok(())
        };
        self.engine.read(read).unwrap();
        found.into_iter().map(|(key, record)| (key, serde_json::from_str(&record).unwrap())).collect()
    }

    /// The tokens of all leases that are kept.
    pub fn kept_tokens(&self) -> Vec<u64> {
        let leases = self.records(Catalog::Leases);
        leases.iter().map(|(key, _)| u64::from_str_radix(key, 16).unwrap()).collect()
    }

    /// What is kept of leases, but for how much time has passed since when.
    pub fn describe_leases(&self, ranks: &Ranks, key: &mut Vec<i64>) {
        for (token, lease) in self.records(Catalog::Leases) {
            let boot = u64::from_str_radix(lease["boot"].as_str().unwrap(), 16).unwrap();
            let left = lease["end"].as_i64().unwrap() - i64::try_from(self.uptime).unwrap();
            let days = (lease["granted"].as_i64().unwrap() - self.now + DAY / 2).div_euclid(DAY);
            key.push(ranks.of(u64::from_str_radix(&token, 16).unwrap()));
            key.extend([i64::from(boot == self.boot), left.clamp(0, FAR), days]);
        }
        key.push(-1);
    }
}

/// Tokens by their order alone.
pub struct Ranks(BTreeMap<u64, i64>);

impl Ranks {
    pub fn new(tokens: impl IntoIterator<Item = u64>) -> Self {
        let tokens: BTreeSet<u64> = tokens.into_iter().collect();
        Self(tokens.into_iter().zip(1..).collect())
    }

    pub fn of(&self, token: u64) -> i64 {
        self.0[&token]
    }

    pub fn of_some(&self, token: Option<u64>) -> i64 {
        token.map_or(0, |token| self.of(token))
    }
}

/// A world in which something happens.
#[derive(Clone)]
pub struct Scene {
    engine: Arc<MemoryEngine>,
    clock: Arc<ManualClock>,
    flaw: Option<Flaw>,
}

impl Scene {
    pub fn happen(&self, event: Event) {
        match event {
            Event::Pass(millis) => self.clock.advance(i64::try_from(millis).unwrap()),
            Event::SetBack => self.clock.set(-DAY),
            Event::SetForward => self.clock.set(DAY),
            Event::Reboot => self.clock.reboot(),
        }
    }

    /// A store for one client.
    pub fn store(&self) -> Store {
        self.paused_store(Arc::default())
    }

    /// One that stops on its way, and lets something else happen.
    pub fn paused_store(&self, pause: Arc<Pause>) -> Store {
        let clock = FlawedClock { clock: Arc::clone(&self.clock), flaw: self.flaw };
        Store::new(Shared { engine: Arc::clone(&self.engine), pause }).with_clock(clock)
    }

    /// The same store as one that writes under a token.
    pub fn under(&self, store: Store, token: u64) -> Store {
        store.with_fence(Some(Fence(token)).filter(|_| self.flaw != Some(Flaw::Unfenced)))
    }

    pub fn end(self) -> World {
        // The clock is asked as it is, whatever it shows to stores.
        let uptime = self.clock.uptime().unwrap();
        World {
            now: self.clock.now().0,
            boot: u64::try_from(uptime.boot).unwrap(),
            uptime: uptime.millis,
            engine: self.engine,
            flaw: self.flaw,
        }
    }
}

/// Where a client stops on its way, and what happens then.
#[derive(Default)]
pub struct Pause {
    /// How many units of work there have been.
    units: AtomicUsize,
    /// Before which one it stops.
    at: usize,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Pause {
    pub fn new(at: usize, meanwhile: impl FnOnce() + Send + 'static) -> Self {
        Self { units: AtomicUsize::new(0), at, meanwhile: Mutex::new(Some(Box::new(meanwhile))) }
    }

    pub fn units(&self) -> usize {
        self.units.load(Ordering::SeqCst)
    }

    fn step(&self) {
        if self.units.fetch_add(1, Ordering::SeqCst) == self.at
            && let Some(meanwhile) = self.meanwhile.lock().unwrap().take()
        {
            meanwhile();
        }
    }
}

/// An engine for several stores, each of which can be stopped between two units of work.
struct Shared {
    engine: Arc<MemoryEngine>,
    pause: Arc<Pause>,
}

impl Engine for Shared {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        self.pause.step();
        self.engine.read(body)
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.pause.step();
        self.engine.write(body)
    }

    fn mark(&self) -> Result<Mark> {
        self.engine.mark()
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.engine.await_change(seen, wait)
    }
}

/// A clock that may be wrong on purpose.
struct FlawedClock {
    clock: Arc<ManualClock>,
    flaw: Option<Flaw>,
}

impl Clock for FlawedClock {
    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn uptime(&self) -> Option<Uptime> {
        let uptime = self.clock.uptime()?;
        Some(match self.flaw {
            Some(Flaw::WallClock) => Uptime { boot: 1, millis: self.now().0.unsigned_abs() },
            Some(Flaw::OneBoot) => Uptime { boot: 1, ..uptime },
            Some(Flaw::Unfenced) | None => uptime,
        })
    }
}

pub fn ttl(millis: u64) -> Ttl {
    Ttl::from_millis(millis).unwrap()
}
