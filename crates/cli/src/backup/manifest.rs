//! What stands at the front of a backup: what is in it, and how to tell that it is whole.

use std::path::{Path, PathBuf};

use prontodb_core::{Clock, Millis, SystemClock};
use serde::{Deserialize, Serialize};

use super::broken::Broken;
use crate::paths::check_database_name;

/// The name of the file that holds it.
pub const MANIFEST: &str = "manifest.json";
/// The name of the configuration in a backup.
pub const CONFIGURATION: &str = "pronto.conf";
/// The folder of cursors in a backup.
pub const CURSORS: &str = "cursors/";
/// What the names of cursors end in.
pub const CURSOR: &str = ".cursor";

/// The number of the layout. A later one is refused.
const FORMAT: u32 = 1;
/// The longest that is read of one.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// The most files besides the database.
const MAX_FILES: usize = 10_000;
/// The longest file besides the database.
pub const MAX_SMALL: u64 = 1024 * 1024;

/// See the top of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of the layout.
    pub format: u32,
    /// The version of the program that made it.
    pub prontodb: String,
    /// The number of the database's schema.
    pub schema: u64,
    /// What the database is called.
    pub database: String,
    /// Where it was.
    pub database_path: String,
    /// The data directory of then.
    pub data_directory: String,
    /// When it was made, in UTC to the millisecond.
    pub created: String,
    /// The version of the last write that is in it.
    pub revision: u64,
    /// The files behind the manifest, in their order; the database first.
    pub files: Vec<Item>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, which may have a folder in front.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of what it holds, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// What is known before the files are.
    pub fn new(database: &str, path: &Path, data_directory: &Path) -> Self {
        Self {
            format: FORMAT,
            prontodb: env!("CARGO_PKG_VERSION").to_owned(),
            schema: 0,
            database: database.to_owned(),
            database_path: path.to_string_lossy().into_owned(),
            data_directory: data_directory.to_string_lossy().into_owned(),
            created: SystemClock.now().to_string(),
            revision: 0,
            files: Vec::new(),
        }
    }

    /// The text of its file.
    pub fn to_json(&self) -> Vec<u8> {
        // A struct of numbers and texts always has a JSON text.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Reads and checks what its file holds.
    pub fn parse(text: &[u8]) -> Result<Self, Broken> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let any: Format =
            serde_json::from_slice(text).map_err(|_| match text.trim_ascii_start().first() {
                Some(b'{') => Broken::damaged("its manifest cannot be read"),
                _ => Broken::foreign("its manifest is that of another program"),
            })?;
        if any.format != FORMAT {
            let (format, known) = (any.format, FORMAT);
            return Err(Broken::foreign(format!(
                "it has the format {format}, and this version of prontodb knows {known}"
            )));
        }
        let manifest: Self =
            serde_json::from_slice(text).map_err(|_| Broken::damaged("its manifest cannot be read"))?;
        match manifest.why_not() {
            Some(why) => Err(Broken::damaged(format!("its manifest makes no sense; {why}"))),
            None => Ok(manifest),
        }
    }

    fn why_not(&self) -> Option<&'static str> {
        let Some((database, others)) = self.files.split_first() else { return Some("it names no file") };
        if check_database_name(&self.database).is_err() || database.name != database_file(&self.database) {
            return Some("the first file is not the database");
        }
        if others.len() > MAX_FILES {
            return Some("it names too many files");
        }
        if !others.iter().all(|item| is_cursor(&item.name) || item.name == CONFIGURATION) {
            return Some("it names a file that no backup has");
        }
        // In the order of the archive: cursors by their names, then the configuration; so no name comes twice.
        let order = |item: &Item| (item.name == CONFIGURATION, item.name.clone());
        if !others.is_sorted_by(|one, next| order(one) < order(next)) {
            return Some("its files are in no order");
        }
        if others.iter().any(|item| item.bytes > MAX_SMALL) {
            return Some("a file is too long");
        }
        if self.total().is_none() {
            return Some("its files are too long");
        }
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !self.files.iter().all(|item| is_digest(&item.sha256)) {
            return Some("a checksum is none");
        }
        if Millis::parse(&self.created).is_none() {
            return Some("it was made at no moment");
        }
        let is_path = |text: &str| text.starts_with('/') && !text.contains('\0');
        if self.data_directory.is_empty() || is_path(&self.data_directory) {
            None
        } else {
            Some("the data directory is no path")
        }
    }

    /// The bytes of all files; `None` for more than any disk has.
    pub fn total(&self) -> Option<u64> {
        let total = self.files.iter().try_fold(0_u64, |sum, item| sum.checked_add(item.bytes));
        total.filter(|total| i64::try_from(*total).is_ok())
    }

    /// The database among the files.
    pub fn database_item(&self) -> Option<&Item> {
        self.files.first()
    }

    /// A path of then, as it is now.
    pub fn moved(&self, path: &Path, data_directory: &Path) -> Option<PathBuf> {
        if self.data_directory.is_empty() {
            return None;
        }
        let rest = path.strip_prefix(&self.data_directory).ok()?;
        let moved = data_directory.join(rest);
        (moved != path).then_some(moved)
    }
}

