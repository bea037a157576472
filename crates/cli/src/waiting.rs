//! Waiting for others: for a lock, an item, an entry.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use prontodb_core::auth::shown;
use prontodb_core::clock::TtlError;
use prontodb_core::engine::{Awaited, Mark, Wait};
use prontodb_core::{Store, Ttl};

use crate::context::{Context, Session};
use crate::exit::Failure;

/// How long somebody waits; without a limit, not at all.
pub struct Waiting {
    limit: Duration,
    begun: Instant,
}

impl Waiting {
    /// Begins now.
    pub fn begin(limit: Option<Ttl>) -> Self {
        Self { limit: limit.map_or(Duration::ZERO, duration), begun: Instant::now() }
    }

    /// What is left of the time.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// A mark to be made before a look at the data; none where nobody waits.
    pub fn mark(&self, cx: &Context, store: &Session) -> Result<Option<Mark>, Failure> {
        if self.limit.is_zero() {
            return Ok(None);
        }
        store.mark().map(Some).map_err(|error| cx.with_hint(error.into()))
    }

    /// Waits until somebody has written since `seen`, for no longer than `most`; false when the time is over.
    pub fn pause(
        &self,
        cx: &Context,
        store: &Session,
        seen: Option<Mark>,
        most: Duration,
    ) -> Result<bool, Failure> {
        let left = self.left();
        let Some(seen) = seen.filter(|_| !left.is_zero()) else { return Ok(false) };
        let most = most.max(SHORTEST).min(left);
        store.await_change(seen, Wait::of(most)).map_err(|error| cx.with_hint(error.into()))?;
        Ok(true)
    }
}

/// Waits until the database is there, and makes none; `None` when nothing is left of the time, as `left` tells, or nobody reads
/// the answer any more.
pub fn database(cx: &Context, left: &dyn Fn() -> Duration) -> Result<Option<Session>, Failure> {
    let (nothing, stdout) = (Store::in_memory(), io::stdout());
    loop {
        if let Some(store) = cx.open_if_there()? {
            return Ok(Some(store));
        }
        let left = left();
        if left.is_zero() {
            return Ok(None);
        }
        let wait = Wait { at_most: LOOK.min(left), reader: Some(stdout.as_fd()) };
        if nothing.await_change(nothing.mark()?, wait)? == Awaited::ReaderGone {
            return Ok(None);
        }
    }
}

/// How often whoever waits for a database looks whether it is there.
const LOOK: Duration = Duration::from_millis(20);

/// The shortest pause: what was to be there by now comes with the next millisecond.
const SHORTEST: Duration = Duration::from_millis(1);

/// A time to wait, as the system takes it.
pub fn duration(ttl: Ttl) -> Duration {
    Duration::from_millis(ttl.millis().unsigned_abs())
}

/// Reads how long to wait; none for zero, which is not at all.
pub fn span(flag: &str, text: &str) -> Result<Option<Ttl>, Failure> {
    let why = match Ttl::parse(text) {
        Ok(span) => return Ok(Some(span)),
        Err(TtlError::Zero) => return Ok(None),
        Err(TtlError::TooLong) => "a time must be at most 100 years".to_owned(),
        Err(TtlError::Syntax(text)) => {
            format!(
                "`{}` is not a time: seconds (90) or a duration with units (90s, 15m, 2h) are",
                shown(&text)
            )
        }
    };
    Err(Failure::invalid(format!("{flag}: {why}")))
}

/// The same of a flag that need not be there; without it nobody waits either.
pub fn span_of(flag: &str, text: Option<&str>) -> Result<Option<Ttl>, Failure> {
    text.map_or(Ok(None), |text| span(flag, text))
}
