use std::ffi::OsString;

use prontodb_core::{Head, Millis};

use super::Run;
use super::get::missing;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// Print how long an entry has left
///
/// Prints whole seconds, rounded up, or `never`. With --json: milliseconds, and the moment.
#[derive(clap::Args)]
pub struct Ttl {
    /// What to look at
    address: Option<OsString>,
}

impl Run for Ttl {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let address = cx.take_only_address(self.address.as_slice())?;
        let store = cx.open_existing()?;
        // Before the entry is read, so that one that is there has time left.
        let now = store.now();
        let head = store.head(&address).map_err(|error| cx.with_hint(error.into()))?;
        let Some(head) = head else { return Err(missing(cx, &[address])) };
        let left = left(&head, now);
        if cx.json() {
            let name = cx.show(&address);
            let mut object = Object::begin(cx.out.buffer());
            object.text("k", &name).number_or_null("ttl_ms", left).moment("expires", head.expires).end();
            cx.out.push(b"\n");
        } else {
            cx.out.line(&seconds(left));
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

/// Milliseconds until an entry expires; `None` when it does not.
pub fn left(head: &Head, now: Millis) -> Option<u64> {
    head.expires.map(|at| u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
}

/// As people read it: seconds rounded up, so that what is there never shows 0.
pub fn seconds(left: Option<u64>) -> String {
    left.map_or_else(|| "never".to_owned(), |millis| millis.div_ceil(1000).to_string())
}
