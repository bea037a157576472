//! SQLite's write-ahead log and its index as bytes, as <https://sqlite.org/walformat.html> describes them. Nothing here
//! touches a file.

/// Bytes before the first frame of a log.
pub(super) const LOG_HEAD_BYTES: usize = 32;
/// Bytes before the page of a frame.
pub(super) const FRAME_HEAD_BYTES: usize = 24;
/// Bytes of the index that are looked at: two copies of its header, and how far the log has been copied back.
pub(super) const INDEX_BYTES: usize = 100;

/// The version of the format, of log and index alike.
const VERSION: u32 = 3_007_000;
/// What a log begins with; the last bit says in which order of bytes sums are made.
const MAGIC: u32 = 0x377f_0682;
/// Bytes of one copy of the header of the index.
const INDEX_HEAD_BYTES: usize = 48;

/// What tells one log from the next one in the same file.
pub(super) type Salts = [u8; 8];

/// The sum over the head of a log and all frames up to one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(pub(super) u32, pub(super) u32);

impl Sum {
    /// The sum that goes on over `bytes`, whose number is a multiple of eight.
    fn over(self, word: fn([u8; 4]) -> u32, bytes: &[u8]) -> Self {
        let Self(mut first, mut second) = self;
        let (pairs, _) = bytes.as_chunks::<8>();
        for [a, b, c, d, e, f, g, h] in pairs {
            first = first.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(second);
            second = second.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(first);
        }
        Self(first, second)
    }
}

/// The head of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogHead {
    /// Its bytes.
    pub(super) bytes: [u8; LOG_HEAD_BYTES],
    /// Bytes of a page.
    pub(super) page_size: usize,
    pub(super) salts: Salts,
    /// What the sum over the frames begins with.
    pub(super) sum: Sum,
    word: fn([u8; 4]) -> u32,
}

impl PartialEq for LogHead {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for LogHead {}

impl LogHead {
    /// Reads one; `None` for what is none.
    pub(super) fn parse(bytes: [u8; LOG_HEAD_BYTES]) -> Option<Self> {
        let number = |at| u32_at(&bytes, at, u32::from_be_bytes);
        let word = match number(0) ^ MAGIC {
            0 => u32::from_le_bytes,
            1 => u32::from_be_bytes,
            _ => return None,
        };
        let page_size = usize::try_from(number(8)).ok().filter(|size| is_page_size(*size))?;
        let sum = Sum(number(24), number(28));
        let is_whole = number(4) == VERSION && Sum::default().over(word, &bytes[..24]) == sum;
        let mut salts = [0; 8];
        salts.copy_from_slice(&bytes[16..24]);
        is_whole.then_some(Self { bytes, page_size, salts, sum, word })
    }

    /// Bytes of a frame.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEAD_BYTES + self.page_size
    }

    /// Where a frame begins in the file; the first has the number 1.
    pub(super) fn offset_of(&self, frame: u32) -> u64 {
        LOG_HEAD_BYTES as u64 + u64::from(frame.saturating_sub(1)) * self.frame_bytes() as u64
    }

    /// The head of a frame of this log that follows frames with the sum `before`; `None` for any other one.
    pub(super) fn check(&self, before: Sum, frame: &[u8]) -> Option<FrameHead> {
        let (bytes, page) = frame.split_first_chunk::<FRAME_HEAD_BYTES>()?;
        let head = FrameHead::parse(bytes);
        let sum = before.over(self.word, &bytes[..8]).over(self.word, page);
        let is_next =
            page.len() == self.page_size && head.salts == self.salts && head.sum == sum && head.page > 0;
        is_next.then_some(head)
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Which page it holds; the first has the number 1.
    pub(super) page: u32,
    /// In the last frame of a transaction, how many pages the database has then; else 0.
    pub(super) pages: u32,
    pub(super) salts: Salts,
    pub(super) sum: Sum,
}

impl FrameHead {
    pub(super) fn parse(bytes: &[u8; FRAME_HEAD_BYTES]) -> Self {
        let number = |at| u32_at(bytes, at, u32::from_be_bytes);
        let mut salts = [0; 8];
        salts.copy_from_slice(&bytes[8..16]);
        Self { page: number(0), pages: number(4), salts, sum: Sum(number(16), number(20)) }
    }
}

/// The header of the index: how far the log goes that is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// One more with each transaction.
    pub(super) change: u32,
    /// Bytes of a page; 0 when nothing is known.
    pub(super) page_size: usize,
    /// The last frame that is committed.
    pub(super) frames: u32,
    /// Pages of the database then; 0 when nothing is known.
    pub(super) pages: u32,
    /// The sum up to that frame.
    pub(super) sum: Sum,
    pub(super) salts: Salts,
    /// The last frame that has been copied back into the database.
    pub(super) backfilled: u32,
}

