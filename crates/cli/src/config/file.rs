//! `pronto.conf` as it is read: TOML that knows the line of each key.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, Key as TomlKey, TableLike, TomlError};

use super::Flags;
use super::keys::{self, KEYS};
use crate::exit::Failure;
use crate::files;
use crate::paths::{RootError, Roots};

/// A configuration file that was read.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    document: Document<String>,
}

impl ConfigFile {
    /// Reads the file in use, if there is one: that of `--config`, which must be there, or the usual one.
    ///
    /// # Errors
    /// A file that cannot be read, or is no TOML; a directory that the environment names and that is refused.
    pub fn find(flags: &Flags, roots: Roots<'_>) -> Result<Option<Self>, Failure> {
        if let Some(path) = &flags.config {
            return Self::read(path)?.map(Some).ok_or_else(|| missing(path));
        }
        match roots.config_file() {
            Ok(path) => Self::read(&path),
            Err(refused @ RootError::Refused { .. }) => Err(refused.into()),
            Err(RootError::NoHome | RootError::BadHome(_)) => Ok(None),
        }
    }

    /// Reads the file at `path`; `None` if there is none.
    ///
    /// # Errors
    /// A file that cannot be read, or is no TOML.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        match fs::read(path) {
            Ok(bytes) => Self::parse(path, bytes).map(Some),
            Err(error) if files::is_absent(&error) => Ok(None),
            Err(error) => Err(Failure::io(format_args!("cannot read {}", path.display()), &error)),
        }
    }

    /// Reads what the file at `path` holds.
    pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, Failure> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = line_at(error.as_bytes(), error.utf8_error().valid_up_to());
            Failure::invalid(format!("{}, line {line}, is not UTF-8", path.display()))
        })?;
        let document = Document::parse(text.clone()).map_err(|error| not_toml(path, &text, &error))?;
        Ok(Self { path: path.to_owned(), document })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The document, to be changed.
    pub(super) fn into_document(self) -> DocumentMut {
        self.document.into_mut()
    }

    /// The value of a key as text, whatever kind of scalar it is; an error says what it is instead.
    pub(super) fn value(&self, name: &str) -> Result<Option<Cow<'_, str>>, Failure> {
        let Some((_, item)) = self.entry(name) else { return Ok(None) };
        match scalar(item) {
            Some(text) => Ok(Some(text)),
            None => Err(Failure::invalid(format!(
                "{name} in {} is of the type {}; a text or a whole number is needed",
                self.place(name),
                item.type_name()
            ))),
        }
    }

    /// The file, and the line that `name` stands on.
    pub(super) fn place(&self, name: &str) -> String {
        let key = self.entry(name).map(|(key, _)| key);
        self.place_of(key)
    }

    /// A sentence for each key that means nothing to this program.
    pub(super) fn unknown_keys(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        self.warn_of_unknown_keys("", self.document.as_table(), &mut warnings);
        warnings
    }

    fn warn_of_unknown_keys(&self, parent: &str, table: &dyn TableLike, warnings: &mut Vec<String>) {
        for (key, item) in table.iter() {
            let name = format!("{parent}{key}");
            if KEYS.iter().any(|known| known.name == name) {
                continue;
            }
            let inside = format!("{name}.");
            match item.as_table_like() {
                Some(table) if KEYS.iter().any(|known| known.name.starts_with(&inside)) => {
                    self.warn_of_unknown_keys(&inside, table, warnings);
                }
                _ => warnings.push(self.unknown_key(&name, table.get_key_value(key).map(|(key, _)| key))),
            }
        }
    }

    fn unknown_key(&self, name: &str, key: Option<&TomlKey>) -> String {
        let advice = match keys::near(name)[..] {
            [] => format!("known are {}", keys::listed(KEYS.iter().map(|key| key.name))),
            ref names => format!("did you mean {}?", names.join(" or ")),
        };
        format!("unknown key `{}` in {}; {advice}", name.escape_debug(), self.place_of(key))
    }

    fn place_of(&self, key: Option<&TomlKey>) -> String {
        let path = self.path.display();
        match key.and_then(TomlKey::span) {
            Some(span) => format!("{path}, line {}", line_at(self.document.raw().as_bytes(), span.start)),
            None => path.to_string(),
        }
    }

    /// The key and the item that a name with dots leads to.
    fn entry(&self, name: &str) -> Option<(&TomlKey, &Item)> {
        let (tables, last) =
            name.rsplit_once('.').map_or((None, name), |(tables, last)| (Some(tables), last));
        let mut table: &dyn TableLike = self.document.as_table();
        for part in tables.into_iter().flat_map(|tables| tables.split('.')) {
            table = table.get(part)?.as_table_like()?;
        }
        table.get_key_value(last)
    }
}

fn scalar(item: &Item) -> Option<Cow<'_, str>> {
    if let Some(text) = item.as_str() {
        return Some(text.into());
    }
    if let Some(number) = item.as_integer() {
        return Some(number.to_string().into());
    }
    item.as_bool().map(|truth| if truth { "true" } else { "false" }.into())
}

/// The failure of a file that `--config` names and that is not there.
pub(super) fn missing(path: &Path) -> Failure {
    Failure::invalid(format!("--config {}; there is no such file", path.display()))
        .hint("make the file first; an empty one will do")
}

fn not_toml(path: &Path, text: &str, error: &TomlError) -> Failure {
    let at = error.span().map_or(0, |span| span.start);
    let why = error.message().replace('\n', ", ");
    Failure::invalid(format!("{}, line {}, is not TOML; {why}", path.display(), line_at(text.as_bytes(), at)))
}

/// The number of the line that the byte at `at` is on.
fn line_at(text: &[u8], at: usize) -> usize {
    1 + text.iter().take(at).filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<ConfigFile, Failure> {
        ConfigFile::parse(Path::new("/c"), text.to_vec())
    }

    #[test]
    fn scalars_are_texts() {
        let file = parse(b"a = 'x'\nb = 5_000\nc = false\nd.e = 0x10\nf = { g = \"y\" }\n").unwrap();
        for (name, text) in [("a", "x"), ("b", "5000"), ("c", "false"), ("d.e", "16"), ("f.g", "y")] {
            assert_eq!(file.value(name).unwrap().as_deref(), Some(text), "{name}");
        }
        for name in ["z", "d.z", "a.z", "z.z"] {
            assert_eq!(file.value(name).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn other_values_are_refused_by_their_type() {
        let file = parse(b"a = 1.5\nb = [1]\nc = 2026-11-21\n[d]\n").unwrap();
        for (name, kind) in [("a", "float"), ("b", "array"), ("c", "datetime"), ("d", "table")] {
            let message = file.value(name).unwrap_err().message;
            assert!(message.contains(&format!("of the type {kind};")), "{message}");
        }
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        for text in ["a = 1\nb = \n", "a = 1\na = 2\n", "a = 1\n[b\n", "a = 1\nb = 99999999999999999999\n"] {
            let message = parse(text.as_bytes()).unwrap_err().message;
            assert!(message.starts_with("/c, line 2, is not TOML; "), "{text:?}: {message}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_refused_with_its_line() {
        assert_eq!(parse(b"a = 1\n\nb = '\xff'").unwrap_err().message, "/c, line 3, is not UTF-8");
    }

    #[test]
    fn a_byte_order_mark_is_no_key() {
        let file = parse("\u{feff}a = 1\n".as_bytes()).unwrap();
        assert_eq!(file.value("a").unwrap().as_deref(), Some("1"));
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!([0, 1, 2, 3].map(|at| line_at(b"a\nb", at)), [1, 1, 2, 2]);
    }
}
