//! Small texts: times, moments, settings, metakeys and positions, which come back as they are shown; and globs, which match what a
//! slow and simple matcher does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prontodb_core::auth::Role;
use prontodb_core::store::{CacheSettings, HistorySettings, Position, Table};
use prontodb_core::glob::Glob;
use prontodb_core::metakeys::Selector;
use prontodb_core::{Metakeys, Millis, Ttl};

fuzz_target!(|input: (&str, &str)| {
    let (text, other) = input;
    if let Ok(ttl) = Ttl::parse(text) {
        assert_eq!(Ttl::parse(&ttl.to_string()), Ok(ttl));
    }
    if let Some(moment) = Millis::parse(text) {
        assert_eq!(Millis::parse(&moment.to_string()), Some(moment));
    }
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string().parse().ok(), Some(position));
    }
    if let Ok(Some(metakeys)) = Metakeys::from_json(text) {
        assert_eq!(Metakeys::from_json(&metakeys.to_json()).ok(), Some(Some(metakeys)));
    }
    let _ = (CacheSettings::parse(text), HistorySettings::parse(text), text.parse::<Role>(), text.parse::<Selector>());
    let _ = text.parse::<Table>();
    if let Ok(glob) = text.parse::<Glob>()
        && text.len() < 12
        && other.len() < 24
        && !text.contains(['[', '\\'])
    {
        let (pattern, name): (Vec<_>, Vec<_>) = (text.chars().collect(), other.chars().collect());
        assert_eq!(glob.matches(other), matches(&pattern, &name));
    }
});

/// By the definition of `*` and `?`.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|taken| matches(rest, &text[taken..])),
        Some((c, rest)) => text.split_first().is_some_and(|(t, left)| (*c == '?' || c == t) && matches(rest, left)),
    }
}
