//! `backup --follow` and `restore --at`: every moment can be had again, whatever happens meanwhile.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prontodb_core::{Clock as _, Millis, SystemClock};
use prontodb_testkit::sandbox::{Outcome, Running, Sandbox};

use crate::common::{IDENTITY, RECIPIENT, database_file, json_of, refused, sandbox_with, sql};

const FOLLOW: [&str; 5] = ["backup", "--follow", "rep", "--interval", "100ms"];

/// Waits until something is true, for as long as a slow machine may need.
#[track_caller]
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A follower that runs until it is told to end.
struct Following {
    process: Running,
}

impl Following {
    #[track_caller]
    fn begin(s: &Sandbox, flags: &[&str]) -> Self {
        let before = generations(s).len();
        let process = s.run(FOLLOW).args(flags.iter().copied()).within(Duration::from_secs(240)).spawn();
        eventually("a generation or a resumed one", || {
            generations(s).len() > before || is_locked(s) && before > 0
        });
        Self { process }
    }

    fn end(self) -> Outcome {
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(told.unwrap().success());
        self.process.wait().succeeds()
    }
}

fn is_locked(s: &Sandbox) -> bool {
    File::open(s.path("rep/prontodb-replica.lock")).is_ok_and(|file| file.try_lock().is_err())
}

/// The folders of generations that are whole.
fn generations(s: &Sandbox) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(s.path("rep/generations")) else { return Vec::new() };
    let folders = entries.map(|entry| entry.unwrap().path());
    let mut whole: Vec<_> = folders.filter(|folder| folder.join("generation.json").exists()).collect();
    whole.sort();
    whole
}

fn segments(generation: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(generation).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = files.filter(|path| path.to_string_lossy().contains(".wal.zst")).collect();
    segments.retain(|path| !path.to_string_lossy().ends_with(".partial"));
    segments.sort();
    segments
}

/// How many segments there are.
fn shipped(s: &Sandbox) -> usize {
    generations(s).iter().map(|generation| segments(generation).len()).sum()
}

/// The first and the last moment of each generation.
fn spans(s: &Sandbox) -> Vec<(Millis, Millis)> {
    let listed = json_of(s.run(["backup", "--follow", "rep", "--list", "--json"]));
    let moment = |value: &serde_json::Value| Millis::parse(value.as_str().unwrap()).unwrap();
    let generations = listed.as_array().unwrap().iter();
    generations.map(|generation| (moment(&generation["first"]), moment(&generation["last"]))).collect()
}

fn now() -> Millis {
    SystemClock.now()
}

/// What a restored database prints for a command.
#[track_caller]
fn restored(s: &Sandbox, at: Option<Millis>, command: &[&str]) -> String {
    static NUMBER: Mutex<u32> = Mutex::new(0);
    let name = {
        let mut number = NUMBER.lock().unwrap();
        *number += 1;
        format!("restored-{number}")
    };
    let call = s.run(["restore", "rep", "--to", &name]);
    match at {
        Some(at) => call.args(["--at", &at.to_string()]).succeeds(),
        None => call.succeeds(),
    };
    let printed = s.run(command.iter().copied()).args(["--database", &name]).succeeds().stdout();
    fs::remove_dir_all(database_file(s, &name).parent().unwrap()).unwrap();
    printed
}

#[test]
fn every_moment_can_be_had_again() {
    let s = sandbox_with([("p.n.k", "0")]);
    let following = Following::begin(&s, &[]);
    let mut ledger = Vec::new();
    for number in 1..=6 {
        let before = shipped(&s);
        s.run(["set", "p.n.k", &number.to_string()]).prints("");
        let written = now();
        eventually("what was written is shipped", || shipped(&s) > before);
        ledger.push((written, spans(&s).last().unwrap().1, number));
    }
    following.end();
    for (written, shipped, number) in ledger {
        assert_eq!(restored(&s, Some(shipped), &["get", "p.n.k"]), format!("{number}\n"));
        let then: i32 = restored(&s, Some(written), &["get", "p.n.k"]).trim_end().parse().unwrap();
        assert!((number - 1..=number).contains(&then), "{then} is what {number} was when it was written");
    }
    assert_eq!(restored(&s, None, &["get", "p.n.k"]), "6\n");
    assert_eq!(generations(&s).len(), 1, "nothing was missed");
}

