//! Subscriptions: a client is told that what it has subscribed to may have changed, and reads it again.
//!
//! A thread watches what the server may reach, as long as anything is subscribed to. It puts the URIs of what has changed into the
//! mailboxes of the subscribers, and tasks of the runtime send them from there: so nobody waits for a client that does not read,
//! and what changes again before it was sent is sent once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::mem::{self, ManuallyDrop};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prontodb_core::engine::{Awaited, Wait};
use prontodb_core::store::{Event, Scope as Watched, Watch};
use prontodb_core::{Listing, Namespace};
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, RoleServer};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::desk::{Desk, Jobs};
use super::frames;
use super::scope::Scope;
use crate::context::Session;
use crate::exit::{Code, Failure};

/// How many URIs one subscriber may name.
const MOST_URIS: usize = 1000;
/// How many subscribers there may be: each is a call that stays open, but the one of the older protocol.
const MOST_SUBSCRIBERS: usize = 8;
/// The time between two rounds of notifications.
const SPACING: Duration = Duration::from_millis(100);
/// How long to wait before a database is opened again that could not be watched any more, at first
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// and in the end.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// What a URI stands for, as far as changes matter to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Where it lies.
    pub namespace: Namespace,
    /// Which of the entries there it shows.
    pub entries: Shown,
}

/// Some entries of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The one of this name.
    Named(String),
    /// Those whose names start so, behind one of them.
    StartingWith { prefix: String, after: Option<String> },
}

impl Subject {
    /// All entries of a namespace.
    pub fn all_of(namespace: Namespace) -> Self {
        Self { namespace, entries: Shown::StartingWith { prefix: String::new(), after: None } }
    }

    /// Whether a change may be seen there.
    fn shows(&self, event: &Event) -> bool {
        // Where all entries have gone there is no name.
        let shows = |name: &str| match &self.entries {
            Shown::Named(named) => name == named,
            Shown::StartingWith { prefix, after } => {
                name.starts_with(prefix.as_str()) && after.as_ref().is_none_or(|after| name > after.as_str())
            }
        };
        event.namespace == self.namespace && event.name.as_deref().is_none_or(shows)
    }
}

/// The subscriptions of a session.
pub struct Subscriptions {
    watching: Watching,
    mailboxes: Arc<Mailboxes>,
    watcher: AsyncMutex<Weak<Watcher>>,
    single: AsyncMutex<Option<Single>>,
}

/// How the database is watched.
#[derive(Clone)]
struct Watching {
    jobs: Jobs,
    watched: Watched,
    /// Whether a database that does not exist is made.
    makes: bool,
}

/// One who is told of changes, until it is dropped.
pub struct Subscriber {
    mailbox: Arc<Mailbox>,
    _watcher: Arc<Watcher>,
}

/// The subscriber of the older protocol, who adds and removes URIs one by one.
struct Single {
    subscriber: Subscriber,
    telling: AbortHandle,
}