impl Index {
    /// Reads it; `None` while somebody is changing it, and when there is none yet.
    pub(super) fn parse(bytes: &[u8; INDEX_BYTES]) -> Option<Self> {
        // The index never leaves the machine, and is in its order of bytes.
        let number = |at| u32_at(bytes, at, u32::from_ne_bytes);
        let (head, rest) = bytes.split_at(INDEX_HEAD_BYTES);
        let sum = Sum::default().over(u32::from_ne_bytes, &head[..40]);
        let is_whole = *head == rest[..INDEX_HEAD_BYTES] && sum == Sum(number(40), number(44));
        if !is_whole || number(0) != VERSION || head[12] == 0 {
            return None;
        }
        let mut salts = [0; 8];
        salts.copy_from_slice(&head[32..40]);
        // 65536 does not fit, and is written as 1.
        let page_size = usize::from(u16::from_ne_bytes([head[14], head[15]]));
        Some(Self {
            change: number(8),
            page_size: if page_size == 1 { 65536 } else { page_size },
            frames: number(16),
            pages: number(20),
            sum: Sum(number(24), number(28)),
            salts,
            backfilled: number(96),
        })
    }
}

/// Whether pages can have so many bytes.
pub(super) fn is_page_size(bytes: usize) -> bool {
    bytes.is_power_of_two() && (512..=65536).contains(&bytes)
}

fn u32_at(bytes: &[u8], at: usize, word: fn([u8; 4]) -> u32) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| word(*four))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    /// The log and the index that a real writer leaves after `commits`, each the number of entries that it writes.
    fn written(page_size: u32, commits: &[u8]) -> (Vec<u8>, [u8; INDEX_BYTES]) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!("pragma page_size = {page_size}; pragma journal_mode = wal;")).unwrap();
        db.execute_batch("pragma wal_autocheckpoint = 0; create table t(a, b);").unwrap();
        for entries in commits {
            let batch: String =
                (0..*entries).map(|i| format!("insert into t values({i}, randomblob(300));")).collect();
            db.execute_batch(&format!("begin; {batch} update t set a = a + 1; commit;")).unwrap();
        }
        let read = |suffix: &str| fs::read(Path::new(&format!("{}{suffix}", path.display()))).unwrap();
        (read("-wal"), *read("-shm").first_chunk().unwrap())
    }

    /// The frames of a log up to the first that is none, and the sum of the last.
    fn walk(log: &[u8]) -> Option<(LogHead, Vec<FrameHead>, Sum)> {
        let head = LogHead::parse(*log.first_chunk()?)?;
        let (mut frames, mut sum) = (Vec::new(), head.sum);
        for bytes in log[LOG_HEAD_BYTES..].chunks(head.frame_bytes()) {
            let Some(frame) = head.check(sum, bytes) else { break };
            sum = frame.sum;
            frames.push(frame);
        }
        Some((head, frames, sum))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn logs_of_real_writers_are_read_as_their_index_says(
            bits in 9_u32..=16,
            commits in prop::collection::vec(1_u8..20, 1..6),
        ) {
            let (log, index) = written(1 << bits, &commits);
            let index = Index::parse(&index).unwrap();
            let (head, frames, sum) = walk(&log).unwrap();
            prop_assert_eq!((index.page_size, index.salts), (1 << bits, head.salts));
            prop_assert_eq!((index.frames as usize, index.sum), (frames.len(), sum));
            prop_assert_eq!(Some(index.pages), frames.last().map(|frame| frame.pages));
            let ends = frames.iter().filter(|frame| frame.pages > 0).count();
            prop_assert_eq!(ends as u32, index.change, "one frame of each transaction is its last");
        }

        #[test]
        fn a_bit_that_turns_over_ends_a_log_there(at in 0_usize..40_000, bit in 0_u8..8) {
            let (mut log, _) = written(1024, &[3, 3, 3]);
            let (head, frames, _) = walk(&log).unwrap();
            let at = at % log.len();
            log[at] ^= 1 << bit;
            match at.checked_sub(LOG_HEAD_BYTES) {
                None => prop_assert!(walk(&log).is_none()),
                Some(at) => prop_assert_eq!(walk(&log).unwrap().1.len(), (at / head.frame_bytes()).min(frames.len())),
            }
        }

        #[test]
        fn a_log_that_is_cut_off_has_the_frames_that_are_whole(cut in 0_usize..40_000) {
            let (log, _) = written(1024, &[3, 3, 3]);
            let (head, ..) = walk(&log).unwrap();
            let cut = cut % log.len();
            match cut.checked_sub(LOG_HEAD_BYTES) {
                None => prop_assert!(walk(&log[..cut]).is_none()),
                Some(rest) => prop_assert_eq!(walk(&log[..cut]).unwrap().1.len(), rest / head.frame_bytes()),
            }
        }

        #[test]
        fn noise_is_neither_a_log_nor_an_index(noise in prop::collection::vec(any::<u8>(), INDEX_BYTES)) {
            prop_assert_eq!(LogHead::parse(*noise.first_chunk().unwrap()), None);
            prop_assert_eq!(Index::parse(noise.first_chunk().unwrap()), None);
        }
    }

    #[test]
    fn an_index_of_which_one_copy_is_newer_is_being_changed() {
        let (_, whole) = written(4096, &[1]);
        for at in 0..2 * INDEX_HEAD_BYTES {
            let mut torn = whole;
            torn[at] ^= 0x20;
            assert_eq!(Index::parse(&torn), None, "at {at}");
        }
    }
}
