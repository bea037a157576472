//! Metakeys: named attributes of keys. What they may be, how they are written down, and how entries are chosen by them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};

/// The longest name of a metakey, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest value of a metakey, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024;
/// The most metakeys of one key.
pub const MAX_METAKEYS: usize = 32;
/// The most bytes of the names and values of all metakeys of one key.
pub const MAX_BYTES: usize = 4096;

/// The metakeys of a key, in the byte order of their names. There is at least one: a key without any has none of this.
///
/// # Examples
/// ```
/// use prontodb_core::Metakeys;
///
/// let metakeys = Metakeys::with(None, "owner", "alice")?;
/// assert_eq!(metakeys.get("owner"), Some("alice"));
/// assert_eq!(metakeys.to_json(), r#"{"owner":"alice"}"#);
/// # Ok::<(), prontodb_core::Error>(())
/// ```
// Shared, because heads are cloned, and small in the heads of the many entries that have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metakeys(Arc<BTreeMap<String, String>>);

impl Metakeys {
    /// These pairs as metakeys; `None` when there is no pair.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for what is too long or too many, [`ErrorKind::Invalid`] for names that are empty or hold `=`, and
    /// for control characters.
    pub fn new(pairs: Pairs) -> Result<Option<Self>> {
        for (name, value) in &pairs.0 {
            check_name(name)?;
            check_value(name, value)?;
        }
        check_all(&pairs.0)?;
        Ok((!pairs.0.is_empty()).then(|| Self(Arc::new(pairs.0))))
    }

    /// Those that are there, and this one in place of the one of its name.
    ///
    /// # Errors
    /// Those of [`Metakeys::new`].
    pub fn with(present: Option<&Self>, name: &str, value: &str) -> Result<Self> {
        check_name(name)?;
        check_value(name, value)?;
        let mut pairs = present.map(|present| (*present.0).clone()).unwrap_or_default();
        pairs.insert(name.to_owned(), value.to_owned());
        check_all(&pairs)?;
        Ok(Self(Arc::new(pairs)))
    }

    /// Those of them that have other names; `None` when that is none.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Option<Self> {
        let mut pairs = (*self.0).clone();
        pairs.retain(|name, _| !names.contains(&name.as_str()));
        (!pairs.is_empty()).then(|| Self(Arc::new(pairs)))
    }

    /// The value of the metakey of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, in the byte order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// One JSON object of texts, in canonical form.
    pub fn to_json(&self) -> String {
        // Writing texts to memory cannot fail.
        serde_json_canonicalizer::to_string(&*self.0).unwrap_or_default()
    }

    /// Reads an object of texts; an empty one is none.
    ///
    /// # Errors
    /// Those of [`Metakeys::new`]; [`ErrorKind::Invalid`] for what is no object of texts, or repeats a name.
    pub fn from_json(text: &str) -> Result<Option<Self>> {
        let pairs = serde_json::from_str(text)
            .map_err(|error| invalid(format!("metakeys are no JSON object of texts; {error}")))?;
        Self::new(pairs)
    }
}

impl Serialize for Metakeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metakeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let metakeys = Self::new(Pairs::deserialize(deserializer)?).map_err(D::Error::custom)?;
        metakeys.ok_or_else(|| D::Error::custom("there are no metakeys"))
    }
}

/// Names and values that nobody has checked, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Pairs, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, String>()? {
            match pairs.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(value)),
                Entry::Occupied(_) => return Err(A::Error::custom("a metakey is there twice")),
            }
        }
        Ok(Pairs(pairs))
    }
}

/// What the metakeys of an entry have to be for it to be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The name of the one that has to be there.
    name: String,
    /// The value that it has to have; any will do where this is `None`.
    value: Option<String>,
}

impl Selector {
    /// The name of the metakey, and the value that it has to have, if that matters.
    pub fn parts(&self) -> (&str, Option<&str>) {
        (&self.name, self.value.as_deref())
    }

    /// Whether an entry with these metakeys is chosen.
    pub fn chooses(&self, metakeys: Option<&Metakeys>) -> bool {
        let present = metakeys.and_then(|metakeys| metakeys.get(&self.name));
        match &self.value {
            Some(wanted) => present == Some(wanted),
            None => present.is_some(),
        }
    }
}

/// `NAME=VALUE`, or `NAME` alone for any value.
impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        check_name(name)?;
        Ok(Self { name: name.to_owned(), value: value.map(str::to_owned) })
    }
}

/// Refuses what is no name of a metakey.
///
/// # Errors
/// Those of [`Metakeys::new`].
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(invalid("the name of the metakey is empty"));
    }
    if name.len() > MAX_NAME_BYTES {
        let what = format!("the name of the metakey is {} bytes long; at most {MAX_NAME_BYTES}", name.len());
        return Err(over(format!("{what} are possible")));
    }
    if name.contains('=') || name.contains(char::is_control) {
        let name = name.escape_debug();
        return Err(invalid(format!(
            "`{name}` is no name of a metakey; it holds `=` or a control character"
        )));
    }
    Ok(())
}