#[test]
fn whoever_empties_the_log_waits_for_no_follower() {
    let s = sandbox_with([("p.n.k", "0")]);
    let following = Following::begin(&s, &[]);
    let file = database_file(&s, "main").display().to_string();
    for number in 1..=5 {
        s.run(["set", "p.n.k", &number.to_string()]).prints("");
        let emptied =
            s.run_other("sqlite3", ["-cmd", ".timeout 20000", &file, "PRAGMA wal_checkpoint(TRUNCATE)"]);
        emptied.prints("0|0|0\n");
    }
    following.end();
    assert_eq!(restored(&s, None, &["get", "p.n.k"]), "5\n");
    assert_eq!(generations(&s).len(), 1, "nothing was missed");
}

#[test]
fn a_storm_of_writers_leaves_no_gap() {
    let s = sandbox_with([("p.n.k", "0")]);
    let following = Following::begin(&s, &[]);
    thread::scope(|scope| {
        for writer in 0..32 {
            let s = &s;
            scope.spawn(move || {
                for step in 0..6 {
                    s.run(["incr", "p.n.total"]).succeeds();
                    s.run(["set", &format!("p.n{writer}.k{step}"), &"v".repeat(step * 997)]).prints("");
                }
            });
        }
    });
    following.end();
    let live = s.run(["scan"]).succeeds().stdout();
    assert!(live.contains("p.n.total=192\n"));
    assert_eq!(restored(&s, None, &["scan"]), live);
    assert_eq!(generations(&s).len(), 1, "nothing was missed");
}

#[test]
fn a_writer_that_never_stops_does_not_let_the_log_grow() {
    let s = sandbox_with([("p.n.k", "0")]);
    let following = Following::begin(&s, &[]);
    let log = PathBuf::from(format!("{}-wal", database_file(&s, "main").display()));
    let (source, mut sink) = std::io::pipe().unwrap();
    let stream = s.run(["stream", "-p", "p", "-n", "n", "--chunk", "1"]).env("PRONTO_SECURITY", "false");
    let writing = stream.stdin_from(source).within(Duration::from_secs(200)).spawn();
    let mut longest = 0;
    for number in 0..500 {
        // As fast as a follower without optimisation can be sure to be.
        thread::sleep(Duration::from_millis(20));
        let entries: String =
            (0..5).map(|i| format!("k{}={}{number};", (number * 5 + i) % 700, "x".repeat(500))).collect();
        sink.write_all(entries.as_bytes()).unwrap();
        longest = longest.max(fs::metadata(&log).map_or(0, |about| about.len()));
    }
    drop(sink);
    writing.wait().prints("");
    following.end();
    assert_eq!(restored(&s, None, &["scan"]), s.run(["scan"]).succeeds().stdout());
    assert_eq!(generations(&s).len(), 1, "nothing was missed");
    // Some 10,000 frames were written, each of 4120 bytes.
    assert!(longest < 4000 * 4120, "{longest}");
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A number that was given out by a counter: when it was asked for, and when it was there.
struct Given {
    asked: Millis,
    there: Millis,
    number: u64,
}

/// Counts until it is over, and is killed now and then.
fn count(s: &Sandbox, seed: u64, is_over: &AtomicBool, ledger: &Mutex<Vec<Given>>) {
    let mut dice = Dice(seed);
    while !is_over.load(Ordering::Relaxed) {
        let asked = now();
        let running = s.spawn(["incr", "p.n.count"]);
        if dice.below(4) == 0 {
            thread::sleep(Duration::from_micros(dice.below(20_000)));
            running.kill().code();
            continue;
        }
        let outcome = running.wait().succeeds();
        let number = outcome.stdout().trim_end().parse().unwrap();
        ledger.lock().unwrap().push(Given { asked, there: now(), number });
    }
}

#[test]
fn whoever_is_killed_no_moment_is_wrong() {
    let rounds = std::env::var("PRONTODB_TEST_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let s = sandbox_with([("p.n.count", "0")]);
    let (is_over, ledger) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let counters: Vec<_> = (1..=3)
            .map(|seed| {
                let (s, is_over, ledger) = (&s, &is_over, &ledger);
                scope.spawn(move || count(s, seed * 7919, is_over, ledger))
            })
            .collect();
        let mut dice = Dice(4711);
        for _ in 0..rounds {
            let following = s.run(FOLLOW).within(Duration::from_secs(120)).spawn();
            let before = generations(&s).len();
            eventually("the follower has begun", || generations(&s).len() > before);
            thread::sleep(Duration::from_millis(200 + dice.below(1500)));
            assert_eq!(following.kill().code(), None);
        }
        is_over.store(true, Ordering::Relaxed);
        counters.into_iter().for_each(|counter| counter.join().unwrap());
    });
    s.run(["backup", "--follow", "rep", "--once"]).prints("");
    assert_eq!(restored(&s, None, &["scan"]), s.run(["scan"]).succeeds().stdout());
    let ledger = ledger.into_inner().unwrap();
    let known = moments(&s);
    let step = (known.len() / 12).max(1);
    for moment in known.into_iter().step_by(step) {
        let then: u64 = restored(&s, Some(moment), &["get", "p.n.count"]).trim_end().parse().unwrap();
        let least =
            ledger.iter().filter(|given| given.there.0 + 20 < moment.0).map(|given| given.number).max();
        let later = ledger.iter().filter(|given| given.asked.0 > moment.0).map(|given| given.number).min();
        assert!(then >= least.unwrap_or(0), "at {moment} there were {then}, and {least:?} before");
        assert!(later.is_none_or(|later| then < later), "at {moment} there were {then}, and {later:?} later");
    }
}

