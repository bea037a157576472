//! What `uninstall --purge` removes: what this program makes in its directories, known by its names, and nothing else. Links
//! are not followed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prontodb_core::ErrorKind;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, accessat, fcntl_lock};
use rustix::io::Errno;

use super::record::Record;
use crate::backup::{names, partial};
use crate::engines::{self, Alone, OpenOptions, SIDE_FILES};
use crate::exit::{Code, Failure};
use crate::files::{is_absent, metadata};
use crate::paths::{RENAME_MARK, Roots, check_database_name};

/// What copies from before a migration have behind the name of their file, in front of the number of a schema.
const COPY: &str = ".schema-";
/// What files are called that a crash left while they were being made.
const PARTIAL: &str = ".prontodb-new";

/// What is to go.
#[derive(Debug, Default)]
pub struct Plan {
    /// Databases, each with the files beside it.
    pub databases: Vec<PathBuf>,
    /// All files, those of databases among them.
    files: Vec<PathBuf>,
    /// Directories that go when they are empty, each behind what is in it.
    directories: Vec<PathBuf>,
    /// What is there and not ours.
    pub foreign: Vec<PathBuf>,
    /// How many of what there are, for people.
    pub counts: Counts,
}

/// How many files of a kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cursors, and what was allowed and denied.
    pub cursors: u64,
    /// Backups, and copies that were made before something was restored.
    pub backups: u64,
    /// Configuration files.
    pub configuration: u64,
}

/// Something in a directory.
struct Entry {
    path: PathBuf,
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Other,
}

impl Plan {
    /// What is to go of all that the directories hold.
    ///
    /// # Errors
    /// No home directory, and those of the file system.
    pub fn of(roots: Roots<'_>) -> Result<Self, Failure> {
        let mut plan = Self::default();
        plan.take_data(&roots.data_dir()?)?;
        let configuration = roots.config_file()?;
        plan.take_directory(parent_of(&configuration), |plan, entry| {
            let is_ours = is_of(&entry.name, &name_of(&configuration));
            plan.counts.configuration += plan.take_file(entry, is_ours);
            Ok(())
        })?;
        let record = Record::path(roots)?;
        plan.take_directory(parent_of(&record), |plan, entry| {
            if entry.name == name_of(&record) {
                // It goes when there is nothing left to remember.
                return Ok(());
            }
            let is_ours = is_of(&entry.name, &name_of(&record));
            plan.take_file(entry, is_ours);
            Ok(())
        })?;
        plan.take_directory(&roots.cache_dir()?, |plan, entry| plan.keep(entry))?;
        Ok(plan)
    }

    /// Whether a directory of it has gone.
    pub fn has_emptied(&self) -> bool {
        self.directories.iter().any(|directory| !directory.exists())
    }

