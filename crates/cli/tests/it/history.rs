//! `history`, `get --version`, `blame`, `log`, `undo` and `--reason`.

use std::thread;

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{
    assert_whole, database_file, fold_log, json_of, refused, refuses, sandbox, sandbox_with, sql,
};

/// A sandbox whose namespace `p.n` keeps history.
fn keeping() -> Sandbox {
    let s = sandbox();
    s.run(["admin", "namespace", "set", "p.n", "history=9"]).prints("");
    s
}

/// Sets an entry in the name of somebody.
fn set(s: &Sandbox, by: &str, address: &str, value: &str) {
    s.run(["set", address, value, "--user", by, "--database", "main"]).prints("");
}

/// The columns of what a listing prints, without the moments.
fn rows(s: &Sandbox, args: &[&str]) -> Vec<String> {
    let printed = s.run(args.iter().copied()).succeeds().stdout();
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        assert!(columns[1].starts_with("20") && columns[1].ends_with('Z'), "{line}");
        [&columns[..1], &columns[2..]].concat().join(" ")
    };
    printed.lines().map(row).collect()
}

#[test]
fn a_namespace_keeps_history_from_when_it_is_told_to() {
    let s = sandbox_with([("p.n.k", "1")]);
    refused(&s, &["history", "p.n.k"], 1, "invalid")
        .stderr_has("p.n keeps no history")
        .stderr_has("hint: prontodb admin namespace set p.n history=20 ");
    let outcome = s.run(["admin", "namespace", "set", "p.n", "history=3", "history_age=12h"]).prints("");
    outcome.stderr_has("p.n keeps 3 versions of each entry, each until 43200s after its end");
    let outcome = s.run(["admin", "namespace", "set", "-p", "p", "-n", "n", "history=9;history_age=90d"]);
    outcome.prints("").stderr_has("9 versions of each entry, each until 90 days after its end");
    s.run(["admin", "namespace", "set", "p.n", "history_age=0"]).prints("").stderr_has("each for good");
    let described = json_of(s.run(["admin", "namespace", "describe", "p.n", "--json"]));
    assert_eq!((described["history"].as_u64(), described["history_age_ms"].as_u64()), (Some(9), Some(0)));
    s.run(["admin", "namespace", "set", "p.new", "history=1"])
        .prints("")
        .stderr_has("p.new is new, and keeps 1 version");
    s.run(["namespaces", "-p", "p"]).prints("n\nnew\n");
    s.run(["admin", "namespace", "set", "p.n", "history=0"]).prints("").stderr_has("p.n keeps no history");
    refused(&s, &["log", "p.n"], 1, "invalid").stderr_has("p.n keeps no history");
    s.run(["admin", "namespace", "describe", "p.n"]).succeeds().stdout_lacks("history");
    s.run(["get", "p.n.k"]).prints("1\n");
    s.run(["admin", "check"]).succeeds();
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    for setting in
        ["history=-1", "history=", "history=x", "history=1000001", "history_age=x", "history=1 history=2"]
    {
        refused(&s, &["admin", "namespace", "set", "p.n", setting], 1, "invalid");
    }
    refused(&s, &["admin", "namespace", "set", "p.n", "history_age=5d"], 1, "invalid")
        .stderr_has("keeps no history that could have an age");
    refused(&s, &["admin", "namespace", "set", "p.other", "history=0"], 1, "invalid")
        .stderr_has("no namespace");
    refused(&s, &["admin", "namespace", "set", "p.n", "history=5", "encrypt=on"], 64, "usage")
        .stderr_has("encrypt stands alone");
    refused(&s, &["admin", "namespace", "set", "p.n", "history=5", "--recipient", "age1"], 64, "usage");
}

