//! Answers that go to a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{AtFlags, CWD, linkat};

use crate::engines::SIDE_FILES;
use crate::exit::Failure;
use crate::output::Out;

/// What a SQLite database begins with.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Where a long answer goes, piece by piece.
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file that takes the place of the one that is meant when it is whole.
    Fresh(Fresh),
    /// What is no plain file, such as a pipe.
    Device(File, PathBuf),
}

impl Target {
    /// Opens the target before any work is done for it.
    ///
    /// # Errors
    /// It cannot be written, or is a database.
    pub fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| !is_stdout(path)) else { return Ok(Self::Stdout) };
        let cannot = |error: io::Error| cannot_write(&path, &error);
        match fs::metadata(&path) {
            Ok(meta) if !meta.is_file() => {
                let file = File::options().write(true).open(&path).map_err(cannot)?;
                Ok(Self::Device(file, path))
            }
            _ => {
                refuse_database(&path)?;
                Ok(Self::Fresh(Fresh::beside(&path).map_err(cannot)?))
            }
        }
    }

    /// Writes what is kept.
    ///
    /// # Errors
    /// See [`Out::write`].
    pub fn flush(&mut self, out: &mut Out) -> Result<(), Failure> {
        let (file, path) = match self {
            Self::Stdout => return out.flush(),
            Self::Fresh(fresh) => (&mut fresh.file, &fresh.path),
            Self::Device(file, path) => (file, &*path),
        };
        let written = file.write_all(out.buffer());
        out.buffer().clear();
        written.map_err(|error| cannot_write(path, &error))
    }

    /// Puts a whole file in its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> Result<(), Failure> {
        let Self::Fresh(mut fresh) = self else { return Ok(()) };
        fresh.place().map_err(|error| cannot_write(&fresh.path, &error))
    }
}

/// Writes all of a file, in place of what it held. A file that is not there and cannot be written whole is not left behind.
///
/// # Errors
/// The folder or the file may not be written, the disk is full, or it is a database.
pub fn write(path: &Path, bytes: &[u8], out: &Out) -> Result<(), Failure> {
    if is_stdout(path) {
        // Opening it anew would begin at the start of a file that others have written to.
        return out.write(bytes);
    }
    refuse_database(path)?;
    let written = match File::create_new(path) {
        Ok(fresh) => fill(fresh, bytes).inspect_err(|_| {
            // What matters is the error that is returned.
            let _ = fs::remove_file(path);
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            File::create(path).and_then(|old| fill(old, bytes))
        }
        Err(error) => Err(error),
    };
    written.map_err(|error| cannot_write(path, &error))
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("/dev/stdout") || path == Path::new("-")
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot write {}", path.display()), error)
}

/// Refuses to write over a database, or over a file that belongs to one.
///
/// To look at the present database drops the locks that this process has on it: the command has to end then, and does.
fn refuse_database(path: &Path) -> Result<(), Failure> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = real.to_string_lossy();
    let owner = SIDE_FILES.iter().find_map(|ending| name.strip_suffix(ending));
    if is_database(&real) || owner.is_some_and(|owner| is_database(Path::new(owner))) {
        return Err(Failure::invalid(format!("{} is a database, or belongs to one", path.display()))
            .hint("name another file"));
    }
    Ok(())
}

fn is_database(path: &Path) -> bool {
    let mut start = [0; DATABASE.len()];
    // A pipe would wait for whoever writes to it.
    let is_file = fs::metadata(path).is_ok_and(|meta| meta.is_file());
    is_file && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == DATABASE
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file on the file system of another one, whose place it takes. Without a name where the system has such files, so
/// that nothing is left of it whatever ends the process.
pub struct Fresh {
    file: File,
    /// Where it is to be.
    path: PathBuf,
    /// The name it has meanwhile.
    partial: Option<PathBuf>,
}

impl Fresh {
    fn beside(path: &Path) -> io::Result<Self> {
        // A link stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(file) = unnamed_in(folder_of(&path)) {
            return Ok(Self { file, path, partial: None });
        }
        let partial = Self::name_beside(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&partial)?;
        Ok(Self { file, path, partial: Some(partial) })
    }

    fn name_beside(path: &Path) -> PathBuf {
        let partial = folder_of(path).join(format!(".prontodb-{}", process::id()));
        // What a process of the same number left that was killed.
        let _ = fs::remove_file(&partial);
        partial
    }

    /// Gives it its place; whoever reads the old file keeps that. A mode that somebody has set stays.
    fn place(&mut self) -> io::Result<()> {
        if let Ok(meta) = fs::metadata(&self.path) {
            self.file.set_permissions(meta.permissions())?;
        }
        self.file.sync_all()?;
        if self.partial.is_none() {
            // Nothing can be named in place of something else, so it takes two steps.
            let partial = Self::name_beside(&self.path);
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            linkat(CWD, unnamed, CWD, &partial, AtFlags::SYMLINK_FOLLOW)?;
            self.partial = Some(partial);
        }
        if let Some(partial) = &self.partial {
            fs::rename(partial, &self.path)?;
        }
        self.partial = None;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // There is no one to tell.
            let _ = fs::remove_file(partial);
        }
    }
}

#[cfg(target_os = "linux")]
fn unnamed_in(folder: &Path) -> Option<File> {
    let flags = i32::try_from(rustix::fs::OFlags::TMPFILE.bits()).ok()?;
    OpenOptions::new().write(true).custom_flags(flags).mode(0o666).open(folder).ok()
}

#[cfg(not(target_os = "linux"))]
fn unnamed_in(_: &Path) -> Option<File> {
    None
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}
