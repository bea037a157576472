use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use prontodb_core::auth::shown;
use prontodb_core::store::Lock;
use prontodb_core::{Clock as _, Ending, Endings, ErrorKind, HowToEnd, SystemClock, Ttl};
use rustix::process::{Pid, Signal, kill_process};

use super::{acquire, span};
use crate::commands::{Addressing, Run};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::fence::{self, Given};
use crate::output;

/// The variable that names the lock for the command.
const VARIABLE: &str = "PRONTO_LOCK";
/// The longest time between two looks at the command.
const LOOK: Duration = Duration::from_millis(20);
/// How long a command may take to end once it is told to, when the lock is lost.
const GRACE: Duration = Duration::from_secs(5);

/// Run a command while holding a lock
///
/// The lease is renewed as long as the command runs, and given back when it ends; the exit code is that of the command, 128 and
/// more for a signal. PRONTO_FENCE and PRONTO_LOCK are set for it, so that all it writes with prontodb to this database carries
/// the token. When the lease is lost, because this process was stopped for too long or could not write, CMD of --on-lost is run
/// by sh, with PRONTO_PID, and the command goes on; without it the command is told to end (SIGTERM, and SIGKILL after 5
/// seconds). The exit code is 3 then. SIGINT, SIGTERM and SIGHUP are passed on.
#[derive(clap::Args)]
pub struct Under {
    /// The lock
    #[arg(value_name = "NAME")]
    name: String,

    /// How long a lease lasts that is not renewed: how long others wait when this machine stops
    #[arg(long, value_name = "D", default_value = "30s")]
    ttl: String,

    /// How long to wait while somebody else holds the lock
    #[arg(long, value_name = "D")]
    wait: Option<String>,

    /// What to do when the lease is lost
    #[arg(long, value_name = "CMD")]
    on_lost: Option<OsString>,

    /// The command, behind --
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,
}

impl Run for Under {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let [program, arguments @ ..] = &self.command[..] else {
            return Err(Failure::usage("the command is missing"));
        };
        let ttl = span("--ttl", &self.ttl)?;
        let wait = self.wait.as_deref().map(|text| span("--wait", text)).transpose()?;
        let store = cx.open_to_write()?;
        let lock = acquire(cx, &store, &self.name, ttl, wait)?;
        let mut hold = Hold { cx, store, lock, ttl, is_lost: false };
        let mut command = hold.command(program)?;
        let ran = self.run_under(&mut hold, command.args(arguments));
        hold.give_back();
        match ran {
            Ok(_) if hold.is_lost => Err(hold.lost()),
            Ok(status) => Ok(Code::of_child(status)),
            Err(error) => {
                let program = shown(&program.to_string_lossy());
                Err(Failure::io(format_args!("cannot run {program}"), &error))
            }
        }
    }
}

impl Under {
    fn run_under(&self, hold: &mut Hold<'_>, command: &mut Command) -> io::Result<ExitStatus> {
        // Before the command begins: whoever ends this process in between would leave it running under no lock.
        let endings = Endings::expect()?;
        endings.spare(command);
        let mut child = command.spawn()?;
        let mut look = Duration::from_millis(1);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                // It must not go on with nobody to hold the lock.
                Err(error) => return end(child).and(Err(error)),
            }
            if let Some(ending) = endings.next(look) {
                pass_on(ending, &child);
            }
            look = (look * 2).min(LOOK);
            if hold.is_lost || hold.keep() {
                continue;
            }
            hold.is_lost = true;
            match &self.on_lost {
                Some(line) => hold.tell(line, &child),
                None => return end(child),
            }
        }
    }
}

/// A lock that is held while a command runs.
struct Hold<'a> {
    cx: &'a Context,
    store: Session,
    lock: Lock,
    ttl: Ttl,
    is_lost: bool,
}

impl Hold<'_> {
    /// A command that knows what it runs under.
    fn command(&self, program: &OsStr) -> Result<Command, Failure> {
        let given = Given::of(self.lock.fence, &self.cx.place()?);
        let mut command = Command::new(program);
        command.env(fence::VARIABLE, given.to_variable()).env(VARIABLE, &self.lock.name);
        Ok(command)
    }

    /// Renews the lease once a third of it has gone; false when it has ended.
    fn keep(&mut self) -> bool {
        let now = SystemClock.uptime();
        let Some(left) = now.and_then(|now| now.until(self.lock.ends)) else { return false };
        if left.as_millis() as i64 > self.ttl.millis() / 3 * 2 {
            return true;
        }
        match self.store.renew_lock(&self.lock.name, self.lock.fence, self.ttl) {
            Ok(lock) => self.lock = lock,
            Err(error) if error.kind() == ErrorKind::Conflict => return false,
            // Until the lease ends, what failed may yet succeed.
            Err(_) => {}
        }
        true
    }

    /// Runs the line that was given for the case that the lease is lost.
    fn tell(&self, line: &OsStr, child: &Child) {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line).env(VARIABLE, &self.lock.name).env("PRONTO_PID", child.id().to_string());
        if let Err(error) = command.status() {
            output::warn(&format!("cannot run what --on-lost says; {error}"));
        }
    }

    /// Releases the lock. A lease that has ended by now was lost; what else fails is for the lease to end.
    fn give_back(&mut self) {
        if self.is_lost {
            return;
        }
        match self.store.release_lock(&self.lock.name, self.lock.fence) {
            Err(error) if error.kind() == ErrorKind::Conflict => self.is_lost = true,
            Err(error) => output::warn(&format!("the lock stays until its lease ends; {error}")),
            Ok(()) => {}
        }
    }

    fn lost(&self) -> Failure {
        let name = shown(&self.lock.name);
        let what =
            format!("the lock {name} was lost while the command ran; its lease could not be renewed in time");
        Failure::new(Code::Conflict, "conflict", what)
            .hint("what the command wrote with prontodb after that was refused; a longer --ttl survives longer stalls")
    }
}

/// Passes on what somebody sent to this process alone; what is typed at a terminal comes to both.
fn pass_on(ending: Ending, child: &Child) {
    let signal = match ending.how {
        HowToEnd::Interrupt => Signal::INT,
        HowToEnd::Terminate => Signal::TERM,
        HowToEnd::HangUp => Signal::HUP,
    };
    if !ending.is_typed {
        // It may have ended just now.
        let _ = kill_process(Pid::from_child(child), signal);
    }
}

/// Has a command end that runs under no lock any more.
fn end(mut child: Child) -> io::Result<ExitStatus> {
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let told = Instant::now();
    while told.elapsed() < GRACE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(LOOK);
    }
    child.kill()?;
    child.wait()
}
