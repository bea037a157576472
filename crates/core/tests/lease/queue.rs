//! One item of a queue, and an entry that its workers write.

use prontodb_core::engine::Catalog;
use prontodb_core::store::{Claimed, Fence, Item, PushOptions, QueuePlace};
use prontodb_core::{Delimiter, Error, ErrorKind, Namespace, Store};
use stateright::Property;

use crate::lock::{clients, write, writer};
use crate::search::{Breach, LONG, PAST_ALL, Promise, SHORT, Search, State};
use crate::world::{DAY, Event, Flaw, Ranks, Scene, World, ttl};

type Seen = State<QueuePromise>;

/// How many claims may be made of the item.
const TRIES: u32 = 2;
/// How long an item waits that is given back for later.
const DELAY: u64 = 2;
/// The letter of delayed items in the keys of places, which stands behind the number of the space.
const DELAYED: &str = "d";

const ONE_WORKER: Breach = "never are two workers accepted at the same time";
const SUPERSEDED: Breach = "a claim that was followed by another is never accepted again";
const ENDED: Breach = "a claim that has ended is never extended, done, given back or written under";
const GROWS: Breach = "each token is greater than all before it";
const ONE_CLAIM: Breach = "an item that is claimed, delayed, dead or done is handed to nobody";
const COUNTED: Breach = "claims are counted, and there are no more than may be";
const NOT_LOST: Breach = "an item that is not done is handed out in time, or dead";
const LASTS: Breach = "a claim lasts as long as was promised and no longer";
const REFUSED: Breach = "what was refused has changed nothing";
const REVIVED: Breach = "an item that is dead can be made ready again, and no other";

/// Where the item is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Ready,
    /// For so many milliseconds on the wall clock.
    Delayed(i64),
    /// Under a token, for so many milliseconds.
    Claimed(u64, u64),
    Dead,
    Done,
}

/// What the workers of an item were promised.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePromise {
    /// The last token of each worker.
    workers: Vec<Option<u64>>,
    item: Where,
    id: String,
    tries: u32,
    newest: u64,
    /// Under which token the entry was written last.
    writer: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Claim(u64),
    Extend(u64),
    Ack,
    Nack,
    NackForLater,
    Write,
    Revive,
    /// The worker dies, and another one comes that knows nothing.
    Die,
}

#[derive(Clone, Debug)]
pub enum Heard {
    Claimed(u64, u32),
    Nothing,
    Done,
    Given(QueuePlace),
    Revived(bool),
    Refused,
}

impl Heard {
    fn refused(error: &Error) -> Self {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        Self::Refused
    }

    fn of<T>(done: prontodb_core::Result<T>, hear: impl FnOnce(T) -> Self) -> Self {
        done.map_or_else(|error| Self::refused(&error), hear)
    }
}

impl From<Option<Claimed>> for Heard {
    fn from(claimed: Option<Claimed>) -> Self {
        claimed.map_or(Self::Nothing, |claimed| Self::Claimed(claimed.fence.0, claimed.tries))
    }
}

fn queue() -> Namespace {
    Namespace::parse("p.q", Delimiter::default()).unwrap()
}

impl Promise for QueuePromise {
    type Op = Op;
    type Heard = Heard;

    fn begin(clients: usize, scene: &Scene) -> Self {
        let options = PushOptions { tries: TRIES, ..PushOptions::default() };
        let id = scene.store().push(&queue(), b"job", &options).unwrap();
        Self { workers: vec![None; clients], item: Where::Ready, id, tries: 0, newest: 0, writer: None }
    }

    fn clients(&self) -> usize {
        self.workers.len()
    }

    fn ops(&self, client: usize) -> Vec<Op> {
        let mut ops = vec![Op::Claim(SHORT), Op::Claim(LONG), Op::Revive];
        if self.workers[client].is_some() {
            ops.extend([Op::Extend(SHORT), Op::Extend(LONG), Op::Ack, Op::Nack, Op::NackForLater]);
            ops.extend([Op::Write, Op::Die]);
        }
        ops
    }

