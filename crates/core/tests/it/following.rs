//! Following a log: what is read of it makes the same database again, at every moment.

use std::fs::{self, File};
use std::io::{Cursor, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prontodb_core::engine::Engine as _;
use prontodb_core::engine::sqlite::follow::{Follower, Moment, Next, Position, Replay, Run, write_segment};
use prontodb_core::engine::sqlite::{OpenOptions, SqliteEngine};
use prontodb_core::{ErrorKind, Millis, Result};
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(5);
const GENERATION: &str = "g";

/// A database that somebody writes to, and a table of its own in it.
struct Source {
    _dir: TempDir,
    path: PathBuf,
    writer: Connection,
}

impl Source {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("test.prdb");
        SqliteEngine::open(OpenOptions::new(&path)).unwrap().write(&mut |_| Ok(())).unwrap();
        let writer = connect(&path);
        writer.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b)").unwrap();
        Self { _dir: dir, path, writer }
    }

    fn run(&self, sql: &str) {
        self.writer.execute_batch(sql).unwrap();
    }

    fn sum(&self) -> String {
        sum(&self.writer)
    }
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF").unwrap();
    connection
}

/// A text that is another one whenever the table holds something else.
fn sum(connection: &Connection) -> String {
    let query = "SELECT count(*) || '/' || coalesce(sum(a * length(b)), 0) || '/' || coalesce(max(hex(b)), '') FROM t";
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

/// What a follower has read, as segments.
struct Tail {
    follower: Follower,
    base: Vec<u8>,
    start: Position,
    segments: Vec<Vec<u8>>,
    now: i64,
}

impl Tail {
    fn begin(source: &Source) -> Self {
        let mut follower = Follower::open(&source.path, PATIENCE).unwrap();
        let mut base = Vec::new();
        let look = follower.look().unwrap();
        let start = follower.snapshot(&look, &mut base, &mut |_| Ok(())).unwrap().position;
        Self { follower, base, start, segments: Vec::new(), now: 0 }
    }

    /// Reads what there is, and says why that cannot be all.
    fn catch_up(&mut self, most: u64) -> std::result::Result<(), &'static str> {
        loop {
            let look = self.follower.look().unwrap();
            let mut run = match self.follower.next(&look, most).unwrap() {
                Next::Nothing => return Ok(()),
                Next::Lost(why) => return Err(why),
                Next::Run(run) => run,
            };
            let mut frames = Vec::new();
            if !self.follower.copy(&look, &mut run, &mut frames).unwrap() {
                return Err("other frames");
            }
            assert_eq!(frames.len() as u64, run.bytes());
            self.keep(&run, frames);
            self.follower.move_on().unwrap();
        }
    }

    fn keep(&mut self, run: &Run, frames: Vec<u8>) {
        let moments = [Moment { at: Millis(self.now), frame: run.last() }];
        let (mut segment, number) = (Vec::new(), self.segments.len() as u64 + 1);
        write_segment(&mut segment, GENERATION, number, run, &moments, &mut Cursor::new(frames)).unwrap();
        self.segments.push(segment);
    }

    /// The database as it was at a moment.
    fn rebuild(&self, until: i64) -> Result<(TempDir, Connection)> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("copy.prdb");
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.write_all(&self.base).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut replay = Replay::begin(file, GENERATION, self.start)?;
        for segment in &self.segments {
            if !replay.apply(&mut segment.as_slice(), Millis(until))?.is_whole {
                break;
            }
        }
        replay.finish()?;
        let copy = connect(&path);
        let verdict: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
        Ok((dir, copy))
    }
}