/// The thread that watches goes on as long as this is there: the other end of the pair tells it.
struct Watcher(#[expect(dead_code, reason = "that it is closed is what it does")] UnixStream);

#[derive(Default)]
struct Mailboxes(Mutex<Vec<Weak<Mailbox>>>);

/// What a subscriber is to be told.
struct Mailbox {
    content: Mutex<Content>,
    bell: Notify,
}

struct Content {
    subjects: BTreeMap<String, Subject>,
    due: BTreeSet<String>,
}

impl Subscriptions {
    /// None yet, of a server that works in `scope`, and makes the database if it may.
    pub fn new(jobs: Jobs, scope: &Scope, makes: bool) -> Self {
        let watched = Watched {
            // Of these some namespaces are left out when they may not be read; a single one would be refused at each look.
            listing: scope
                .only_project()
                .map_or(Listing::All, |project| Listing::Project(project.to_owned())),
            default_project: scope.notation.defaults.project().to_owned(),
            context: None,
        };
        Self {
            watching: Watching { jobs, watched, makes },
            mailboxes: Arc::default(),
            watcher: AsyncMutex::default(),
            single: AsyncMutex::default(),
        }
    }

    /// Begins to tell a subscriber of changes, from now on.
    pub async fn begin(&self, subjects: BTreeMap<String, Subject>) -> Result<Subscriber, Failure> {
        self.watching.allow(subjects.values()).await?;
        let mailbox = self.mailboxes.open(subjects)?;
        let mut watcher = self.watcher.lock().await;
        let running = match watcher.upgrade() {
            Some(running) => running,
            None => Arc::new(self.watching.begin(Arc::clone(&self.mailboxes)).await?),
        };
        *watcher = Arc::downgrade(&running);
        Ok(Subscriber { mailbox, _watcher: running })
    }

    /// Adds a URI to those that the client of the older protocol is told of.
    pub async fn add(&self, uri: String, subject: Subject, peer: &Peer<RoleServer>) -> Result<(), Failure> {
        let mut single = self.single.lock().await;
        if let Some(Single { subscriber, .. }) = single.as_ref() {
            self.watching.allow([&subject]).await?;
            return subscriber.mailbox.add(uri, subject);
        }
        let subscriber = self.begin(BTreeMap::from([(uri, subject)])).await?;
        let (mailbox, peer) = (Arc::clone(&subscriber.mailbox), peer.clone());
        let telling = tokio::spawn(async move {
            mailbox
                .tell(|uri| {
                    let peer = peer.clone();
                    async move {
                        let update = ResourceUpdatedNotificationParam::new(uri);
                        peer.notify_resource_updated(update).await.is_ok()
                    }
                })
                .await;
        });
        *single = Some(Single { subscriber, telling: telling.abort_handle() });
        Ok(())
    }

    /// Takes one of them away; that it is not among them matters to nobody.
    pub async fn remove(&self, uri: &str) {
        let mut single = self.single.lock().await;
        if let Some(Single { subscriber, telling }) = single.as_ref()
            && subscriber.mailbox.remove(uri)
        {
            telling.abort();
            *single = None;
        }
    }
}

impl Subscriber {
    /// Tells of what may have changed already, and then of what changes, as long as that can be sent.
    pub async fn tell<F: Future<Output = bool>>(&self, send: impl Fn(String) -> F) {
        self.mailbox.post_all();
        self.mailbox.tell(send).await;
    }
}

impl Watching {
    /// Refuses subjects that whom the server works for may not read.
    async fn allow(&self, subjects: impl IntoIterator<Item = &Subject>) -> Result<(), Failure> {
        let namespaces: BTreeSet<_> = subjects.into_iter().map(|subject| subject.namespace.clone()).collect();
        let allowed = self.jobs.ask(move |desk| {
            let open = desk.reading()?;
            Ok(namespaces.iter().try_for_each(|namespace| open.store.allow_reading(namespace))?)
        });
        allowed.await
    }

    /// Begins to watch in a thread of its own.
    async fn begin(&self, mailboxes: Arc<Mailboxes>) -> Result<Watcher, Failure> {
        let failed = |error| Failure::io("cannot watch for changes", &error);
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let open = self.jobs.ask(self.open()).await?;
        let thread = Thread { watching: self.clone(), mailboxes, end: theirs };
        frames::spawn("mcp-watch", move || thread.work(open))?;
        Ok(Watcher(ours))
    }

    /// What opens the database and begins to watch it.
    fn open(&self) -> impl FnOnce(&mut Desk) -> Result<Open, Failure> + Send + 'static {
        let Self { watched, makes, .. } = self.clone();
        move |desk| {
            let store = desk.open_to_watch(makes)?;
            let watch = store.watch(watched, false, None)?;
            Ok(Open { store, watch })
        }
    }
}

/// A database that is watched.
struct Open {
    store: Session,
    watch: Watch,
}

/// The thread that watches.
struct Thread {
    watching: Watching,
    mailboxes: Arc<Mailboxes>,
    /// Closed from the other side when nothing is subscribed to any more.
    end: UnixStream,
}

impl Thread {
    fn work(mut self, open: Open) {
        let mut next = Some(open);
        while let Some(mut open) = next.take() {
            let is_over = self.follow(&mut open).is_ok();
            drop(ManuallyDrop::into_inner(open.store));
            if !is_over {
                next = self.open_again();
                // Nobody knows what has changed meanwhile.
                self.mailboxes.post_all();
            }
        }
    }

