//! A tree of files that is read and written without following a link out of it: each step goes from an open folder to a
//! name in it.

pub mod differences;
pub mod known;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, fcntl_setfl, flock, fstat, mkdirat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::exit::{Code, Failure};

/// The file that becomes another one when it is whole; one for each folder, since writers of a tree take turns.
const NEW_FILE: &str = ".prontodb-new";
/// How many folders are kept open.
const OPEN_FOLDERS: usize = 64;

/// A tree below a folder.
pub struct Tree {
    root: Rc<OwnedFd>,
    shown: PathBuf,
    folders: RefCell<HashMap<Vec<String>, Rc<OwnedFd>>>,
}

/// A folder of a tree.
pub struct Folder {
    fd: Rc<OwnedFd>,
    shown: PathBuf,
}

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A link, a pipe, a device, a socket.
    Other,
}

impl Tree {
    /// The tree below `path`; `None` when there is nothing.
    ///
    /// # Errors
    /// It is no folder, or may not be read.
    pub fn open(path: &Path) -> Result<Option<Self>, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(root) => {
                let (shown, folders) = (path.to_owned(), RefCell::default());
                Ok(Some(Self { root: Rc::new(root), shown, folders }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(cannot("read", path, error)),
        }
    }

    /// The same, made when there is nothing.
    ///
    /// # Errors
    /// Those of [`Tree::open`], and it cannot be made.
    pub fn make(path: &Path) -> Result<Self, Failure> {
        if let Some(tree) = Self::open(path)? {
            return Ok(tree);
        }
        match fs::create_dir(path) {
            // Somebody else may have made it just now.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(cannot("make", path, error)),
            made => Self::open(path)?.ok_or_else(|| match made {
                Ok(()) => busy(path, "it was removed while it was made"),
                Err(error) => cannot("make", path, error),
            }),
        }
    }

    /// Takes the one turn at writing; it ends with the tree.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn lock(&self) -> Result<(), Failure> {
        match flock(&*self.root, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(busy(&self.shown, "another export-fs writes there")),
            Err(error) => Err(cannot("lock", &self.shown, error)),
        }
    }

    /// Finds the tree anew, and makes it again when it has gone: folders may have been moved or removed since they were opened.
    ///
    /// # Errors
    /// Those of [`Tree::make`] and [`Tree::lock`].
    pub fn renew(&mut self) -> Result<(), Failure> {
        let now = Self::make(&self.shown)?;
        if now.id()? == self.id()? {
            self.folders.borrow_mut().clear();
            return Ok(());
        }
        now.lock()?;
        *self = now;
        Ok(())
    }

    /// What tells the root from all other folders.
    fn id(&self) -> Result<impl PartialEq + use<>, Failure> {
        let stat = fstat(&*self.root).map_err(|error| cannot("read", &self.shown, error))?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// The folder below the root that `path` leads to; `None` when it is not there.
    ///
    /// # Errors
    /// Something else is in its place, or it may not be read.
    pub fn folder(&self, path: &[String]) -> Result<Option<Folder>, Failure> {
        self.walk(path, |_, _| Ok(false))
    }

    /// The same, made when it is not there.
    ///
    /// # Errors
    /// Those of [`Tree::folder`], and it cannot be made.
    pub fn make_folder(&self, path: &[String]) -> Result<Folder, Failure> {
        let make = |parent: &Folder, name: &str| match mkdirat(&*parent.fd, name, Mode::from_raw_mode(0o777))
        {
            // Whether it is there now is seen when it is opened: others make and remove folders, too.
            Ok(()) | Err(Errno::EXIST | Errno::NOENT) => Ok(true),
            Err(error) => Err(cannot("make", &parent.shown.join(name), error)),
        };
        let is_open = self.folders.borrow().contains_key(path);
        let Some(folder) = self.walk(path, make)? else {
            return Err(busy(&self.shown, "folders are removed while they are made"));
        };
        if !is_open {
            folder.clean();
        }
        Ok(folder)
    }

    /// Goes from folder to folder; `make` is asked to make the one that is missing.
    fn walk(
        &self,
        path: &[String],
        make: impl Fn(&Folder, &str) -> Result<bool, Failure>,
    ) -> Result<Option<Folder>, Failure> {
        let shown = path.iter().fold(self.shown.clone(), |shown, name| shown.join(name));
        if let Some(fd) = self.folders.borrow().get(path) {
            return Ok(Some(Folder { fd: Rc::clone(fd), shown }));
        }
        let mut folder = Folder { fd: Rc::clone(&self.root), shown: self.shown.clone() };
        for name in path {
            folder = match folder.sub(name)? {
                Some(sub) => sub,
                None if make(&folder, name)? => match folder.sub(name)? {
                    Some(sub) => sub,
                    None => return Ok(None),
                },
                None => return Ok(None),
            };
        }
        let mut folders = self.folders.borrow_mut();
        if folders.len() >= OPEN_FOLDERS {
            folders.clear();
        }
        folders.insert(path.to_vec(), Rc::clone(&folder.fd));
        Ok(Some(folder))
    }

    /// Sees to it that what was written is on disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn sync(&self) -> Result<(), Failure> {
        let synced = File::from(self.root.try_clone().map_err(|error| cannot("sync", &self.shown, error))?);
        sync_file_system(&synced).map_err(|error| cannot("sync", &self.shown, error))
    }
}