/// Something that happens to a database.
#[derive(Clone, Debug)]
enum Step {
    Write { entries: u8, bytes: u16 },
    Remove(u8),
    RollBack(u8),
    Vacuum,
    Checkpoint(&'static str),
    Follow(u16),
    Shorten,
    OtherWriter(u8),
    Spill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop::sample::select(vec!["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
    let step = prop_oneof![
        4 => (1_u8..20, 0_u16..3000).prop_map(|(entries, bytes)| Step::Write { entries, bytes }),
        2 => (1_u8..20).prop_map(Step::Remove),
        1 => (1_u8..20).prop_map(Step::RollBack),
        1 => Just(Step::Vacuum),
        3 => mode.prop_map(Step::Checkpoint),
        5 => (1_u16..200).prop_map(Step::Follow),
        1 => Just(Step::Shorten),
        2 => (1_u8..5).prop_map(Step::OtherWriter),
        1 => Just(Step::Spill),
    ];
    prop::collection::vec(step, 1..40)
}

fn insert(entries: u8, bytes: u16) -> String {
    format!("INSERT INTO t(b) SELECT randomblob({bytes}) FROM generate_series LIMIT {entries}").replace(
        "generate_series",
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50) SELECT i FROM n)",
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_was_followed_makes_the_same_database_at_every_moment(steps in steps()) {
        let source = Source::new();
        let mut tail = Tail::begin(&source);
        let mut seen = vec![(0, source.sum())];
        for (now, step) in (1..).zip(steps) {
            tail.now = now;
            match step {
                Step::Write { entries, bytes } => source.run(&insert(entries, bytes)),
                Step::Remove(every) => source.run(&format!("DELETE FROM t WHERE a % {every} = 0")),
                Step::RollBack(entries) => source.run(&format!("BEGIN; {}; ROLLBACK", insert(entries, 2000))),
                Step::Vacuum => source.run("VACUUM"),
                Step::Checkpoint(mode) => {
                    let _: i64 = source.writer.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0)).unwrap();
                }
                Step::OtherWriter(entries) => connect(&source.path).execute_batch(&insert(entries, 10)).unwrap(),
                Step::Spill => source.run(&format!("PRAGMA cache_size = 10; BEGIN; {}; {}; COMMIT", insert(50, 3000), insert(50, 3000))),
                Step::Follow(kib) => {
                    prop_assert_eq!(tail.catch_up(u64::from(kib) << 10), Ok(()));
                    seen.push((now, source.sum()));
                }
                Step::Shorten => {
                    prop_assert_eq!(tail.catch_up(1 << 20), Ok(()));
                    tail.follower.shorten(&mut |_| Ok(true)).unwrap();
                    seen.push((now, source.sum()));
                }
            }
        }
        tail.now = 1000;
        prop_assert_eq!(tail.catch_up(1 << 20), Ok(()));
        seen.push((1000, source.sum()));
        // The last of them, and some before.
        let every = seen.len().div_ceil(5);
        for (moment, expected) in seen.into_iter().rev().step_by(every) {
            let (_dir, copy) = tail.rebuild(moment).unwrap();
            prop_assert_eq!(sum(&copy), expected, "at {}", moment);
        }
    }
}

#[test]
fn a_log_that_was_begun_anew_behind_the_followers_back_is_found_out() {
    let source = Source::new();
    let mut tail = Tail::begin(&source);
    source.run(&insert(3, 10));
    assert_eq!(tail.catch_up(1 << 20), Ok(()));
    let position = tail.follower.position().unwrap();
    tail.follower.let_go().unwrap();
    source.run(&insert(3, 10));
    source.run("PRAGMA wal_checkpoint(TRUNCATE)");
    source.run(&insert(3, 10));
    tail.follower.move_on().unwrap();
    assert!(!tail.follower.resume(position, true).unwrap());
    assert!(tail.catch_up(1 << 20).is_err());
}

#[test]
fn a_follower_goes_on_where_an_earlier_one_came_to() {
    let source = Source::new();
    let mut tail = Tail::begin(&source);
    source.run(&insert(3, 10));
    assert_eq!(tail.catch_up(1 << 20), Ok(()));
    let position = tail.follower.position().unwrap();
    let written = Position::parse(&position.to_string()).unwrap();
    tail.follower = Follower::open(&source.path, PATIENCE).unwrap();
    source.run(&insert(4, 10));
    assert!(tail.follower.resume(written, false).unwrap());
    assert_eq!(tail.catch_up(1 << 20), Ok(()));
    source.run("PRAGMA wal_checkpoint(RESTART)");
    source.run(&insert(5, 10));
    assert_eq!(tail.catch_up(1 << 20), Ok(()));
    let (_dir, copy) = tail.rebuild(0).unwrap();
    assert_eq!(sum(&copy), source.sum());
}

#[test]
fn what_is_held_keeps_the_log_from_beginning_anew() {
    let source = Source::new();
    let mut tail = Tail::begin(&source);
    for _ in 0..20 {
        source.run(&insert(3, 10));
        let _: i64 = source.writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(0)).unwrap();
    }
    assert_eq!(tail.catch_up(1 << 20), Ok(()));
    let (_dir, copy) = tail.rebuild(0).unwrap();
    assert_eq!(sum(&copy), source.sum());
}

