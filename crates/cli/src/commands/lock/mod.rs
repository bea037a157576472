//! `lock`: names that one process has at a time, for as long as a lease lasts.

pub mod acquire;
pub mod list;
pub mod release;
pub mod renew;
pub mod run;

use prontodb_core::auth::shown;
use prontodb_core::store::{Acquired, Fence, Lock};
use prontodb_core::{Error, Ttl};

use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::fence;
use crate::output::json::Object;
use crate::waiting::Waiting;

/// Reads how long a lease lasts.
pub fn lasts(text: &str) -> Result<Ttl, Failure> {
    Ttl::parse(text).map_err(|error| Failure::invalid(format!("--ttl: {error}")))
}

/// Asks for a lock until it is granted or the time is over; without a `wait`, once.
fn acquire(
    cx: &Context,
    store: &mut Session,
    name: &str,
    ttl: Ttl,
    wait: Option<Ttl>,
) -> Result<Lock, Failure> {
    let explain = |error: Error| cx.with_hint(error.into());
    let waiting = Waiting::begin(wait);
    loop {
        let mark = waiting.mark(cx, store)?;
        let held = match store.acquire_lock(name, ttl).map_err(explain)? {
            Acquired::Granted(lock) => return Ok(lock),
            Acquired::Held(lock) => lock,
        };
        if !waiting.pause(cx, store, mark, held.left)? {
            return Err(not_granted(&held, wait.is_some()));
        }
        // Whoever waits may have lost the right to it meanwhile.
        store.renew_identity().map_err(explain)?;
    }
}

fn not_granted(held: &Lock, has_waited: bool) -> Failure {
    let what = held_by(&held.name, held);
    let (code, kind) = if has_waited { (Code::TimedOut, "timeout") } else { (Code::Conflict, "conflict") };
    let failure = Failure { retryable: true, ..Failure::new(code, kind, what) };
    failure.hint(if has_waited { "wait longer" } else { "wait for it with --wait" })
}

/// Says who has a lock, by the name that it was asked for under.
pub fn held_by(name: &str, held: &Lock) -> String {
    let owner = held.owner.as_deref().map_or_else(|| "somebody".to_owned(), shown);
    let left = held.left.as_millis().div_ceil(1000);
    format!("the lock {} is held by {owner}, for {left}s more unless it is renewed", shown(name))
}

/// The token that a command about a lock or a claim needs: of several, the innermost.
pub fn token(cx: &Context) -> Result<Fence, Failure> {
    match &cx.fence {
        Some(given) => given.at(&cx.selection()?.path).pop().ok_or_else(|| {
            let what = format!("the token of {} is that of another database", fence::VARIABLE);
            Failure::new(Code::Conflict, "conflict", what).hint("--fence takes the token that is meant")
        }),
        None => Err(Failure::usage("the token of the lease is missing").hint(format!(
            "--fence takes the token that was printed with the lock or the item, and so does {}",
            fence::VARIABLE
        ))),
    }
}

/// A lock as a JSON object.
pub fn push_json(out: &mut Vec<u8>, lock: &Lock) {
    Object::begin(out)
        .text("name", &lock.name)
        .number("fence", lock.fence.0)
        .text_or_null("owner", lock.owner.as_deref())
        .text("granted", &lock.granted.to_string())
        .number("left_ms", u64::try_from(lock.left.as_millis()).unwrap_or(u64::MAX))
        .end();
}