    /// Posts changes until nobody wants to know them.
    fn follow(&self, Open { store, watch }: &mut Open) -> prontodb_core::Result<()> {
        loop {
            store.renew_identity()?;
            let events = watch.next(store)?;
            if !events.is_empty() {
                self.mailboxes.post(&events);
                continue;
            }
            let wait = Wait { at_most: Duration::MAX, reader: Some(self.end.as_fd()) };
            if watch.wait(store, wait)? == Awaited::ReaderGone {
                return Ok(());
            }
        }
    }

    /// Opens the database again once that can be done: it may have been moved, restored, or closed to whom the server works for.
    fn open_again(&mut self) -> Option<Open> {
        let mut pause = FIRST_RETRY;
        while !self.is_over_within(pause) {
            if let Ok(open) = self.watching.jobs.ask_and_wait(self.watching.open()) {
                return Some(open);
            }
            pause = (pause * 2).min(LAST_RETRY);
        }
        None
    }

    /// Waits for so long, or until nobody wants to know anything; whether that is so.
    fn is_over_within(&mut self, pause: Duration) -> bool {
        let waited = self.end.set_read_timeout(Some(pause)).and_then(|()| self.end.read(&mut [0]));
        waited.is_ok_and(|read| read == 0)
    }
}

impl Mailboxes {
    fn all(&self) -> MutexGuard<'_, Vec<Weak<Mailbox>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, subjects: BTreeMap<String, Subject>) -> Result<Arc<Mailbox>, Failure> {
        let mut all = self.all();
        all.retain(|mailbox| mailbox.strong_count() > 0);
        if all.len() >= MOST_SUBSCRIBERS {
            return Err(too_many(&format!("{MOST_SUBSCRIBERS} subscriptions may be open at a time")));
        }
        refuse_more(subjects.len())?;
        let content = Mutex::new(Content { subjects, due: BTreeSet::new() });
        let mailbox = Arc::new(Mailbox { content, bell: Notify::new() });
        all.push(Arc::downgrade(&mailbox));
        Ok(mailbox)
    }

    fn post(&self, events: &[Event]) {
        for mailbox in self.all().iter().filter_map(Weak::upgrade) {
            mailbox.post(|subject| events.iter().any(|event| subject.shows(event)));
        }
    }

    fn post_all(&self) {
        self.all().iter().filter_map(Weak::upgrade).for_each(|mailbox| mailbox.post_all());
    }
}

impl Mailbox {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, uri: String, subject: Subject) -> Result<(), Failure> {
        let mut content = self.content();
        if !content.subjects.contains_key(&uri) {
            refuse_more(content.subjects.len() + 1)?;
        }
        content.subjects.insert(uri, subject);
        Ok(())
    }

    /// Takes a URI away; whether there is none left.
    fn remove(&self, uri: &str) -> bool {
        let mut content = self.content();
        content.subjects.remove(uri);
        content.due.remove(uri);
        content.subjects.is_empty()
    }

    fn post(&self, has_changed: impl Fn(&Subject) -> bool) {
        let mut content = self.content();
        let Content { subjects, due } = &mut *content;
        let changed = subjects.iter().filter(|(_, subject)| has_changed(subject));
        due.extend(changed.map(|(uri, _)| uri.clone()));
        if !due.is_empty() {
            self.bell.notify_one();
        }
    }

    fn post_all(&self) {
        self.post(|_| true);
    }

    /// Sends what is due and what will be, as long as that can be sent.
    async fn tell<F: Future<Output = bool>>(&self, send: impl Fn(String) -> F) {
        loop {
            self.bell.notified().await;
            let due = mem::take(&mut self.content().due);
            for uri in due {
                if !send(uri).await {
                    return;
                }
            }
            sleep(SPACING).await;
        }
    }
}

fn refuse_more(subjects: usize) -> Result<(), Failure> {
    match subjects {
        0..=MOST_URIS => Ok(()),
        _ => Err(too_many(&format!("one subscription may have {MOST_URIS} URIs"))),
    }
}

fn too_many(what: &str) -> Failure {
    Failure::new(Code::Limit, "limit", format!("{what}; subscribe to a namespace, or to a prefix in one"))
}