#[test]
fn every_change_has_who_when_what_and_why() {
    let s = keeping();
    set(&s, "ann", "p.n.k", "1");
    s.run(["incr", "p.n.k", "--user", "bob", "--database", "main", "--reason", "one more; it's \"needed\""])
        .prints("2\n");
    s.run(["admin", "metakey", "set", "p.n.k", "owner", "ann", "--reason=whose"]).prints("");
    s.run(["--reason", "-because", "del", "p.n.k"]).prints("");
    let listed = rows(&s, &["history", "p.n.k"]);
    let expected = [
        ("deleted - -because", "tester"),
        ("touched 1 whose", "tester"),
        ("set 1 one more; it's \"needed\"", "bob"),
        ("created 1 -", "ann"),
    ];
    for (line, (what, who)) in listed.iter().zip(expected) {
        let is_whose = line.contains(&format!(" {who} ")) || who == "tester";
        assert!(line.ends_with(what) && is_whose, "{line}");
    }
    assert_eq!(listed.len(), 4);
    assert_eq!(rows(&s, &["history", "p.n.k", "--limit", "2"]), listed[..2]);
    s.run(["history", "p.n.k", "--limit", "0"]).prints("");
    let told = json_of(s.run(["history", "-p", "p", "-n", "n", "k", "--json", "--values"]));
    let told = told.as_array().unwrap();
    let values: Vec<_> = told.iter().map(|past| past["v"].as_str()).collect();
    assert_eq!(values, [None, Some("2"), Some("2"), Some("1")]);
    assert_eq!((&told[1]["metakeys"]["owner"], &told[0]["size"]), (&"ann".into(), &serde_json::Value::Null));
    assert_eq!((&told[3]["what"], &told[3]["writer"]), (&"created".into(), &"ann".into()));
    assert_eq!(
        (&told[3]["ended"], &told[2]["reason"]),
        (&told[2]["at"], &"one more; it's \"needed\"".into())
    );
    s.run(["history", "p.n.k", "--values"]).fails(64).stdout_is("").stderr_has("--values needs --json");
    refused(&s, &["history", "p.n.none"], 2, "not_found").stderr_has("there is no version of p.n.none");
    refused(&s, &["history", "x.y.z"], 2, "not_found");
}

#[test]
fn a_version_is_got_as_it_was() {
    let s = sandbox_with([("p.n.k", "before")]);
    s.run(["admin", "namespace", "set", "p.n", "history=9"]).prints("");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let version =
        s.run(["set", "p.n.k", "-", "--return", "version"]).stdin(bytes.clone()).succeeds().stdout();
    let version = version.trim_end();
    s.run(["del", "p.n.k"]).prints("");
    let got = s.run(["get", "p.n.k", "--version", version, "--raw"]).succeeds();
    assert!(got.stdout_bytes() == bytes);
    s.run(["get", "p.n.k", "--version", "1"]).prints("before\n");
    s.run(["get", "p.n.k", "--version", "1", "--meta"])
        .succeeds()
        .stdout_has("version: 1\n")
        .stdout_has("size: 6\n");
    s.run(["get", "p.n.k", "--version", version, "--output", "file"]).prints("");
    assert!(std::fs::read(s.path("file")).unwrap() == bytes);
    for version in ["0", "2", "99", "18446744073709551615"] {
        refused(&s, &["get", "p.n.k", "--version", version], 2, "not_found").stderr_has("that is kept");
    }
    refused(&s, &["get", "p.n.k", "p.n.l", "--json", "--version", "1"], 64, "usage");
    refused(&s, &["get", "p.n.k", "--version", "x"], 64, "usage");
    refused(&s, &["get", "p.n.k", "--version", "1", "--include-expired"], 64, "usage");
    s.run(["set", "p.other.k", "1"]).prints("");
    let present = json_of(s.run(["get", "p.other.k", "--meta", "--json"]))["version"].to_string();
    s.run(["get", "p.other.k", "--version", &present]).prints("1\n");
    refused(&s, &["get", "p.other.k", "--version", "1"], 1, "invalid").stderr_has("p.other keeps no history");
}

