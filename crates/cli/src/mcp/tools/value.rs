//! Values as tools are given them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// How many bytes a value may have that is JSON but no text: to be brought into its canonical form it takes many times as much memory.
const MOST_JSON: usize = 1024 * 1024;

/// A value: a text as it is, or other JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A text.
    Text(String),
    /// Other JSON, without blanks.
    Json(Vec<u8>),
}

impl Given {
    /// The bytes that are meant; JSON in its canonical form.
    pub fn bytes(&self, base64: bool) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Text(text) if base64 => STANDARD
                .decode(text)
                .map_err(|error| Failure::invalid(format!("the value is no base64: {error}"))),
            Self::Json(_) if base64 => Err(Failure::invalid("the value is no base64")),
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Json(text) => prontodb_core::json::canonical(text).map_err(Failure::from),
        }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

/// Keeps a text, and writes other JSON.
struct GivenVisitor;

fn plain<T: Serialize, E: Error>(value: T) -> Result<Given, E> {
    serde_json::to_vec(&value).map(Given::Json).map_err(E::custom)
}

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Given, E> {
        Ok(Given::Text(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Given, E> {
        plain(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Given, E> {
        plain(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Given, E> {
        plain(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Given, E> {
        plain(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Given, E> {
        plain(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Given, A::Error> {
        let mut text = Vec::new();
        Writer(&mut text).visit_seq(seq)?;
        Ok(Given::Json(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Given, A::Error> {
        let mut text = Vec::new();
        Writer(&mut text).visit_map(map)?;
        Ok(Given::Json(text))
    }
}

/// Writes JSON as it is read, and makes no tree of it.
struct Writer<'w>(&'w mut Vec<u8>);

impl Writer<'_> {
    fn again(&mut self) -> Writer<'_> {
        Writer(self.0)
    }

    fn plain<T: Serialize, E: Error>(self, value: T) -> Result<(), E> {
        serde_json::to_writer(&mut *self.0, &value).map_err(E::custom)?;
        if self.0.len() > MOST_JSON {
            let what =
                format!("a value that is JSON but no text may have {MOST_JSON} bytes; give it as a text");
            return Err(E::custom(what));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.plain(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        while seq.next_element_seed(self.again())?.is_some() {
            self.0.push(b',');
        }
        close(self.0, b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.0.push(b'{');
        while map.next_key_seed(self.again())?.is_some() {
            self.0.push(b':');
            map.next_value_seed(self.again())?;
            self.0.push(b',');
        }
        close(self.0, b'}');
        Ok(())
    }
}

/// Ends a list, in the place of the last comma if there is one.
fn close(text: &mut Vec<u8>, end: u8) {
    match text.last_mut() {
        Some(last) if *last == b',' => *last = end,
        _ => text.push(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Given, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_kept_as_it_is_written_but_for_blanks() {
        for text in [
            "null",
            "true",
            "-7",
            "18446744073709551615",
            "1.5",
            "[]",
            "{}",
            r#"[1,[],{"a":{},"b":[null,false]},",",[]]"#,
            r#"{"b":"ä\"\n","a":[","],"":0}"#,
        ] {
            assert_eq!(read(text), Ok(Given::Json(text.as_bytes().to_vec())), "{text}");
        }
        assert_eq!(read(" [ 1 , { \"a\" : 2 } ] "), Ok(Given::Json(br#"[1,{"a":2}]"#.to_vec())));
        assert_eq!(read(r#""[1]\n""#), Ok(Given::Text("[1]\n".to_owned())));
    }

    #[test]
    fn json_that_is_too_long_is_refused_before_all_of_it_is_read() {
        let long = format!("[{}0]", "0,".repeat(MOST_JSON / 2));
        assert!(read(&long).unwrap_err().contains("give it as a text"));
        let text = serde_json::to_string(&long).unwrap();
        assert_eq!(read(&text), Ok(Given::Text(long)));
    }
}
