//! The audit log as a chain: each record has the hash of the one before it in its own.
//!
//! Whoever changes, removes or inserts a record has to make all hashes behind it anew. They can: nothing here is secret. What
//! proves that they have not is a hash that somebody noted elsewhere (docs/design/0023-audit-chain.md).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit::Event;
use crate::clock::Millis;
use crate::engine::{Catalog, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::records::{self, Kept};
use crate::store::Store;

/// How many records are read at a time.
const PAGE: usize = 1000;
/// What the last link is kept under.
const HEAD: &str = "head";
/// Digits of a hash.
const HASH_DIGITS: usize = 64;

/// What is found in a log whose records all fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// How many records are in the chain.
    pub records: u64,
    /// How many stand before it, from programs that made none.
    pub unchained: u64,
    /// The hash of its first record.
    pub first: Option<String>,
    /// The hash of its last.
    pub last: Option<String>,
}

/// A record that does not fit, or that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The key of the record; `None` where one is missing behind the last.
    pub key: Option<String>,
    /// What is wrong with it.
    pub what: &'static str,
}

/// What came of looking at every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Each follows the one before it.
    Whole(Chain),
    /// Each up to this one does.
    Broken(Break),
}

/// An event as it is kept, with nothing in it that the hash is not of.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    at: i64,
    who: String,
    origin: String,
    action: String,
    target: String,
    done: bool,
    /// The hash of the record before; of the first, what [`follow_old`] makes of the records without one before it, and none
    /// where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// None in records from before there was a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl Kept for Link {
    const CATALOG: Catalog = Catalog::Audit;
}

/// Where the chain has come to, so that nobody has to look for its end.
#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    hash: String,
    records: u64,
}

impl Kept for Head {
    const CATALOG: Catalog = Catalog::AuditHead;
}

impl Link {
    fn new(key: &str, event: &Event, before: Option<String>) -> Self {
        let hash = Some(hash(before.as_deref(), key, event));
        let Event { at, who, origin, action, target, done } = event.clone();
        Self { at, who, origin, action, target, done, before, hash }
    }

    fn is_unchanged(&self, key: &str) -> bool {
        let Self { at, who, origin, action, target, done, before, hash: kept } = self;
        let form = json!([before, key, at, who, origin, action, target, done]);
        kept.as_deref() == Some(&hash_of(&form))
    }
}

/// Adds an event behind all others, also behind those that a clock in advance has dated later.
pub(crate) fn append(txn: &mut dyn Txn, event: &Event) -> Result<()> {
    let head: Option<Head> = records::find(txn, HEAD)?;
    let moment = Millis(event.at).0.max(0);
    let (last, before, records) = match head {
        Some(Head { key, hash, records }) => (Some(key), Some(hash), records),
        None => begin(txn, moment)?,
    };
    let key = key_behind(last.as_deref(), moment);
    let link = Link::new(&key, event, before);
    records::keep(txn, &key, &link)?;
    let hash = link.hash.unwrap_or_default();
    records::keep(txn, HEAD, &Head { key, hash, records: records + 1 })
}

/// What a chain begins behind: the last record if it is of this moment or later, and what [`follow_old`] makes of all.
fn begin(txn: &dyn Txn, moment: i64) -> Result<(Option<String>, Option<String>, u64)> {
    let (mut last, mut before) = (None, None);
    loop {
        let after = last.as_deref().unwrap_or_default();
        let page = txn.records(Catalog::Audit, after, PAGE)?;
        for (key, record) in &page {
            before = Some(follow_old(before.as_deref(), key, record));
        }
        match page.into_iter().last() {
            Some((key, _)) => last = Some(key),
            None => break,
        }
    }
    let is_later = |key: &String| *key > format!("{moment:015}");
    Ok((last.filter(is_later), before, 0))
}

/// The first key of a moment, or the next one behind the last where that is later.
fn key_behind(last: Option<&str>, moment: i64) -> String {
    let parts = last.and_then(|key| key.split_once('-'));
    let last = parts.and_then(|(at, number)| Some((at.parse::<i64>().ok()?, number.parse::<u64>().ok()?)));
    match last {
        Some((at, number)) if at >= moment => format!("{at:015}-{:06}", number + 1),
        _ => format!("{moment:015}-000000"),
    }
}

/// The BLAKE3 hash of a JSON array of what is before and all that is in a record.
fn hash(before: Option<&str>, key: &str, event: &Event) -> String {
    let Event { at, who, origin, action, target, done } = event;
    hash_of(&json!([before, key, at, who, origin, action, target, done]))
}

/// The same of a record that has none, from before there was a chain: of its text, and what was made of those before it.
fn follow_old(before: Option<&str>, key: &str, record: &str) -> String {
    hash_of(&json!([before, key, record]))
}

fn hash_of(form: &serde_json::Value) -> String {
    blake3::hash(form.to_string().as_bytes()).to_hex().to_string()
}

