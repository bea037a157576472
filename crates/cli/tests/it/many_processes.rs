//! Many processes at once, and processes that die.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Running, Sandbox};

use crate::common::{assert_whole, database_file, prints_or_misses, sandbox, sandbox_with};

#[test]
fn thirty_first_commands_at_once_all_succeed() {
    for _ in 0..3 {
        let s = sandbox();
        let writers: Vec<_> = (10..40).map(|i| s.spawn(["set", &format!("p.n.k{i}"), "v"])).collect();
        for writer in writers {
            writer.wait().prints("").stderr_is("");
        }
        let expected: String = (10..40).map(|i| format!("k{i}=v\n")).collect();
        s.run(["scan", "p.n"]).prints(expected);
        assert_whole(&s, &database_file(&s, "main"));
    }
}

#[test]
fn first_reads_and_writes_at_once_never_fail() {
    let s = sandbox();
    let writers: Vec<_> = (0..10).map(|i| s.spawn(["set", &format!("p.n{i}.k"), "v"])).collect();
    let readers: Vec<_> = (0..20).map(|_| s.spawn(["get", "p.n0.k"])).collect();
    for writer in writers {
        writer.wait().prints("");
    }
    for reader in readers {
        prints_or_misses(reader, "v\n");
    }
    s.run(["keys", "--count"]).prints("10\n");
}

#[test]
fn counters_add_up_across_processes() {
    const PROCESSES: usize = 32;
    const STEPS: usize = 4;
    let s = sandbox();
    let answers = thread::scope(|scope| {
        let count = || (0..STEPS).map(|_| s.run(["incr", "p.n.k"]).succeeds().stdout()).collect::<Vec<_>>();
        let counters: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(count)).collect();
        counters.into_iter().flat_map(|counter| counter.join().unwrap()).collect::<Vec<_>>()
    });
    let mut answers: Vec<usize> = answers.iter().map(|answer| answer.trim_end().parse().unwrap()).collect();
    answers.sort_unstable();
    assert_eq!(answers, (1..=PROCESSES * STEPS).collect::<Vec<_>>(), "each number is given out once");
    s.run(["get", "p.n.k"]).prints(format!("{}\n", PROCESSES * STEPS));
}

#[test]
fn a_race_for_an_absent_entry_has_one_winner() {
    let s = sandbox_with([("p.n.other", "1")]);
    for round in 0..4 {
        let address = format!("p.n.k{round}");
        let racers: Vec<_> =
            (0..16).map(|i| s.spawn(["set", &address, &i.to_string(), "--if-absent"])).collect();
        let mut outcomes: Vec<_> = racers.into_iter().map(|racer| racer.wait()).collect();
        let codes: Vec<_> = outcomes.iter_mut().map(|outcome| outcome.code()).collect();
        let winners: Vec<_> = (0..16).filter(|i| codes[*i] == Some(0)).collect();
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 3))), "{codes:?}");
        assert_eq!(winners.len(), 1, "{codes:?}");
        s.run(["get", &address]).prints(format!("{}\n", winners[0]));
    }
}

#[test]
fn loops_of_compare_and_set_lose_nothing() {
    const WORKERS: usize = 4;
    const STEPS: usize = 5;
    let s = sandbox_with([("p.n.k", "0")]);
    let add_one = || loop {
        let seen: serde_json::Value =
            serde_json::from_str(&s.run(["get", "p.n.k", "--json", "--meta"]).succeeds().stdout()).unwrap();
        let (value, version) =
            (seen["v"].as_str().unwrap().parse::<u64>().unwrap() + 1, seen["version"].to_string());
        match s.run(["set", "p.n.k", &value.to_string(), "--if-version", &version]).outcome().code() {
            Some(0) => return,
            code => assert_eq!(code, Some(3)),
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| (0..STEPS).for_each(|_| add_one()));
        }
    });
    s.run(["get", "p.n.k"]).prints(format!("{}\n", WORKERS * STEPS));
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// How long one write takes here, so that kills meet it at any of its moments.
pub(crate) fn time_of_one_write() -> u64 {
    let s = sandbox();
    let start = Instant::now();
    for _ in 0..5 {
        s.run(["incr", "p.n.k"]).succeeds();
    }
    u64::try_from(start.elapsed().as_micros()).unwrap() / 5
}

/// How often each worker of a test is killed; `just kills` asks for more than the few of every run.
pub(crate) fn kills_of_a_worker() -> u64 {
    kills_unless_said(15)
}

/// The same for those who do nothing but write; `just crash` asks for more.
fn kills_of_a_writer() -> u64 {
    kills_unless_said(65)
}

