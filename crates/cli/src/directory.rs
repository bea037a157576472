//! `.prontodb`: the database of those who work in a directory, once they have allowed the file.
//!
//! Such a file may come with a download, or be put into `/tmp` by anybody. So it counts for nothing until its reader has
//! seen it: what is remembered is the hash of its content, under that of its path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use prontodb_core::Namespace;
use serde_json::Value;
use toml_edit::{Document, Item};

use crate::exit::{Code, Failure};
use crate::files::{is_absent, read_small};
use crate::output::json::Object;
use crate::paths::{self, Roots, database_path};
use crate::replace::Replacement;

/// The name of the file.
pub const NAME: &str = ".prontodb";

const KEYS: [&str; 4] = ["database", "file", "namespace", "project"];
/// Where it is remembered what was allowed, in the directory of cursors.
const ALLOWED: &str = "allowed";

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

/// What was decided about the file at a path: that its content is allowed, or that it is passed over.
struct Decision {
    is_allowed: bool,
    hash: String,
}

/// The nearest file in the working directory or above that is not denied.
///
/// # Errors
/// Nobody has allowed it, or it cannot be told whether there is one.
pub fn allowed(roots: Roots<'_>) -> Result<Option<DirectoryFile>, Failure> {
    let Some((path, decision)) = nearest_not_denied(roots)? else { return Ok(None) };
    // What cannot be read cannot be allowed.
    let denied = |failure| Failure { code: Code::Denied, kind: "denied", ..failure };
    let file = DirectoryFile::read(path).map_err(denied)?;
    match decision {
        Some(decision) if decision.hash == file.hash() => Ok(Some(file)),
        decision => Err(file.not_allowed(decision.is_some())),
    }
}

/// The file that `word` names, by itself or by its directory; without a word the nearest that is not denied, else the
/// nearest.
///
/// # Errors
/// There is none.
pub fn find(roots: Roots<'_>, word: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(word) = word {
        return located(word);
    }
    if let Some((path, _)) = nearest_not_denied(roots)? {
        return Ok(path);
    }
    let none = || Failure::invalid(format!("there is no {NAME} in this directory, nor above it"));
    present()?.next().transpose()?.ok_or_else(none)
}

/// Lets the content of a file choose.
///
/// # Errors
/// Those of the file system.
pub fn allow(roots: Roots<'_>, file: &DirectoryFile) -> Result<(), Failure> {
    remember(roots, &file.path, &Decision { is_allowed: true, hash: file.hash() })
}

/// Passes over the file at `path`, whatever it holds.
///
/// # Errors
/// Those of the file system.
pub fn deny(roots: Roots<'_>, path: &Path) -> Result<(), Failure> {
    remember(roots, path, &Decision { is_allowed: false, hash: String::new() })
}

/// The nearest file that is not denied, and what was decided about it.
fn nearest_not_denied(roots: Roots<'_>) -> Result<Option<(PathBuf, Option<Decision>)>, Failure> {
    for path in present()? {
        let path = path?;
        match decision(roots, &path)? {
            Some(Decision { is_allowed: false, .. }) => {}
            decision => return Ok(Some((path, decision))),
        }
    }
    Ok(None)
}

/// The files here and above, the nearest first.
fn present() -> Result<impl Iterator<Item = Result<PathBuf, Failure>>, Failure> {
    let mut next = Some(paths::working_directory()?);
    let directories = std::iter::from_fn(move || {
        let directory = next.take()?;
        next = directory.parent().map(Path::to_owned);
        Some(directory)
    });
    Ok(directories.filter_map(|directory| {
        let path = directory.join(NAME);
        match fs::symlink_metadata(&path) {
            // One that leads nowhere, or in circles, is in the way as much as a file that cannot be read.
            Ok(there) if there.is_symlink() => {
                fs::metadata(&path).map_or(true, |target| target.is_file()).then_some(Ok(path))
            }
            Ok(there) => there.is_file().then_some(Ok(path)),
            Err(error) if is_absent(&error) => None,
            // To go on above would be a guess.
            Err(error) => Some(Err(cannot_read(&path, &error))),
        }
    }))
}

/// Where `word` leads, as the working directory would name it.
fn located(word: &Path) -> Result<PathBuf, Failure> {
    let path = if word.is_dir() { word.join(NAME) } else { word.to_owned() };
    if path.file_name().is_none_or(|name| name != NAME) {
        return Err(Failure::invalid(format!("{} is not called {NAME}", path.display())));
    }
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let place = fs::canonicalize(directory).map_err(|error| cannot_read(directory, &error))?.join(NAME);
    if place.is_file() || place.is_symlink() {
        Ok(place)
    } else {
        Err(Failure::invalid(format!("there is no file {}", place.display())))
    }
}

/// What was decided about the file at `path`. A record that cannot be understood counts as none.
fn decision(roots: Roots<'_>, path: &Path) -> Result<Option<Decision>, Failure> {
    let record = record(roots, path)?;
    let text = match read_small(&record) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        text => text.map_err(|error| cannot_read(&record, &error))?,
    };
    let known: Value = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    Ok(known["allowed"].as_bool().map(|is_allowed| Decision {
        is_allowed,
        hash: known["blake3"].as_str().unwrap_or_default().to_owned(),
    }))
}

fn remember(roots: Roots<'_>, path: &Path, decision: &Decision) -> Result<(), Failure> {
    let mut text = Vec::new();
    Object::begin(&mut text)
        .text("path", &path.to_string_lossy())
        .raw("allowed", if decision.is_allowed { "true" } else { "false" })
        .text("blake3", &decision.hash)
        .end();
    text.push(b'\n');
    Replacement::begin(&record(roots, path)?)?.finish_private(&text)
}

/// Where the decision about a path lies.
fn record(roots: Roots<'_>, path: &Path) -> Result<PathBuf, Failure> {
    let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    Ok(roots.cursors_dir()?.join(ALLOWED).join(name.as_str()))
}

impl DirectoryFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read; the failure says how to do without it.
    pub fn read(path: PathBuf) -> Result<Self, Failure> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        match read_small(&path).and_then(|content| content.ok_or_else(gone)) {
            Ok(content) => Ok(Self { path, content }),
            Err(error) => Err(cannot_read(&path, &error).hint("prontodb deny passes it over")),
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
            (Some(name), None) => roots.database_file(name),
            (None, Some(file)) => database_path(self.directory(), Path::new(file)),
            (None, None) => Err(Failure::invalid("it names no database")),
            (Some(_), Some(_)) => Err(Failure::invalid("database and file exclude each other")),
        };
        let database = database.map_err(|failure| bad(failure.message))?;
        Namespace::or_default(project.as_deref(), namespace.as_deref())
            .map_err(|error| bad(error.to_string()))?;
        Ok(Wish { database, project, namespace })
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn hash(&self) -> String {
        blake3::hash(&self.content).to_hex().to_string()
    }

    fn not_allowed(&self, has_changed: bool) -> Failure {
        let why = if has_changed { "has changed since it was allowed" } else { "chooses a database here" };
        let what = format!("{} {why}, and nobody has allowed that", self.path.display());
        Failure::new(Code::Denied, "denied", what)
            .hint("read it, then prontodb allow, or prontodb deny to pass it over")
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
            ("file = ''", "is empty"),
            ("file = '/'", "directory"),
            ("file = '~/x'", "`~`"),
            ("file = \"a\\u0000b\"", "NUL"),
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
