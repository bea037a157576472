//! What `install` remembers of what it has made, for `uninstall`: `installed.json` in the directory of libraries.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exit::{Code, Failure};
use crate::files::{is_absent, metadata};
use crate::paths::Roots;
use crate::replace::Replacement;

const NAME: &str = "installed.json";

/// What has been made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Files of the program.
    pub files: Vec<Known>,
    /// Directories that were not there before, each behind those it is in.
    pub directories: Vec<PathBuf>,
}

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Where it is.
    pub path: PathBuf,
    /// The hash of what it holds.
    pub blake3: String,
    /// The directory of the program that it belongs to.
    pub target: PathBuf,
}

/// What became of a file that was to be removed.
#[derive(Debug, PartialEq, Eq)]
pub enum Removed {
    /// It has gone.
    Yes,
    /// It was not there.
    WasNotThere,
    /// It is not what was made, and stays.
    Changed,
}

impl Known {
    /// A file with these bytes.
    pub fn new(path: PathBuf, bytes: &[u8], target: &Path) -> Self {
        Self { path, blake3: hash(bytes), target: target.to_owned() }
    }

    /// Removes the file, if it still is what was made.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(&self) -> io::Result<Removed> {
        let Some(about) = metadata(&self.path)? else { return Ok(Removed::WasNotThere) };
        if !about.is_file() || hash(&fs::read(&self.path)?) != self.blake3 {
            return Ok(Removed::Changed);
        }
        fs::remove_file(&self.path)?;
        Ok(Removed::Yes)
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

impl Record {
    /// Where it lies.
    ///
    /// # Errors
    /// No home directory, and variables that are refused.
    pub fn path(roots: Roots<'_>) -> Result<PathBuf, Failure> {
        Ok(roots.lib_dir()?.join(NAME))
    }

    /// What is remembered, if anything is.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let damaged = |why: &str| {
            let what = format!("{} is damaged; {why}", path.display());
            Failure::new(Code::Damaged, "damaged", what)
                .hint("move it away; uninstall then takes what is in the usual places and unchanged")
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Failure::io(format_args!("cannot read {}", path.display()), &error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| damaged("it is not what install writes"))
    }

    /// Remembers it from now on; nothing at all is remembered by no file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let cannot = |error: &io::Error| Failure::io(format_args!("cannot write {}", path.display()), error);
        if self.files.is_empty() {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot(&error)),
                _ => Ok(()),
            };
        }
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| cannot(&error.into()))?;
        text.push(b'\n');
        Replacement::begin(path)?.finish_private(&text)
    }

    /// Adds a file that was made; of one that was known, what it holds now.
    pub fn add(&mut self, known: Known) {
        let is_same = |other: &&mut Known| (&other.path, &other.target) == (&known.path, &known.target);
        match self.files.iter_mut().find(is_same) {
            Some(other) => *other = known,
            None => self.files.push(known),
        }
    }

    /// Adds directories that were made.
    pub fn add_directories(&mut self, made: Vec<PathBuf>) {
        for directory in made {
            if !self.directories.contains(&directory) {
                self.directories.push(directory);
            }
        }
    }

    /// Whether a file belongs to the program in another directory as well.
    pub fn is_shared(&self, known: &Known) -> bool {
        self.files.iter().any(|other| other.path == known.path && other.target != known.target)
    }

    /// Removes the directories that were made and are empty by now, the innermost first.
    pub fn remove_empty_directories(&mut self) {
        for directory in std::mem::take(&mut self.directories).into_iter().rev() {
            // One that is not empty, or not ours to remove, is simply there still.
            if fs::remove_dir(&directory).is_err() && directory.is_dir() {
                self.directories.insert(0, directory);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let known = |name: &str| Known::new(folder.path().join(name), b"made", folder.path());
        fs::write(folder.path().join("a"), "made").unwrap();
        fs::write(folder.path().join("b"), "changed").unwrap();
        std::os::unix::fs::symlink(folder.path().join("b"), folder.path().join("c")).unwrap();
        assert_eq!(known("a").remove().unwrap(), Removed::Yes);
        assert_eq!(known("a").remove().unwrap(), Removed::WasNotThere);
        assert_eq!(known("b").remove().unwrap(), Removed::Changed);
        assert_eq!(known("c").remove().unwrap(), Removed::Changed);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_remembered_is_read_again_and_nothing_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib/installed.json");
        let mut record = Record::default();
        record.add(Known::new("/bin/x".into(), b"1", Path::new("/bin")));
        record.add(Known::new("/bin/x".into(), b"2", Path::new("/bin")));
        record.add(Known::new("/bin/x".into(), b"2", Path::new("/opt")));
        assert_eq!(record.files.len(), 2);
        assert!(record.is_shared(&record.files[0].clone()));
        record.add_directories(vec!["/a".into(), "/a".into()]);
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), Some(record));
        Record::default().write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), None);
    }

    #[test]
    fn what_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "{}").unwrap();
        assert_eq!(Record::read(&path).unwrap_err().code, Code::Damaged);
    }
}