#[cfg(target_os = "linux")]
fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(file: &File) -> io::Result<()> {
    file.sync_all()
}

impl Folder {
    /// Where it is, for messages.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// A folder in this one; `None` when there is nothing of that name.
    fn sub(&self, name: &str) -> Result<Option<Self>, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let shown = self.shown.join(name);
        match openat(&*self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd: Rc::new(fd), shown })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                Err(Failure::invalid(format!("{} is no folder, or a link to one", shown.display())))
            }
            Err(error) => Err(cannot("read", &shown, error)),
        }
    }

    /// The bytes of a plain file, at most `max_bytes`; `None` when there is nothing of that name.
    ///
    /// # Errors
    /// It is something else, is longer, may not be read, or changes while it is read.
    pub fn read(&self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
        let shown = self.shown.join(name);
        // Opening a pipe would wait for whoever writes to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match openat(&*self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(no_plain_file(&shown)),
            Err(error) => return Err(cannot("read", &shown, error)),
        };
        let before = fstat(&fd).map_err(|error| cannot("read", &shown, error))?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Err(no_plain_file(&shown));
        }
        let mut bytes = Vec::new();
        fcntl_setfl(&fd, OFlags::empty()).map_err(|error| cannot("read", &shown, error))?;
        let file = File::from(fd);
        let read = (&file).take(max_bytes.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| cannot("read", &shown, error))?;
        if bytes.len() as u64 > max_bytes {
            let what = format!("{} is longer than {max_bytes} bytes", shown.display());
            return Err(Failure::new(Code::Limit, "limit", what));
        }
        let after = fstat(&file).map_err(|error| cannot("read", &shown, error))?;
        let state = |stat: &rustix::fs::Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        if state(&before) != state(&after) || after.st_size.unsigned_abs() != bytes.len() as u64 {
            return Err(busy(&shown, "it was changed while it was read"));
        }
        Ok(Some(bytes))
    }

    /// Puts a file with these bytes in place, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        self.clean();
        let fd = match openat(&*self.fd, NEW_FILE, flags, Mode::from_raw_mode(0o666)) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Err(self.removed()),
            Err(error) => return Err(cannot("write", &self.shown.join(NEW_FILE), error)),
        };
        let written = File::from(fd).write_all(bytes);
        let placed = written.and_then(|()| Ok(renameat(&*self.fd, NEW_FILE, &*self.fd, name)?));
        placed.map_err(|error| {
            self.clean();
            match error.kind() {
                io::ErrorKind::NotFound => self.removed(),
                _ => cannot("write", &self.shown.join(name), error),
            }
        })
    }

    fn removed(&self) -> Failure {
        busy(&self.shown, "it was removed while it was written")
    }

    /// Removes what a process left that was killed. What cannot be removed is in the way of the next file, and told then.
    fn clean(&self) {
        let _ = unlinkat(&*self.fd, NEW_FILE, AtFlags::empty());
    }

    /// Removes a file.
    ///
    /// # Errors
    /// It may not be removed.
    pub fn remove(&self, name: &str) -> Result<(), Failure> {
        match unlinkat(&*self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(cannot("remove", &self.shown.join(name), error)),
        }
    }

    /// The names in the folder and what they stand for, in order; hidden ones are left out.
    ///
    /// # Errors
    /// It may not be read.
    pub fn list(&self) -> Result<Vec<(OsString, Kind)>, Failure> {
        let failed = |error: Errno| cannot("read", &self.shown, error);
        let mut entries = Vec::new();
        for entry in Dir::read_from(&*self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_bytes().starts_with(b".") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind(entry.file_name()),
                known => Ok(known),
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            match kind {
                Ok(kind) => entries.push((name, Kind::of(kind))),
                // It has gone meanwhile.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }

    fn kind(&self, name: &CStr) -> rustix::io::Result<FileType> {
        let stat = statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }
}

impl Kind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            _ => Self::Other,
        }
    }
}

/// The failure of what is neither a plain file nor followed.
pub fn no_plain_file(shown: &Path) -> Failure {
    Failure::invalid(format!("{} is no plain file; links are not followed", shown.display()))
}

/// The failure of what may go well when it is tried again.
fn busy(shown: &Path, why: &str) -> Failure {
    let what = format!("{} is busy: {why}", shown.display());
    Failure { retryable: true, ..Failure::new(Code::TimedOut, "busy", what) }
}

fn cannot(verb: &str, path: &Path, error: impl Into<io::Error>) -> Failure {
    Failure::io(format_args!("cannot {verb} {}", path.display()), &error.into())
}
