//! Time as the store sees it: milliseconds, durations that are never zero, and the clock that says what time it is.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::sys;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub i64);

impl Millis {
    /// The moment `ttl` after this one.
    pub fn after(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(ttl.millis()))
    }
}

/// RFC 3339 in UTC, to the millisecond: `2026-11-21T09:30:00.000Z`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = Duration::from_millis(self.0.clamp(0, LAST_MOMENT).unsigned_abs());
        humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch).fmt(f)
    }
}

/// The end of the year 9999, the last that has a date in RFC 3339.
const LAST_MOMENT: i64 = 253_402_300_799_999;

/// How long an entry lives: at least a millisecond, at most a hundred years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(i64);

/// The longest time to live, so that a moment plus a `Ttl` never overflows and still prints as a date.
const MAX_TTL: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// Why a text is not a time to live.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    /// Neither a number of seconds nor a duration with units.
    #[error("`{0}` is not a time to live: seconds (90) or a duration with units (90s, 15m, 2h) are")]
    Syntax(String),
    /// Zero, or less than a millisecond.
    #[error("a time to live must be longer than zero")]
    Zero,
    /// Longer than [`Ttl`] allows.
    #[error("a time to live must be at most 100 years")]
    TooLong,
}

impl Ttl {
    /// A time to live of `millis` milliseconds.
    ///
    /// # Errors
    /// [`TtlError::Zero`] and [`TtlError::TooLong`].
    pub fn from_millis(millis: u64) -> Result<Self, TtlError> {
        Self::new(Duration::from_millis(millis))
    }

    /// Reads seconds (`90`) or a duration with units (`90s`, `15m`, `2h`, `1h 30m`).
    ///
    /// # Errors
    /// Whatever is not such a text, is zero, or is longer than a hundred years.
    pub fn parse(text: &str) -> Result<Self, TtlError> {
        let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if all_digits {
            let seconds = text.parse().map_err(|_| TtlError::TooLong)?;
            return Self::new(Duration::from_secs(seconds));
        }
        let duration = humantime::parse_duration(text).map_err(|_| TtlError::Syntax(text.to_owned()))?;
        Self::new(duration)
    }

    fn new(duration: Duration) -> Result<Self, TtlError> {
        match duration {
            d if d < Duration::from_millis(1) => Err(TtlError::Zero),
            d if d > MAX_TTL => Err(TtlError::TooLong),
            d => i64::try_from(d.as_millis()).map(Self).map_err(|_| TtlError::TooLong),
        }
    }

    /// In milliseconds; always positive.
    pub fn millis(self) -> i64 {
        self.0
    }
}

/// Whole seconds where they suffice (`90s`), else milliseconds (`1500ms`): always a text that [`Ttl::parse`] reads.
impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 { write!(f, "{}s", self.0 / 1000) } else { write!(f, "{}ms", self.0) }
    }
}

impl Millis {
    /// Reads what [`Millis`] prints, or any other moment of RFC 3339 in UTC.
    pub fn parse(text: &str) -> Option<Self> {
        let since_epoch = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_millis()).ok().map(Self)
    }
}

/// A moment on the clock of a machine that nobody can set: it begins when the machine starts, and goes on while it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// Which start of the machine it was.
    pub boot: u128,
    /// Milliseconds since then.
    pub millis: u64,
}

impl Uptime {
    /// The moment `ttl` after this one.
    pub fn after(self, ttl: Ttl) -> Self {
        Self { millis: self.millis.saturating_add(ttl.millis().unsigned_abs()), ..self }
    }

    /// How long it is from here to `later`; `None` when that has come, or is of another start of the machine: whatever ran
    /// then has ended.
    pub fn until(self, later: Self) -> Option<Duration> {
        let left = later.millis.checked_sub(self.millis).filter(|left| *left > 0)?;
        (later.boot == self.boot).then(|| Duration::from_millis(left))
    }
}

