//! One lock and an entry that is written under it.

use std::collections::BTreeMap;

use prontodb_core::engine::Catalog;
use prontodb_core::store::{Acquired, Fence, SetOptions};
use prontodb_core::{Address, Error, ErrorKind, Notation, Store};
use stateright::Property;

use crate::search::{Breach, LONG, PAST_ALL, Promise, SHORT, Search, State};
use crate::world::{Event, Flaw, Ranks, Scene, World, ttl};

type Seen = State<LockPromise>;

const NAME: &str = "lock";

const ONE_WRITER: Breach = "never are writes of two clients accepted at the same time";
const SUPERSEDED: Breach = "a token that was followed by another grant is never accepted again";
const ENDED: Breach = "a lease that has ended is never renewed, given back or written under";
const GROWS: Breach = "each token is greater than all before it";
const ONE_HOLDER: Breach = "a lock that is held is granted to nobody else";
const FREE: Breach = "a free lock is granted to whoever asks";
const LASTS: Breach = "a lease lasts as long as was promised and no longer";
const REFUSED: Breach = "what was refused has changed nothing";

/// What the clients of a lock were promised.
#[derive(Clone, Debug, PartialEq)]
pub struct LockPromise {
    /// The last token of each client, which it keeps and may use at any moment, however much later.
    clients: Vec<Option<u64>>,
    /// Who holds it, and for how many milliseconds from now.
    holder: Option<(u64, u64)>,
    newest: u64,
    /// Under which token the entry was written last.
    writer: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Acquire(u64),
    Renew(u64),
    Release,
    Write,
    /// The client dies, and another one comes that knows nothing.
    Die,
}

#[derive(Clone, Debug)]
pub enum Heard {
    Granted(u64, u64),
    Held(u64, u64),
    Done,
    Refused,
}

impl Heard {
    fn of_lock(held: prontodb_core::Result<Acquired>) -> Self {
        let millis = |lock: &prontodb_core::store::Lock| u64::try_from(lock.left.as_millis()).unwrap();
        match held {
            Ok(Acquired::Granted(lock)) => Self::Granted(lock.fence.0, millis(&lock)),
            Ok(Acquired::Held(lock)) => Self::Held(lock.fence.0, millis(&lock)),
            Err(error) => Self::refused(&error),
        }
    }

    fn refused(error: &Error) -> Self {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        Self::Refused
    }

    fn of(done: prontodb_core::Result<()>) -> Self {
        done.map_or_else(|error| Self::refused(&error), |()| Self::Done)
    }
}

/// The entry that is written under the lock.
fn entry() -> Address {
    Notation::default().address("p.n.k").unwrap()
}

/// Writes a token under itself.
pub fn write(store: &Store, token: u64) -> prontodb_core::Result<()> {
    store.set(&entry(), token.to_string().as_bytes(), &SetOptions::default()).map(drop)
}

/// Under which token the entry was written last.
pub fn writer(store: &Store) -> Option<u64> {
    let record = store.get(&entry()).unwrap()?;
    Some(String::from_utf8(record.value).unwrap().parse().unwrap())
}

impl Promise for LockPromise {
    type Op = Op;
    type Heard = Heard;

    fn begin(clients: usize, _scene: &Scene) -> Self {
        Self { clients: vec![None; clients], holder: None, newest: 0, writer: None }
    }

    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn ops(&self, client: usize) -> Vec<Op> {
        let mut ops = vec![Op::Acquire(SHORT), Op::Acquire(LONG)];
        if self.clients[client].is_some() {
            ops.extend([Op::Renew(SHORT), Op::Renew(LONG), Op::Release, Op::Write, Op::Die]);
        }
        ops
    }

    fn perform(&self, client: usize, op: Op, scene: &Scene, store: Store) -> Heard {
        let token = self.clients[client].unwrap_or_default();
        match op {
            Op::Acquire(millis) => Heard::of_lock(store.acquire_lock(NAME, ttl(millis))),
            Op::Renew(millis) => {
                Heard::of_lock(store.renew_lock(NAME, Fence(token), ttl(millis)).map(Acquired::Granted))
            }
            Op::Release => Heard::of(store.release_lock(NAME, Fence(token))),
            Op::Write => Heard::of(write(&scene.under(store, token), token)),
            Op::Die => Heard::Done,
        }
    }

