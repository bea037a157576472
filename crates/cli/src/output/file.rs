//! Answers that go to a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::exit::Failure;
use crate::output::Out;

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
