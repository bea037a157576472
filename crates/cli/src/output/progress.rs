//! How far a long command has come, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is shown of what is over sooner.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is shown anew.
const INTERVAL: Duration = Duration::from_millis(200);

/// A line on stderr that is written over and over; none where stderr is no terminal.
pub struct Progress {
    started: Instant,
    /// When it is to be shown next; `None` for never.
    next: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// Begins to count time.
    pub fn begin() -> Self {
        let started = Instant::now();
        let next = io::stderr().is_terminal().then(|| started + PATIENCE);
        Self { started, next, is_shown: false }
    }

    /// Says how many things are done; cheap enough to be called for every thousandth.
    pub fn show(&mut self, verb: &str, count: u64) {
        let now = Instant::now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = Some(now + INTERVAL);
        self.is_shown = true;
        let rate = count as f64 / (now - self.started).as_secs_f64();
        write_over(&format!("{verb} {count} entries, {rate:.0} a second"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            write_over("");
        }
    }
}

/// Writes a line in place of the last one; there is no one to tell when that fails.
fn write_over(text: &str) {
    let _ = io::stderr().write_all(format!("\r\x1b[K{text}").as_bytes());
}
