//! What a process that watches a tree knows of its files: which ones hold what it left there, and which ones somebody else
//! has made or changed.

use std::collections::HashMap;

/// Bytes of a hash.
const HASH_BYTES: usize = 16;

/// Stands for what a file holds.
type Hash = [u8; HASH_BYTES];

/// Files by their paths, as a pass after the other comes across them.
#[derive(Default)]
pub struct Known {
    files: HashMap<String, File>,
    round: u64,
}

#[derive(Default)]
struct File {
    /// What it held when it was written, or found to be as it should be.
    own: Option<Hash>,
    /// Whether it holds something else, and that has been told.
    is_told: bool,
    /// The last pass that came across it.
    round: u64,
}

impl Known {
    /// Begins a pass.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// Ends a pass: what it has not come across is not there any more.
    pub fn end(&mut self) {
        let round = self.round;
        self.files.retain(|_, file| file.round == round);
    }

    /// Whether the pass has come across a file.
    pub fn is_met(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(|file| file.round == self.round)
    }

    /// Whether it is known from any pass.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether a file that holds these bytes holds what this process left there.
    pub fn is_own(&self, path: &str, bytes: &[u8]) -> bool {
        self.files.get(path).is_some_and(|file| file.own == Some(hash(bytes)))
    }

    /// Remembers that a file is as it should be, and holds these bytes.
    pub fn settle(&mut self, path: &str, bytes: &[u8]) {
        let file = self.meet(path);
        (file.own, file.is_told) = (Some(hash(bytes)), false);
    }

    /// Remembers that somebody else's file is kept, and says whether that is to be told.
    pub fn keep(&mut self, path: &str) -> bool {
        !std::mem::replace(&mut self.meet(path).is_told, true)
    }

    /// Forgets a file that has been removed.
    pub fn forget(&mut self, path: &str) {
        self.files.remove(path);
    }

    fn meet(&mut self, path: &str) -> &mut File {
        let file = self.files.entry(path.to_owned()).or_default();
        file.round = self.round;
        file
    }
}

fn hash(bytes: &[u8]) -> Hash {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&blake3::hash(bytes).as_bytes()[..HASH_BYTES]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_own_as_long_as_nobody_changes_them() {
        let mut known = Known::default();
        assert!(!known.is_own("a", b"1") && !known.has("a"));
        known.settle("a", b"1");
        assert!(known.is_own("a", b"1") && !known.is_own("a", b"2") && !known.is_own("b", b"1"));
        known.keep("a");
        assert!(known.is_own("a", b"1"), "whoever takes their change back has changed nothing");
        known.forget("a");
        assert!(!known.is_own("a", b"1"));
    }

    #[test]
    fn what_is_kept_is_told_once_until_it_is_as_it_should_be() {
        let mut known = Known::default();
        assert_eq!([known.keep("a"), known.keep("a")], [true, false]);
        known.settle("a", b"1");
        assert_eq!([known.keep("a"), known.keep("a")], [true, false]);
    }

    #[test]
    fn what_a_whole_pass_does_not_meet_is_forgotten() {
        let mut known = Known::default();
        known.begin();
        known.settle("a", b"1");
        known.keep("b");
        known.end();
        // A pass that fails forgets nothing.
        known.begin();
        known.begin();
        assert!(known.has("a") && !known.is_met("a"));
        known.settle("a", b"1");
        known.end();
        assert!(known.is_met("a") && !known.has("b"));
    }
}
