//! Names of entries as names of files, and files as entries: what is written is read back from its own place, no two names
//! share one, and none leads elsewhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prontodb_core::transfer::{Format, ReadOptions, tree};
use prontodb_core::{Coding, Delimiter, EntryName, Head, Millis, Namespace, Version};

fuzz_target!(|bytes: &[u8]| {
    let namespace = Namespace::default();
    let delimiter = Delimiter::default();
    let options =
        ReadOptions { format: Format::JsonLines, with_meta: false, namespace, delimiter, max_line_bytes: 1 << 16 };
    // Whatever a file holds, reading it ends.
    if let Ok((name, value, _)) = tree::read(bytes, &options) {
        assert_back(&name, &value, &options);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(name) = EntryName::parse(first) else { return };
    assert_back(&name, bytes, &options);
    if let Ok(other) = EntryName::parse(second) {
        assert_eq!(name == other, tree::place_of(&name) == tree::place_of(&other));
    }
});

fn assert_back(name: &EntryName, value: &[u8], options: &ReadOptions) {
    let (folder, file) = tree::place_of(name);
    assert!(tree::is_entry(&file));
    for part in folder.iter().chain([&file]) {
        assert!((1..=255).contains(&part.len()) && !part.starts_with('.') && !part.contains(['/', '\0', '\\']));
    }
    let head = Head {
        version: Version(1),
        created: Millis(0),
        updated: Millis(0),
        expires: None,
        writer: None,
        rank: None,
        size: value.len() as u64,
        coding: Coding::PLAIN,
        metakeys: None,
    };
    let mut bytes = Vec::new();
    tree::push(&mut bytes, name.as_str(), value, Some(&head));
    let (read, read_value, _) = tree::read(&bytes, options).expect("what was written");
    assert_eq!((read.as_str(), read_value.as_slice()), (name.as_str(), value));
}