/// The moments of all snapshots and segments, as their names tell them.
fn moments(s: &Sandbox) -> Vec<Millis> {
    let mut all: Vec<_> = spans(s).into_iter().map(|(first, _)| first).collect();
    for segment in generations(s).iter().flat_map(|generation| segments(generation)) {
        let name = segment.file_name().unwrap().to_string_lossy().into_owned();
        let at = &name[17..37];
        let (day, time) = (&at[..8], &at[9..]);
        let text = format!(
            "{}-{}-{}T{}:{}:{}",
            &day[..4],
            &day[4..6],
            &day[6..],
            &time[..2],
            &time[2..4],
            &time[4..]
        );
        all.push(Millis::parse(&text).unwrap());
    }
    all.sort();
    all
}

/// A replica of one generation with three segments, and their last moments.
fn with_three_segments() -> (Sandbox, Vec<PathBuf>, Vec<Millis>) {
    let s = sandbox_with([("p.n.k", "0")]);
    s.run(["backup", "--follow", "rep", "--once"]).prints("").stderr_has("begins with a snapshot");
    for number in 1..=3 {
        s.run(["set", "p.n.k", &number.to_string()]).prints("");
        s.run(["backup", "--follow", "rep", "--once"]).prints("").stderr_is("");
    }
    s.run(["backup", "--follow", "rep", "--once"]).prints("").stderr_has("nothing new");
    let (segments, moments) = (segments(&generations(&s)[0]), moments(&s));
    assert_eq!((segments.len(), moments.len()), (3, 4));
    (s, segments, moments)
}

#[test]
fn each_run_with_once_goes_on_where_the_last_one_ended() {
    let (s, _, moments) = with_three_segments();
    for (number, moment) in moments.iter().enumerate() {
        assert_eq!(restored(&s, Some(*moment), &["get", "p.n.k"]), format!("{number}\n"));
        if number > 0 {
            let before = Millis(moment.0 - 1);
            assert_eq!(restored(&s, Some(before), &["get", "p.n.k"]), format!("{}\n", number - 1));
        }
    }
    // Nobody holds the log meanwhile: a writer that is alone empties it, and what was in it is missing.
    let entries: String = (0..300).map(|i| format!("k{i}={};", "x".repeat(800))).collect();
    s.run(["stream", "-p", "p", "-n", "n"]).env("PRONTO_SECURITY", "false").stdin(entries).succeeds();
    s.run(["set", "p.n.k", "4"]).prints("");
    s.run(["backup", "--follow", "rep", "--once"]).prints("").stderr_has("begins with a snapshot");
    assert_eq!(generations(&s).len(), 2);
    assert_eq!(restored(&s, None, &["scan"]), s.run(["scan"]).succeeds().stdout());
    assert_eq!(restored(&s, Some(moments[3]), &["get", "p.n.k"]), "3\n");
}

