//! Where calls are worked on, one after the other: a thread that has the database.

use std::mem::ManuallyDrop;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use prontodb_core::store::Fence;
use prontodb_core::{Namespace, Store};
use tokio::sync::oneshot;

use super::calls::Ticket;
use super::frames;
use super::scope::Scope;
use crate::context::{Context, Session};
use crate::engines::Lifetime;
use crate::exit::{Code, Failure};

/// How long the database stays open without a call: whoever is idle keeps nobody from moving it, and keeps its log short.
const IDLE: Duration = Duration::from_secs(1);

/// The place of work.
pub struct Desk {
    cx: Context,
    scope: Scope,
    max_bytes: u64,
    store: Option<Session>,
    /// Whether the database is there; one that is not answers as an empty one.
    is_there: bool,
}

/// What a call works with.
pub struct Open<'d> {
    /// The context of the command, with the addresses of the scope.
    pub cx: &'d mut Context,
    /// What may be reached.
    pub scope: &'d Scope,
    /// How many bytes an answer has at most.
    pub max_bytes: u64,
    /// The database.
    pub store: &'d Session,
}

impl Open<'_> {
    /// The namespace that a knowledge graph is kept in.
    pub fn graph(&self) -> &Namespace {
        &self.scope.notation.defaults
    }
}

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// Puts calls on the desk.
#[derive(Clone)]
pub struct Jobs(mpsc::Sender<Job>);

impl Jobs {
    /// Has something done when its turn comes.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.put(work)?.await.map_err(|_| gone())?
    }

    /// The same for a call, unless it is cancelled before its turn comes.
    pub async fn ask_for<T: Send + 'static>(
        &self,
        call: Option<&Ticket>,
        work: impl FnOnce(&mut Desk) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let call = call.cloned();
        let work = move |desk: &mut Desk| match call {
            Some(call) if call.is_cancelled() => Err(gone()),
            _ => work(desk),
        };
        self.ask(work).await
    }

    /// The same for a thread that has nothing else to do.
    pub fn ask_and_wait<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.put(work)?.blocking_recv().map_err(|_| gone())?
    }

    fn put<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T, Failure> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, Failure>>, Failure> {
        let (answer, done) = oneshot::channel();
        let job = move |desk: &mut Desk| {
            if answer.is_closed() {
                return;
            }
            let worked = work(desk);
            if worked.as_ref().is_err_and(|failure| !failure.is_refusal()) {
                // What is wrong with the file or the proof may have been put right by the next call.
                desk.close();
            }
            // Whoever has asked may be gone.
            let _ = answer.send(worked);
        };
        self.0.send(Box::new(job)).map_err(|_| gone())?;
        Ok(done)
    }
}

/// Nobody hears of it, as there is nobody to work or nobody to be told.
fn gone() -> Failure {
    Failure::new(Code::Error, "bug", "nobody works on the call any more")
}

impl Desk {
    /// Begins to work in a thread of its own.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn begin(mut cx: Context, scope: &Scope, max_bytes: u64) -> Result<Jobs, Failure> {
        cx.notation = scope.notation.clone();
        cx.globals.json = true;
        let mut desk = Self { cx, scope: scope.clone(), max_bytes, store: None, is_there: false };
        let (sender, jobs) = mpsc::channel();
        frames::spawn("mcp-desk", move || desk.work(&jobs))?;
        Ok(Jobs(sender))
    }

    fn work(&mut self, jobs: &mpsc::Receiver<Job>) {
        loop {
            let next = match self.store {
                Some(_) => jobs.recv_timeout(IDLE),
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(job) => job(self),
                Err(RecvTimeoutError::Timeout) => self.close(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.is_there {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        drop(self.store.take().map(ManuallyDrop::into_inner));
        self.is_there = false;
    }

    /// The database as it is, for whoever still may.
    pub fn reading(&mut self) -> Result<Open<'_>, Failure> {
        self.changing(None)
    }

    /// The same for what changes only what is there; under a lease, if one is named.
    pub fn changing(&mut self, fence: Option<u64>) -> Result<Open<'_>, Failure> {
        if self.store.is_none() {
            let (store, is_there) = self.cx.open_as_it_is()?;
            (self.store, self.is_there) = (Some(of_mcp(store)), is_there);
        }
        self.opened(fence)
    }

    /// The database to write, made if need be; under a lease, if one is named.
    pub fn writing(&mut self, fence: Option<u64>) -> Result<Open<'_>, Failure> {
        if !self.is_there {
            self.close();
            (self.store, self.is_there) = (Some(of_mcp(self.cx.open_to_write()?)), true);
        }
        self.opened(fence)
    }

    /// The database to be watched by somebody else. One that does not exist is made, if it may be.
    pub fn open_to_watch(&mut self, makes: bool) -> Result<Session, Failure> {
        self.cx.lifetime = Lifetime::Long;
        let opened = match self.cx.open_if_there() {
            Ok(None) if makes => self.cx.open_to_write(),
            Ok(None) => Err(Failure::new(
                Code::Missing,
                "not_found",
                "there is no database yet that could be watched, and this server only reads",
            )),
            Ok(Some(store)) => Ok(store),
            Err(failure) => Err(failure),
        };
        self.cx.lifetime = Lifetime::OneShot;
        opened.map(of_mcp)
    }

    fn opened(&mut self, fence: Option<u64>) -> Result<Open<'_>, Failure> {
        let fence = match (&self.cx.fence, fence) {
            (_, Some(token)) => vec![Fence(token)],
            (Some(given), None) => given.at(&self.cx.selection()?.path),
            (None, None) => Vec::new(),
        };
        let Self { cx, scope, max_bytes, store, .. } = self;
        let store = store.get_or_insert_with(|| ManuallyDrop::new(Store::in_memory()));
        store.set_fence(fence);
        store.renew_identity()?;
        Ok(Open { cx, scope, max_bytes: *max_bytes, store })
    }
}

fn of_mcp(store: Session) -> Session {
    ManuallyDrop::new(ManuallyDrop::into_inner(store).with_origin("mcp"))
}

impl Failure {
    /// Whether it is about what was asked, and not about the place where it was to be done.
    fn is_refusal(&self) -> bool {
        !matches!(self.kind, "io" | "no_database" | "damaged" | "foreign" | "unsupported" | "denied")
    }
}
