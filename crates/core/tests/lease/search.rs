//! The search: all that can happen in a state, and what comes of it, held against what was promised.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use prontodb_core::Store;
use stateright::{Checker, Model, Path, Property};

use crate::world::{Event, Flaw, Pause, Scene, World};

/// Short and long leases, in milliseconds: time passes by one of them at a time, so to just before, at and behind every end.
pub const SHORT: u64 = 2;
pub const LONG: u64 = 3;
/// Longer than everything.
pub const PAST_ALL: u64 = LONG + 2;

/// How deep whoever looks for a flaw looks.
const MOST_DEPTH: usize = 20;

/// What was promised and is not so; the name of the property.
pub type Breach = &'static str;

/// What clients were promised, as far as it goes without a look at the code.
pub trait Promise: Clone + Debug + PartialEq + Send + Sync + Sized + 'static {
    /// What a client does.
    type Op: Copy + Debug + PartialEq + Send + Sync + 'static;
    /// What it hears.
    type Heard: Clone + Debug + Send + 'static;

    fn begin(clients: usize, scene: &Scene) -> Self;
    fn clients(&self) -> usize;
    /// What a client may do now.
    fn ops(&self, client: usize) -> Vec<Self::Op>;
    /// Does it.
    fn perform(&self, client: usize, op: Self::Op, scene: &Scene, store: Store) -> Self::Heard;
    /// What is promised once a client has heard this.
    fn hear(&self, client: usize, op: Self::Op, heard: &Self::Heard) -> Result<Self, Breach>;
    /// What is promised after an event.
    fn after(&self, event: Event) -> Self;
    /// Looks at what everybody can see.
    fn look(&self, scene: &Scene) -> Result<(), Breach>;
    /// All that tells this state from others: clients that are interchangeable may be taken for each other.
    fn key(&self, world: &World, interchangeable: bool) -> Vec<i64>;
    fn properties() -> Vec<Property<Search<Self>>>;
}

/// What one client does, or what happens to all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act<O> {
    Client(usize, O),
    Event(Event),
}

/// An act, and another one that comes between two units of work of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Action<O> {
    act: Act<O>,
    meanwhile: Option<(usize, Act<O>)>,
}

/// A state of everything.
#[derive(Clone, Debug)]
pub struct State<P> {
    pub world: World,
    pub promise: P,
    /// What was wrong with the last step.
    pub breach: Option<Breach>,
    key: Vec<i64>,
}

impl<P> State<P> {
    pub fn keeps(&self, property: Breach) -> bool {
        self.breach != Some(property)
    }
}

impl<P> PartialEq for State<P> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.breach == other.breach
    }
}

impl<P> Hash for State<P> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.key, self.breach).hash(hasher);
    }
}

/// A search through all states of so many clients.
pub struct Search<P> {
    clients: usize,
    interchangeable: bool,
    flaw: Option<Flaw>,
    of: PhantomData<fn() -> P>,
}

impl<P> Copy for Search<P> {}

impl<P> Clone for Search<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Promise> Search<P> {
    pub fn of(clients: usize) -> Self {
        Self { clients, interchangeable: true, flaw: None, of: PhantomData }
    }

