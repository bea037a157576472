//! `.prontodb`: the database of those who work in a directory, once they have allowed the file.
//!
//! Such a file may come with a download, or be put into `/tmp` by anybody. So it counts for nothing until its reader has
//! seen it: what is remembered is the hash of its content, under that of its path.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use prontodb_core::Namespace;
use prontodb_core::address::DEFAULT_NAME;
use serde_json::Value;
use toml_edit::{Document, Item};

use crate::cursors::read_at_most;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::paths::Roots;
use crate::replace::Replacement;

/// The name of the file.
pub const NAME: &str = ".prontodb";

const MAX_FILE_BYTES: u64 = 64 * 1024;
const KEYS: [&str; 4] = ["database", "file", "namespace", "project"];
/// Where permissions lie, in the directory of cursors.
const PERMISSIONS: &str = "allowed";

/// A `.prontodb` as it was read.
pub struct DirectoryFile {
    /// Where it is.
    pub path: PathBuf,
    content: Vec<u8>,
}

/// What a `.prontodb` asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    /// The file of the database.
    pub database: PathBuf,
    /// The project of addresses that name none.
    pub project: Option<String>,
    /// The namespace of addresses that name none.
    pub namespace: Option<String>,
}

/// What was decided about the file at a path.
#[derive(Debug, PartialEq, Eq)]
enum Permission {
    /// Nothing, or about another content.
    Unknown {
        /// Whether another content was allowed.
        has_changed: bool,
    },
    Allowed,
    Denied,
}

/// The nearest file in the working directory or above that is not denied.
///
/// # Errors
/// Nobody has allowed it, and those of reading.
pub fn allowed(roots: Roots<'_>) -> Result<Option<DirectoryFile>, Failure> {
    for path in candidates() {
        let Some(file) = DirectoryFile::read(path)? else { continue };
        match file.permission(roots)? {
            Permission::Allowed => return Ok(Some(file)),
            Permission::Denied => {}
            Permission::Unknown { has_changed } => return Err(file.not_allowed(has_changed)),
        }
    }
    Ok(None)
}

/// The file that `word` names, by itself or by its directory; the nearest one without a word.
///
/// # Errors
/// There is none, and those of reading.
pub fn find(word: Option<&Path>) -> Result<DirectoryFile, Failure> {
    let Some(word) = word else {
        for path in candidates() {
            if let Some(file) = DirectoryFile::read(path)? {
                return Ok(file);
            }
        }
        return Err(Failure::invalid(format!("there is no {NAME} in this directory, nor above it")));
    };
    let path = located(word).map_err(|error| cannot_read(word, &error))?;
    let none = || Failure::invalid(format!("there is no file {}", path.display()));
    DirectoryFile::read(path.clone())?.ok_or_else(none)
}

/// Where `word` leads, as the working directory would name it.
fn located(word: &Path) -> io::Result<PathBuf> {
    if word.is_dir() {
        return Ok(fs::canonicalize(word)?.join(NAME));
    }
    let path = std::path::absolute(word)?;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(fs::canonicalize(folder)?.join(name)),
        _ => Ok(path),
    }
}

/// Where there may be a file: here, and above. A process whose directory has gone has none.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let mut next = env::current_dir().ok();
    std::iter::from_fn(move || {
        let directory = next.take()?;
        next = directory.parent().map(Path::to_owned);
        Some(directory.join(NAME))
    })
}

impl DirectoryFile {
    /// Reads the file at `path`; `None` where there is no regular file.
    fn read(path: PathBuf) -> Result<Option<Self>, Failure> {
        if !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let content = read_at_most(&path, MAX_FILE_BYTES).map_err(|error| cannot_read(&path, &error))?;
        match content {
            Some(content) if content.len() as u64 > MAX_FILE_BYTES => {
                Err(Failure::invalid(format!("{} is longer than 64 KiB", path.display())))
            }
            content => Ok(content.map(|content| Self { path, content })),
        }
    }

    /// What it asks for.
    ///
    /// # Errors
    /// It makes no sense; the failure names it.
    pub fn wish(&self, roots: Roots<'_>) -> Result<Wish, Failure> {
        let bad = |why: String| {
            Failure::invalid(format!("{}: {why}", self.path.display())).hint(
                "it holds `database = \"NAME\"` or `file = \"PATH\"`, and project and namespace if wanted",
            )
        };
        let text = std::str::from_utf8(&self.content).map_err(|_| bad("it is not UTF-8".to_owned()))?;
        let [database, file, namespace, project] = values(text).map_err(bad)?;
        let database = match (&database, &file) {
            (Some(name), None) => roots.database_file(name).map_err(|failure| bad(failure.message))?,
            (None, Some(file)) if !file.is_empty() => self.directory().join(file),
            (None, _) => return Err(bad("it names no database".to_owned())),
            (Some(_), Some(_)) => return Err(bad("database and file exclude each other".to_owned())),
        };
        let named = |name: &Option<String>| name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
        Namespace::new(named(&project), named(&namespace)).map_err(|error| bad(error.to_string()))?;
        Ok(Wish { database, project, namespace })
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Remembers that its content is allowed where it is.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn allow(&self, roots: Roots<'_>) -> Result<(), Failure> {
        self.remember(roots, true)
    }

    /// Remembers that the file is not wanted where it is, whatever it holds.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn deny(&self, roots: Roots<'_>) -> Result<(), Failure> {
        self.remember(roots, false)
    }

