//! Answers that go to a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::exit::Failure;
use crate::output::Out;

/// Where a long answer goes, piece by piece.
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file beside the one that is meant, which it replaces when it is whole.
    Beside(NamedTempFile, PathBuf),
    /// What is no plain file, such as a pipe.
    Device(File, PathBuf),
}

impl Target {
    /// Opens the target before any work is done for it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| path != Path::new("/dev/stdout")) else {
            return Ok(Self::Stdout);
        };
        let cannot = |error: io::Error| Failure::io(format_args!("cannot write {}", path.display()), &error);
        match fs::metadata(&path) {
            Ok(meta) if !meta.is_file() => {
                let file = File::options().write(true).open(&path).map_err(cannot)?;
                Ok(Self::Device(file, path))
            }
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let permissions = fs::Permissions::from_mode(0o666);
                let beside =
                    Builder::new().permissions(permissions).tempfile_in(folder.unwrap_or(Path::new(".")));
                Ok(Self::Beside(beside.map_err(cannot)?, path))
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
            Self::Beside(file, path) => (file.as_file_mut(), path),
            Self::Device(file, path) => (file, path),
        };
        let written = file.write_all(out.buffer());
        out.buffer().clear();
        written.map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
    }

    /// Puts a whole file in its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> Result<(), Failure> {
        let Self::Beside(file, path) = self else { return Ok(()) };
        let synced = file.as_file().sync_all();
        let placed = synced.and_then(|()| file.persist(&path).map_err(|error| error.error));
        placed.map(drop).map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
    }
}

/// Writes all of a file, in place of what it held. A file that is not there and cannot be written whole is not left behind.
///
/// # Errors
/// The folder or the file may not be written, or the disk is full.
pub fn write(path: &Path, bytes: &[u8], out: &Out) -> Result<(), Failure> {
    if path == Path::new("/dev/stdout") {
        // Opening it anew would begin at the start of a file that others have written to.
        return out.write(bytes);
    }
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
    written.map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}
