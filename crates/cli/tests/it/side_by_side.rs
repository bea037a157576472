//! Many databases, users and cursors at once, and processes that die while they change cursors.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Call, Sandbox};
use serde_json::{Value, json};

use crate::common::{assert_whole, data_folder, database_file, mode_of, prints_or_misses, sandbox};
use crate::contexts::{cursor_file, follow, saved, two_files, work};

// Databases and users.

const DATABASES: usize = 12;
const WORKERS: usize = 3;
const STEPS: usize = 4;

/// A call in the database `db<number>`, which is chosen in another way for each remainder of the number.
fn call_in(s: &Sandbox, number: usize, args: &[&str]) -> Call {
    let name = format!("db{number}");
    let call = s.run(args);
    match number % 5 {
        0 => call.arg("--database").arg(name),
        1 => call.arg("-d").arg(format!("{name}.prdb")),
        2 => call.arg("--user").arg(name),
        3 => call.arg("--cursor").arg(name),
        _ => call.env("PRONTO_DB", format!("{name}.prdb")),
    }
}

#[test]
fn twelve_databases_are_written_at_once_and_nothing_is_lost_or_mixed() {
    let s = sandbox();
    for number in (0..DATABASES).filter(|number| number % 5 == 3) {
        s.run(["cursor", "set", &format!("db{number}"), &format!("cursor{number}.prdb")]).prints("");
    }
    thread::scope(|scope| {
        for (number, worker) in (0..DATABASES).flat_map(|n| (0..WORKERS).map(move |worker| (n, worker))) {
            let s = &s;
            scope.spawn(move || {
                for step in 0..STEPS {
                    let (key, value) = (format!("p.n.k{worker}{step}"), format!("{number}-{worker}-{step}"));
                    call_in(s, number, &["set", &key, &value]).prints("");
                    call_in(s, number, &["get", &key]).prints(format!("{value}\n"));
                    call_in(s, number, &["incr", "p.n.sum"]).succeeds();
                }
            });
        }
    });
    for number in 0..DATABASES {
        let entries = (0..WORKERS).flat_map(|worker| {
            (0..STEPS).map(move |step| format!("k{worker}{step}={number}-{worker}-{step}\n"))
        });
        let expected: String = entries.chain([format!("sum={}\n", WORKERS * STEPS)]).collect();
        call_in(&s, number, &["scan", "p.n"]).prints(expected);
        call_in(&s, number, &["keys", "--count"]).prints("13\n");
    }
    assert!(!database_file(&s, "main").exists());
}

#[test]
fn first_commands_of_many_users_at_once_never_fail_or_mix() {
    const USERS: usize = 16;
    for _ in 0..3 {
        let s = sandbox();
        let users: Vec<_> = (0..USERS).map(|i| format!("user{i:02}")).collect();
        let of_users = users.iter().flat_map(|user| {
            let set = |key: &str| s.spawn(["--user", user, "set", key, user]);
            [set("p.n.a"), set("p.n.b")]
        });
        let running: Vec<_> = of_users.collect();
        for process in running {
            process.wait().prints("").stderr_is("");
        }
        for user in &users {
            s.run(["--user", user, "scan"]).prints(format!("p.n.a={user}\np.n.b={user}\n"));
            s.run(["--database", user, "scan"]).prints(format!("p.n.a={user}\np.n.b={user}\n"));
            assert_selection_of(&s, user);
            s.run(["cursor", "list", "--user", user]).prints("");
        }
        assert!(!data_folder(&s).join("main").exists());
        assert!(!cursor_file(&s, "default").exists());
    }
}

#[track_caller]
fn assert_selection_of(s: &Sandbox, user: &str) {
    let selection = saved(s, user);
    assert_eq!(selection["user"], user);
    assert_eq!(selection["database_path"], json!(database_file(s, user)));
    assert_eq!(mode_of(&cursor_file(s, user)), 0o600);
    assert_whole(s, &database_file(s, user));
}