fn check_value(name: &str, value: &str) -> Result<()> {
    let name = name.escape_debug();
    if value.len() > MAX_VALUE_BYTES {
        let bytes = value.len();
        return Err(over(format!(
            "the metakey `{name}` is {bytes} bytes long; {MAX_VALUE_BYTES} are possible"
        )));
    }
    if value.contains(char::is_control) {
        return Err(invalid(format!(
            "the metakey `{name}` holds a control character, such as a newline or tab"
        )));
    }
    Ok(())
}

fn check_all(pairs: &BTreeMap<String, String>) -> Result<()> {
    if pairs.len() > MAX_METAKEYS {
        let what = format!("there would be {} metakeys; a key has at most {MAX_METAKEYS}", pairs.len());
        return Err(over(what));
    }
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_BYTES {
        let what =
            format!("the metakeys would take {bytes} bytes together; at most {MAX_BYTES} are possible");
        return Err(over(what));
    }
    Ok(())
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

fn over(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Limit, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(result: Result<Metakeys>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn names_and_values_have_limits() {
        let with = |name: &str, value: &str| Metakeys::with(None, name, value);
        let (long_name, long_value) = ("ä".repeat(32), "ä".repeat(512));
        assert_eq!(with(&long_name, &long_value).unwrap().get(&long_name), Some(long_value.as_str()));
        assert_eq!(with("n", "").unwrap().get("n"), Some(""));
        assert_eq!(with("n", "a=b;\"\\").unwrap().get("n"), Some("a=b;\"\\"));
        assert_eq!(kind(with(&format!("{long_name}x"), "")), ErrorKind::Limit);
        assert_eq!(kind(with("n", &format!("{long_value}x"))), ErrorKind::Limit);
        for name in ["", "a=b", "a\nb", "a\u{7f}"] {
            assert_eq!(kind(with(name, "v")), ErrorKind::Invalid, "{name:?}");
        }
        for value in ["a\nb", "\t", "\0", "\u{85}"] {
            assert_eq!(kind(with("n", value)), ErrorKind::Invalid, "{value:?}");
        }
    }

    #[test]
    fn all_metakeys_of_a_key_have_limits_together() {
        let many = (0..MAX_METAKEYS).try_fold(None, |all: Option<Metakeys>, number| {
            Metakeys::with(all.as_ref(), &format!("n{number}"), "v").map(Some)
        });
        let many = many.unwrap().unwrap();
        assert_eq!(many.iter().count(), MAX_METAKEYS);
        assert_eq!(kind(Metakeys::with(Some(&many), "another", "v")), ErrorKind::Limit);
        assert!(Metakeys::with(Some(&many), "n0", "w").is_ok());
        let full = ["a", "b", "c"].into_iter().fold(None, |all: Option<Metakeys>, name| {
            Some(Metakeys::with(all.as_ref(), name, &"v".repeat(MAX_VALUE_BYTES)).unwrap())
        });
        let rest = MAX_BYTES - 3 * (MAX_VALUE_BYTES + 1) - 1;
        assert!(Metakeys::with(full.as_ref(), "d", &"v".repeat(rest)).is_ok());
        assert_eq!(kind(Metakeys::with(full.as_ref(), "d", &"v".repeat(rest + 1))), ErrorKind::Limit);
    }

    #[test]
    fn metakeys_come_back_from_their_json() {
        // Canonical form orders by UTF-16, in which what lies beyond 16 bits comes first.
        let pairs = [("b", ""), ("a \"quoted\"", "\\ 🗝"), ("\u{ff5e}", "1"), ("🗝", "2")];
        let all = pairs.into_iter().fold(None, |all: Option<Metakeys>, (name, value)| {
            Some(Metakeys::with(all.as_ref(), name, value).unwrap())
        });
        let all = all.unwrap();
        assert_eq!(
            all.to_json(),
            "{\"a \\\"quoted\\\"\":\"\\\\ 🗝\",\"b\":\"\",\"🗝\":\"2\",\"\u{ff5e}\":\"1\"}"
        );
        assert_eq!(Metakeys::from_json(&all.to_json()).unwrap(), Some(all.clone()));
        assert_eq!(all.without(&["b", "nobody"]).unwrap().iter().count(), 3);
        assert_eq!(Metakeys::with(None, "b", "").unwrap().without(&["b"]), None);
        assert_eq!(Metakeys::from_json("{}").unwrap(), None);
        for text in ["", "[]", "null", "{\"a\":1}", "{\"a\":\"1\",\"a\":\"2\"}", "{\"a=\":\"1\"}"] {
            assert_eq!(Metakeys::from_json(text).unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
    }

    #[test]
    fn a_selector_chooses_by_name_or_by_name_and_value() {
        let metakeys = Metakeys::with(None, "owner", "a=b").unwrap();
        let chooses = |text: &str| text.parse::<Selector>().unwrap().chooses(Some(&metakeys));
        assert!(chooses("owner") && chooses("owner=a=b"));
        assert!(!chooses("owner=a") && !chooses("owner=") && !chooses("own") && !chooses("Owner"));
        assert!(!"owner".parse::<Selector>().unwrap().chooses(None));
        assert!("=a".parse::<Selector>().is_err());
    }
}
