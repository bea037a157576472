//! Replaces a file as a whole: readers see the old one or the new one, and writers take turns.
//!
//! The new text goes to a side file, which its writer keeps locked until it takes the place of the old file. So turns
//! leave nothing behind, and the side file of a writer that crashed is simply used by the next one.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::{Code, Failure};
use crate::files::{metadata, sync_directory};
use crate::paths::make_private_directory;

const LONGEST_WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);
const PRIVATE_FILE: u32 = 0o600;

/// A turn at replacing a file.
#[derive(Debug)]
pub struct Replacement {
    target: PathBuf,
    side: PathBuf,
    file: File,
}

impl Replacement {
    /// Waits for a turn at the file that `path` leads to; its directory is made if it is not there.
    ///
    /// # Errors
    /// Those of the file system, and a wait of more than five seconds.
    pub fn begin(path: &Path) -> Result<Self, Failure> {
        let target = follow(path).map_err(|error| cannot_write(path, &error))?;
        if target.metadata().is_ok_and(|there| !there.is_file()) {
            let what = format!(
                "cannot write {}; it is no regular file, and would be replaced by one",
                path.display()
            );
            return Err(Failure::invalid(what));
        }
        make_private_directory(directory_of(&target)).map_err(|error| cannot_write(path, &error))?;
        let side = side_of(&target);
        let file = wait(path, LONGEST_WAIT, || lock(&side).map_err(|error| cannot_write(&side, &error)))?;
        Ok(Self { target, side, file })
    }

    /// Puts a file with these bytes in the place of the old one, whose permissions and owner it keeps.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let taken = self.take_after_target();
        taken.and_then(|()| self.replace(bytes)).map_err(|error| cannot_write(&self.target, &error))
    }

    /// Puts a file with these bytes in the place of the old one, readable by its owner alone.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish_private(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let hidden = self.file.set_permissions(Permissions::from_mode(PRIVATE_FILE));
        hidden.and_then(|()| self.replace(bytes)).map_err(|error| cannot_write(&self.target, &error))
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)?;
        fs::rename(&self.side, &self.target)?;
        sync_directory(directory_of(&self.target))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(bytes)?;
        self.file.sync_all()
    }

    fn take_after_target(&self) -> io::Result<()> {
        match metadata(&self.target)? {
            Some(old) => give(&self.file, &old),
            None => self.file.set_permissions(Permissions::from_mode(PRIVATE_FILE)),
        }
    }
}

/// Gives a file the owner and the permissions of another one, whose place it is to take, on disk.
///
/// # Errors
/// Those of the file system; nobody but root gives files away.
pub fn take_after(old: &Path, new: &Path) -> io::Result<()> {
    let new = File::open(new)?;
    give(&new, &fs::metadata(old)?)?;
    new.sync_all()
}

/// The owner comes first: a new one may take permissions away.
fn give(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())
}

/// Makes a file with these bytes, readable by its owner alone, unless there is one, or somebody else is just making it.
///
/// # Errors
/// Those of the file system.
pub fn create_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot = |error: io::Error| cannot_write(path, &error);
    make_private_directory(directory_of(path)).map_err(cannot)?;
    let side = side_of(path);
    let Some(file) = lock(&side).map_err(cannot)? else { return Ok(()) };
    // Dropped in the end, it takes the side file away, and leaves the other name.
    let mut made = Replacement { target: path.to_owned(), side, file };
    made.write(bytes).map_err(cannot)?;
    match fs::hard_link(&made.side, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.and_then(|()| sync_directory(directory_of(path))).map_err(cannot),
    }
}

impl Drop for Replacement {
    /// Removes the side file of a turn that came to nothing. While it is locked, no other writer can own that name.
    fn drop(&mut self) {
        if is_at(&self.file, &self.side).unwrap_or(false) {
            let _ = fs::remove_file(&self.side);
        }
    }
}

/// A turn at a directory whose files are changed together; it ends when it is dropped.
#[derive(Debug)]
pub struct DirectoryTurn {
    _lock: File,
}

impl DirectoryTurn {
    /// Waits for a turn at `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// Those of the file system, and a wait of more than `longest`.
    pub fn begin(directory: &Path, longest: Duration) -> Result<Self, Failure> {
        let cannot = |error: io::Error| cannot_write(directory, &error);
        make_private_directory(directory).map_err(cannot)?;
        wait(directory, longest, || {
            let lock = File::open(directory).map_err(cannot)?;
            match lock.try_lock() {
                Ok(()) if is_at(&lock, directory).map_err(cannot)? => Ok(Some(Self { _lock: lock })),
                Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(cannot(error)),
            }
        })
    }
}

