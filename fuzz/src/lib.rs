//! What the targets for formats have in common.

use prontodb_core::store::Change;
use prontodb_core::transfer::{self, Format, ReadOptions, Writer};
use prontodb_core::{Coding, Delimiter, Head, Millis, Namespace, Version};

/// What some programs write in front of UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a text, with meta and without, and behind a byte order mark; what is read is written and read again.
///
/// # Panics
/// When that is not the same.
pub fn check(format: Format, text: &[u8]) {
    let _ = read(format, text, true);
    let seen = read(format, text, false);
    // A second mark is text.
    if !text.starts_with(BYTE_ORDER_MARK) {
        assert_eq!(read(format, &[BYTE_ORDER_MARK, text].concat(), false), seen);
    }
    let Some(seen) = seen else { return };
    let (mut writer, mut written) = (Writer::new(format, false, namespace(), Delimiter::default()), Vec::new());
    writer.begin(&mut written);
    for (name, value) in &seen {
        let (moment, size) = (Millis(0), value.len() as u64);
        let head = Head { version: Version(1), created: moment, updated: moment, expires: None, writer: None, rank: None, size, coding: Coding::PLAIN, metakeys: None };
        writer.entry(&mut written, name, value, &head, moment);
    }
    writer.end(&mut written);
    assert_eq!(read(format, &written, false), Some(seen));
}

fn read(format: Format, text: &[u8], with_meta: bool) -> Option<Vec<(String, Vec<u8>)>> {
    let (namespace, delimiter) = (namespace(), Delimiter::default());
    let options = ReadOptions { format, with_meta, namespace, delimiter, max_line_bytes: 1 << 20 };
    let mut seen = Vec::new();
    transfer::read(text, &options, &mut |_, name, change| {
        if let Change::Set { value, .. } = change {
            seen.push((name.to_string(), value.to_vec()));
        }
        Ok(())
    })
    .ok()
    .map(|()| seen)
}

fn namespace() -> Namespace {
    Namespace::default()
}