/// What the file of the database is called in a backup.
pub fn database_file(database: &str) -> String {
    format!("pronto.{database}.prdb")
}

/// Whether a name is that of a cursor in a backup.
fn is_cursor(name: &str) -> bool {
    let stem = name.strip_prefix(CURSORS).and_then(|name| name.strip_suffix(CURSOR));
    stem.is_some_and(|stem| {
        !stem.is_empty()
            && stem.len() <= 128
            && !stem.starts_with('.')
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, bytes: u64) -> Item {
        Item { name: name.to_owned(), bytes, sha256: "0".repeat(64) }
    }

    fn manifest(files: &[(&str, u64)]) -> Manifest {
        let files = files.iter().map(|(name, bytes)| item(name, *bytes)).collect();
        Manifest { files, ..Manifest::new("main", Path::new("/d/x"), Path::new("/d")) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = manifest(&[("pronto.main.prdb", 7), ("cursors/a.b.cursor", 1), ("pronto.conf", 0)]);
        assert_eq!(Manifest::parse(&written.to_json()).unwrap(), written);
    }

    #[test]
    fn manifests_that_make_no_sense_are_refused() {
        for files in [
            &[][..],
            &[("pronto.conf", 1)],
            &[("pronto.other.prdb", 1)],
            &[("pronto.main.prdb", 1), ("pronto.main.prdb", 1)],
            &[("pronto.main.prdb", 1), ("../x", 1)],
            &[("pronto.main.prdb", 1), ("cursors/../x.cursor", 1)],
            &[("pronto.main.prdb", 1), ("cursors/a/b.cursor", 1)],
            &[("pronto.main.prdb", 1), ("cursors/.cursor", 1)],
            &[("pronto.main.prdb", 1), ("/cursors/x.cursor", 1)],
            &[("pronto.main.prdb", 1), ("cursors/b.cursor", 1), ("cursors/a.cursor", 1)],
            &[("pronto.main.prdb", 1), ("cursors/a.cursor", 1), ("cursors/a.cursor", 1)],
            &[("pronto.main.prdb", 1), ("pronto.conf", 1), ("cursors/a.cursor", 1)],
            &[("pronto.main.prdb", 1), ("pronto.conf", MAX_SMALL + 1)],
            &[("pronto.main.prdb", u64::MAX), ("pronto.conf", 1)],
            &[("pronto.main.prdb", u64::MAX)],
        ] {
            let broken = Manifest::parse(&manifest(files).to_json()).unwrap_err();
            assert!(broken.is_damage(), "{files:?}");
        }
        let odd = |change: fn(&mut Manifest)| {
            let mut manifest = manifest(&[("pronto.main.prdb", 1)]);
            change(&mut manifest);
            Manifest::parse(&manifest.to_json())
        };
        assert!(odd(|_| {}).is_ok());
        assert!(odd(|m| m.data_directory = "relative".to_owned()).is_err());
        assert!(odd(|m| m.files[0].sha256 = "x".repeat(64)).is_err());
        assert!(odd(|m| m.database = "a/b".to_owned()).is_err());
        assert!(!odd(|m| m.format = 2).unwrap_err().is_damage());
        assert!(!Manifest::parse(b"[]").unwrap_err().is_damage());
    }

    #[test]
    fn paths_below_the_data_directory_move_with_it() {
        let manifest = manifest(&[("pronto.main.prdb", 1)]);
        let moved = |path: &str, to: &str| manifest.moved(Path::new(path), Path::new(to));
        assert_eq!(moved("/d/main/x", "/e"), Some("/e/main/x".into()));
        assert_eq!(moved("/d/main/x", "/d"), None);
        assert_eq!(moved("/dd/main/x", "/e"), None);
    }
}