#[test]
fn a_reason_goes_with_every_way_to_change_entries() {
    let s = keeping();
    s.run(["set", "p.n.k", "1"]).prints("");
    let reason = ["--reason", "why not"];
    let changes: [&[&str]; 14] = [
        &["set", "p.n.k", "2"],
        &["set", "p.n.k", "3", "--if-present"],
        &["incr", "p.n.k"],
        &["append", "p.n.k", "0"],
        &["touch", "p.n.k"],
        &["update", "p.n.k", "--", "sed", "s/4/5/"],
        &["copy", "p.n.k", "p.n.copy"],
        &["rename", "p.n.copy", "p.n.new"],
        &["admin", "create-key", "p.n.made", "1"],
        &["admin", "rename-key", "p.n.made", "p.n.made2"],
        &["admin", "metakey", "set", "p.n.k", "owner", "ann"],
        &["admin", "metakey", "del", "p.n.k", "owner"],
        &["import", "p.n"],
        &["stream", "-p", "p", "-n", "n"],
    ];
    let count = || rows(&s, &["log"]).iter().filter(|line| line.ends_with(" why not")).count();
    for change in changes {
        let before = count();
        let stdin = if change[0] == "stream" { "streamed=1;" } else { "k\tOQ==\n" };
        let at = change.iter().position(|word| *word == "--").unwrap_or(change.len());
        let args = [&change[..at], &reason, &change[at..]].concat();
        s.run(args).env("PRONTO_SECURITY", "false").stdin(stdin).succeeds();
        assert!(count() > before, "{change:?}");
    }
    let id = s.run(["queue", "push", "p.n", "item", "--reason", "why not"]).succeeds().stdout();
    let claimed = json_of(s.run(["queue", "claim", "p.n", "--ttl", "1h", "--json"]));
    s.run(["queue", "ack", "p.n", "--fence", &claimed["fence"].to_string(), "--reason", "done with it"])
        .prints("");
    let item = format!("p.n.{}", id.trim_end());
    assert_eq!(rows(&s, &["history", &item]).len(), 2);
    assert!(rows(&s, &["history", &item])[0].ends_with("deleted - done with it"));
    for (removal, reason) in [
        (&["admin", "drop-key", "p.n.k", "--force"][..], "dropped"),
        (&["del", "p.n.new"], "one"),
        (&["del", "--prefix", "p.n.s", "--yes"], "many"),
    ] {
        s.run([removal, &["--reason", reason]].concat()).succeeds();
        assert!(rows(&s, &["log", "--limit", "1"])[0].ends_with(&format!(" {reason}")), "{removal:?}");
    }
    let outcome = refused(&s, &["get", "p.n.k", "--reason", "x"], 64, "usage");
    outcome.stderr_has("--reason means nothing to this command");
    for args in
        [["keys", "p.n"], ["history", "p.n.k"], ["admin", "gc"], ["create-cache", "p.c"], ["lock", "list"]]
    {
        refused(&s, &[&args[..], &["--reason", "x"]].concat(), 64, "usage")
            .stderr_has("--reason means nothing");
    }
}