    fn remember(&self, roots: Roots<'_>, allowed: bool) -> Result<(), Failure> {
        let mut text = Vec::new();
        Object::begin(&mut text)
            .text("path", &self.path.to_string_lossy())
            .raw("allowed", if allowed { "true" } else { "false" })
            .text("blake3", &self.hash())
            .end();
        text.push(b'\n');
        Replacement::begin(&self.record(roots)?)?.finish(&text)
    }

    fn permission(&self, roots: Roots<'_>) -> Result<Permission, Failure> {
        let record = self.record(roots)?;
        let text = read_at_most(&record, MAX_FILE_BYTES).map_err(|error| cannot_read(&record, &error))?;
        let known: Value = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(match known["allowed"].as_bool() {
            Some(false) => Permission::Denied,
            Some(true) if known["blake3"] == *self.hash() => Permission::Allowed,
            is_known => Permission::Unknown { has_changed: is_known.is_some() },
        })
    }

    /// Where the permission for this path lies.
    fn record(&self, roots: Roots<'_>) -> Result<PathBuf, Failure> {
        let path = self.path.as_os_str().as_encoded_bytes();
        Ok(roots.cursors_dir()?.join(PERMISSIONS).join(blake3::hash(path).to_hex().as_str()))
    }

    fn hash(&self) -> String {
        blake3::hash(&self.content).to_hex().to_string()
    }

    fn not_allowed(&self, has_changed: bool) -> Failure {
        let path = self.path.display();
        let why = if has_changed { "has changed since it was allowed" } else { "chooses a database here" };
        Failure::new(Code::Denied, "denied", format!("{path} {why}, and nobody has allowed that"))
            .hint(format!("read it, then prontodb allow {path}, or prontodb deny {path} to pass it over"))
    }
}

/// The values of [`KEYS`] in the text of a `.prontodb`.
fn values(text: &str) -> Result<[Option<String>; KEYS.len()], String> {
    let document = Document::parse(text).map_err(|error| {
        let line = 1 + text[..error.span().map_or(0, |span| span.start)].matches('\n').count();
        format!("line {line} is not TOML; {}", error.message().replace('\n', ", "))
    })?;
    let mut values = KEYS.map(|_| None);
    for (key, item) in document.as_table() {
        let Some(at) = KEYS.iter().position(|known| *known == key) else {
            return Err(format!("unknown key `{}`; known are {}", key.escape_debug(), KEYS.join(", ")));
        };
        values[at] = Some(Item::as_str(item).ok_or_else(|| format!("{key} is no text"))?.to_owned());
    }
    Ok(values)
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot read {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(content: &str) -> Result<Wish, Failure> {
        let file = DirectoryFile { path: "/w/d/.prontodb".into(), content: content.into() };
        file.wish(Roots::new(&|name| (name == "HOME").then(|| "/h".into())))
    }

    #[test]
    fn databases_go_by_name_or_by_file() {
        let by_name = wish("database = 'shop'\nproject = 'p'\nnamespace = 'n'").unwrap();
        assert_eq!(by_name.database, Path::new("/h/.local/data/odx/prontodb/shop/pronto.shop.prdb"));
        assert_eq!((by_name.project.unwrap().as_str(), by_name.namespace.unwrap().as_str()), ("p", "n"));
        assert_eq!(wish("file = 'a/b.prdb'").unwrap().database, Path::new("/w/d/a/b.prdb"));
        assert_eq!(wish("file = '/a'").unwrap().database, Path::new("/a"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (content, why) in [
            ("", "names no database"),
            ("file = ''", "names no database"),
            ("project = 'p'", "names no database"),
            ("database = 'a'\nfile = 'b'", "exclude each other"),
            ("database = 'a'\ncolour = 'b'", "unknown key `colour`"),
            ("database = 7", "database is no text"),
            ("database = 'a'\nproject = ''", "project is empty"),
            ("database = 'a'\n=", "line 2 is not TOML"),
        ] {
            let message = wish(content).unwrap_err().message;
            assert!(message.starts_with("/w/d/.prontodb: ") && message.contains(why), "{content}: {message}");
        }
        assert!(wish("database = '../x'").unwrap_err().message.contains("cannot be the name"));
    }
}
