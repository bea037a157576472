//! The settings of a cache as users write them: `timeout=60;max_items=1000;policy=lru`.

use crate::clock::Ttl;
use crate::engine::{Cache, Policy, Usage};
use crate::error::{Error, ErrorKind, Result};

/// Settings that were given; what was not stays as it is, or takes its default in a new cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheSettings {
    /// The time to live of entries that are written without one.
    pub timeout: Option<Ttl>,
    /// Whether a read that meets an expired entry removes it; no unless set.
    pub evict_on_read: Option<bool>,
    /// The most entries, 0 for no limit.
    pub max_items: Option<u64>,
    /// The most bytes of names and values, 0 for no limit.
    pub max_bytes: Option<u64>,
    /// What goes first when it is full; `fifo` unless set.
    pub policy: Option<Policy>,
}

impl CacheSettings {
    /// Reads pairs `key=value` apart by `;` or blanks. A lone number or duration is the timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for unknown keys, repeated keys and values that do not fit.
    pub fn parse(text: &str) -> Result<Self> {
        let mut settings = Self::default();
        for pair in text.split(|c: char| c == ';' || c.is_whitespace()).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or(("timeout", pair));
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "timeout" | "timeout_sec" => once(key, &mut self.timeout, Ttl::parse(value)?),
            "evict_on_read" => once(key, &mut self.evict_on_read, parse_switch(value)?),
            "max_items" => once(key, &mut self.max_items, parse_limit(key, value)?),
            "max_bytes" => once(key, &mut self.max_bytes, parse_limit(key, value)?),
            "policy" => once(key, &mut self.policy, value.parse()?),
            _ => Err(invalid(format!(
                "`{key}` is no setting of a cache; timeout, evict_on_read, max_items, max_bytes and policy are"
            ))),
        }
    }

    /// The cache that `present` becomes with these settings; `None` when a new one lacks its timeout.
    pub(super) fn apply(&self, present: Option<&Cache>) -> Option<Cache> {
        let timeout = self.timeout.or(present.map(|cache| cache.timeout))?;
        let limit = |given: Option<u64>, kept: Option<u64>| match given {
            Some(0) => None,
            Some(limit) => Some(limit),
            None => kept,
        };
        Some(Cache {
            timeout,
            evict_on_read: self.evict_on_read.unwrap_or(present.is_some_and(|cache| cache.evict_on_read)),
            max_items: limit(self.max_items, present.and_then(|cache| cache.max_items)),
            max_bytes: limit(self.max_bytes, present.and_then(|cache| cache.max_bytes)),
            policy: self.policy.or(present.map(|cache| cache.policy)).unwrap_or_default(),
            usage: present.map_or_else(Usage::default, |cache| cache.usage),
        })
    }
}

fn once<T>(key: &str, place: &mut Option<T>, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(format!("`{key}` is given twice"))),
    }
}

fn parse_switch(value: &str) -> Result<bool> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(invalid(format!("evict_on_read is 0 or 1, not `{value}`"))),
    }
}

fn parse_limit(key: &str, value: &str) -> Result<u64> {
    let limit = value.parse().ok().filter(|limit| i64::try_from(*limit).is_ok());
    limit.ok_or_else(|| invalid(format!("{key} is a whole number, 0 for no limit, not `{value}`")))
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stand_apart_by_semicolons_or_blanks() {
        let expected = CacheSettings {
            timeout: Some(Ttl::parse("60").unwrap()),
            evict_on_read: Some(true),
            max_items: Some(5),
            max_bytes: Some(0),
            policy: Some(Policy::Lru),
        };
        for text in [
            "timeout=60;evict_on_read=1;max_items=5;max_bytes=0;policy=lru",
            "60 evict_on_read=1 ;max_items=5\n max_bytes=0 policy=lru;",
            "timeout_sec=1m;policy=lru;evict_on_read=1;max_items=5;max_bytes=0",
        ] {
            assert_eq!(CacheSettings::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "0",
            "-1",
            "abc",
            "timeout=",
            "timeout=0",
            "color=red",
            "=5",
            "policy=random",
            "policy=",
            "evict_on_read=yes",
            "max_items=-1",
            "max_items=lots",
            "max_bytes=99999999999999999999",
            "5 6",
            "timeout=5;timeout_sec=6",
        ] {
            assert!(CacheSettings::parse(text).is_err(), "{text}");
        }
    }
}