    fn perform(&self, client: usize, op: Op, scene: &Scene, store: Store) -> Heard {
        let (queue, token) = (queue(), self.workers[client].unwrap_or_default());
        let (fence, done) = (Fence(token), |()| Heard::Done);
        match op {
            Op::Claim(millis) => store.claim(&queue, ttl(millis)).unwrap().into(),
            Op::Extend(millis) => Heard::of(store.extend(&queue, fence, ttl(millis)), done),
            Op::Ack => Heard::of(store.ack(&queue, fence), done),
            Op::Nack => Heard::of(store.nack(&queue, fence, None), Heard::Given),
            Op::NackForLater => Heard::of(store.nack(&queue, fence, Some(ttl(DELAY))), Heard::Given),
            Op::Write => Heard::of(write(&scene.under(store, token), token), done),
            Op::Revive => Heard::Revived(store.revive(&queue, &self.id).unwrap()),
            Op::Die => Heard::Done,
        }
    }

    fn hear(&self, client: usize, op: Op, heard: &Heard) -> Result<Self, Breach> {
        match op {
            Op::Claim(millis) => self.claimed(client, millis, heard),
            Op::Revive => match (self.item, heard) {
                (Where::Dead, Heard::Revived(true)) => {
                    Ok(Self { item: Where::Ready, tries: 0, ..self.clone() })
                }
                (Where::Dead, _) | (_, Heard::Revived(true)) => Err(REVIVED),
                _ => Ok(self.clone()),
            },
            Op::Die => {
                let mut next = self.clone();
                next.workers[client] = None;
                Ok(next)
            }
            _ => self.done_under(self.workers[client].unwrap_or_default(), op, heard),
        }
    }

    fn after(&self, event: Event) -> Self {
        let lapsed = if self.tries >= TRIES { Where::Dead } else { Where::Ready };
        let item = match (event, self.item) {
            (Event::Pass(millis), Where::Claimed(token, left)) if left > millis => {
                Where::Claimed(token, left - millis)
            }
            (Event::Pass(_) | Event::Reboot, Where::Claimed(..)) => lapsed,
            (Event::Pass(millis), Where::Delayed(left)) => {
                Where::Delayed(left - i64::try_from(millis).unwrap())
            }
            (Event::SetBack, Where::Delayed(left)) => Where::Delayed(left + DAY),
            (Event::SetForward, Where::Delayed(left)) => Where::Delayed(left - DAY),
            (_, item) => item,
        };
        Self { item, ..self.clone() }
    }

    fn look(&self, scene: &Scene) -> Result<(), Breach> {
        let store = scene.store();
        let items = store.items(&queue()).unwrap();
        let is_there = match items.as_slice() {
            [] => self.item == Where::Done,
            [item] => self.is_shown(item),
            _ => false,
        };
        let wait = store.until_next(&queue()).unwrap().map(|wait| u64::try_from(wait.as_millis()).unwrap());
        let is_awaited = match self.item {
            Where::Claimed(_, left) => wait == Some(left),
            // Whoever waits for a moment on the wall clock looks again before, for somebody may set it.
            Where::Delayed(left) => wait.is_some_and(|wait| match u64::try_from(left).unwrap_or(0) {
                0 => wait == 0,
                left => (1..=left).contains(&wait),
            }),
            // Nobody may have noticed yet that a claim is over.
            Where::Ready | Where::Dead | Where::Done => wait.unwrap_or_default() == 0,
        };
        match (is_there && is_awaited, writer(&store) == self.writer) {
            (true, true) => Ok(()),
            (true, false) => Err(REFUSED),
            (false, _) => Err(LASTS),
        }
    }

