//! The keys of the configuration. The table in this file is the only place that knows them: loading, `config get`,
//! `set` and `list`, their help, and the names of environment variables all follow from it.

use std::fmt;

use crate::engines::Durability;
use prontodb_core::Delimiter;
use prontodb_core::address::{AddressError, DEFAULT_NAME, Namespace};

use super::{Layers, Setting, Source};
use crate::args::Words;
use crate::exit::Failure;

/// The longest that SQLite can be told to wait.
const MAX_BUSY_TIMEOUT_MS: u64 = i32::MAX as u64;
/// SQLite holds 1,000,000,000 bytes in a row, of which the entry's name and head need some.
const MAX_VALUE_BYTES: u64 = 900_000_000;

/// More backups, and more days, than anybody counts.
const MAX_KEEP: u64 = 100_000;

/// Writes [`Settings`] and [`KEYS`] from lines `field: type = name, default, reader, meaning;`.
macro_rules! keys {
    ($($field:ident: $type:ty = $name:literal, $default:expr, $read:path, $meaning:literal;)*) => {
        /// What a command goes by, each value with where it came from.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $(#[doc = $meaning] pub $field: Setting<$type>,)*
        }

        /// All keys, in the order of their names.
        pub static KEYS: [Key; [$($name),*].len()] = [$(Key {
            name: $name,
            variable: {
                const NAME: [u8; PREFIX.len() + $name.len()] = variable($name);
                utf8(&NAME)
            },
            default: $default,
            meaning: $meaning,
            check: |text| $read(text).map(|value| value.plain()),
        },)*];

        /// Their names.
        pub const NAMES: Words = Words(&[$($name),*]);

        impl Settings {
            /// Finds and checks each value by itself.
            pub(super) fn read(layers: &Layers<'_>) -> Result<Self, Failure> {
                let [$($field),*] = &KEYS;
                Ok(Self { $($field: layers.setting($field, $read)?,)* })
            }

            /// All values as texts and numbers, in the order of [`KEYS`].
            pub fn entries(&self) -> Vec<Entry<'_>> {
                let [$($field),*] = &KEYS;
                vec![$(Entry {
                    key: $field,
                    value: self.$field.value.plain(),
                    source: &self.$field.source,
                },)*]
            }
        }
    };
}

keys! {
    age_identity: String = "age_identity", "", read_identity, "The file of the age identity that unlocks encrypted namespaces";
    backup_age_recipient: String = "backup.age_recipient", "", read_recipient, "Whom backups are encrypted for, age1…; empty for nobody";
    backup_directory: String = "backup.directory", "", read_directory, "The folder of backups, in place of the one beside the databases";
    backup_keep: u64 = "backup.keep", "0", read_keep, "How many backups of a database are kept; 0 keeps all";
    backup_keep_days: u64 = "backup.keep_days", "0", read_keep, "For how many days they are kept; 0 keeps all";
    busy_timeout_ms: u64 = "busy_timeout_ms", "5000", read_busy_timeout, "Milliseconds to wait while others write";
    compress_above_bytes: u64 = "compress_above_bytes", "4096", read_compress_above, "Longer values are compressed where that saves a tenth; 0 compresses none";
    default_namespace: String = "default_namespace", DEFAULT_NAME, read_namespace, "The namespace of addresses that name none";
    default_project: String = "default_project", DEFAULT_NAME, read_project, "The project of addresses that name none";
    durability: Durability = "durability", "normal", read_durability, "With `full`, no power cut undoes a write that is done; with `normal` it may undo the last ones";
    max_value_bytes: u64 = "max_value_bytes", "67108864", read_value_bytes, "The largest value that is stored";
    ns_delim: Delimiter = "ns_delim", ".", read_delimiter, "The character between the parts of an address";
    security_local: bool = "security.local", "false", read_truth, "With `true`, every command has to prove who it is, with PRONTO_SESSION or PRONTO_API_KEY";
    security_required: bool = "security.required", "true", read_truth, "Whether streams begin with credentials; PRONTO_SECURITY says the same";
}

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// How it is written in the file.
    pub name: &'static str,
    /// The environment variable that says the same.
    pub variable: &'static str,
    /// Its value where nothing gives one.
    pub default: &'static str,
    /// What it is for, in one line.
    pub meaning: &'static str,
    check: fn(&str) -> Result<Plain, String>,
}

impl Key {
    /// The key called `name`.
    ///
    /// # Errors
    /// There is none; the failure lists those there are, and those that look alike.
    pub fn named(name: &str) -> Result<&'static Self, Failure> {
        KEYS.iter().find(|key| key.name == name).ok_or_else(|| unknown_key(name))
    }

    /// Reads a value for this key.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn check(&self, text: &str) -> Result<Plain, String> {
        (self.check)(text)
    }
}