#[test]
fn a_reason_is_kept_or_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    for args in [
        &["set", "p.n.k", "2"][..],
        &["set", "p.new.k", "2"],
        &["incr", "p.n.k"],
        &["del", "p.n.k"],
        &["touch", "p.n.k"],
        &["copy", "p.n.k", "p.n.l"],
        &["admin", "metakey", "set", "p.n.k", "a", "b"],
        &["del", "--prefix", "p.n.k", "--yes"],
        &["queue", "push", "p.n", "x"],
    ] {
        let outcome = refused(&s, &[args, &["--reason", "why"]].concat(), 1, "invalid");
        let namespace = if args[1] == "p.new.k" { "p.new" } else { "p.n" };
        outcome
            .stderr_has(&format!(
                "{namespace} keeps no history, and the reason would be lost; nothing was written"
            ))
            .stderr_has(&format!("hint: prontodb admin namespace set {namespace} history=20"));
    }
    refuses(&s, s.run(["import", "p.n", "--reason", "why"]).stdin("k\tOQ==\n"), 1)
        .stderr_has("would be lost");
    let hint = s.run(["set", "p|n|k", "2", "--ns-delim", "|", "--reason", "why"]).fails(1);
    hint.stderr_has("hint: prontodb admin namespace set p|n history=20");
    // Of the environment it goes where it can be kept.
    s.run(["set", "p.n.k", "2"]).env("PRONTO_REASON", "ticket 7").prints("");
    s.run(["admin", "namespace", "set", "p.n", "history=9"]).prints("");
    s.run(["set", "p.n.k", "3"]).env("PRONTO_REASON", "ticket 7").prints("");
    s.run(["set", "p.n.k", "4", "--reason", "ticket 8"]).env("PRONTO_REASON", "ticket 7").prints("");
    s.run(["set", "p.n.k", "5"]).env("PRONTO_REASON", "").prints("");
    let reasons: Vec<_> = rows(&s, &["history", "p.n.k"])
        .iter()
        .map(|row| row.split(" 1 ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(reasons, ["-", "ticket 8", "ticket 7", "-"]);
    for reason in ["", " ", "a\nb", "\u{1b}[31m", &"x".repeat(1025)] {
        refused(&s, &["set", "p.n.k", "6", &format!("--reason={reason}")], 1, "invalid")
            .stderr_has("can be no reason");
    }
    let call = s.run(["set", "p.n.k", "6"]).env("PRONTO_REASON", "a\nb");
    refuses(&s, call, 1).stderr_has("PRONTO_REASON: this can be no reason; it holds control characters");
    s.run(["get", "p.n.k"]).env("PRONTO_REASON", "a\nb").prints("5\n");
    refused(&s, &["set", "p.n.k", "6", "--reason"], 64, "usage").stderr_has("--reason");
}

#[test]
fn lines_tell_who_wrote_them() {
    let s = keeping();
    set(&s, "ann", "p.n.k", "one\ntwo\nthree");
    set(&s, "bob", "p.n.k", "one\n2\nthree\nfour\n");
    let blamed = rows(&s, &["blame", "p.n.k"]);
    // Versions 2 and 3: the first is that of the setting.
    assert_eq!(blamed, ["2 ann one", "3 bob 2", "3 bob three", "3 bob four"]);
    let told = json_of(s.run(["blame", "p.n.k", "--json"]));
    assert_eq!(
        (&told[1]["v"], &told[1]["version"], &told[1]["writer"]),
        (&"2".into(), &3.into(), &"bob".into())
    );
    s.run(["admin", "namespace", "set", "p.n", "history=1"]).prints("");
    assert!(rows(&s, &["blame", "p.n.k"]).iter().all(|line| line.starts_with("^3 bob ")));
    s.run(["set", "p.n.raw", "-"]).stdin(b"a\n\xff\n".to_vec()).prints("");
    assert!(rows(&s, &["blame", "p.n.raw"])[0].ends_with(" (4 bytes)"));
    assert_eq!(json_of(s.run(["blame", "p.n.raw", "--json"]))[0]["v64"], "YQr/Cg==");
    s.run(["set", "p.n.empty", ""]).prints("");
    assert_eq!(rows(&s, &["blame", "p.n.empty"]).len(), 1);
    refused(&s, &["blame", "p.n.none"], 2, "not_found");
    refused(&s, &["blame", "p.none.k"], 2, "not_found");
    s.run(["set", "p.other.k", "1"]).prints("");
    refused(&s, &["blame", "p.other.k"], 1, "invalid").stderr_has("p.other keeps no history");
}

#[test]
fn the_log_tells_of_all_and_of_some() {
    let s = keeping();
    s.run(["log"]).prints("").stderr_has("nothing matches");
    s.run(["admin", "namespace", "set", "q.m", "history=9"]).prints("");
    set(&s, "ann", "p.n.k", "1");
    set(&s, "bob", "q.m.k__eu", "22");
    set(&s, "ann", "p.other.k", "not kept");
    set(&s, "ann", "p.n.list", "333");
    let all = ["6 ann created 3 p.n.list -", "4 bob created 2 q.m.k__eu -", "3 ann created 1 p.n.k -"];
    assert_eq!(rows(&s, &["log"]), all);
    assert_eq!(rows(&s, &["log", "--limit", "2"]), all[..2]);
    assert_eq!(rows(&s, &["log", "--by", "ann"]), [all[0], all[2]]);
    assert_eq!(rows(&s, &["log", "p.n.l"]), all[..1]);
    assert_eq!(rows(&s, &["log", "-p", "p", "-n", "n", "k"]), all[2..]);
    assert_eq!(rows(&s, &["log", "q"]), all[1..2]);
    assert_eq!(rows(&s, &["log", "--context", "eu"]), all[1..2]);
    assert_eq!(rows(&s, &["log", "--ns-delim", "|", "q"]), ["4 bob created 2 q|m|k__eu -"]);
    let told = json_of(s.run(["log", "--json", "--by", "bob"]));
    assert_eq!(
        (&told[0]["k"], &told[0]["what"], told.as_array().unwrap().len()),
        (&"q.m.k__eu".into(), &"created".into(), 1)
    );
    assert_eq!(json_of(s.run(["log", "--json", "--by", "eve"])), serde_json::json!([]));
    s.run(["log", "--by", "eve"]).prints("").stderr_has("nothing matches");
    s.run(["log", "p.nothing"]).prints("").stderr_has("nothing matches");
    refused(&s, &["log", "p.other"], 1, "invalid").stderr_has("p.other keeps no history");
    s.run(["log", "--database", "none"]).prints("").stderr_has("nothing that matches keeps history");
}

#[test]
fn a_long_log_flows_and_a_closed_pipe_is_no_failure() {
    let s = keeping();
    let lines: String = (0..3000).map(|n| format!("k{n}\tMQ==\n")).collect();
    s.run(["import", "p.n"]).stdin(lines).succeeds();
    assert_eq!(rows(&s, &["log"]).len(), 3000);
    let program = s.program().display();
    let script = format!("'{program}' log | head -1; '{program}' log --json | head -c 20 | wc -c");
    s.run_other("bash", ["-o", "pipefail", "-c", &script]).succeeds().stderr_is("");
}

#[test]
fn the_last_change_is_taken_back_and_made_again() {
    let s = keeping();
    s.run(["set", "p.n.k", "1"]).prints("");
    s.run(["set", "p.n.k", "2"]).prints("");
    s.run(["undo", "p.n.k", "--dry-run"])
        .prints("p.n.k\t3\t2\n")
        .stderr_has("nothing was changed; 1 entry would be");
    s.run(["get", "p.n.k"]).prints("2\n");
    s.run(["undo", "p.n.k"]).prints("p.n.k\t3\t2\n").stderr_is("");
    s.run(["get", "p.n.k"]).prints("1\n");
    s.run(["undo", "p.n.k", "--reason", "it was right"]).prints("p.n.k\t4\t3\n");
    s.run(["get", "p.n.k"]).prints("2\n");
    s.run(["del", "p.n.k"]).prints("");
    assert_eq!(
        json_of(s.run(["undo", "p.n.k", "--json"])),
        serde_json::json!([{"k": "p.n.k", "undone": [6], "like": 5}])
    );
    s.run(["get", "p.n.k"]).prints("2\n");
    s.run(["set", "p.n.new", "1"]).prints("");
    s.run(["undo", "-p", "p", "-n", "n", "new"]).prints("p.n.new\t8\t-\n");
    s.run(["exists", "p.n.new"]).fails(2);
    let listed = rows(&s, &["history", "p.n.k"]);
    assert!(listed[0].ends_with(" undo") && listed[2].ends_with(" it was right"), "{listed:?}");
    refused(&s, &["undo", "p.n.none"], 2, "not_found")
        .stderr_has("no change of p.n.none that could be undone");
    refused(&s, &["undo"], 64, "usage");
    refused(&s, &["undo", "p.n.k", "--last", "2"], 64, "usage").stderr_has("--by");
    s.run(["set", "p.other.k", "1"]).prints("");
    refused(&s, &["undo", "p.other.k"], 1, "invalid").stderr_has("p.other keeps no history");
    refused(&s, &["undo", "--by", "ann", "p.other"], 1, "invalid").stderr_has("p.other keeps no history");
}

#[test]
fn what_somebody_did_is_taken_back_as_a_whole_or_not_at_all() {
    let s = keeping();
    set(&s, "bob", "p.n.a", "bob");
    set(&s, "ann", "p.n.a", "1");
    set(&s, "ann", "p.n.a", "2");
    set(&s, "ann", "p.n.b", "3");
    set(&s, "bob", "p.n.c", "bob");
    let args = ["undo", "--by", "ann", "--last", "3"];
    s.run([&args[..], &["--dry-run"]].concat())
        .prints("p.n.a\t4,3\t2\np.n.b\t5\t-\n")
        .stderr_has("2 entries would be");
    set(&s, "bob", "p.n.b", "4");
    refused(&s, &args, 3, "conflict")
        .stderr_has("nothing was undone; p.n.b has been changed since by bob (version 7)");
    s.run(["undo", "--by", "ann", "--last", "9", "p.n.a"]).prints("p.n.a\t4,3\t2\n");
    s.run(["scan", "p.n"]).prints("a=bob\nb=4\nc=bob\n");
    s.run(["undo", "--by", "bob"]).prints("p.n.b\t7\t5\n");
    refused(&s, &["undo", "--by", "eve"], 2, "not_found").stderr_has("no change by eve");
    for last in ["0", "10001", "x", "-1"] {
        refused(&s, &["undo", "--by", "ann", &format!("--last={last}")], 64, "usage");
    }
}

#[test]
fn an_entry_that_has_expired_stays_so() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "1h"]).prints("");
    s.run(["admin", "namespace", "set", "p.c", "history=9"]).prints("");
    s.run(["set", "p.c.k", "1", "--ttl", "50ms"]).prints("");
    thread::sleep(std::time::Duration::from_millis(60));
    assert!(rows(&s, &["history", "p.c.k"])[0].ends_with("created, expired 1 -"));
    refused(&s, &["undo", "p.c.k"], 2, "not_found").stderr_has("p.c.k has expired");
    s.run(["get", "p.c.k", "--version", "3"]).prints("1\n");
}

