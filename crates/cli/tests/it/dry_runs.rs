//! `--dry-run`: what would go is told, nothing is changed, and then it goes.

use prontodb_testkit::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::{PASSWORD, contents, json_of, sandbox, sandbox_with, wait_until};

fn run(s: &Sandbox, line: &str) {
    s.run(line.split(' ')).env("PRONTO_PASS", PASSWORD).succeeds();
}

/// Expects that a dry run of a command tells this, as lines and as JSON, and changes nothing.
#[track_caller]
fn tells(s: &Sandbox, line: &str, text: &str, object: Value) {
    let before = contents(s);
    s.run(line.split(' ')).arg("--dry-run").prints(text).stderr_has("nothing was changed");
    assert_eq!(json_of(s.run(line.split(' ')).args(["--dry-run", "--json"])), object, "{line}");
    assert!(before == contents(s), "{line} writes nothing");
}

/// Expects that a dry run fails as the command itself does.
#[track_caller]
fn fails_alike(s: &Sandbox, line: &str, code: i32) {
    let before = contents(s);
    let dry = s.run(line.split(' ')).arg("--dry-run").fails(code).stdout_is("");
    s.run(line.split(' ')).fails(code).stderr_is(&dry.stderr());
    assert!(before == contents(s), "{line} writes nothing");
}

#[test]
fn limits_of_caches_tell_how_many_entries_they_drive_out() {
    let s = sandbox();
    run(&s, "create-cache p.c 60");
    for key in ["a", "b", "c", "d", "e"] {
        run(&s, &format!("set p.c.{key} v"));
        run(&s, &format!("set p.n.{key} v"));
    }
    for line in ["admin set-cache p.c max_items=2", "admin create-cache p.n 60 max_items=2"] {
        tells(&s, line, "evicted: 3\n", json!({"evicted": 3}));
        s.run(line.split(' ')).succeeds().stderr_has("3 entries were over the limits");
        tells(&s, line, "evicted: 0\n", json!({"evicted": 0}));
    }
    tells(&s, "create-cache p.new 60 max_bytes=1", "evicted: 0\n", json!({"evicted": 0}));
    s.run(["nss"]).prints("p.c\np.n\n");
    fails_alike(&s, "admin set-cache p.none max_items=2", 1);
    fails_alike(&s, "create-cache p.n max_items=2", 1);
}

