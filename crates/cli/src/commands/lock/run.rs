use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use prontodb_core::auth::shown;
use prontodb_core::store::Lock;
use prontodb_core::{Clock as _, Ending, Endings, ErrorKind, HowToEnd, SystemClock, Ttl};
use rustix::process::{Pid, Signal, kill_process};

use super::{acquire, lasts};
use crate::commands::{Addressing, Run};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::fence::{self, Given};
use crate::output;
use crate::waiting;

/// The variable that names the lock for the command.
const VARIABLE: &str = "PRONTO_LOCK";
/// The longest time between two looks at the command, and how long a renewal waits for other writers at first.
const LOOK: Duration = Duration::from_millis(20);
/// The longest that one waits for them, and what is to be passed on waits with it.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a command may take to end once it is told to, when the lock is lost.
const GRACE: Duration = Duration::from_secs(5);

/// Run a command while holding a lock
///
/// The lease is renewed as long as the command runs, and given back when it ends; the exit code is that of the command, 128 and
/// more for a signal. PRONTO_FENCE and PRONTO_LOCK are set for it, so that all it writes with prontodb to this database carries
/// the token, and those that this command was given. When the lease is lost, because this process was stopped for too long, could
/// not write or may not any more, CMD of --on-lost is run by sh, with PRONTO_PID, and the command goes on; without it the command is
/// told to end (SIGTERM, and SIGKILL after 5 seconds), itself alone and not what it has started. The exit code is 3 then. SIGINT,
/// SIGTERM and SIGHUP are passed on.
#[derive(clap::Args)]
pub struct Under {
    /// The lock
    #[arg(value_name = "NAME")]
    name: String,

    /// How long a lease lasts that is not renewed: how long others wait when this machine stops
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "30s")]
    ttl: String,

    /// How long to wait while somebody else holds the lock
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    wait: Option<String>,

    /// What to do when the lease is lost
    #[arg(long, value_name = "COMMAND")]
    on_lost: Option<OsString>,

    /// The command, behind --
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,
}

impl Run for Under {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let [program, arguments @ ..] = &self.command[..] else {
            return Err(Failure::usage("the command is missing"));
        };
        let ttl = lasts(&self.ttl)?;
        let wait = waiting::span_of("--wait", self.wait.as_deref())?;
        let mut store = cx.open_to_write()?;
        let database = cx.place()?;
        let lock = acquire(cx, &mut store, &self.name, ttl, wait)?;
        // Whatever fails from here on, the lock is given back.
        let given = Given::within(cx.fence.as_ref(), lock.fence, &database);
        let mut command = Command::new(program);
        command.args(arguments).env(fence::VARIABLE, given.to_variable()).env(VARIABLE, &lock.name);
        let mut hold = Hold { store, lock, ttl, patience: LOOK, lost: None };
        let ran = self.run_under(&mut hold, &mut command);
        hold.give_back(cx.patience());
        match (ran, hold.lost()) {
            (Ok(_), Some(failure)) => Err(failure),
            (Ok(status), None) => Ok(Code::of_child(status)),
            (Err(error), _) => Err(Failure::not_run(program, &error)),
        }
    }
}

impl Under {
    fn run_under(&self, hold: &mut Hold, command: &mut Command) -> io::Result<ExitStatus> {
        // Before the command begins: whoever ends this process in between would leave it running under no lock.
        let endings = Endings::expect()?;
        endings.spare(command);
        let mut child = command.spawn()?;
        let mut after = After::Nothing;
        let mut look = Duration::from_millis(1);
        loop {
            match child.try_wait() {
                Ok(Some(status)) if after.is_over() => return Ok(status),
                Ok(_) => {}
                // It must not go on with nobody to hold the lock.
                Err(error) => return child.kill().and(Err(error)),
            }
            if let Some(ending) = endings.next(look) {
                pass_on(ending, &mut child);
                after.pass_on(ending);
            }
            look = (look * 2).min(LOOK);
            after.go_on(&mut child);
            if hold.lost.is_none() && !hold.keep() {
                after = After::of(self.on_lost.as_deref(), hold, &mut child, &endings);
            }
        }
    }
}

/// What is done because the lock was lost.
enum After {
    /// It is held.
    Nothing,
    /// What `--on-lost` says runs.
    Handler(Child),
    /// It has ended, or could not be run.
    Handled,
    /// The command was told to end at this moment.
    Told(Instant),
}

