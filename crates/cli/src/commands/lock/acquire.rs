use super::{acquire, lasts, push_json};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::waiting;

/// Take a lock for a while, and print the token of the lease
///
/// Names of locks are free, up to 255 bytes; each database has its own. The lease ends by itself when its time is over, whatever
/// becomes of this process: keep it with prontodb lock renew, give it back with prontodb lock release. The token is a number
/// that grows with each grant. A write with --fence TOKEN is refused, with exit code 3, once the lease has ended, so a holder that was
/// stopped for too long harms nobody. Held by somebody else, the exit code is 3; 4 when --wait was not long enough.
#[derive(clap::Args)]
pub struct Acquire {
    /// The lock
    #[arg(value_name = "NAME")]
    name: String,

    /// How long the lease lasts: seconds, or 1m30s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: String,

    /// How long to wait while somebody else holds it
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    wait: Option<String>,
}

impl Run for Acquire {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let ttl = lasts(&self.ttl)?;
        let wait = waiting::span_of("--wait", self.wait.as_deref())?;
        let mut store = cx.open_to_write()?;
        let lock = acquire(cx, &mut store, &self.name, ttl, wait)?;
        if cx.json() {
            push_json(cx.out.buffer(), &lock);
            cx.out.push(b"\n");
        } else {
            cx.out.line(&lock.fence.0.to_string());
        }
        // A token that nobody has seen holds a lock for nobody, unless it is asked for again.
        let is_asked_again = cx.op.is_some();
        cx.out.flush().inspect_err(|_| {
            if !is_asked_again {
                drop(store.release_lock(&self.name, lock.fence));
            }
        })?;
        Ok(Code::Done)
    }
}
