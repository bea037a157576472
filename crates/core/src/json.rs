//! JSON values in canonical form: sorted keys, no blanks, one way to write each number (RFC 8785).
//!
//! The form is refused where it would lose something: repeated keys, and numbers with digits that a double does not hold.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// The canonical form of a JSON text.
///
/// # Errors
/// [`ErrorKind::Invalid`] when it is no JSON, repeats a key of an object, or holds a number of which digits would be lost.
pub fn canonical(text: &[u8]) -> Result<Vec<u8>> {
    let Strict(value) =
        serde_json::from_slice(text).map_err(|e| invalid(format!("the value is no JSON; {e}")))?;
    if let Some(number) = numbers(text).find(|number| !is_exact(number)) {
        return Err(invalid(format!("canonical JSON cannot hold all digits of {number}; make it a string")));
    }
    serde_json_canonicalizer::to_vec(&value)
        .map_err(|e| invalid(format!("the value has no canonical JSON; {e}")))
}

/// Whether a text is JSON, in whatever form.
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

/// A JSON value in which no object repeats a key.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, _>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} is there twice")));
            }
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

/// The numbers of a text that is known to be JSON, as they are written.
fn numbers(text: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            match rest.first()? {
                b'"' => rest = behind_string(rest),
                b'-' | b'0'..=b'9' => {
                    let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    let end = rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len());
                    let (number, behind) = rest.split_at(end);
                    rest = behind;
                    return std::str::from_utf8(number).ok();
                }
                _ => rest = &rest[1..],
            }
        }
    })
}

/// What follows the string that `text` begins with.
fn behind_string(text: &[u8]) -> &[u8] {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return &text[at + 1..],
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    &[]
}

/// Whether canonical JSON writes this very number, in whatever spelling.
fn is_exact(number: &str) -> bool {
    let canonical =
        number.parse::<f64>().ok().and_then(|nearest| serde_json_canonicalizer::to_string(&nearest).ok());
    canonical.is_some_and(|canonical| decimal(number) == decimal(&canonical))
}

/// The significant digits of a number, and the power of ten of the last of them.
fn decimal(number: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0').to_owned();
    if significant.is_empty() {
        return Some((significant, 0));
    }
    let shift = i64::try_from(fraction.len()).ok()?;
    Some((significant, exponent.parse::<i64>().ok()?.checked_sub(shift)?.checked_add(dropped)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_text(text: &str) -> Result<String> {
        canonical(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn keys_are_sorted_and_blanks_gone() {
        assert_eq!(
            canonical_text(" { \"b\" : [1, 2.50, true], \"a\" : null } ").unwrap(),
            r#"{"a":null,"b":[1,2.5,true]}"#
        );
        assert_eq!(canonical_text(r#""é\u00e9\n\/""#).unwrap(), "\"éé\\n/\"");
    }

    #[test]
    fn numbers_have_one_spelling() {
        for (text, expected) in [
            ("1.0", "1"),
            ("1e2", "100"),
            ("-0.0", "0"),
            ("0.1", "0.1"),
            ("1E-7", "1e-7"),
            ("9007199254740991", "9007199254740991"),
            ("100000000000000000000", "100000000000000000000"),
            ("0e999", "0"),
            ("86991125246116.12", "86991125246116.12"),
        ] {
            assert_eq!(canonical_text(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_that_would_lose_digits_are_refused() {
        for text in [
            "9007199254740993",
            "12345678901234567890",
            "0.12345678901234567890",
            "[1,{\"a\":18446744073709551615}]",
            "1e400",
        ] {
            assert_eq!(canonical_text(text).unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
    }

    #[test]
    fn digits_within_strings_are_no_numbers() {
        let text = r#"{"a\"9007199254740993":"12345678901234567890"}"#;
        assert_eq!(canonical_text(text).unwrap(), text);
    }

    #[test]
    fn repeated_keys_are_refused_at_any_depth() {
        assert!(canonical_text(r#"{"a":1,"a":2}"#).is_err());
        assert!(canonical_text(r#"[{"x":{"a":1,"\u0061":2}}]"#).is_err());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "{a:1}", "nul", "1 2", "'x'", "\u{feff}1", "[1,]", "NaN"] {
            assert!(canonical_text(text).is_err(), "{text:?}");
        }
        assert!(canonical(b"\"\xff\"").is_err());
        assert!(canonical_text(&"[".repeat(100_000)).is_err());
    }
}