#[test]
fn histories_tell_how_many_versions_they_forget() {
    let s = sandbox();
    run(&s, "admin namespace set p.n history=10");
    for number in 0..5 {
        run(&s, &format!("set p.n.a {number}"));
    }
    run(&s, "set p.n.b 1");
    run(&s, "del p.n.b");
    for (setting, versions) in [("history=10", 0), ("history=3", 2), ("history=1", 5), ("history=0", 7)] {
        let text = format!("versions: {versions}\n");
        tells(&s, &format!("admin namespace set p.n {setting}"), &text, json!({"versions": versions}));
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    let line = "admin namespace set p.n history_age=10ms";
    // The fifth value is there, and a removal ends at once.
    tells(&s, line, "versions: 6\n", json!({"versions": 6}));
    run(&s, line);
    s.run(["log", "p.n"]).succeeds().stdout_has("p.n.a").stdout_lacks("p.n.b");
    tells(&s, "admin namespace set p.n history=0", "versions: 1\n", json!({"versions": 1}));
    tells(&s, "admin namespace set p.new history=5", "versions: 0\n", json!({"versions": 0}));
    fails_alike(&s, "admin namespace set p.none history=0", 1);
    run(&s, "create-cache p.c 60");
    fails_alike(&s, "admin namespace set p.c history_age=1d", 1);
    s.run(["admin", "namespace", "set", "p.n", "encrypt=off", "--dry-run"]).fails(64);
}

#[test]
fn garbage_is_counted_and_stays() {
    let s = sandbox_with([("p.n.k", "1")]);
    let none = "entries: 0\ncaches: 0\nversions: 0\nleft_behind: 0\n";
    tells(&s, "admin gc", none, json!({"entries": 0, "caches": 0, "versions": 0, "left_behind": 0}));
    run(&s, "create-cache p.c 60");
    run(&s, "admin namespace set p.h history=9;history_age=1ms");
    for key in ["a", "b", "c"] {
        run(&s, &format!("set p.c.{key} v --ttl 1500ms"));
    }
    run(&s, "set p.h.k 1");
    run(&s, "set p.h.k 2");
    wait_until("they expire", || s.run(["keys", "p.c", "--count"]).succeeds().stdout() == "0\n");
    let some = json!({"entries": 3, "caches": 1, "versions": 1, "left_behind": 0});
    tells(&s, "admin gc", "entries: 3\ncaches: 1\nversions: 1\nleft_behind: 0\n", some);
    let removed = json_of(s.run(["admin", "gc", "--json"]));
    assert_eq!(
        (&removed["entries"], &removed["caches"], &removed["versions"]),
        (&json!(3), &json!(1), &json!(1))
    );
    tells(&s, "admin gc", none, json!({"entries": 0, "caches": 0, "versions": 0, "left_behind": 0}));
}

#[test]
fn users_keys_and_grants_tell_what_ends_with_them() {
    let s = sandbox();
    for line in [
        "admin user add sam",
        "admin key create ci --role write",
        "admin grant sam write tasks.*",
        "admin grant sam read p.n",
        "admin grant ci read logs.*",
        "auth login sam",
        "auth login sam",
    ] {
        run(&s, line);
    }
    let sam = "user: sam\nsessions: 2\ngrants: read p.n\ngrants: write tasks.*\n";
    let object = json!({"user": "sam", "sessions": 2, "grants": ["read p.n", "write tasks.*"]});
    tells(&s, "admin user del sam", sam, object);
    tells(
        &s,
        "admin revoke sam p.n",
        "who: sam\ngrants: read p.n\n",
        json!({"who": "sam", "grants": ["read p.n"]}),
    );
    let ci = json!({"key": "ci", "grants": ["read logs.*"]});
    tells(&s, "admin key revoke ci", "key: ci\ngrants: read logs.*\n", ci);
    fails_alike(&s, "admin user del nobody", 1);
    fails_alike(&s, "admin user del admin", 3);
    fails_alike(&s, "admin key revoke none", 1);
    fails_alike(&s, "admin revoke sam q.n", 1);
    for line in ["admin user del sam", "admin key revoke ci"] {
        run(&s, line);
    }
    s.run(["admin", "grants"]).prints("");
}

#[test]
fn metakeys_and_cursors_tell_what_goes() {
    let s = sandbox_with([("p.n.k", "1")]);
    run(&s, "admin metakey set p.n.k owner ann");
    for line in ["admin metakey del p.n.k owner", "admin del-metakey p.n.k owner"] {
        tells(&s, line, "metakey: owner\n", json!({"metakey": ["owner"]}));
    }
    fails_alike(&s, "admin metakey del p.n.k owner none", 2);
    fails_alike(&s, "admin metakey del p.n.none owner", 2);
    s.run("admin metakey del p.n.k owner --dry-run --op-id x".split(' ')).fails(64);
    run(&s, "cursor set work ./work.prdb");
    let file = s.home().join(".local/data/odx/prontodb/cursors/work.cursor").display().to_string();
    tells(&s, "cursor delete work", &format!("file: {file}\n"), json!({"file": file}));
    fails_alike(&s, "cursor delete none", 1);
    run(&s, "cursor work");
    fails_alike(&s, "cursor delete work", 1);
}

#[test]
fn a_database_that_is_not_there_is_not_made_to_tell() {
    let s = sandbox();
    for (line, code) in [
        ("create-cache p.n 60", 0),
        ("admin gc", 0),
        ("admin namespace set p.n history=5", 0),
        ("admin set-cache p.n max_items=1", 1),
        ("admin user del sam", 1),
        ("admin key revoke ci", 1),
        ("admin revoke sam p.n", 1),
        ("admin metakey del p.n.k owner", 2),
    ] {
        let mut outcome = s.run(line.split(' ')).arg("--dry-run").ends();
        assert_eq!(outcome.code(), Some(code), "{line}");
        assert!(contents(&s).is_empty(), "{line}");
    }
}

#[test]
fn whoever_may_not_do_it_is_not_told_either() {
    let s = sandbox_with([("p.n.k", "1")]);
    run(&s, "create-cache p.c 60");
    run(&s, "admin user add sam");
    let key = s.run(["admin", "key", "create", "ci", "--role", "write"]).succeeds().stdout();
    for line in [
        "create-cache p.n 60",
        "admin set-cache p.c max_items=1",
        "admin gc",
        "admin namespace set p.n history=0",
        "admin user del sam",
        "admin key revoke ci",
        "admin revoke sam p.n",
    ] {
        let call = s.run(line.split(' ')).arg("--dry-run").env("PRONTO_SECURITY_LOCAL", "true");
        call.env("PRONTO_API_KEY", key.trim_end()).fails(5).stdout_is("");
    }
}