#[test]
fn a_log_that_was_read_and_copied_back_begins_anew() {
    let source = Source::new();
    let mut tail = Tail::begin(&source);
    let log = PathBuf::from(format!("{}-wal", source.path.display()));
    let mut longest = 0;
    for _ in 0..120 {
        source.run(&insert(20, 3000));
        assert_eq!(tail.catch_up(1 << 20), Ok(()));
        let look = tail.follower.look().unwrap();
        longest = longest.max(look.frames());
        if tail.follower.is_long(&look) {
            tail.follower.shorten(&mut |_| Ok(true)).unwrap();
        }
    }
    assert!((1000..1200).contains(&longest), "{longest}");
    assert!(fs::metadata(log).unwrap().len() < 5_000_000);
    let (_dir, copy) = tail.rebuild(0).unwrap();
    assert_eq!(sum(&copy), source.sum());
}

#[test]
fn whoever_empties_the_log_does_not_wait_for_a_follower_that_has_read_it() {
    let source = Source::new();
    let mut tail = Tail::begin(&source);
    source.run(&insert(3, 10));
    assert_eq!(tail.catch_up(1 << 20), Ok(()));
    let empty = || {
        let busy = "PRAGMA wal_checkpoint(TRUNCATE)";
        source.writer.query_row(busy, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(empty(), 1, "what is held is not emptied");
    let look = tail.follower.look().unwrap();
    tail.follower.step_aside(&look).unwrap();
    assert_eq!(empty(), 0);
    source.run(&insert(4, 10));
    assert_eq!(tail.catch_up(1 << 20), Ok(()));
    let (_dir, copy) = tail.rebuild(0).unwrap();
    assert_eq!(sum(&copy), source.sum());
}

#[test]
fn segments_that_are_damaged_missing_or_strange_are_refused() {
    let source = Source::new();
    let mut tail = Tail::begin(&source);
    for _ in 0..3 {
        source.run(&insert(3, 10));
        assert_eq!(tail.catch_up(1 << 20), Ok(()));
    }
    let whole = tail.segments.clone();
    let refused = |tail: &Tail, what: &str| {
        assert_eq!(tail.rebuild(0).map(drop).unwrap_err().kind(), ErrorKind::Damaged, "{what}");
    };
    for at in 0..whole[1].len() {
        // Each byte of the head, some of the frames, the hash.
        if at < 400 || at % 97 == 0 || at + 32 >= whole[1].len() {
            tail.segments[1][at] ^= 0x04;
            // A moment that is later by chance is heeded as such; the hash tells that it is none of ours.
            if tail.rebuild(i64::MAX).is_ok() {
                panic!("byte {at} does not matter");
            }
            tail.segments[1][at] ^= 0x04;
        }
    }
    for cut in [0, 1, 90, 4000, whole[1].len() - 1] {
        tail.segments[1].truncate(cut);
        refused(&tail, "cut off");
        tail.segments = whole.clone();
    }
    tail.segments[1].push(0);
    refused(&tail, "longer");
    tail.segments = vec![whole[0].clone(), whole[2].clone()];
    refused(&tail, "one is missing");
    tail.segments = vec![whole[1].clone(), whole[2].clone()];
    refused(&tail, "the first is missing");
    tail.segments = vec![whole[0].clone(), whole[0].clone()];
    refused(&tail, "twice");
    tail.segments = whole;
    tail.base.truncate(5000);
    refused(&tail, "half a snapshot");
}

#[test]
fn what_is_no_database_of_ours_is_not_followed() {
    let dir = TempDir::new().unwrap();
    let open = |path: &Path| Follower::open(path, PATIENCE).map(drop).unwrap_err().kind();
    assert_eq!(open(&dir.path().join("none")), ErrorKind::NoDatabase);
    let other = dir.path().join("other");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
    assert_eq!(open(&other), ErrorKind::Foreign);
    let source = Source::new();
    source.run("VACUUM INTO 'copy'".replace("copy", dir.path().join("copy").to_str().unwrap()).as_str());
    assert_eq!(open(&dir.path().join("copy")), ErrorKind::Unsupported);
}

#[test]
fn a_database_that_is_moved_is_not_followed_any_more() {
    let source = Source::new();
    let tail = Tail::begin(&source);
    fs::rename(&source.path, source.path.with_extension("moved")).unwrap();
    assert_eq!(tail.follower.look().unwrap_err().kind(), ErrorKind::Io);
}
