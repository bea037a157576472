//! Puts files in place as a whole: readers, and those who run them, have the old one or the new one.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use crate::files::sync_directory;

/// The permissions of what everybody may read.
pub const READABLE: u32 = 0o644;
/// The permissions of programs.
pub const EXECUTABLE: u32 = 0o755;

/// Puts a file in the place of whatever has its name. A link is replaced, and not followed.
///
/// # Errors
/// Those of the file system; what was there is there still, and nothing else is.
pub fn file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = Partial(folder.join(format!(".prontodb-install-{}", process::id())));
    // What a process of the same number left that was killed.
    let _ = fs::remove_file(&partial.0);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&partial.0)?;
    file.write_all(bytes)?;
    // Whatever the umask: who may use it does not depend on who installs it.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    drop(file);
    fs::rename(&partial.0, path)?;
    sync_directory(folder)
}

/// A file that is not in its place yet, and goes when it does not get there.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // In its place it has another name, and there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a directory and those it is in, and says which of them were not there, the outermost first.
///
/// # Errors
/// Those of the file system.
pub fn directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut fresh: Vec<_> =
        path.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
    fs::create_dir_all(path)?;
    fresh.reverse();
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_replaced_and_what_they_lead_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (place, other) = (folder.path().join("place"), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &place).unwrap();
        file(&place, b"new", EXECUTABLE).unwrap();
        assert!(!place.is_symlink());
        assert_eq!(fs::read(&place).unwrap(), b"new");
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn nothing_is_left_of_what_finds_no_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("place/full")).unwrap();
        assert!(file(&folder.path().join("place"), b"new", READABLE).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_that_were_made_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inner) = (folder.path().join("a"), folder.path().join("a/b"));
        assert_eq!(directory(&inner).unwrap(), [outer, inner.clone()]);
        assert_eq!(directory(&inner).unwrap(), [""; 0].map(PathBuf::from));
    }
}