/// Where the store learns what time it is.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Millis;

    /// The same on a clock that nobody sets, for what must not depend on when somebody does. `None` where the system does not
    /// tell, or not which start of the machine it is.
    fn uptime(&self) -> Option<Uptime>;
}

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> Option<Uptime> {
        sys::uptime()
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    boot: AtomicU64,
    uptime: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Millis) -> Self {
        Self { now: AtomicI64::new(now.0), boot: AtomicU64::new(1), uptime: AtomicU64::new(0) }
    }

    /// Moves on by `millis` milliseconds. Negative ones set the wall clock back, as [`ManualClock::set`] does.
    pub fn advance(&self, millis: i64) {
        self.set(millis);
        self.uptime.fetch_add(u64::try_from(millis).unwrap_or(0), Ordering::SeqCst);
    }

    /// Sets the wall clock by `millis` milliseconds, forwards or back, while no time passes.
    pub fn set(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    /// Starts the machine anew.
    pub fn reboot(&self) {
        self.boot.fetch_add(1, Ordering::SeqCst);
        self.uptime.store(0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Option<Uptime> {
        let boot = u128::from(self.boot.load(Ordering::SeqCst));
        Some(Uptime { boot, millis: self.uptime.load(Ordering::SeqCst) })
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Millis {
        (**self).now()
    }

    fn uptime(&self) -> Option<Uptime> {
        (**self).uptime()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_reads_seconds_and_units() {
        for (text, millis) in
            [("90", 90_000), ("90s", 90_000), ("15m", 900_000), ("2h", 7_200_000), ("250ms", 250)]
        {
            assert_eq!(Ttl::parse(text).map(Ttl::millis), Ok(millis), "{text}");
        }
    }

    #[test]
    fn ttl_refuses_what_is_no_lifetime() {
        for zero in ["0", "0s", "00", "1us"] {
            assert_eq!(Ttl::parse(zero), Err(TtlError::Zero), "{zero}");
        }
        for long in ["99999999999999999999999", "3200000000", "200years"] {
            assert_eq!(Ttl::parse(long), Err(TtlError::TooLong), "{long}");
        }
        for noise in ["", "abc", "-5", "1.5", "5 parsecs", "+3", " 3"] {
            assert!(matches!(Ttl::parse(noise), Err(TtlError::Syntax(_))), "{noise:?}");
        }
    }

    #[test]
    fn the_longest_ttl_is_a_hundred_years() {
        assert_eq!(Ttl::parse("3162240000").map(Ttl::millis), Ok(3_162_240_000_000));
        assert_eq!(Ttl::parse("3162240000s 1ms"), Err(TtlError::TooLong));
    }

    #[test]
    fn ttl_prints_what_it_reads() {
        for ttl in [1, 999, 1000, 1500, 3_600_000] {
            let ttl = Ttl::from_millis(ttl).unwrap();
            assert_eq!(Ttl::parse(&ttl.to_string()), Ok(ttl));
        }
        assert_eq!(["90", "1500ms"].map(|text| Ttl::parse(text).unwrap().to_string()), ["90s", "1500ms"]);
    }

    #[test]
    fn the_clock_that_nobody_sets_goes_on_until_the_machine_starts_anew() {
        let clock = std::sync::Arc::new(ManualClock::at(Millis(1_000_000)));
        let second = Ttl::from_millis(1000).unwrap();
        let later = clock.uptime().unwrap().after(second);
        assert_eq!(clock.uptime().unwrap().until(later), Some(Duration::from_secs(1)));
        clock.set(-86_400_000);
        assert_eq!(clock.now(), Millis(1_000_000 - 86_400_000));
        assert_eq!(clock.uptime().unwrap().until(later), Some(Duration::from_secs(1)));
        clock.advance(999);
        assert_eq!(clock.uptime().unwrap().until(later), Some(Duration::from_millis(1)));
        clock.advance(1);
        assert_eq!(clock.uptime().unwrap().until(later), None);
        let far = clock.uptime().unwrap().after(second);
        clock.reboot();
        assert_eq!(clock.uptime().unwrap().until(far), None);
    }

    #[test]
    fn the_system_tells_how_long_it_has_been_up() {
        let (one, next) = (SystemClock.uptime().unwrap(), SystemClock.uptime().unwrap());
        assert_eq!(one.boot, next.boot);
        assert!(one.millis <= next.millis && next.millis - one.millis < 60_000);
    }

    #[test]
    fn moments_print_as_rfc_3339() {
        assert_eq!(Millis(1_795_253_400_123).to_string(), "2026-11-21T09:30:00.123Z");
        assert_eq!(Millis::parse("2026-11-21T09:30:00.123Z"), Some(Millis(1_795_253_400_123)));
        assert_eq!(["yesterday", "1969-12-31T23:59:59Z"].map(Millis::parse), [None, None]);
        assert_eq!(Millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Millis(i64::MIN).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
