//! Values from standard input and from files, no longer than they may be.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::exit::Failure;

/// All of standard input, asked for with `-`.
pub fn read(max_bytes: u64) -> Result<Vec<u8>, Failure> {
    read_up_to(io::stdin().lock(), max_bytes)
        .map_err(|error| Failure::io("cannot read standard input", &error))
}

/// Standard input when the command line has no value.
pub fn read_if_given(max_bytes: u64) -> Result<Vec<u8>, Failure> {
    if is_given() {
        return read(max_bytes);
    }
    Err(Failure::usage("the value is missing")
        .hint("write it behind the address, pipe it in, or name a file with --file"))
}

/// Whether somebody has put something there, a pipe or a file: a terminal or `/dev/null` means that it was forgotten.
pub fn is_given() -> bool {
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    input.is_ok_and(|input| !input.file_type().is_char_device())
}

/// All of a file.
pub fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Failure> {
    let bytes = File::open(path).and_then(|file| read_up_to(file, max_bytes));
    bytes.map_err(|error| Failure::io(format_args!("cannot read {}", path.display()), &error))
}

/// Reads to the end, or one byte more than is allowed, which whoever asked then refuses.
fn read_up_to(input: impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