/// Tries until there is something, or it takes too long.
fn wait<T>(
    path: &Path,
    longest: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let until = Instant::now() + longest;
    loop {
        if let Some(got) = attempt()? {
            return Ok(got);
        }
        if Instant::now() >= until {
            return Err(busy(path, longest));
        }
        thread::sleep(PAUSE);
    }
}

/// Locks the side file, unless somebody else has it, or had it and put it in place meanwhile.
fn lock(side: &Path) -> io::Result<Option<File>> {
    if metadata(side)?.is_some_and(|there| !there.is_file()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no file has its name"));
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(side)?;
    match file.try_lock() {
        // Who made a new file died before this name of it was gone: writing here would write there.
        Ok(()) if file.metadata()?.nlink() > 1 && is_at(&file, side)? => fs::remove_file(side).map(|()| None),
        Ok(()) => Ok(is_at(&file, side)?.then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    Ok(metadata(path)?.is_some_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())))
}

/// The file that `path` leads to through links, also when the last one leads to nothing yet.
fn follow(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match metadata(path)? {
            Some(_) => follow(&directory_of(path).join(fs::read_link(path)?)),
            None => Ok(path.to_owned()),
        },
        result => result,
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn side_of(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".prontodb-new");
    target.with_file_name(name)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot write {}", path.display()), error)
}

fn busy(path: &Path, waited: Duration) -> Failure {
    let (path, millis) = (path.display(), waited.as_millis());
    let why = format!("{path} is being changed by another process; waited {millis} ms");
    Failure { retryable: true, ..Failure::new(Code::TimedOut, "busy", why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn write(path: &Path, text: &str) {
        Replacement::begin(path).unwrap().finish(text.as_bytes()).unwrap();
    }

    #[test]
    fn new_files_and_directories_are_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/conf");
        write(&path, "one");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&home.path().join("a/b")), 0o700);
        assert_eq!(mode(&home.path().join("a")), 0o700);
        assert_eq!(names_in(&home.path().join("a/b")), ["conf"]);
    }

    #[test]
    fn what_is_new_replaces_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/conf");
        create_new(&path, b"one").unwrap();
        create_new(&path, b"two").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("one", 0o600));
        assert_eq!(names_in(&home.path().join("a")), ["conf"]);
    }

    #[test]
    fn what_was_linked_and_left_by_a_crash_is_not_written_into() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("conf");
        fs::write(&path, "one").unwrap();
        fs::hard_link(&path, side_of(&path)).unwrap();
        let turn = Replacement::begin(&path).unwrap();
        turn.file.set_len(0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        turn.finish(b"two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names_in(home.path()), ["conf"]);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("conf");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(Replacement::begin(&link).unwrap_err().message.contains("no regular file"));
        assert!(Replacement::begin(home.path()).is_err());
        assert_eq!(names_in(home.path()), ["conf"]);
    }

    #[test]
    fn a_turn_at_a_directory_is_waited_for_so_long() {
        let home = tempfile::tempdir().unwrap();
        let turn = DirectoryTurn::begin(home.path(), Duration::ZERO).unwrap();
        let failure = DirectoryTurn::begin(home.path(), Duration::from_millis(5)).unwrap_err();
        assert_eq!((failure.code, failure.retryable), (Code::TimedOut, true));
        drop(turn);
        DirectoryTurn::begin(home.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn permissions_stay() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("conf");
        fs::write(&path, "one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write(&path, "two");
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("two", 0o644));
    }

    #[test]
    fn links_stay_links() {
        let home = tempfile::tempdir().unwrap();
        let (link, real) = (home.path().join("conf"), home.path().join("dotfiles/conf"));
        std::os::unix::fs::symlink("dotfiles/conf", &link).unwrap();
        for text in ["one", "two"] {
            write(&link, text);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(&real).unwrap(), text);
        }
    }

    #[test]
    fn a_turn_that_comes_to_nothing_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("conf");
        drop(Replacement::begin(&path).unwrap());
        assert!(names_in(home.path()).is_empty());
    }

    #[test]
    fn what_a_crash_left_is_used_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("conf");
        fs::write(side_of(&path), "a longer text that was never finished").unwrap();
        write(&path, "one");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(names_in(home.path()), ["conf"]);
    }

    #[test]
    fn a_link_in_place_of_the_side_file_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let (path, other) = (home.path().join("conf"), home.path().join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, side_of(&path)).unwrap();
        assert!(Replacement::begin(&path).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn writers_take_turns() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("conf");
        write(&path, "0");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let turn = Replacement::begin(&path).unwrap();
                        let count: u32 = fs::read_to_string(&path).unwrap().parse().unwrap();
                        turn.finish((count + 1).to_string().as_bytes()).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "40");
        assert_eq!(names_in(home.path()), ["conf"]);
    }
}