    fn hear(&self, client: usize, op: Op, heard: &Heard) -> Result<Self, Breach> {
        match op {
            Op::Acquire(millis) => self.acquired(client, millis, heard),
            Op::Die => {
                let mut next = self.clone();
                next.clients[client] = None;
                Ok(next)
            }
            _ => self.done_under(self.clients[client].unwrap_or_default(), op, heard),
        }
    }

    fn after(&self, event: Event) -> Self {
        let holder = match (event, self.holder) {
            (Event::Pass(millis), Some((token, left))) if left > millis => Some((token, left - millis)),
            (Event::Pass(_) | Event::Reboot, _) => None,
            (Event::SetBack | Event::SetForward, holder) => holder,
        };
        Self { holder, ..self.clone() }
    }

    fn look(&self, scene: &Scene) -> Result<(), Breach> {
        let store = scene.store();
        let lock = store.lock(NAME).unwrap();
        let shown = lock.map(|lock| (lock.fence.0, u64::try_from(lock.left.as_millis()).unwrap()));
        match (shown == self.holder, writer(&store) == self.writer) {
            (true, true) => Ok(()),
            (true, false) => Err(REFUSED),
            (false, _) => Err(LASTS),
        }
    }

    fn key(&self, world: &World, interchangeable: bool) -> Vec<i64> {
        let named = world.records(Catalog::Locks);
        let named: BTreeMap<_, _> =
            named.iter().map(|(name, holder)| (name, holder["fence"].as_u64().unwrap())).collect();
        let tokens = self.clients.iter().chain([&self.writer]).flatten().copied();
        let tokens = tokens.chain(named.values().copied()).chain(world.kept_tokens());
        let ranks = Ranks::new(tokens.chain(self.holder.map(|(token, _)| token)));
        let mut clients: Vec<_> = self.clients.iter().map(|token| ranks.of_some(*token)).collect();
        if interchangeable {
            clients.sort_unstable();
        }
        let (holder, left) = self.holder.unzip();
        let mut key = vec![i64::from(world.is_set_back()), ranks.of_some(holder), ranks.of_some(self.writer)];
        key.push(left.map_or(0, |left| i64::try_from(left).unwrap()));
        key.extend(clients);
        key.extend(named.values().map(|token| ranks.of(*token)));
        key.push(-1);
        world.describe_leases(&ranks, &mut key);
        key
    }

    fn properties() -> Vec<Property<Search<Self>>> {
        vec![
            Property::always(ONE_WRITER, |_, state: &Seen| state.keeps(ONE_WRITER) && writers(state) <= 1),
            Property::always(SUPERSEDED, |_, state: &Seen| {
                state.keeps(SUPERSEDED) && superseded_are_refused(state)
            }),
            Property::always(ENDED, |_, state: &Seen| state.keeps(ENDED)),
            Property::always(GROWS, |_, state: &Seen| state.keeps(GROWS)),
            Property::always(ONE_HOLDER, |_, state: &Seen| state.keeps(ONE_HOLDER)),
            Property::always(FREE, |_, state: &Seen| state.keeps(FREE) && everybody_gets_it_in_time(state)),
            Property::always(LASTS, |_, state: &Seen| state.keeps(LASTS)),
            Property::always(REFUSED, |_, state: &Seen| state.keeps(REFUSED)),
            Property::sometimes("somebody holds it and all others have had it", |_, state: &Seen| {
                state.promise.holder.is_some() && state.promise.clients.iter().all(Option::is_some)
            }),
            Property::sometimes("somebody was followed by a writer, and stalls", |_, state: &Seen| {
                let promise = &state.promise;
                promise
                    .writer
                    .is_some_and(|writer| promise.clients.iter().flatten().any(|token| *token < writer))
            }),
            Property::sometimes("whoever holds it is dead", |_, state: &Seen| {
                let promise = &state.promise;
                promise.holder.is_some_and(|(token, _)| !promise.clients.contains(&Some(token)))
            }),
        ]
    }
}

