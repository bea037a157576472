//! Small files that commands read before anything else: never long, never in anybody's way.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A longer file is none of those that are read here.
const MAX_BYTES: u64 = 64 * 1024;

/// All of the small file at `path`; `None` if nothing is there, not even a link.
///
/// # Errors
/// Those of the file system, what is no regular file, and more than 64 KiB.
pub fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let about = file.metadata()?;
    if !about.is_file() {
        return invalid("it is no regular file");
    }
    let mut bytes = Vec::with_capacity(about.len().min(MAX_BYTES) as usize + 1);
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return invalid("it is longer than 64 KiB");
    }
    Ok(Some(bytes))
}

/// Opens what is at `path`, if anything is.
fn open(path: &Path) -> io::Result<Option<File>> {
    // Something may come up between a look for the file and one for the link that leads nowhere.
    let mut looks = 100;
    loop {
        looks -= 1;
        // A named pipe would keep whoever opens it waiting for a writer.
        match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if !is_absent(&error) => return Err(error),
            Err(_) if metadata(path)?.is_none() => return Ok(None),
            Err(error) if looks == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// What is at `path`, if anything; links are not followed.
///
/// # Errors
/// Those of the file system.
pub fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file is at `path`, or at the end of the link there.
///
/// # Errors
/// Those of the file system, where it cannot be told.
pub fn is_file(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(about) => Ok(about.is_file()),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether nothing is there; below a file that is no directory, nothing is.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes changes to the names in a directory outlast a power cut.
///
/// # Errors
/// Those of the file system.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The path of a file without links and relative parts, also of one that is not there.
pub fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let in_folder = || Some(fs::canonicalize(absolute.parent()?).ok()?.join(absolute.file_name()?));
    fs::canonicalize(&absolute).ok().or_else(in_folder).unwrap_or_else(|| absolute.clone())
}