    fn key(&self, world: &World, interchangeable: bool) -> Vec<i64> {
        let places = world.records(Catalog::Queues);
        let tokens = self.workers.iter().chain([&self.writer]).flatten().copied();
        let tokens = tokens.chain(world.kept_tokens());
        let ranks = Ranks::new(tokens.chain(places.iter().filter_map(|(_, place)| place["fence"].as_u64())));
        let mut workers: Vec<_> = self.workers.iter().map(|token| ranks.of_some(*token)).collect();
        if interchangeable {
            workers.sort_unstable();
        }
        let mut key = vec![i64::from(world.is_set_back()), ranks.of_some(self.writer), i64::from(self.tries)];
        key.extend(match self.item {
            Where::Ready => [0, 0],
            Where::Delayed(_) => [1, 0],
            Where::Claimed(_, left) => [2, i64::try_from(left).unwrap()],
            Where::Dead => [3, 0],
            Where::Done => [4, 0],
        });
        key.extend(workers);
        for (place, kin) in places {
            let (letter, rest) = place[16..].split_at(1);
            key.push(i64::from(letter.as_bytes()[0]));
            key.push(ranks.of_some(kin["fence"].as_u64()));
            key.push(kin["tries"].as_i64().unwrap());
            if letter == DELAYED {
                key.extend(world.until(i64::from_str_radix(&rest[..16], 16).unwrap()));
            }
        }
        key.push(-1);
        world.describe_leases(&ranks, &mut key);
        key
    }

    fn properties() -> Vec<Property<Search<Self>>> {
        vec![
            Property::always(ONE_WORKER, |_, state: &Seen| state.keeps(ONE_WORKER) && accepted(state) <= 1),
            Property::always(SUPERSEDED, |_, state: &Seen| {
                state.keeps(SUPERSEDED) && superseded_are_refused(state)
            }),
            Property::always(ENDED, |_, state: &Seen| state.keeps(ENDED)),
            Property::always(GROWS, |_, state: &Seen| state.keeps(GROWS)),
            Property::always(ONE_CLAIM, |_, state: &Seen| state.keeps(ONE_CLAIM)),
            Property::always(COUNTED, |_, state: &Seen| state.keeps(COUNTED)),
            Property::always(NOT_LOST, |_, state: &Seen| {
                state.keeps(NOT_LOST) && is_handed_out_in_time(state)
            }),
            Property::always(LASTS, |_, state: &Seen| state.keeps(LASTS)),
            Property::always(REFUSED, |_, state: &Seen| state.keeps(REFUSED)),
            Property::always(REVIVED, |_, state: &Seen| state.keeps(REVIVED)),
            Property::sometimes("it is done, by whoever claimed it last", |_, state: &Seen| {
                state.promise.item == Where::Done && state.promise.tries == TRIES
            }),
            Property::sometimes("it is dead, and all have had it", |_, state: &Seen| {
                state.promise.item == Where::Dead && state.promise.workers.iter().all(Option::is_some)
            }),
            Property::sometimes(
                "a delay is a day longer",
                |_, state: &Seen| matches!(state.promise.item, Where::Delayed(left) if left > DAY),
            ),
        ]
    }
}

impl QueuePromise {
    fn is_to_be_had(&self) -> bool {
        matches!(self.item, Where::Ready) || matches!(self.item, Where::Delayed(left) if left <= 0)
    }

    fn claimed(&self, client: usize, millis: u64, heard: &Heard) -> Result<Self, Breach> {
        match (self.is_to_be_had(), heard) {
            (false, Heard::Nothing) => Ok(self.clone()),
            (false, _) => Err(ONE_CLAIM),
            (true, Heard::Claimed(token, _)) if *token <= self.newest => Err(GROWS),
            (true, Heard::Claimed(_, tries)) if *tries != self.tries + 1 || *tries > TRIES => Err(COUNTED),
            (true, Heard::Claimed(token, tries)) => {
                let item = Where::Claimed(*token, millis);
                let mut next = Self { item, tries: *tries, newest: *token, ..self.clone() };
                next.workers[client] = Some(*token);
                Ok(next)
            }
            (true, _) => Err(NOT_LOST),
        }
    }

