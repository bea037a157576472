//! Moments and durations as users write them.

use std::time::Duration;

use prontodb_core::{Millis, Ttl};

use crate::exit::Failure;
use crate::waiting;

/// Reads a moment: RFC 3339, `YYYY-MM-DD HH:MM:SS` in UTC, or how long before `now` it was.
pub fn moment(text: &str, now: Millis) -> Result<Millis, Failure> {
    let has_unit = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    if let Some(ago) = Ttl::parse(text).ok().filter(|_| has_unit) {
        return Ok(Millis(now.0.saturating_sub(ago.millis())));
    }
    absolute(text).ok_or_else(|| {
        Failure::invalid(format!("`{}` is no moment", text.escape_debug()))
            .hint("2026-11-21T09:30:00Z, \"2026-11-21 09:30:00\" in UTC, and 15m for so long ago are moments")
    })
}

fn absolute(text: &str) -> Option<Millis> {
    if !text.is_ascii() || text.len() < 19 {
        return None;
    }
    let (day, rest) = (&text[..10], &text[11..]);
    if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    let at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(at);
    let local = Millis::parse(&format!("{day}T{time}Z"))?;
    let ahead = match zone {
        "" | "Z" | "z" => 0,
        zone => offset(zone)?,
    };
    Some(Millis(local.0 - ahead))
}

/// `+02:00` in milliseconds.
fn offset(zone: &str) -> Option<i64> {
    let (hours, minutes) = zone.get(1..)?.split_once(':').filter(|_| zone.len() == 6)?;
    let number = |digits: &str, below: i64| digits.parse::<u8>().ok().map(i64::from).filter(|n| *n < below);
    let ahead = (number(hours, 24)? * 60 + number(minutes, 60)?) * 60_000;
    Some(if zone.starts_with('-') { -ahead } else { ahead })
}

/// Reads a duration with its unit.
pub fn span(flag: &str, text: &str) -> Result<Duration, Failure> {
    match Ttl::parse(text) {
        Ok(span) => Ok(waiting::duration(span)),
        Err(_) => Err(Failure::usage(format!(
            "{flag} needs a duration, such as 500ms, 30s or 24h, and not `{}`",
            text.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form() {
        let now = Millis(1_795_253_400_123);
        for (text, at) in [
            ("2026-11-21T09:30:00.123Z", now.0),
            ("2026-11-21T09:30:00Z", now.0 - 123),
            ("2026-11-21t09:30:00z", now.0 - 123),
            ("2026-11-21 09:30:00", now.0 - 123),
            ("2026-11-21T11:30:00.123+02:00", now.0),
            ("2026-11-21T04:00:00.123-05:30", now.0),
            ("15m", now.0 - 900_000),
            ("1h 30m", now.0 - 5_400_000),
        ] {
            assert_eq!(moment(text, now).unwrap().0, at, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "15",
            "2026-11-21",
            "09:30:00",
            "2026-13-21 09:30:00",
            "2026-11-21T09:30:00+2",
            "2026-11-21T09:30:00+25:00",
            "2026-11-21_09:30:00",
            "2026-11-21T09:30:00é",
        ] {
            assert!(moment(text, Millis(0)).is_err(), "{text}");
        }
    }
}