#[test]
fn a_segment_that_was_put_though_its_put_failed_is_passed_over() {
    let s = sandbox_with([("p.n.k", "0")]);
    s.run(["backup", "--follow", "rep", "--once"]).prints("");
    s.run_other("cp", ["-r", "rep", "other"]).prints("");
    s.run(["set", "p.n.k", "1"]).prints("");
    s.run(["backup", "--follow", "other", "--once"]).prints("");
    s.run(["set", "p.n.k", "2"]).prints("");
    s.run(["backup", "--follow", "rep", "--once"]).prints("");
    s.run(["set", "p.n.k", "3"]).prints("");
    s.run(["backup", "--follow", "rep", "--once"]).prints("");
    // The other one holds what the first try would have left, which began at the same frame.
    let generation = generations(&s).remove(0);
    let left = s.path("other/generations").join(generation.file_name().unwrap());
    let left = segments(&left).remove(0);
    fs::copy(&left, generation.join(left.file_name().unwrap())).unwrap();
    assert_eq!(segments(&generation).len(), 3, "two of them have the number 1");
    assert_eq!(restored(&s, None, &["get", "p.n.k"]), "3\n");
    let first = spans(&s)[0].0;
    assert_eq!(restored(&s, Some(first), &["get", "p.n.k"]), "0\n");
    // Whoever follows goes on behind them.
    s.run(["set", "p.n.k", "4"]).prints("");
    s.run(["backup", "--follow", "rep", "--once"]).prints("");
    assert_eq!((generations(&s).len(), segments(&generation).len()), (1, 4));
    assert_eq!(restored(&s, None, &["get", "p.n.k"]), "4\n");
}

#[test]
fn what_is_damaged_or_missing_is_told_with_the_last_moment_before() {
    let (s, segments, moments) = with_three_segments();
    let whole = fs::read(&segments[1]).unwrap();
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 1;
    let restore = ["restore", "rep", "--to", "other"];
    let hint = format!("--at {}", moments[1]);
    for (what, bytes) in
        [("changed", Some(broken)), ("cut off", Some(whole[..whole.len() - 9].to_vec())), ("gone", None)]
    {
        match bytes {
            Some(bytes) => fs::write(&segments[1], bytes).unwrap(),
            None => fs::remove_file(&segments[1]).unwrap(),
        }
        let outcome = refused(&s, &restore, 7, "damaged");
        outcome.require(outcome.stderr().contains(&hint), &format!("{what}: expected {hint}"));
        assert_eq!(restored(&s, Some(moments[1]), &["get", "p.n.k"]), "1\n", "{what}");
    }
    fs::write(&segments[1], &whole).unwrap();
    fs::write(&segments[2], &whole).unwrap();
    refused(&s, &restore, 7, "damaged").stderr_has(&format!("--at {}", moments[2]));
    let snapshot = generations(&s)[0].join("snapshot.prdb.zst");
    fs::write(&snapshot, "nothing").unwrap();
    refused(&s, &restore, 7, "damaged").stderr_has("snapshot.prdb.zst");
    fs::remove_file(&snapshot).unwrap();
    refused(&s, &restore, 7, "damaged").stderr_has("snapshot.prdb.zst is missing");
}

#[test]
fn a_replica_is_checked_without_being_restored() {
    let (s, segments, moments) = with_three_segments();
    let verify = ["backup", "--verify", "rep"];
    let whole = s.run(verify).prints("rep is whole: database main, revision 4\n");
    whole.stderr_has(&format!("is taken as of {}, the last moment that it holds", moments[3]));
    let left: Vec<_> = fs::read_dir(database_file(&s, "main").parent().unwrap()).unwrap().collect();
    assert!(!format!("{left:?}").contains("partial"), "{left:?}");
    let bytes = fs::read(&segments[2]).unwrap();
    fs::write(&segments[2], &bytes[..bytes.len() - 9]).unwrap();
    refused(&s, &verify, 7, "damaged").stderr_has(&format!("--at {}", moments[2]));
}

#[test]
fn the_files_of_a_replica_are_called_as_those_of_an_archive() {
    let (s, ..) = with_three_segments();
    s.run(["restore", "rep", "--to", "files/"]).succeeds();
    assert_eq!(s.run(["get", "-d", "files/pronto.main.prdb", "p.n.k"]).succeeds().stdout(), "3\n");
}