    /// What goes by a token.
    fn done_under(&self, token: u64, op: Op, heard: &Heard) -> Result<Self, Breach> {
        let left = match self.item {
            Where::Claimed(claim, left) if claim == token => Some(left),
            _ => None,
        };
        match (left, heard) {
            (None, Heard::Refused) => Ok(self.clone()),
            (None, _) if token < self.newest => Err(SUPERSEDED),
            (None, _) => Err(ENDED),
            (Some(_), Heard::Refused) => Err(LASTS),
            (Some(left), heard) => self.accepted(token, left, op, heard),
        }
    }

    fn accepted(&self, token: u64, left: u64, op: Op, heard: &Heard) -> Result<Self, Breach> {
        let is_last = self.tries >= TRIES;
        let to = |item| Ok(Self { item, ..self.clone() });
        match (op, heard) {
            (Op::Extend(millis), _) => to(Where::Claimed(token, left.max(millis))),
            (Op::Ack, _) => to(Where::Done),
            (Op::Write, _) => Ok(Self { writer: Some(token), ..self.clone() }),
            (_, Heard::Given(QueuePlace::Dead)) if is_last => to(Where::Dead),
            (Op::Nack, Heard::Given(QueuePlace::Ready)) if !is_last => to(Where::Ready),
            (Op::NackForLater, Heard::Given(QueuePlace::Delayed(_))) if !is_last => {
                to(Where::Delayed(i64::try_from(DELAY).unwrap()))
            }
            _ => Err(COUNTED),
        }
    }

    /// Whether the item is shown where it is.
    fn is_shown(&self, item: &Item) -> bool {
        let is_there = match (&item.place, self.item) {
            (QueuePlace::Ready, _) => self.is_to_be_had(),
            (QueuePlace::Delayed(_), Where::Delayed(left)) => left > 0,
            (QueuePlace::Claimed(fence), Where::Claimed(token, _)) => fence.0 == token,
            (QueuePlace::Dead, Where::Dead) => true,
            _ => false,
        };
        is_there && item.tries == self.tries
    }
}

/// The tokens that are out there.
fn tokens(state: &Seen) -> impl Iterator<Item = u64> {
    state.promise.workers.iter().flatten().copied()
}

/// How many workers could say in this state that the item is done, or write.
fn accepted(state: &Seen) -> usize {
    let is_accepted = |token: &u64| {
        let scene = state.world.play();
        let writes = write(&scene.under(scene.store(), *token), *token).is_ok();
        scene.store().ack(&queue(), Fence(*token)).is_ok() || writes
    };
    tokens(state).filter(is_accepted).count()
}

/// Tries every use of each token that another claim has followed.
fn superseded_are_refused(state: &Seen) -> bool {
    let mut superseded = tokens(state).filter(|token| *token < state.promise.newest);
    superseded.all(|token| {
        let (scene, fence) = (state.world.play(), Fence(token));
        write(&scene.under(scene.store(), token), token).is_err()
            && scene.store().extend(&queue(), fence, ttl(LONG)).is_err()
            && scene.store().nack(&queue(), fence, None).is_err()
            && scene.store().ack(&queue(), fence).is_err()
    })
}

/// Whether the item is handed out once all leases and delays are over, unless it is done or dead.
fn is_handed_out_in_time(state: &Seen) -> bool {
    let scene = state.world.play();
    scene.happen(Event::Pass(PAST_ALL + DAY.unsigned_abs()));
    let claimed = scene.store().claim(&queue(), ttl(SHORT)).unwrap();
    let promise = &state.promise;
    let is_over = matches!(promise.item, Where::Dead | Where::Done)
        || matches!(promise.item, Where::Claimed(..)) && promise.tries >= TRIES;
    claimed.is_some() != is_over
}

#[test]
fn an_item_keeps_its_promises_in_every_state() {
    Search::<QueuePromise>::of(clients(2)).prove("an item");
}

#[test]
fn a_worker_that_writes_without_its_token_is_found() {
    let found = Search::<QueuePromise>::of(2).with_flaw(Flaw::Unfenced).find();
    assert!(!found.is_empty());
    for (breach, how) in found {
        println!("{breach}, by {how:?}");
        assert!([ONE_WORKER, SUPERSEDED, ENDED, NOT_LOST].contains(&breach), "{breach}");
    }
}
