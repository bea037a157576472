//! The names of what is in a replica; each sorts by when it was made.

use std::hash::{BuildHasher as _, RandomState};

use prontodb_core::Millis;

/// Says that a folder is a replica, and of what.
pub const ABOUT: &str = "prontodb-replica.json";
/// The folder of all generations.
pub const GENERATIONS: &str = "generations/";
/// Says of a generation that its snapshot is whole.
pub const GENERATION: &str = "generation.json";
/// Where the last follower came to that ended in order.
pub const POSITION: &str = "position.json";
/// The database that a generation begins with.
const SNAPSHOT: &str = "snapshot.prdb.zst";
/// What ends the name of a segment.
const SEGMENT: &str = ".wal.zst";
/// What ends the names of files that are encrypted.
const SEALED: &str = ".age";

/// A name for a generation that begins at a moment, and that nobody else has.
pub fn generation(at: Millis) -> String {
    let random = RandomState::new().hash_one(at) & 0xffff_ffff;
    format!("{}-{random:08x}", compact(at))
}

/// When the generation of this name begins; `None` of other names.
pub fn begin_of(generation: &str) -> Option<Millis> {
    let (at, random) = generation.rsplit_once('-')?;
    let is_random = random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    moment(at).filter(|_| is_random)
}

/// The folder of a generation.
pub fn folder(generation: &str) -> String {
    format!("{GENERATIONS}{generation}/")
}

/// The snapshot of a generation.
pub fn snapshot(generation: &str, is_sealed: bool) -> String {
    format!("{GENERATIONS}{generation}/{SNAPSHOT}{}", ending(is_sealed))
}

/// A segment of a generation.
pub fn segment(generation: &str, number: u64, at: Millis, is_sealed: bool) -> String {
    format!("{GENERATIONS}{generation}/{number:016x}-{}{SEGMENT}{}", compact(at), ending(is_sealed))
}

/// The number of a segment and its last moment, by its name within the folder; `None` of other names.
pub fn parse_segment(name: &str) -> Option<(u64, Millis)> {
    let name = name.strip_suffix(SEALED).unwrap_or(name).strip_suffix(SEGMENT)?;
    let (number, at) = name.split_once('-')?;
    let number = (number.len() == 16).then(|| u64::from_str_radix(number, 16).ok()).flatten()?;
    Some((number, moment(at)?))
}

/// Whether a file is encrypted, by its name.
pub fn is_sealed(name: &str) -> bool {
    name.ends_with(SEALED)
}

fn ending(is_sealed: bool) -> &'static str {
    if is_sealed { SEALED } else { "" }
}

/// `20261126T093000.123Z`: RFC 3339 without what file systems object to.
fn compact(at: Millis) -> String {
    at.to_string().replace(['-', ':'], "")
}

fn moment(compact: &str) -> Option<Millis> {
    let is_whole = compact.len() == 20 && compact.is_ascii();
    let (day, time) = compact.split_once('T').filter(|(day, _)| is_whole && day.len() == 8)?;
    let ([year, month, day], [hour, minute, second]) =
        ([&day[..4], &day[4..6], &day[6..]], [&time[..2], &time[2..4], &time[4..]]);
    Millis::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let at = Millis(1_795_253_400_123);
        let name = generation(at);
        assert_eq!((&name[..21], name.len()), ("20261121T093000.123Z-", 29));
        assert_eq!(begin_of(&name), Some(at));
        for is_sealed in [false, true] {
            let name = segment("g", 26, at, is_sealed);
            let file = name.strip_prefix("generations/g/").unwrap();
            assert!(file.starts_with("000000000000001a-20261121T093000.123Z.wal.zst"));
            assert_eq!((parse_segment(file), super::is_sealed(file)), (Some((26, at)), is_sealed));
        }
    }

    #[test]
    fn other_names_are_none_of_ours() {
        for name in
            ["", "x", "20261121T093000.123Z", "20261121T093000.123Z-xyz", "20261321T093000.123Z-00000000"]
        {
            assert_eq!(begin_of(name), None, "{name}");
        }
        for name in [
            "",
            "generation.json",
            "1a-20261121T093000.123Z.wal.zst",
            "000000000000001a-é0261121T09300.123Z.wal.zst",
        ] {
            assert_eq!(parse_segment(name), None, "{name}");
        }
    }
}