impl LockPromise {
    fn acquired(&self, client: usize, millis: u64, heard: &Heard) -> Result<Self, Breach> {
        match (self.holder, heard) {
            (Some(holder), Heard::Held(token, left)) if holder == (*token, *left) => Ok(self.clone()),
            (Some(_), Heard::Granted(..)) => Err(ONE_HOLDER),
            (Some(_), _) => Err(LASTS),
            (None, Heard::Granted(token, _)) if *token <= self.newest => Err(GROWS),
            (None, Heard::Granted(_, left)) if *left != millis => Err(LASTS),
            (None, Heard::Granted(token, left)) => {
                let mut next = Self { holder: Some((*token, *left)), newest: *token, ..self.clone() };
                next.clients[client] = Some(*token);
                Ok(next)
            }
            (None, _) => Err(FREE),
        }
    }

    /// What goes by a token.
    fn done_under(&self, token: u64, op: Op, heard: &Heard) -> Result<Self, Breach> {
        let left = self.holder.filter(|(holder, _)| *holder == token).map(|(_, left)| left);
        match (left, heard) {
            (None, Heard::Refused) => Ok(self.clone()),
            (None, _) if token < self.newest => Err(SUPERSEDED),
            (None, _) => Err(ENDED),
            (Some(_), Heard::Refused) => Err(LASTS),
            (Some(left), heard) => match (op, heard) {
                (Op::Renew(millis), Heard::Granted(same, lasts))
                    if *same == token && *lasts == left.max(millis) =>
                {
                    Ok(Self { holder: Some((token, *lasts)), ..self.clone() })
                }
                (Op::Release, Heard::Done) => Ok(Self { holder: None, ..self.clone() }),
                (Op::Write, Heard::Done) => Ok(Self { writer: Some(token), ..self.clone() }),
                _ => Err(LASTS),
            },
        }
    }
}

/// The tokens that are out there.
fn tokens(state: &Seen) -> impl Iterator<Item = u64> {
    state.promise.clients.iter().flatten().copied()
}

/// How many clients could write in this state.
fn writers(state: &Seen) -> usize {
    let can_write = |token: &u64| {
        let scene = state.world.play();
        write(&scene.under(scene.store(), *token), *token).is_ok()
    };
    tokens(state).filter(can_write).count()
}

/// Tries every use of each token that somebody else's grant has followed.
fn superseded_are_refused(state: &Seen) -> bool {
    let superseded = tokens(state).filter(|token| *token < state.promise.newest);
    superseded.into_iter().all(|token| {
        let scene = state.world.play();
        write(&scene.under(scene.store(), token), token).is_err()
            && scene.store().renew_lock(NAME, Fence(token), ttl(LONG)).is_err()
            && scene.store().release_lock(NAME, Fence(token)).is_err()
    })
}

/// Whether anybody gets the lock once the longest lease is over, whoever may be dead or stalled.
fn everybody_gets_it_in_time(state: &Seen) -> bool {
    (0..state.promise.clients.len()).all(|_| {
        let scene = state.world.play();
        scene.happen(Event::Pass(PAST_ALL));
        matches!(scene.store().acquire_lock(NAME, ttl(SHORT)), Ok(Acquired::Granted(_)))
    })
}

/// How many clients there are, unless somebody has more time.
pub fn clients(usual: usize) -> usize {
    std::env::var("PRONTODB_TEST_CLIENTS").map_or(usual, |clients| clients.parse().unwrap())
}

#[test]
fn a_lock_keeps_its_promises_in_every_state() {
    Search::<LockPromise>::of(clients(3)).prove("a lock");
}

#[test]
fn clients_that_are_told_apart_make_no_difference() {
    Search::<LockPromise>::of(clients(3) - 1).telling_all_apart().prove("a lock, clients told apart");
}

#[test]
fn a_write_that_goes_without_its_token_is_found() {
    finds(Flaw::Unfenced, &[ONE_WRITER, SUPERSEDED, ENDED]);
}

#[test]
fn leases_by_a_clock_that_can_be_set_are_found() {
    finds(Flaw::WallClock, &[LASTS, FREE]);
}

#[test]
fn leases_that_outlive_the_machine_are_found() {
    finds(Flaw::OneBoot, &[LASTS]);
}

#[track_caller]
fn finds(flaw: Flaw, breaches: &[Breach]) {
    let found = Search::<LockPromise>::of(2).with_flaw(flaw).find();
    assert!(!found.is_empty(), "{flaw:?} was not found");
    for (breach, how) in found {
        println!("{flaw:?}: {breach}, by {how:?}");
        assert!(breaches.contains(&breach), "{breach}");
    }
}