#[test]
fn a_later_generation_that_is_damaged_leaves_the_earlier_one() {
    let s = sandbox_with([("p.n.k", "0")]);
    s.run(["backup", "--follow", "rep", "--once"]).prints("");
    let first = spans(&s)[0].1;
    s.run(["set", "p.n.k", "1"]).prints("");
    s.run(["backup", "--follow", "rep", "--once", "--snapshot-every", "1ms"]).prints("");
    assert_eq!(generations(&s).len(), 2);
    let before = spans(&s)[0].1;
    assert!(before > first, "the rest was shipped before the new snapshot");
    fs::write(generations(&s)[1].join("snapshot.prdb.zst"), "nothing").unwrap();
    refused(&s, &["restore", "rep", "--to", "other"], 7, "damaged").stderr_has(&format!("--at {before}"));
    assert_eq!(restored(&s, Some(before), &["get", "p.n.k"]), "1\n");
}

#[test]
fn moments_that_cannot_be_had_are_refused() {
    let (s, _, moments) = with_three_segments();
    let early = Millis(moments[0].0 - 1).to_string();
    let outcome = refused(&s, &["restore", "rep", "--to", "other", "--at", &early], 1, "invalid");
    outcome.stderr_has(&format!("--at {}", moments[0]));
    refused(&s, &["restore", "rep", "--at", "yesterday"], 1, "invalid");
    fs::write(s.path("file"), "x").unwrap();
    refused(&s, &["restore", "file", "--at", "1h"], 64, "usage");
    fs::create_dir(s.path("empty")).unwrap();
    refused(&s, &["backup", "--follow", "empty", "--list"], 1, "invalid");
    refused(&s, &["backup", "--follow", "nowhere", "--list"], 1, "invalid");
}

#[test]
fn generations_that_are_too_old_are_removed_and_never_the_newest() {
    let s = sandbox_with([("p.n.k", "0")]);
    for _ in 0..3 {
        s.run(["backup", "--follow", "rep", "--once", "--snapshot-every", "1ms"]).prints("");
    }
    assert_eq!(generations(&s).len(), 3);
    let keep = ["backup", "--follow", "rep", "--once", "--snapshot-every", "1ms", "--keep-days"];
    s.run(keep).arg("1").prints("");
    assert_eq!(generations(&s).len(), 4);
    s.run(keep).arg("0").prints("").stderr_has("was removed");
    assert_eq!(generations(&s).len(), 1);
    assert_eq!(fs::read_dir(s.path("rep/generations")).unwrap().count(), 1);
    assert_eq!(restored(&s, None, &["get", "p.n.k"]), "0\n");
}

#[test]
fn a_replica_has_one_follower_and_one_database() {
    let s = sandbox_with([("p.n.k", "0")]);
    let following = Following::begin(&s, &[]);
    s.run(["backup", "--follow", "rep", "--once"]).fails(4).stderr_has("another process writes this replica");
    following.end();
    s.run(["set", "p.n.k", "1", "--database", "other"]).prints("");
    s.run(["backup", "--follow", "rep", "--once", "--database", "other"])
        .fails(1)
        .stderr_has("is a replica of");
    // Neither is one of the same file name, and one that was moved is followed when that is said.
    for folder in ["x", "y"] {
        fs::create_dir(s.path(folder)).unwrap();
        s.run(["-d", &format!("{folder}/a.prdb"), "set", "p.n.k", folder]).prints("");
    }
    let follow = |file: &str| s.run(["backup", "--follow", "one", "--once", "-d", file]);
    follow("x/a.prdb").prints("");
    let about = s.path("one/prontodb-replica.json");
    follow("y/a.prdb")
        .fails(1)
        .stderr_has("is a replica of")
        .stderr_has("correct `path` in")
        .stderr_has("y/a.prdb");
    assert_eq!(fs::read_dir(s.path("one/generations")).unwrap().count(), 1);
    std::os::unix::fs::symlink(s.path("x"), s.path("link")).unwrap();
    follow("link/a.prdb").prints("");
    fs::remove_file(s.path("link")).unwrap();
    fs::rename(s.path("x"), s.path("z")).unwrap();
    let text = fs::read_to_string(&about).unwrap();
    fs::write(&about, text.replace("/x/a.prdb", "/z/a.prdb")).unwrap();
    follow("z/a.prdb").prints("");
    fs::create_dir(s.path("mine")).unwrap();
    fs::write(s.path("mine/letter"), "dear").unwrap();
    refused(&s, &["backup", "--follow", "mine", "--once"], 1, "invalid").stderr_has("is not empty");
    refused(&s, &["backup", "--follow", "new", "--once", "--database", "nowhere"], 1, "no_database");
    for flags in ["--once", "--interval 1s", "--max-log 1", "--follow new --dry-run", "--follow new --keep 3"]
    {
        s.run(["backup"]).args(flags.split(' ')).fails(64).stdout_is("");
    }
    s.run(["backup", "--follow", "new", "--interval", "soon"]).fails(64).stderr_has("a duration");
    s.run(["backup", "--follow", "new", "--max-log", "much"]).fails(64).stderr_has("a number of bytes");
}

