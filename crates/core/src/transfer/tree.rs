//! Entries as a tree of files: `project/namespace/key.json`, and with a context `project/namespace/context/key.json`.
//!
//! A file holds the entry as a line of JSON lines does, its key with it. So where a name does not fit into the name of a
//! file, a hash stands for the rest, and nobody has to find the name from the path: a file is in its place when its path is
//! the one that its key asks for.

use super::{ReadOptions, json};
use crate::address::{EntryName, Namespace};
use crate::error::Result;
use crate::record::Head;
use crate::store::Life;

/// What names of files end in.
const ENDING: &str = ".json";
/// The longest name of a file that file systems take, in bytes.
const MAX_BYTES: usize = 255;
/// How much of a name that is too long stays in front of its hash, in bytes.
const KEPT_BYTES: usize = 160;
/// Bytes of a hash.
const HASH_BYTES: usize = 16;
/// What some file system or shell takes for something else, and the mark of what stands for it.
const RESERVED: &[char] = &['%', '/', '\\', ':', '*', '?', '"', '<', '>', '|'];
/// Names of devices on Windows, whatever follows behind a dot.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
    "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// The folders of a namespace, one in the other.
pub fn folders_of(namespace: &Namespace) -> [String; 2] {
    [folder(namespace.project()), folder(namespace.namespace())]
}

/// The folder of an entry within that of its namespace, if it has a context, and the name of its file.
pub fn place_of(name: &EntryName) -> (Option<String>, String) {
    let file = shortened(name.key(), encoded(name.key()), MAX_BYTES - ENDING.len()) + ENDING;
    (name.context().map(folder), file)
}

/// Whether a file of this name may hold an entry.
pub fn is_entry(file: &str) -> bool {
    file.ends_with(ENDING) && !file.starts_with('.')
}

/// Appends what the file of an entry holds; with `meta` also its times, its writer and its metakeys.
pub fn push(out: &mut Vec<u8>, name: &str, value: &[u8], meta: Option<&Head>) {
    json::push(out, name, value, meta);
    out.push(b'\n');
}

/// Reads what the file of an entry holds: its name, its value and its times.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what is no entry, with its line.
pub fn read(bytes: &[u8], options: &ReadOptions) -> Result<(EntryName, Vec<u8>, Life)> {
    json::read_one(bytes, options)
}

/// Folders end otherwise than files of entries, so that no context is taken for a key.
fn folder(name: &str) -> String {
    let mut folder = encoded(name);
    let ending = folder.len().checked_sub(ENDING.len());
    if let Some(at) = ending.filter(|at| folder.is_char_boundary(*at))
        && folder[at..].eq_ignore_ascii_case(ENDING)
    {
        folder.replace_range(at..=at, "%2E");
    }
    shortened(name, folder, MAX_BYTES)
}

/// A name with `%` and two digits for each byte that a file system would object to.
fn encoded(name: &str) -> String {
    let last = name.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(name.len() + 8);
    for (place, c) in name.chars().enumerate() {
        let is_dot_in_front = place == 0 && c == '.';
        let is_lost_at_the_end = place == last && matches!(c, '.' | ' ');
        let is_device = place == 0 && is_device(name);
        if RESERVED.contains(&c) || c.is_control() || is_dot_in_front || is_lost_at_the_end || is_device {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
        } else {
            text.push(c);
        }
    }
    text
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device))
}

/// An encoded name as it is, or when it is longer than `max` bytes the start of it, `%~` and a hash of the whole.
fn shortened(name: &str, mut encoded: String, max: usize) -> String {
    if encoded.len() <= max {
        return encoded;
    }
    let mut end = KEPT_BYTES;
    while !encoded.is_char_boundary(end) {
        end -= 1;
    }
    // No half of what stands for a byte.
    if let Some(mark) = encoded[..end].rfind('%').filter(|mark| mark + 3 > end) {
        end = mark;
    }
    encoded.truncate(end);
    encoded.push_str("%~");
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes()[..HASH_BYTES].iter().for_each(|byte| encoded.push_str(&format!("{byte:02x}")));
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> String {
        let (folder, file) = place_of(&EntryName::parse(name).unwrap());
        folder.map_or(file.clone(), |folder| format!("{folder}/{file}"))
    }

    #[test]
    fn plain_names_are_names_of_files() {
        for (name, path) in [
            ("apple", "apple.json"),
            ("apple__eu", "eu/apple.json"),
            ("Apple Pie-2_3", "Apple Pie-2_3.json"),
            ("ключ", "ключ.json"),
            ("a.json", "a.json.json"),
            ("a.b", "a.b.json"),
            ("a__b__c", "c/a__b.json"),
        ] {
            assert_eq!(place(name), path);
        }
    }

    #[test]
    fn what_a_file_system_would_object_to_is_encoded() {
        for (name, path) in [
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd.json"),
            (".", "%2E.json"),
            ("..", "%2E%2E.json"),
            (".hidden", "%2Ehidden.json"),
            ("100%", "100%25.json"),
            ("a:b*c?d\"e<f>g|h\\i", "a%3Ab%2Ac%3Fd%22e%3Cf%3Eg%7Ch%5Ci.json"),
            ("dot.", "dot%2E.json"),
            ("blank ", "blank%20.json"),
            ("con", "%63on.json"),
            ("Com1.txt", "%43om1.txt.json"),
            ("console", "console.json"),
            ("k__x.json", "x%2Ejson/k.json"),
            ("k__x.JSON", "x%2EJSON/k.json"),
            ("k__..", "%2E%2E/k.json"),
            ("k__nul", "%6Eul/k.json"),
        ] {
            assert_eq!(place(name), path);
        }
    }

    #[test]
    fn long_names_end_in_a_hash() {
        for (name, other) in [("x".repeat(512), "x".repeat(511)), ("é".repeat(256), "é".repeat(255))] {
            assert!(place(&name).len() <= MAX_BYTES && place(&name) != place(&other));
            assert!(place(&name).contains("%~") && place(&name).ends_with(ENDING));
        }
        assert_eq!(place(&"x".repeat(250)), format!("{}.json", "x".repeat(250)));
        assert!(place(&"x".repeat(251)).contains("%~"));
        // Where the cut would go through what stands for a byte, wherever that begins.
        for front in 0..4 {
            let path = place(&format!("{}{}", "x".repeat(front), ":".repeat(200)));
            let kept = path.split("%~").next().unwrap();
            assert!(kept.ends_with("%3A"), "{kept}");
        }
        let context = place(&format!("k__{}", "c".repeat(512)));
        assert!(context.split('/').next().unwrap().len() <= MAX_BYTES);
    }
}