/// A key, its value, and where that came from.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'static Key,
    /// Its value.
    pub value: Plain,
    /// What gave it.
    pub source: &'a Source,
}

/// A value in the form that is printed and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A number, which TOML and JSON write without quotes.
    Number(u64),
    /// Any other value.
    Text(String),
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Values that have a plain form.
trait ToPlain {
    fn plain(&self) -> Plain;
}

impl ToPlain for u64 {
    fn plain(&self) -> Plain {
        Plain::Number(*self)
    }
}

impl ToPlain for bool {
    fn plain(&self) -> Plain {
        Plain::Text(self.to_string())
    }
}

impl ToPlain for String {
    fn plain(&self) -> Plain {
        Plain::Text(self.clone())
    }
}

impl ToPlain for Delimiter {
    fn plain(&self) -> Plain {
        Plain::Text(self.to_string())
    }
}

impl ToPlain for Durability {
    fn plain(&self) -> Plain {
        let word = match self {
            Self::Normal => "normal",
            Self::Full => "full",
        };
        Plain::Text(word.to_owned())
    }
}

fn read_busy_timeout(text: &str) -> Result<u64, String> {
    number(text, 0, MAX_BUSY_TIMEOUT_MS)
}

fn read_compress_above(text: &str) -> Result<u64, String> {
    number(text, 0, MAX_VALUE_BYTES)
}

fn read_identity(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("an absolute path is needed".to_owned()),
    }
}

fn read_directory(text: &str) -> Result<String, String> {
    read_identity(text)
}

fn read_recipient(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with("age1") {
        true => Ok(text.to_owned()),
        false => Err("an age recipient, age1…, is needed".to_owned()),
    }
}

fn read_keep(text: &str) -> Result<u64, String> {
    number(text, 0, MAX_KEEP)
}

fn read_value_bytes(text: &str) -> Result<u64, String> {
    number(text, 1, MAX_VALUE_BYTES)
}

fn number(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number && (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("a whole number from {min} to {max} is needed")),
    }
}

fn read_durability(text: &str) -> Result<Durability, String> {
    match text {
        "normal" => Ok(Durability::Normal),
        "full" => Ok(Durability::Full),
        _ => Err("`normal` or `full` is needed".to_owned()),
    }
}

fn read_truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "`true` or `false` is needed".to_owned())
}

fn read_delimiter(text: &str) -> Result<Delimiter, String> {
    text.parse().map_err(|error: AddressError| error.to_string())
}

