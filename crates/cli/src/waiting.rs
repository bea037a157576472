//! Waiting for others: for a lock, an item, an entry.

use std::time::{Duration, Instant};

use prontodb_core::Ttl;
use prontodb_core::engine::{Mark, Wait};

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
        Self { limit: limit.map_or(Duration::ZERO, span), begun: Instant::now() }
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

/// The shortest pause: what was to be there by now comes with the next millisecond.
const SHORTEST: Duration = Duration::from_millis(1);

/// A time to wait.
pub fn span(ttl: Ttl) -> Duration {
    Duration::from_millis(ttl.millis().unsigned_abs())
}