#[test]
fn first_commands_of_nobody_and_of_users_at_once_keep_apart() {
    let s = sandbox();
    let writers: Vec<_> = (0..24)
        .map(|i| match i % 3 {
            0 => s.spawn(["set", &format!("p.n.k{i:02}"), "default"]),
            1 => s.spawn(["set", &format!("p.n.k{i:02}"), "alice", "--user", "alice"]),
            _ => s.spawn(["set", &format!("p.n.k{i:02}"), "other", "--select", "other"]),
        })
        .collect();
    let readers: Vec<_> = (0..8).map(|_| s.spawn(["get", "p.n.k01", "--user", "alice"])).collect();
    for writer in writers {
        writer.wait().prints("");
    }
    for reader in readers {
        prints_or_misses(reader, "alice\n");
    }
    s.run(["keys", "--count", "--user", "alice"]).prints("8\n");
    assert_selection_of(&s, "alice");
    // A write of nobody lands in main or, once that is selected, in the other database, and never twice.
    let count = |database: &str| {
        let listing = s.run(["scan", "p.n", "--database", database]).succeeds().stdout();
        assert!(!listing.contains("=alice"), "{listing}");
        listing.lines().count()
    };
    assert_eq!(count("main") + count("other"), 16);
    saved(&s, "default");
}

// Cursors that many change.

/// A sandbox with two databases, of which one is selected, and the cursors `a`, `b`, `shared` and `hot`.
fn place_of_cursors() -> Sandbox {
    let s = two_files();
    follow(
        &s,
        &[
            "cursor set a a.prdb",
            "cursor set b b.prdb",
            "cursor set shared a.prdb",
            "cursor set hot b.prdb",
            "cursor a",
        ],
    );
    s
}

/// Reads a cursor's file without the program, if it is there, and expects it to be whole.
#[track_caller]
fn assert_whole_file(s: &Sandbox, name: &str) -> bool {
    let Ok(bytes) = fs::read(cursor_file(s, name)) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let cursor: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    let path = Path::new(cursor["database_path"].as_str().unwrap()).to_owned();
    assert!([work(s).join("a.prdb"), work(s).join("b.prdb")].contains(&path), "{name}: {text}");
    assert_eq!(cursor["user"], "default", "{name}: {text}");
    true
}

/// Expects that a reader finds the one database or the other.
#[track_caller]
fn assert_reads(s: &Sandbox, flags: &[&str]) {
    let outcome = s.run([&["get", "p.n.k"], flags].concat()).succeeds();
    outcome.require(["a\n", "b\n"].contains(&outcome.stdout().as_str()), "expected a or b");
}

/// What the worker does in its step: commands that succeed whatever the others do.
fn change_cursors(s: &Sandbox, worker: usize, step: usize) {
    let file = ["a.prdb", "b.prdb"][(worker + step) % 2];
    let name = ["a", "b", "shared"][(worker + step) % 3];
    match worker % 4 {
        0 => s.run(["cursor", "set", "shared", file]).prints(""),
        1 => s.run(["cursor", name]).prints(""),
        2 => s.run(["get", "p.n.k", "--select", name]).succeeds(),
        // Several rename the one cursor, to and fro, so some come too late.
        _ => {
            let (old, new) = if step.is_multiple_of(2) { ("hot", "cold") } else { ("cold", "hot") };
            s.run(["cursor", "rename", old, new]).fails_with_one_of(&[0, 1]).stderr_lacks("damaged")
        }
    };
}

#[test]
fn cursors_that_many_change_at_once_are_never_half_written() {
    const CHANGERS: usize = 16;
    const CHANGES: usize = 8;
    let s = place_of_cursors();
    let are_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let changers: Vec<_> = (0..CHANGERS)
            .map(|worker| {
                let s = &s;
                scope.spawn(move || (0..CHANGES).for_each(|step| change_cursors(s, worker, step)))
            })
            .collect();
        let (s, are_done) = (&s, &are_done);
        let until_done = |look: fn(&Sandbox)| {
            move || {
                while !are_done.load(Ordering::Relaxed) {
                    look(s);
                }
            }
        };
        let readers = [
            scope.spawn(until_done(|s| assert_reads(s, &[]))),
            scope.spawn(until_done(|s| assert_reads(s, &["--cursor", "shared"]))),
            scope.spawn(until_done(|s| drop(s.run(["cursor", "list", "--long"]).succeeds()))),
            scope.spawn(until_done(|s| drop(s.run(["cursor", "active"]).succeeds()))),
            scope.spawn(until_done(|s| {
                assert!(assert_whole_file(s, "default") && assert_whole_file(s, "shared"));
                assert_whole_file(s, "hot");
                assert_whole_file(s, "cold");
            })),
        ];
        let outcomes: Vec<_> = changers.into_iter().map(|changer| changer.join()).collect();
        are_done.store(true, Ordering::Relaxed);
        let outcomes = outcomes.into_iter().chain(readers.map(|reader| reader.join()));
        for outcome in outcomes {
            outcome.unwrap();
        }
    });
    let is_hot = cursor_file(&s, "hot").exists();
    assert_ne!(is_hot, cursor_file(&s, "cold").exists(), "a rename moves, it does not copy or lose");
    let renamed = if is_hot { "hot" } else { "cold" };
    s.run(["cursor", "list"]).prints(if is_hot { "a\nb\nhot\nshared\n" } else { "a\nb\ncold\nshared\n" });
    s.run(["get", "p.n.k", "--cursor", renamed]).prints("b\n");
}