#[test]
fn a_backup_has_the_history_and_an_export_the_entries() {
    let s = keeping();
    s.run(["set", "p.n.k", "1"]).prints("");
    s.run(["set", "p.n.k", "2", "--reason", "more"]).prints("");
    let before = s.run(["history", "p.n.k"]).succeeds().stdout();
    s.run(["backup", "--output", "b.tar.gz"]).succeeds();
    s.run(["restore", "b.tar.gz", "--to", "other"]).succeeds();
    s.run(["history", "p.n.k", "--database", "other"]).prints(before);
    s.run(["admin", "vacuum"]).succeeds();
    s.run(["admin", "check"]).succeeds();
    s.run(["sync", "main", "third"]).succeeds();
    refused(&s, &["history", "p.n.k", "--database", "third"], 1, "invalid");
    s.run(["admin", "namespace", "drop", "p.n", "--force"]).succeeds();
    s.run(["admin", "check"]).succeeds();
    let file = database_file(&s, "main");
    assert_eq!(sql(&s, &file, "SELECT count(*) FROM history"), "0");
    fold_log(&s, &file);
    assert_whole(&s, &file);
}

#[test]
fn a_damaged_history_is_found_by_a_check() {
    let s = keeping();
    s.run(["set", "p.n.k", "1"]).prints("");
    s.run(["set", "p.n.k", "2"]).prints("");
    sql(&s, &database_file(&s, "main"), "UPDATE history SET value = x'3939' WHERE version = 2");
    s.run(["admin", "check"])
        .fails(7)
        .stdout_has("p.n.k: version 2 has a value of another length than it says");
    s.run(["get", "p.n.k", "--version", "2"]).fails(7);
    s.run(["undo", "p.n.k"]).fails(7);
    s.run(["get", "p.n.k"]).prints("2\n");
}

