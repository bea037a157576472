//! Replicas in a folder of this machine.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, BufWriter, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Fill, Storage, names};
use crate::exit::{Code, Failure};
use crate::files::sync_directory;

/// What ends the names of files that are not whole.
const PARTIAL: &str = ".partial";
/// The file that a follower keeps locked.
const LOCK: &str = "prontodb-replica.lock";

/// A folder that a replica is kept in.
pub struct Folder {
    path: PathBuf,
    /// Locked for as long as this lives, by who writes.
    _lock: Option<File>,
}

/// Whether a folder is a replica.
pub fn is_replica(path: &Path) -> bool {
    path.join(names::ABOUT).is_file()
}

impl Folder {
    /// A replica to be read.
    ///
    /// # Errors
    /// It is none.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if is_replica(path) {
            return Ok(Self { path: path.to_owned(), _lock: None });
        }
        let what = match path.is_dir() {
            true => format!("{} is no replica; it has no {}", path.display(), names::ABOUT),
            false => format!("there is no replica {}", path.display()),
        };
        Err(Failure::invalid(what).hint("prontodb backup --follow DIR makes one"))
    }

    /// A replica to be written by this process alone; the folder is made if need be.
    ///
    /// # Errors
    /// Another process writes it, or the folder has something else in it.
    pub fn make(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: io::Error| cannot_write(path, &error);
        if !path.is_dir() {
            DirBuilder::new().mode(0o700).create(path).map_err(cannot)?;
        }
        let mut others =
            fs::read_dir(path).map_err(cannot)?.filter_map(Result::ok).map(|entry| entry.file_name());
        let is_foreign = |name: &std::ffi::OsStr| name != LOCK && !name.to_string_lossy().ends_with(PARTIAL);
        if !is_replica(path) && others.any(|name| is_foreign(&name)) {
            return Err(Failure::invalid(format!(
                "the folder {} is not empty, and is no replica",
                path.display()
            ))
            .hint("name one that is empty or not there yet"));
        }
        let lock = lock(path)?;
        let folder = Self { path: path.to_owned(), _lock: Some(lock) };
        folder.remove_partial()?;
        Ok(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes what a process has left that was killed.
    fn remove_partial(&self) -> Result<(), Failure> {
        let mut folders = vec![String::new()];
        folders.extend(self.list(names::GENERATIONS)?.iter().map(|name| names::folder(name)));
        for folder in folders {
            for name in self.list(&folder)?.iter().filter(|name| name.ends_with(PARTIAL)) {
                let path = self.at(&folder).join(name);
                fs::remove_file(&path).map_err(|error| cannot_write(&path, &error))?;
            }
        }
        Ok(())
    }
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join(LOCK);
    let cannot = |error: io::Error| cannot_write(&path, &error);
    let file =
        File::options().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let what = format!("{} is busy: another process writes this replica", folder.display());
            let busy = Failure::new(Code::TimedOut, "busy", what);
            Err(Failure { retryable: true, ..busy }.hint("one follower is enough; end the other one first"))
        }
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot write {}", path.display()), error)
}

impl Storage for Folder {
    fn put(&self, name: &str, fill: &mut Fill<'_>) -> Result<(), Failure> {
        let path = self.at(name);
        let folder = path.parent().unwrap_or(&self.path);
        let partial = PathBuf::from(format!("{}{PARTIAL}", path.display()));
        let cannot = |error: io::Error| cannot_write(&path, &error);
        // Where the replica itself has gone, its disk may be gone, and nothing is to be made in its place.
        if !self.path.is_dir() {
            return Err(cannot(io::ErrorKind::NotFound.into()));
        }
        if !folder.is_dir() {
            DirBuilder::new().mode(0o700).recursive(true).create(folder).map_err(cannot)?;
            sync_directory(folder.parent().unwrap_or(folder)).map_err(cannot)?;
        }
        let made = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let mut file = BufWriter::with_capacity(1 << 17, made.map_err(cannot)?);
        let written = fill(&mut file).and_then(|()| {
            file.flush().and_then(|()| file.get_ref().sync_all()).map_err(cannot)?;
            fs::rename(&partial, &path).and_then(|()| sync_directory(folder)).map_err(cannot)
        });
        written.inspect_err(|_| {
            // What matters is the error that is returned.
            let _ = fs::remove_file(&partial);
        })
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, Failure> {
        let path = self.at(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io(format_args!("cannot read {}", path.display()), &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let path = self.at(folder);
        let cannot = |error: io::Error| Failure::io(format_args!("cannot read {}", path.display()), &error);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            // Other names are none of ours.
            names.extend(entry.map_err(cannot)?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, folder: &str, first: &str) -> Result<(), Failure> {
        let path = self.at(folder);
        let names = self.list(folder)?;
        for name in std::iter::once(first).chain(names.iter().map(String::as_str)) {
            match fs::remove_file(path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot_write(&path.join(name), &error));
                }
                _ => {}
            }
        }
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot_write(&path, &error)),
            _ => Ok(()),
        }
    }

    fn shown(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}
