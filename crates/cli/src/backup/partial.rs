//! Private folders for what is not whole yet. Their owner holds a lock on them, so that whoever comes later can tell those
//! of the dead, and removes them.

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// What their names begin with; no listing takes such a name for a backup.
const PREFIX: &str = ".prontodb-partial-";
/// How often a new name is tried: another process may take a fresh folder for that of a dead one, for a moment.
const ATTEMPTS: usize = 100;

/// Whether a folder is called as one of them.
pub fn is_partial_name(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// A folder that is removed with all that is in it, in the end or by the next one after a crash.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    _lock: File,
}

impl Partial {
    /// Makes one in `folder`, and removes those of processes that have died.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn within(folder: &Path) -> Result<Self, Failure> {
        remove_dead(folder);
        for _ in 0..ATTEMPTS {
            let path = folder.join(format!("{PREFIX}{:016x}", random()));
            let made = DirBuilder::new().mode(0o700).create(&path).and_then(|()| lock(&path));
            match made {
                Ok(Some(lock)) => return Ok(Self { path, _lock: lock }),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => {}
                Err(error) => return Err(cannot_write(folder, &error)),
            }
        }
        Err(cannot_write(folder, &io::ErrorKind::ResourceBusy.into()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it a name at which nothing may be, under which it stays.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and those of the file system.
    pub fn keep_as(&self, name: &Path) -> io::Result<()> {
        rename_new(&self.path, name)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // One that was kept has another name by now. What cannot be removed is left to the next process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Locks a folder, unless somebody has removed it or holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let folder = File::open(path)?;
    if folder.try_lock().is_err() {
        return Ok(None);
    }
    let (here, there) = (folder.metadata()?, fs::symlink_metadata(path)?);
    Ok(((here.dev(), here.ino()) == (there.dev(), there.ino())).then_some(folder))
}

/// Whether a folder is one of them, and its owner has died.
pub fn is_dead(path: &Path) -> bool {
    matches!(lock(path), Ok(Some(_)))
}

/// Removes the folders of the dead. It is a courtesy: what cannot be removed does no harm.
pub fn remove_dead(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_partial = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let path = entry.path();
        if is_partial
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(Some(_lock)) = lock(&path)
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Gives a file or folder a name that nothing has.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and those of the file system.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system does not know how.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            renamed => return renamed.map_err(io::Error::from),
        }
    }
    if from.is_dir() {
        // At worst an empty folder is replaced.
        return if to.exists() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(from, to) };
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// The failure of writing in a folder.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot write {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn folders_of_the_living_stay_and_those_of_the_dead_go() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(format!("{PREFIX}dead"))).unwrap();
        fs::write(dir.path().join(format!("{PREFIX}dead/x")), "x").unwrap();
        fs::write(dir.path().join(format!("{PREFIX}file")), "x").unwrap();
        let first = Partial::within(dir.path()).unwrap();
        fs::write(first.path().join("x"), "x").unwrap();
        assert_eq!(folders(dir.path()), 2, "a file of such a name is not ours");
        let second = Partial::within(dir.path()).unwrap();
        assert!(first.path().join("x").exists());
        drop(first);
        drop(second);
        assert_eq!(folders(dir.path()), 1);
    }

    #[test]
    fn what_is_kept_stays_and_takes_no_name_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        let partial = Partial::within(dir.path()).unwrap();
        let kept = dir.path().join("kept");
        assert_eq!(partial.keep_as(&taken).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        partial.keep_as(&kept).unwrap();
        drop(partial);
        assert!(kept.is_dir());
    }
}