/// No two of them are one version, none is lost, and each has who made it.
#[test]
fn changes_of_many_processes_are_all_kept() {
    let s = sandbox();
    s.run(["admin", "namespace", "set", "p.n", "history=1000"]).prints("");
    thread::scope(|scope| {
        for name in ["ann", "bob", "eve"] {
            let s = &s;
            scope.spawn(move || {
                for _ in 0..20 {
                    s.run(["incr", "p.n.k", "--user", name, "--database", "main"]).succeeds();
                }
            });
        }
    });
    let kept = json_of(s.run(["history", "p.n.k", "--json", "--values"]));
    let kept = kept.as_array().unwrap();
    let values: Vec<_> =
        kept.iter().map(|past| past["v"].as_str().unwrap().parse::<u64>().unwrap()).collect();
    assert_eq!(values, (1..=60).rev().collect::<Vec<_>>());
    for name in ["ann", "bob", "eve"] {
        assert_eq!(kept.iter().filter(|past| past["writer"] == name).count(), 20);
    }
    s.run(["admin", "check"]).succeeds();
}

#[test]
fn an_undo_knows_what_was_there_before_a_transaction() {
    let s = sandbox();
    s.run(["admin", "namespace", "set", "p.n", "history=9"]).succeeds();
    s.run(["set", "p.n.a", "1"]).prints("");
    let steps = r#"{"then":[{"set":"p.n.new","v":"1"},{"del":"p.n.new"},{"set":"p.n.new","v":"2"},
                            {"rename":"p.n.a","to":"p.n.b"},{"rename":"p.n.b","to":"p.n.a"}]}"#;
    s.run(["txn"]).stdin(steps).succeeds();
    s.run(["history", "p.n.new"]).succeeds().stdout_has("\tcreated\t").stdout_lacks("\tset\t");
    s.run(["history", "p.n.b"]).fails(2);
    s.run(["undo", "p.n.new"]).succeeds();
    s.run(["undo", "p.n.a"]).succeeds();
    s.run(["scan", "p.n"]).prints("a=1\n");
}