impl After {
    /// Begins with it.
    fn of(on_lost: Option<&OsStr>, hold: &Hold, child: &mut Child, endings: &Endings) -> Self {
        let Some(line) = on_lost else {
            signal(child, Signal::TERM);
            return Self::Told(Instant::now());
        };
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line).env(VARIABLE, &hold.lock.name).env("PRONTO_PID", child.id().to_string());
        endings.spare(&mut command);
        match command.spawn() {
            Ok(handler) => Self::Handler(handler),
            Err(error) => {
                output::warn(&format!("cannot run what --on-lost says; {error}"));
                Self::Handled
            }
        }
    }

    /// Whether nothing is left to wait for but the command.
    fn is_over(&mut self) -> bool {
        match self {
            Self::Handler(handler) => !matches!(handler.try_wait(), Ok(None)),
            Self::Nothing | Self::Handled | Self::Told(_) => true,
        }
    }

    fn pass_on(&mut self, ending: Ending) {
        if let Self::Handler(handler) = self {
            pass_on(ending, handler);
        }
    }

    /// Ends a command that does not end of itself.
    fn go_on(&self, child: &mut Child) {
        if let Self::Told(at) = self
            && at.elapsed() >= GRACE
        {
            // It may have ended just now.
            let _ = child.kill();
        }
    }
}

/// A lock that is held while a command runs.
struct Hold {
    store: Session,
    lock: Lock,
    ttl: Ttl,
    /// How long the next renewal waits for other writers.
    patience: Duration,
    /// Why it was lost.
    lost: Option<String>,
}

impl Hold {
    /// Renews the lease once a third of it has gone; false when it has ended.
    fn keep(&mut self) -> bool {
        let now = SystemClock.uptime();
        let Some(left) = now.and_then(|now| now.until(self.lock.ends)) else {
            self.lost = Some(TOO_LATE.to_owned());
            return false;
        };
        if left.as_millis() as i64 > self.ttl.millis() / 3 * 2 {
            return true;
        }
        self.store.set_patience(self.patience.min(left));
        match self.renew() {
            Ok(lock) => (self.lock, self.patience) = (lock, LOOK),
            Err(error) if error.kind() == ErrorKind::Conflict => self.lost = Some(TOO_LATE.to_owned()),
            Err(error) if error.kind() == ErrorKind::Denied => self.lost = Some(error.to_string()),
            // Until the lease ends, what failed may yet succeed.
            Err(_) => self.patience = (self.patience * 2).min(PATIENCE),
        }
        self.lost.is_none()
    }

    /// Renews the lease, for whoever still may.
    fn renew(&mut self) -> prontodb_core::Result<Lock> {
        self.store.renew_identity()?;
        self.store.renew_lock(&self.lock.name, self.lock.fence, self.ttl)
    }

    /// Releases the lock. A lease that has ended by now was lost; what else fails is for the lease to end.
    fn give_back(&mut self, patience: Duration) {
        if self.lost.is_some() {
            return;
        }
        self.store.set_patience(patience);
        match self.store.release_lock(&self.lock.name, self.lock.fence) {
            Err(error) if error.kind() == ErrorKind::Conflict => self.lost = Some(TOO_LATE.to_owned()),
            Err(error) => output::warn(&format!("the lock stays until its lease ends; {error}")),
            Ok(()) => {}
        }
    }

    /// That it was lost, if it was.
    fn lost(&self) -> Option<Failure> {
        let (name, why) = (shown(&self.lock.name), self.lost.as_ref()?);
        let what = format!("the lock {name} was lost while the command ran; {why}");
        let failure = Failure::new(Code::Conflict, "conflict", what);
        if why != TOO_LATE {
            return Some(failure);
        }
        Some(failure.hint("what the command wrote with prontodb after that was refused; a longer --ttl survives longer stalls"))
    }
}

/// Why most locks are lost that are.
const TOO_LATE: &str = "its lease could not be renewed in time";

/// Passes on what somebody sent to this process alone; what is typed at a terminal comes to both.
fn pass_on(ending: Ending, child: &mut Child) {
    let to_send = match ending.how {
        HowToEnd::Interrupt => Signal::INT,
        HowToEnd::Terminate => Signal::TERM,
        HowToEnd::HangUp => Signal::HUP,
    };
    if !ending.is_typed {
        signal(child, to_send);
    }
}

/// Sends a signal to a process of ours; one that was waited for has no number any more.
fn signal(child: &mut Child, signal: Signal) {
    if let Ok(None) = child.try_wait() {
        // It may have ended just now.
        let _ = kill_process(Pid::from_child(child), signal);
    }
}