    pub fn with_flaw(self, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..self }
    }

    /// Tells clients from each other.
    pub fn telling_all_apart(self) -> Self {
        Self { interchangeable: false, ..self }
    }

    /// Goes through all states, and fails where one is not as it should be.
    pub fn prove(self, what: &str) {
        let begun = Instant::now();
        let checker = self.checker().spawn_bfs().join();
        println!(
            "{what}, {} clients: {} states, {} steps, {} deep, {:.1} s",
            self.clients,
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            begun.elapsed().as_secs_f64()
        );
        if failures(&checker).next().is_some() {
            panic!("{:#?}", self.find());
        }
        checker.assert_properties();
    }

    /// What can break with the fewest steps, and by which.
    pub fn find(self) -> Vec<(Breach, Vec<Action<P::Op>>)> {
        for depth in 2..MOST_DEPTH {
            let checker = self.checker().target_max_depth(depth).spawn_bfs().join();
            let found: Vec<_> = failures(&checker).map(|(name, path)| (name, path.into_actions())).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn state(&self, world: World, promise: P, breach: Option<Breach>) -> State<P> {
        let key = promise.key(&world, self.interchangeable);
        State { world, promise, breach, key }
    }

    /// Acts of this client, or of all but this one.
    fn acts(&self, promise: &P, but: Option<usize>) -> Vec<Act<P::Op>> {
        let clients = (0..promise.clients()).filter(|client| Some(*client) != but);
        clients
            .flat_map(|client| promise.ops(client).into_iter().map(move |op| Act::Client(client, op)))
            .collect()
    }
}

type Failure<P> = (Breach, Path<State<P>, Action<<P as Promise>::Op>>);

/// The properties that do not hold, and how that comes about.
fn failures<P: Promise>(checker: &impl Checker<Search<P>>) -> impl Iterator<Item = Failure<P>> {
    let is_failure = |name: &'static str| checker.model().property(name).expectation.discovery_is_failure();
    checker.discoveries().into_iter().filter(move |(name, _)| is_failure(name))
}

/// What happens to all.
fn events(world: &World) -> [Event; 4] {
    let set = if world.is_set_back() { Event::SetForward } else { Event::SetBack };
    [Event::Pass(1), Event::Pass(PAST_ALL), set, Event::Reboot]
}

/// Has one act happen; what its client hears.
fn act<P: Promise>(promise: &P, act: Act<P::Op>, scene: &Scene, pause: Arc<Pause>) -> Option<P::Heard> {
    match act {
        Act::Client(client, op) => Some(promise.perform(client, op, scene, scene.paused_store(pause))),
        Act::Event(event) => {
            scene.happen(event);
            None
        }
    }
}

/// An act, and what its client has heard.
type Told<P> = (Act<<P as Promise>::Op>, Option<<P as Promise>::Heard>);

/// What is promised after it.
fn hear<P: Promise>(promise: &P, told: &Told<P>) -> Result<P, Breach> {
    match told {
        (Act::Client(client, op), Some(heard)) => promise.hear(*client, *op, heard),
        (Act::Event(event), _) => Ok(promise.after(*event)),
        (Act::Client(..), None) => Ok(promise.clone()),
    }
}

impl<P: Promise> Model for Search<P> {
    type State = State<P>;
    type Action = Action<P::Op>;

    fn init_states(&self) -> Vec<State<P>> {
        let scene = World::new(self.flaw).play();
        let promise = P::begin(self.clients, &scene);
        vec![self.state(scene.end(), promise, None)]
    }

    fn actions(&self, state: &State<P>, actions: &mut Vec<Self::Action>) {
        if state.breach.is_some() {
            return;
        }
        let events = events(&state.world).map(Act::Event);
        actions.extend(events.map(|act| Action { act, meanwhile: None }));
        for outer in self.acts(&state.promise, None) {
            actions.push(Action { act: outer, meanwhile: None });
            let Act::Client(client, _) = outer else { continue };
            // As many as there are when nothing comes between.
            let pause = Arc::new(Pause::default());
            act(&state.promise, outer, &state.world.play(), Arc::clone(&pause));
            for unit in 1..pause.units() {
                let inner = self.acts(&state.promise, Some(client)).into_iter().chain(events);
                actions.extend(inner.map(|act| Action { act: outer, meanwhile: Some((unit, act)) }));
            }
        }
    }

    fn next_state(&self, state: &State<P>, action: Self::Action) -> Option<State<P>> {
        let (scene, before) = (state.world.play(), &state.promise);
        let (outer, inner) = happen(before, action, &scene);
        let judge = |order: &[&Told<P>]| {
            let heard = order.iter().try_fold(before.clone(), |promise, told| hear(&promise, told))?;
            heard.look(&scene).map(|()| heard)
        };
        // Two things at a time are as one after the other, in one order or the other.
        let judged = match &inner {
            None => judge(&[&outer]),
            Some(inner) => {
                judge(&[inner, &outer]).or_else(|breach| judge(&[&outer, inner]).map_err(|_| breach))
            }
        };
        let (promise, breach) = match judged {
            Ok(promise) => (promise, None),
            Err(breach) => (before.clone(), Some(breach)),
        };
        Some(self.state(scene.end(), promise, breach))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        P::properties()
    }
}

/// Has an action happen: what came of it, and of what came between.
fn happen<P: Promise>(promise: &P, action: Action<P::Op>, scene: &Scene) -> (Told<P>, Option<Told<P>>) {
    let Some((unit, inner)) = action.meanwhile else {
        return ((action.act, act(promise, action.act, scene, Arc::default())), None);
    };
    let told = Arc::new(Mutex::new(None));
    let (slot, stage, known) = (Arc::clone(&told), scene.clone(), promise.clone());
    let pause = Pause::new(unit, move || {
        *slot.lock().unwrap() = Some((inner, act(&known, inner, &stage, Arc::default())));
    });
    let heard = act(promise, action.act, scene, Arc::new(pause));
    let told = told.lock().unwrap().take();
    ((action.act, heard), told)
}