    /// Refuses to remove databases that others have open.
    ///
    /// # Errors
    /// Somebody has; the failure says which.
    pub fn refuse_open(&self) -> Result<(), Failure> {
        let mut open = Vec::new();
        for database in &self.databases {
            let cannot =
                |error: io::Error| Failure::io(format_args!("cannot open {}", database.display()), &error);
            if is_open(database).map_err(cannot)? {
                open.push(database.display().to_string());
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let what = format!("others have {} open; nothing was removed", open.join(" and "));
        let failure =
            Failure::new(Code::TimedOut, "busy", what).hint("end them first, and run the command again");
        Err(Failure { retryable: true, ..failure })
    }

    /// Takes the databases for this process alone, so that nobody writes to what is removed. A file that is none any more is
    /// nobody's.
    ///
    /// # Errors
    /// Somebody has opened one of them.
    pub fn hold(&self) -> Result<Vec<Alone>, Failure> {
        let mut held = Vec::new();
        for database in &self.databases {
            let options = OpenOptions { busy_timeout: Duration::ZERO, ..OpenOptions::new(database) };
            match engines::hold_alone(&options) {
                Ok(alone) => held.push(alone),
                Err(error) if error.kind() == ErrorKind::Busy => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(held)
    }

    /// Looks whether all of it may be removed, so that nothing goes where something has to stay.
    ///
    /// # Errors
    /// A directory that may not be written.
    pub fn refuse_denied(&self) -> Result<(), Failure> {
        let folders: BTreeSet<_> =
            self.files.iter().chain(&self.directories).filter_map(|path| path.parent()).collect();
        for folder in folders {
            let mode = Access::WRITE_OK | Access::EXEC_OK;
            accessat(CWD, folder, mode, AtFlags::EACCESS).map_err(|error| {
                let what = format!("nothing was removed; cannot change {}", folder.display());
                Failure::io(what, &error.into())
            })?;
        }
        Ok(())
    }

    /// Removes all of it.
    ///
    /// # Errors
    /// Those of the file system; what comes behind stays.
    pub fn remove(&self) -> Result<(), Failure> {
        for file in &self.files {
            match fs::remove_file(file) {
                Err(error) if !is_absent(&error) => {
                    return Err(Failure::io(format_args!("cannot remove {}", file.display()), &error));
                }
                _ => {}
            }
        }
        // One that somebody has filled meanwhile is theirs.
        self.directories.iter().for_each(|directory| drop(fs::remove_dir(directory)));
        Ok(())
    }

    fn take_data(&mut self, folder: &Path) -> Result<(), Failure> {
        self.take_directory(folder, |plan, entry| match (entry.kind, entry.name.as_str()) {
            (Kind::Directory, "cursors") => plan.take_cursors(&entry.path),
            (Kind::Directory, "backups") => plan.take_backups(&entry.path),
            (Kind::Directory, name) if partial::is_partial_name(name) => plan.take_partial(entry),
            (Kind::Directory, name) if check_database_name(name).is_ok() => plan.take_database(entry),
            _ => plan.keep(entry),
        })
    }

    /// A folder is a database's when the file is in it.
    fn take_database(&mut self, folder: Entry) -> Result<(), Failure> {
        let file = format!("pronto.{}.prdb", folder.name);
        let is_there =
            metadata(&folder.path.join(&file)).is_ok_and(|about| about.is_some_and(|about| about.is_file()));
        if !is_there {
            return self.keep(folder);
        }
        self.databases.push(folder.path.join(&file));
        self.take_only_directory(&folder.path, |plan, entry| match entry.kind {
            Kind::Directory if partial::is_partial_name(&entry.name) => plan.take_partial(entry),
            _ => {
                let is_ours = is_of_database(&entry.name, &file);
                plan.take_file(entry, is_ours);
                Ok(())
            }
        })
    }

    fn take_cursors(&mut self, folder: &Path) -> Result<(), Failure> {
        self.take_only_directory(folder, |plan, entry| {
            if entry.kind == Kind::Directory && entry.name == "allowed" {
                return plan.take_only_directory(&entry.path, |plan, entry| {
                    let is_ours = is_hash(without_partial(&entry.name));
                    plan.counts.cursors += plan.take_file(entry, is_ours);
                    Ok(())
                });
            }
            let is_ours = without_partial(&entry.name).ends_with(".cursor");
            plan.counts.cursors += plan.take_file(entry, is_ours);
            Ok(())
        })
    }

    fn take_backups(&mut self, folder: &Path) -> Result<(), Failure> {
        self.take_only_directory(folder, |plan, entry| match entry.kind {
            Kind::Directory if names::is_safety_name(&entry.name) => plan.take_safety_copy(&entry.path),
            Kind::Directory if partial::is_partial_name(&entry.name) => plan.take_partial(entry),
            _ => {
                let is_ours = names::Name::parse(OsStr::new(&entry.name)).is_some();
                plan.counts.backups += plan.take_file(entry, is_ours);
                Ok(())
            }
        })
    }

    /// What a database was before another took its place: the database, cursors, the configuration.
    fn take_safety_copy(&mut self, folder: &Path) -> Result<(), Failure> {
        self.counts.backups += 1;
        self.take_only_directory(folder, |plan, entry| {
            if entry.kind == Kind::Directory && entry.name == "cursors" {
                return plan.take_only_directory(&entry.path, |plan, entry| {
                    let is_ours = entry.name.ends_with(".cursor");
                    plan.take_file(entry, is_ours);
                    Ok(())
                });
            }
            let is_ours = ["manifest.json", "pronto.conf"].contains(&entry.name.as_str())
                || (entry.name.starts_with("pronto.") && entry.name.contains(".prdb"));
            plan.take_file(entry, is_ours);
            Ok(())
        })
    }

    /// What a crash left of a backup or restore. One that is under way stays.
    fn take_partial(&mut self, folder: Entry) -> Result<(), Failure> {
        if partial::is_dead(&folder.path) { self.take_all(&folder.path) } else { self.keep(folder) }
    }

    fn take_all(&mut self, folder: &Path) -> Result<(), Failure> {
        self.take_only_directory(folder, |plan, entry| match entry.kind {
            Kind::Directory => plan.take_all(&entry.path),
            _ => {
                plan.take_file(entry, true);
                Ok(())
            }
        })
    }

    /// A directory of this program, and the one around it, which it shares with its kind.
    fn take_directory(
        &mut self,
        folder: &Path,
        take: impl FnMut(&mut Self, Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match metadata(folder).map_err(|error| cannot_read(folder, &error))? {
            Some(about) if about.is_dir() => {}
            Some(_) => {
                self.foreign.push(folder.to_owned());
                return Ok(());
            }
            None => return Ok(()),
        }
        self.take_only_directory(folder, take)?;
        self.directories.extend(folder.parent().map(Path::to_owned));
        Ok(())
    }

    fn take_only_directory(
        &mut self,
        folder: &Path,
        mut take: impl FnMut(&mut Self, Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let read = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Entry::of(&entry?)).collect());
        let mut entries: Vec<Entry> = read.map_err(|error| cannot_read(folder, &error))?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.into_iter().try_for_each(|entry| take(self, entry))?;
        self.directories.push(folder.to_owned());
        Ok(())
    }

    /// Says how many files that makes.
    fn take_file(&mut self, entry: Entry, is_ours: bool) -> u64 {
        if !is_ours || entry.kind != Kind::File {
            self.foreign.push(entry.path);
            return 0;
        }
        self.files.push(entry.path);
        1
    }

    fn keep(&mut self, entry: Entry) -> Result<(), Failure> {
        self.foreign.push(entry.path);
        Ok(())
    }
}

impl Entry {
    fn of(entry: &DirEntry) -> io::Result<Self> {
        let kind = entry.file_type()?;
        let kind = match () {
            () if kind.is_file() => Kind::File,
            () if kind.is_dir() => Kind::Directory,
            () => Kind::Other,
        };
        // A name that is no text is none of ours, whatever stands for it here.
        Ok(Self { path: entry.path(), name: entry.file_name().to_string_lossy().into_owned(), kind })
    }
}

fn cannot_read(folder: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot read {}", folder.display()), error)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a database is open anywhere: whoever has it open holds a lock on the file.
fn is_open(database: &Path) -> io::Result<bool> {
    let file = match File::options().read(true).write(true).open(database) {
        Err(error) if is_absent(&error) => return Ok(false),
        opened => opened?,
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether a file is the one called `name`, or what a crash left of it.
fn is_of(file: &str, name: &str) -> bool {
    without_partial(file) == name
}

/// The name of the file that was being made.
fn without_partial(file: &str) -> &str {
    let partial = file.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL));
    partial.unwrap_or(file)
}

fn is_of_database(file: &str, database: &str) -> bool {
    let Some(side) = file.strip_prefix(database) else { return file == RENAME_MARK };
    let is_copy = side.strip_prefix(COPY).is_some_and(|schema| schema.bytes().all(|b| b.is_ascii_digit()));
    side.is_empty() || SIDE_FILES.contains(&side) || side.starts_with("-new-") || is_copy
}

fn is_hash(name: &str) -> bool {
    name.len() == blake3::OUT_LEN * 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_database_are_known_by_its_name() {
        for (name, is_ours) in [
            ("pronto.a.prdb", true),
            ("pronto.a.prdb-wal", true),
            ("pronto.a.prdb-turn", true),
            ("pronto.a.prdb-new-12", true),
            ("pronto.a.prdb.schema-2", true),
            (".renamed-from", true),
            ("pronto.a.prdb.schema-x", false),
            ("pronto.a.prdb.bak", false),
            ("pronto.b.prdb", false),
        ] {
            assert_eq!(is_of_database(name, "pronto.a.prdb"), is_ours, "{name}");
        }
    }

    #[test]
    fn what_a_crash_left_is_known_by_what_it_was_to_be() {
        assert!(is_of("pronto.conf", "pronto.conf") && is_of(".pronto.conf.prontodb-new", "pronto.conf"));
        assert!(!is_of("pronto.conf.bak", "pronto.conf") && !is_of(".pronto.conf", "pronto.conf"));
    }
}