#[test]
fn a_replica_that_is_away_for_a_while_misses_nothing() {
    let s = sandbox_with([("p.n.k", "0")]);
    let following = Following::begin(&s, &[]);
    fs::rename(s.path("rep"), s.path("away")).unwrap();
    for number in 1..=30 {
        s.run(["set", &format!("p.n.k{number}"), "1"]).prints("");
    }
    thread::sleep(Duration::from_millis(400));
    assert!(!s.path("rep").exists(), "nothing is made in its place");
    fs::rename(s.path("away"), s.path("rep")).unwrap();
    eventually("what was written meanwhile is shipped", || shipped(&s) > 0);
    let outcome = following.end();
    assert_eq!(outcome.stderr().matches("cannot be written").count(), 1, "{}", outcome.stderr());
    outcome.stderr_has("the replica is written again");
    assert_eq!(generations(&s).len(), 1, "nothing was missed");
    assert_eq!(restored(&s, None, &["scan"]), s.run(["scan"]).succeeds().stdout());
}

#[test]
fn a_replica_that_is_away_for_too_long_gets_a_new_generation() {
    let s = sandbox_with([("p.n.k", "0")]);
    let following = Following::begin(&s, &["--max-log", "100KiB"]);
    fs::rename(s.path("rep"), s.path("away")).unwrap();
    let log = PathBuf::from(format!("{}-wal", database_file(&s, "main").display()));
    let head = || fs::read(&log).unwrap()[..32].to_vec();
    let (before, mut number) = (head(), 0);
    eventually("the log begins anew", || {
        number += 1;
        let entries: String = (0..200).map(|i| format!("k{i}={number}{};", "x".repeat(800))).collect();
        let stream = s.run(["stream", "-p", "p", "-n", "n"]).env("PRONTO_SECURITY", "false");
        stream.stdin(entries).succeeds();
        head() != before
    });
    fs::rename(s.path("away"), s.path("rep")).unwrap();
    eventually("there is a new generation", || generations(&s).len() == 2);
    following.end().stderr_has("the follower lets go of it");
    assert_eq!(restored(&s, None, &["scan"]), s.run(["scan"]).succeeds().stdout());
}

#[test]
fn an_encrypted_replica_is_read_with_the_identity_alone() {
    const SECRET: &str = "a value that nobody is to see";
    let s = sandbox_with([("p.n.k", SECRET)]);
    fs::write(s.path("identity"), IDENTITY).unwrap();
    let follow = ["backup", "--follow", "rep", "--once", "--age-recipient", RECIPIENT];
    s.run(follow).prints("");
    s.run(["set", "p.n.l", SECRET]).prints("");
    s.run(follow).prints("").stderr_is("");
    let files = segments(&generations(&s)[0]);
    assert!(files.len() == 1 && files[0].to_string_lossy().ends_with(".wal.zst.age"));
    for file in [files[0].clone(), generations(&s)[0].join("snapshot.prdb.zst.age")] {
        assert!(fs::read(file).unwrap().starts_with(b"age-encryption.org/v1"));
    }
    s.run(["restore", "rep", "--to", "other"]).fails_with_one_of(&[5, 64]).stderr_has("age identity");
    s.run(["restore", "rep", "--to", "other", "--age-identity", "identity"]).succeeds();
    assert_eq!(
        s.run(["scan", "--database", "other"]).succeeds().stdout(),
        s.run(["scan"]).succeeds().stdout()
    );
}

#[test]
fn an_encrypted_replica_never_becomes_a_plain_one() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["backup", "--follow", "rep", "--once", "--age-recipient", RECIPIENT]).succeeds();
    let before = shipped(&s);
    refused(&s, &["backup", "--follow", "rep", "--once"], 1, "invalid").stderr_has("--age-recipient");
    assert_eq!(shipped(&s), before);
}

#[test]
fn no_generation_begins_with_a_damaged_database() {
    let s = sandbox_with([("p.n.k", "1")]);
    sql(&s, &database_file(&s, "main"), "DROP TABLE sys_caches");
    s.run(["backup", "--follow", "rep", "--once"]).fails(7).stderr_has("no generation begins");
    assert!(generations(&s).is_empty());
}