fn read_project(text: &str) -> Result<String, String> {
    match Namespace::new(text, DEFAULT_NAME) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn read_namespace(text: &str) -> Result<String, String> {
    match Namespace::new(DEFAULT_NAME, text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

const PREFIX: &str = "PRONTO_";

/// `PRONTO_` and the key's name in capitals, `_` for `.`; `N` is the length of both.
const fn variable<const N: usize>(name: &str) -> [u8; N] {
    let mut variable = [0; N];
    let mut at = 0;
    while at < N {
        variable[at] = match at.checked_sub(PREFIX.len()) {
            None => PREFIX.as_bytes()[at],
            Some(at) if name.as_bytes()[at] == b'.' => b'_',
            Some(at) => name.as_bytes()[at].to_ascii_uppercase(),
        };
        at += 1;
    }
    variable
}

const fn utf8(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("names of keys are ASCII"),
    }
}

/// The failure of a name that is no key: it lists those there are, and those that look alike.
pub fn unknown_key(name: &str) -> Failure {
    let failure = Failure::invalid(format!(
        "`{}` is no key of the configuration; known are {}",
        name.escape_debug(),
        listed(KEYS.iter().map(|key| key.name))
    ));
    match near(name)[..] {
        [] => failure,
        ref names => failure.hint(format!("did you mean {}?", names.join(" or "))),
    }
}

/// The names with commas between them.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The keys that somebody who wrote `name` may have meant.
pub(super) fn near(name: &str) -> Vec<&'static str> {
    let name = name.to_lowercase().replace('-', "_");
    KEYS.iter().map(|key| key.name).filter(|known| is_near(&name, known)).collect()
}

fn is_near(name: &str, known: &str) -> bool {
    let is_part = name.len() >= 3 && (known.contains(name) || name.contains(known));
    is_part || strsim::damerau_levenshtein(name, known) <= known.len() / 4
}

/// The keys with what they mean, for the help of `config`.
pub fn help() -> String {
    let mut text = "Keys, and the variables of the environment that say the same:\n".to_owned();
    for Key { name, variable, default, meaning, .. } in &KEYS {
        text.push_str(&format!("\n  {name}, {variable} (default {default})\n      {meaning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str) -> Result<Plain, String> {
        Key::named(name).unwrap().check(text)
    }

    #[test]
    fn keys_stand_in_the_order_of_their_names() {
        assert!(KEYS.is_sorted_by_key(|key| key.name));
    }

    #[test]
    fn defaults_are_good_values() {
        for key in &KEYS {
            assert_eq!(key.check(key.default).map(|value| value.to_string()), Ok(key.default.to_owned()));
        }
    }

    #[test]
    fn variables_are_named_after_keys() {
        let variables: Vec<_> = KEYS.iter().map(|key| key.variable).collect();
        let wanted = [
            "AGE_IDENTITY",
            "BACKUP_AGE_RECIPIENT",
            "BACKUP_DIRECTORY",
            "BACKUP_KEEP",
            "BACKUP_KEEP_DAYS",
            "BUSY_TIMEOUT_MS",
            "COMPRESS_ABOVE_BYTES",
            "DEFAULT_NAMESPACE",
            "DEFAULT_PROJECT",
            "DURABILITY",
            "MAX_VALUE_BYTES",
            "NS_DELIM",
            "SECURITY_LOCAL",
            "SECURITY_REQUIRED",
        ];
        assert_eq!(variables, wanted.map(|name| format!("PRONTO_{name}")));
        const DOTTED: [u8; 16] = variable("backup.ok");
        assert_eq!(utf8(&DOTTED), "PRONTO_BACKUP_OK");
    }

    #[test]
    fn numbers_are_whole_and_within_bounds() {
        assert_eq!(check("busy_timeout_ms", "0"), Ok(Plain::Number(0)));
        assert_eq!(check("busy_timeout_ms", "007"), Ok(Plain::Number(7)));
        assert_eq!(check("max_value_bytes", "900000000"), Ok(Plain::Number(900_000_000)));
        for (name, text) in [
            ("busy_timeout_ms", ""),
            ("busy_timeout_ms", "+5"),
            ("busy_timeout_ms", "-5"),
            ("busy_timeout_ms", "5s"),
            ("busy_timeout_ms", " 5"),
            ("busy_timeout_ms", "1.5"),
            ("busy_timeout_ms", "2147483648"),
            ("busy_timeout_ms", "99999999999999999999999"),
            ("max_value_bytes", "0"),
            ("max_value_bytes", "900000001"),
        ] {
            let why = check(name, text).unwrap_err();
            assert!(why.starts_with("a whole number from "), "{name} {text:?}: {why}");
        }
    }

    #[test]
    fn words_names_and_characters_are_checked() {
        assert_eq!(check("durability", "full"), Ok(Plain::Text("full".to_owned())));
        assert!(check("durability", "Full").unwrap_err().contains("`normal` or `full`"));
        assert_eq!(check("ns_delim", "→"), Ok(Plain::Text("→".to_owned())));
        assert!(check("ns_delim", "ab").unwrap_err().contains("one character is needed"));
        assert!(check("default_project", "").unwrap_err().contains("the project is empty"));
        assert!(
            check("default_namespace", &"n".repeat(65)).unwrap_err().contains("the namespace is 65 bytes")
        );
    }

    #[test]
    fn unknown_keys_bring_up_those_that_look_alike() {
        for (written, meant) in [
            ("busy_timeout", vec!["busy_timeout_ms"]),
            ("busy-timeout-ms", vec!["busy_timeout_ms"]),
            ("NS_DELIM", vec!["ns_delim"]),
            ("ns_delm", vec!["ns_delim"]),
            ("delim", vec!["ns_delim"]),
            ("max", vec!["max_value_bytes"]),
            ("default", vec!["default_namespace", "default_project"]),
            ("durabilty", vec!["durability"]),
            ("colour", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(near(written), meant, "{written}");
        }
        let failure = Key::named("default").unwrap_err();
        assert_eq!(failure.hint.unwrap(), "did you mean default_namespace or default_project?");
        assert!(
            Key::named("colour")
                .unwrap_err()
                .message
                .contains("known are age_identity, backup.age_recipient, backup.dir")
        );
    }

    #[test]
    fn help_tells_of_every_key() {
        let help = help();
        for key in &KEYS {
            assert!(help.contains(&format!("{}, {} (default {})", key.name, key.variable, key.default)));
            assert!(help.contains(key.meaning));
        }
    }
}