#[test]
fn listings_never_fail_while_a_cursor_is_renamed() {
    let s = place_of_cursors();
    thread::scope(|scope| {
        let renames = scope.spawn(|| {
            for _ in 0..10 {
                follow(&s, &["cursor rename hot cold", "cursor rename cold hot"]);
            }
        });
        while !renames.is_finished() {
            assert_reads(&s, &[]);
            let listing = s.run(["cursor", "list"]).succeeds().stderr_is("").stdout();
            assert!(listing.starts_with("a\nb\n") && listing.ends_with("shared\n"), "{listing}");
        }
    });
}

// Processes that are killed.

const KILLS: u32 = 60;

/// How long one change of a cursor takes here, so that kills meet it at any of its moments.
fn time_of_one_change() -> Duration {
    let s = place_of_cursors();
    let start = Instant::now();
    for _ in 0..5 {
        follow(&s, &["cursor b"]);
    }
    start.elapsed() / 5
}

#[test]
fn kills_at_any_moment_leave_whole_cursors() {
    let (s, time) = (place_of_cursors(), time_of_one_change() * 3 / 2);
    let changes = [
        "cursor set shared b.prdb",
        "cursor shared",
        "cursor set shared a.prdb",
        "cursor b",
        "get p.n.k --select a",
        "cursor rename hot cold",
        "cursor rename cold hot",
    ];
    let mut killed = 0;
    for i in 0..KILLS {
        let change = changes[i as usize % changes.len()];
        let process = s.spawn(change.split(' '));
        // The moment of the kill moves on through the time of the change.
        thread::sleep(time * i / KILLS);
        let mut outcome = process.kill();
        let code = outcome.code();
        outcome.require(matches!(code, None | Some(0 | 1)), "expected an end by the kill, or before it");
        outcome.require(code != Some(1) || change.contains("rename"), "expected no failure");
        killed += u32::from(code.is_none());
        assert_usable(&s, change);
    }
    assert!(killed > 0, "every change was over before it could be killed");
    assert_dead_block_nobody(&s);
}

/// Expects that all cursors are there, whole, and in use.
#[track_caller]
fn assert_usable(s: &Sandbox, change: &str) {
    for name in ["default", "a", "b", "shared"] {
        assert!(assert_whole_file(s, name), "{name} is gone by the death of: {change}");
    }
    let is_somewhere = [assert_whole_file(s, "hot"), assert_whole_file(s, "cold")].contains(&true);
    assert!(is_somewhere, "the cursor is lost by the death of: {change}");
    assert_reads(s, &[]);
    assert_reads(s, &["--cursor", "shared"]);
    s.run(["cursor", "list"]).succeeds().stderr_is("");
}

#[track_caller]
fn assert_dead_block_nobody(s: &Sandbox) {
    let start = Instant::now();
    follow(
        s,
        &["cursor set shared b.prdb", "cursor shared", "cursor set fresh a.prdb", "cursor rename fresh new"],
    );
    assert!(start.elapsed() < Duration::from_secs(2), "the dead block the living");
    s.run(["get", "p.n.k"]).prints("b\n");
    s.run(["get", "p.n.k", "--cursor", "new"]).prints("a\n");
}

#[test]
fn a_first_write_that_is_killed_leaves_no_broken_selection() {
    let time = time_of_one_change() * 3;
    for i in 0..20 {
        let s = sandbox();
        let process = s.spawn(["set", "p.n.k", "v", "--user", "alice"]);
        thread::sleep(time * i / 20);
        let mut outcome = process.kill();
        let code = outcome.code();
        outcome.require(matches!(code, None | Some(0)), "expected an end by the kill, or before it");
        if cursor_file(&s, "alice").exists() {
            assert_eq!(saved(&s, "alice")["database_path"], json!(database_file(&s, "alice")));
        }
        follow(&s, &["set p.n.l w --user alice"]);
        s.run(["get", "p.n.l", "--user", "alice"]).prints("w\n");
        assert_selection_of(&s, "alice");
    }
}