#[test]
fn a_restore_takes_the_place_of_the_selected_database_and_keeps_what_there_was() {
    let (s, _, moments) = with_three_segments();
    let at = moments[1].to_string();
    s.run(["restore", "rep", "--at", &at]).succeeds().stderr_has(&at).stderr_has("is kept in");
    s.run(["get", "p.n.k"]).prints("1\n");
    // The replica goes on with what is there by now.
    s.run(["set", "p.n.k", "5"]).prints("");
    s.run(["backup", "--follow", "rep", "--once"]).prints("");
    assert_eq!(restored(&s, None, &["get", "p.n.k"]), "5\n");
    assert_eq!(restored(&s, Some(moments[3]), &["get", "p.n.k"]), "3\n");
}

#[test]
fn what_cannot_begin_ends_at_once() {
    let s = sandbox_with([("p.n.k", "0")]);
    refused(&s, &["backup", "--follow", "no/where"], 1, "io");
    s.run(["backup", "--follow", "rep", "--age-recipient", "age1nobody"])
        .fails(1)
        .stderr_has("is no age recipient");
}

#[test]
fn each_file_that_is_shipped_is_told_as_json() {
    let s = sandbox_with([("p.n.k", "0")]);
    let told = s.run(["backup", "--follow", "rep", "--once", "--json"]).succeeds();
    let line: serde_json::Value = serde_json::from_str(told.stdout().trim_end()).unwrap();
    assert_eq!(line["shipped"], "snapshot");
    assert!(s.path("rep").join(line["file"].as_str().unwrap()).exists());
}

/// The server is that of AWS_ENDPOINT_URL, which bin/test.sh starts, and the bucket is there.
#[cfg(feature = "s3")]
#[test]
fn a_replica_in_an_object_store_is_one_like_any_other() {
    let variable = |name: &str| std::env::var(name).expect("see step_s3 of bin/test.sh");
    let place = format!("{}/a/b-{}", variable("PRONTODB_TEST_S3"), now().0);
    let s = sandbox_with([("p.n.k", "0")]);
    let call = |line: &str| {
        let call = s.run(line.replace("PLACE", &place).split(' '));
        let names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        names.iter().fold(call, |call, name| call.env(name, variable(name)))
    };
    call("restore PLACE --to early").fails(1).stderr_has("there is no replica");
    call("backup --follow PLACE --once").prints("").stderr_has("begins with a snapshot");
    for number in 1..=3 {
        s.run(["set", "p.n.k", &number.to_string()]).prints("");
        call("backup --follow PLACE --once").prints("").stderr_is("");
    }
    let following = call("backup --follow PLACE --interval 100ms").spawn();
    let listed = || json_of(call("backup --follow PLACE --list --json"));
    s.run(["set", "p.n.k", "4"]).prints("");
    eventually("what was written is shipped", || listed()[0]["segments"] == 4);
    let told = Command::new("kill").args(["-TERM", &following.id().to_string()]).status();
    assert!(told.unwrap().success());
    following.wait().prints("");
    call("restore PLACE --to last").succeeds();
    s.run(["get", "p.n.k", "--database", "last"]).prints("4\n");
    let first = listed()[0]["first"].as_str().unwrap().to_owned();
    call(&format!("restore PLACE --to first --at {first}")).succeeds();
    s.run(["get", "p.n.k", "--database", "first"]).prints("0\n");
    call("backup --follow PLACE --once --snapshot-every 1ms --keep-days 0")
        .prints("")
        .stderr_has("was removed");
    assert_eq!(listed().as_array().unwrap().len(), 1);
    let denied = s.run(["backup", "--follow", &place, "--once"]).fails(64);
    denied.stderr_has("AWS_ACCESS_KEY_ID is not set");
    let away = call("backup --follow PLACE --once").env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").fails(1);
    away.stdout_is("").stderr_has("prontodb: cannot read s3://");
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_build_without_object_stores_says_so() {
    let s = sandbox_with([("p.n.k", "0")]);
    refused(&s, &["backup", "--follow", "s3://bucket/place", "--once"], 1, "unsupported")
        .stderr_has("feature `s3`");
    refused(&s, &["restore", "s3://bucket/place", "--to", "other"], 1, "unsupported");
}