fn kills_unless_said(kills: u64) -> u64 {
    std::env::var("PRONTODB_TEST_KILLS").map_or(kills, |kills| kills.parse().unwrap())
}

/// Kills a process at some moment of the write that it does.
pub(crate) fn kill_at_some_moment(process: Running, dice: &mut Dice, time: u64) -> Option<i32> {
    thread::sleep(Duration::from_micros(dice.below(time)));
    process.kill().code()
}

#[test]
fn a_first_command_that_is_killed_leaves_nothing_in_the_way() {
    let (mut dice, time) = (Dice(0x9e37_79b9_7f4a_7c15), 2 * time_of_one_write());
    for _ in 0..25 {
        let s = sandbox();
        let code = kill_at_some_moment(s.spawn(["set", "p.n.killed", "v"]), &mut dice, time);
        assert!(matches!(code, None | Some(0)), "{code:?}");
        s.run(["get", "p.n.missing"]).fails(2);
        s.run(["set", "p.n.k", "v"]).prints("");
        let expected = if code == Some(0) { "k\nkilled\n" } else { "k\n" };
        let listing = s.run(["keys", "p.n"]).succeeds().stdout();
        assert!(listing == expected || listing == "k\nkilled\n", "{listing}");
    }
}

#[test]
fn kills_at_any_moment_lose_nothing_that_was_acknowledged() {
    const WORKERS: u64 = 4;
    let (s, time, kills) = (sandbox(), WORKERS * time_of_one_write(), kills_of_a_writer());
    let work = |worker| writes_and_kills(&s, worker, kills, time);
    let acknowledged: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (1..=WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(acknowledged.len() as u64 >= WORKERS * kills, "writes between kills are acknowledged");
    let start = Instant::now();
    s.run(["set", "p.n.last", "v"]).prints("");
    assert!(start.elapsed() < Duration::from_secs(2), "the dead block nobody");
    let listing = s.run(["scan", "p.n"]).succeeds().stdout();
    let stored: HashSet<_> = listing.lines().collect();
    for entry in &acknowledged {
        assert!(stored.contains(entry.as_str()), "{entry} was acknowledged and is lost");
    }
    assert_whole(&s, &database_file(&s, "main"));
    println!("{} kills, {} writes acknowledged, 0 lost", WORKERS * kills, acknowledged.len());
}

/// Sets entries, every second one by a process that is killed at some moment; the lines of all that were acknowledged.
fn writes_and_kills(s: &Sandbox, worker: u64, kills: u64, time: u64) -> Vec<String> {
    let mut dice = Dice(worker.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut acknowledged = Vec::new();
    for i in 0..2 * kills {
        let (key, value) = (format!("k{worker}-{i:02}"), format!("value-{i}"));
        let process = s.spawn(["set", &format!("p.n.{key}"), &value]);
        let is_victim = i % 2 == 0;
        let code =
            if is_victim { kill_at_some_moment(process, &mut dice, time) } else { process.wait().code() };
        match code {
            Some(0) => acknowledged.push(format!("{key}={value}")),
            code => {
                assert!(
                    code.is_none() && is_victim,
                    "{code:?}: only a kill may keep a write from succeeding"
                );
            }
        }
    }
    acknowledged
}

#[test]
fn killed_counters_count_what_they_acknowledged() {
    const WORKERS: u64 = 4;
    let (s, time, kills) = (sandbox(), WORKERS * time_of_one_write(), kills_of_a_writer());
    let count = |worker: u64| {
        let mut dice = Dice(worker.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let codes = (0..kills).map(|_| kill_at_some_moment(s.spawn(["incr", "p.n.k"]), &mut dice, time));
        codes.filter(|code| *code == Some(0)).count() as u64
    };
    let acknowledged: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (1..=WORKERS).map(|worker| scope.spawn(move || count(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let sum: u64 = s.run(["incr", "p.n.k", "0"]).succeeds().stdout().trim_end().parse().unwrap();
    assert!((acknowledged..=WORKERS * kills).contains(&sum), "{sum}, and {acknowledged} were acknowledged");
    println!("{} kills, {acknowledged} increments acknowledged, {sum} made", WORKERS * kills);
}

#[test]
fn a_stopped_reader_blocks_nobody() {
    let s = sandbox();
    for i in 0..4 {
        s.run(["set", &format!("p.n.k{i}")]).stdin("x".repeat(200_000)).prints("");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let slow = s.run(["scan", "p.n"]).stdout_to(writer).spawn();
    s.run(["set", "p.n.k0", "new"]).prints("");
    s.run(["get", "p.n.k0"]).prints("new\n");
    s.run(["del", "p.n.k1"]).prints("");
    drop(reader);
    slow.wait().succeeds();
}