impl Store {
    /// Looks whether each record of the audit log follows the one before it, and whether one of them has the hash
    /// `expected`, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to all but admins; [`ErrorKind::Invalid`] for what is no hash; those of reading.
    pub fn verify_audit_log(&self, expected: Option<&str>) -> Result<Verified> {
        self.require_admin()?;
        let expected = expected.map(check_hash).transpose()?;
        let mut verified = None;
        self.engine().read(&mut |view| {
            verified = Some(Walk::over(view, expected.clone())?);
            Ok(())
        })?;
        verified.ok_or_else(|| Error::new(ErrorKind::Io, "the engine did not show the data"))
    }
}

/// A hash in the letters that ours have.
fn check_hash(text: &str) -> Result<String> {
    if text.len() == HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let what =
        format!("`{}` is no hash of a record; {HASH_DIGITS} hexadecimal digits are", super::shown(text));
    Err(Error::new(ErrorKind::Invalid, what))
}

/// Reads a record; what is in it besides what a hash is of was put there by somebody else.
fn read(record: &str) -> Result<Link, &'static str> {
    records::read::<Link>(record).map_err(|_| match records::read::<Event>(record) {
        Ok(_) => "it was changed: it holds what no record has",
        Err(_) => "it cannot be read",
    })
}

/// What has been seen of a log so far.
struct Walk {
    chain: Chain,
    /// What the next record has to follow.
    before: Option<String>,
    expected: Option<String>,
}

impl Walk {
    fn over(view: &dyn View, expected: Option<String>) -> Result<Verified> {
        let mut walk = Self { chain: Chain::default(), before: None, expected };
        let mut after = String::new();
        loop {
            let page = view.records(Catalog::Audit, &after, PAGE)?;
            for (key, record) in &page {
                if let Err(what) = walk.step(key, record) {
                    return Ok(Verified::Broken(Break { key: Some(key.clone()), what }));
                }
            }
            match page.into_iter().last() {
                Some((last, _)) => after = last,
                None => return walk.end(view),
            }
        }
    }

    /// Looks at the next record.
    fn step(&mut self, key: &str, record: &str) -> Result<(), &'static str> {
        let link = read(record)?;
        if link.hash.is_none() && self.chain.last.is_none() {
            self.chain.unchained += 1;
            self.before = Some(follow_old(self.before.as_deref(), key, record));
            return Ok(());
        }
        if link.hash.is_none() {
            return Err("it is in no chain, and stands behind records that are: it was inserted or changed");
        }
        if !link.is_unchanged(key) {
            return Err("it was changed");
        }
        if link.before != self.before {
            return Err(match self.chain.last {
                Some(_) => "it does not follow the one before it: a record was removed or inserted there",
                None => {
                    "it does not begin where the chain began: a record before it was changed, removed or inserted"
                }
            });
        }
        if link.hash == self.expected {
            self.expected = None;
        }
        self.chain.records += 1;
        self.chain.first = self.chain.first.take().or_else(|| link.hash.clone());
        self.before.clone_from(&link.hash);
        self.chain.last = link.hash;
        Ok(())
    }

    /// Looks whether that was all.
    fn end(self, view: &dyn View) -> Result<Verified> {
        let head: Option<Head> = records::find(view, HEAD)?;
        let known = head.map(|head| (head.records, Some(head.hash))).unwrap_or_default();
        let missing = |what| Ok(Verified::Broken(Break { key: None, what }));
        if known != (self.chain.records, self.chain.last.clone()) {
            return missing(
                "what the log ends with is not what was written last: records at its end were removed or added",
            );
        }
        if self.expected.is_some() {
            return missing(
                "no record has the hash that is expected: the log is another one, or was made anew",
            );
        }
        Ok(Verified::Whole(self.chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_only_grow() {
        assert_eq!(key_behind(None, 7), "000000000000007-000000");
        assert_eq!(key_behind(Some("000000000000007-000000"), 8), "000000000000008-000000");
        assert_eq!(key_behind(Some("000000000000007-000000"), 7), "000000000000007-000001");
        assert_eq!(key_behind(Some("000000000000009-000041"), 7), "000000000000009-000042");
    }

    #[test]
    fn the_hash_is_of_all_that_is_in_a_record() {
        let event = || Event {
            at: 1,
            who: "a".to_owned(),
            origin: "b".to_owned(),
            action: "c".to_owned(),
            target: "d".to_owned(),
            done: true,
        };
        let whole = hash(None, "k", &event());
        let others = [
            hash(Some("x"), "k", &event()),
            hash(None, "l", &event()),
            hash(None, "k", &Event { at: 2, ..event() }),
            hash(None, "k", &Event { who: "ab".to_owned(), origin: String::new(), ..event() }),
            hash(None, "k", &Event { action: "cd".to_owned(), target: String::new(), ..event() }),
            hash(None, "k", &Event { done: false, ..event() }),
        ];
        assert!(others.iter().all(|other| *other != whole));
        // As docs/formats.md has it: another program finds the same.
        assert_eq!(whole, blake3::hash(br#"[null,"k",1,"a","b","c","d",true]"#).to_hex().to_string());
    }
}
