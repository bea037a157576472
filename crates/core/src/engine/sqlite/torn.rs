//! A new file whose first page a power cut has torn. Nothing was ever in it, so it is taken for an empty one.

use std::fs::File;
use std::io;
use std::mem;
use std::path::Path;

use crate::sys;

/// What SQLite writes into an empty file is a page of so many bytes. It
pub(super) const PAGE: usize = 4096;
/// begins like this (its name, the size of pages, the mode with a log, and three constants)
const BEGINNING: &[u8] = b"SQLite format 3\0\x10\x00\x02\x02\x00\x40\x20\x20";
/// and has nothing but zeros from here on.
const END: usize = 106;

/// Whether the file, which has so many bytes, is a part of such a page: a beginning that breaks off, and zeros; or zeros alone.
pub(super) fn is_torn(path: &Path, length: u64) -> bool {
    length == PAGE as u64 && holds_part(path)
}

// Apart, for every open would have its buffer on the stack, which is a page more to be fetched.
#[cold]
#[inline(never)]
fn holds_part(path: &Path) -> bool {
    let mut bytes = [0; PAGE];
    sys::peek(path, &mut bytes).is_ok_and(|read| read == PAGE) && is_part(&bytes)
}

fn is_part(bytes: &[u8]) -> bool {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let known = written.min(BEGINNING.len());
    bytes.len() == PAGE && written < END && bytes[..known] == BEGINNING[..known]
}

/// Makes an empty file of it. Its descriptor stays open for good, as in [`connect`](super::connect).
///
/// # Errors
/// Those of writing.
pub(super) fn clear(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(0)?;
    mem::forget(file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::sql;
    use super::*;

    #[test]
    fn a_part_of_the_first_page_is_told_from_all_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(sql::JOURNAL_IN_MEMORY).unwrap();
        connection.execute_batch(sql::USE_WAL).unwrap();
        drop(connection);
        let page = std::fs::read(&path).unwrap();
        assert!(page.len() == PAGE && !is_part(&page), "a whole page is an empty database");
        for kept in 0..END {
            let torn = [&page[..kept], &vec![0; PAGE - kept]].concat();
            assert_eq!((is_part(&torn), is_part(&page[..kept])), (torn != page, false), "{kept} bytes");
        }
        for other in [
            &b"some text"[..],
            b"SQLite format 3\0\x04\x00",
            &[0; PAGE + 1],
            &[vec![0; 600], vec![1]].concat(),
        ] {
            assert!(!is_part(other), "{other:?}");
        }
    }
}
