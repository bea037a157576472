//! `stream`: what is piped in is checked whole, then written; and what listings print as a stream can be piped back.

use std::fs::File;
use std::io::Write;

use prontodb_testkit::properties;
use prontodb_testkit::sandbox::{Call, Sandbox};
use proptest::prelude::*;

use crate::common::{contents, database_file, sandbox, sandbox_with};

/// A stream into a sandbox that asks for no credentials.
fn stream(s: &Sandbox, text: impl Into<Vec<u8>>) -> Call {
    s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(text)
}

#[test]
fn entries_are_written_and_counted_on_stderr() {
    let s = sandbox_with([("p.n.gone", "1")]);
    let text = "# prices\nmeta:path=p.n; a=1; b__eu=\"two; 2\"; c=b64:/w==;\nmeta:op=del; gone=; never=;";
    stream(&s, text).prints("").stderr_is("prontodb: wrote 3 entries, removed 1\n");
    s.run(["get", "p.n.b__eu"]).prints("two; 2\n");
    s.run(["get", "p.n.c", "--raw"]).prints([0xff]);
    s.run(["keys", "p.n"]).prints("a\nb__eu\nc\n");
}

#[test]
fn a_stream_of_nothing_writes_nothing_and_says_so() {
    let s = sandbox();
    for text in ["", "\n;;# nothing", "meta:path=p.n;"] {
        stream(&s, text).prints("").stderr_is("prontodb: wrote 0 entries\n");
    }
    assert!(contents(&s).is_empty(), "{:?}", contents(&s));
}

#[test]
fn entries_go_to_the_defaults_until_a_directive_says_otherwise() {
    let s = sandbox();
    stream(&s, "a=1; meta:path=p.n; b=2").args(["-p", "q", "-n", "m"]).succeeds();
    s.run(["scan"]).prints("p.n.b=2\nq.m.a=1\n");
    stream(&s, "meta:path=p/n; c.d=3").arg("--ns-delim=/").succeeds();
    s.run(["get", "p/n/c.d", "--ns-delim=/"]).prints("3\n");
}

#[test]
fn what_is_wrong_at_the_end_stops_what_stands_before_it() {
    let s = sandbox();
    for (text, code, message) in [
        ("meta:path=p.n; a=1;\nb", 1, "line 2, column 1: a token without `=`"),
        ("a=1; meta:path=p", 1, "line 1, column 16: `p` is no namespace"),
        ("a=1; b=\"x", 1, "line 1, column 8: the quote that begins here is never closed"),
        ("a=1;\n\nb=x\0y", 1, "line 3, column 4: a zero byte"),
        ("a=1; meta:colour=red", 1, "there is no meta:colour"),
        (
            "meta:path=p.n; a=1; meta:path=p.m; meta:ttl=5;\nb=2",
            2,
            "line 2, column 1: namespace m of project p is no cache",
        ),
        ("a=1; meta:sec:session=S", 5, "credentials come first, and once"),
    ] {
        let outcome = stream(&s, text).fails(code);
        outcome.stderr_has(message).stdout_is("");
        assert!(contents(&s).is_empty(), "{text:?}: {:?}", contents(&s));
    }
    let s = sandbox_with([("p.n.k", "1")]);
    stream(&s, "meta:path=p.n; k=2; other=1; meta:ttl=5; k=3").fails(2).stderr_has("create-cache");
    s.run(["scan"]).prints("p.n.k=1\n");
}

#[test]
fn values_over_the_limit_are_refused_with_their_place() {
    let s = sandbox();
    let small = |text: String| stream(&s, text).env("PRONTO_MAX_VALUE_BYTES", "10");
    small("a=1;\nb=12345678901".to_owned())
        .fails(6)
        .stderr_has("line 2, column 1: the value is 11 bytes long");
    small(format!("a=1; b={}", "x".repeat(100_000)))
        .fails(6)
        .stderr_has("column 6: a token of more than 65548 bytes");
    small(format!("a=b64:{}", "QUFB".repeat(4))).fails(6).stderr_has("12 bytes long");
    assert!(contents(&s).is_empty());
    small("a=1234567890".to_owned()).succeeds();
}

#[test]
fn ttls_are_for_caches() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "90"]).prints("");
    stream(&s, "meta:path=p.c; a=1; meta:ttl=1h; b=2; meta:ttl=; c=3").succeeds();
    s.run(["ttl", "p.c.a"]).prints("90\n");
    s.run(["ttl", "p.c.b"]).prints("3600\n");
    s.run(["ttl", "p.c.c"]).prints("90\n");
}

#[test]
fn with_atomic_all_namespaces_are_one_transaction() {
    let s = sandbox();
    let versions = |s: &Sandbox| {
        ["p.n.a", "p.m.b"]
            .map(|address| s.run(["get", address, "--meta"]).succeeds().stdout().contains("version: 1"))
    };
    stream(&s, "meta:path=p.n; a=1; meta:path=p.m; b=1").succeeds();
    assert_eq!(versions(&s), [true, false]);
    let s = sandbox();
    stream(&s, "meta:path=p.n; a=1; meta:path=p.m; b=1").arg("--atomic").succeeds();
    assert_eq!(versions(&s), [true, true]);
    s.run(&["stream", "--atomic", "--chunk", "5"]).fails(64);
    s.run(&["stream", "--chunk", "0"]).fails(64);
}

#[test]
fn chunks_that_are_full_are_written_whatever_follows() {
    let s = sandbox();
    let text = "meta:path=p.n;\na=1;\nb=2;\nc=3;\nd";
    let outcome = stream(&s, text).args(["--chunk", "2"]).fails(1);
    outcome
        .stderr_has("line 5, column 1")
        .stderr_has("everything up to line 3, column 1 is written: wrote 2 entries");
    s.run(["keys", "p.n"]).prints("a\nb\n");
    stream(&s, "meta:path=p.n; c=3; d=4; e=5")
        .args(["--chunk", "2"])
        .succeeds()
        .stderr_has("wrote 3 entries");
    s.run(["keys", "p.n", "--count"]).prints("5\n");
}

#[test]
fn a_stream_that_is_cut_off_in_a_token_writes_nothing() {
    let s = sandbox();
    for text in ["meta:path=p.n; a=1; b=\"cut of", "a=1; meta:pa", "a=b64:QU"] {
        stream(&s, text).fails(1);
        assert!(contents(&s).is_empty(), "{text}");
    }
}

#[test]
fn two_streams_into_one_namespace_lose_nothing() {
    let s = sandbox();
    let text = |who: &str| -> String {
        let entries = (0..2000).map(|number| format!("{who}{number}={number};"));
        "meta:path=p.n;".to_owned() + &entries.collect::<String>()
    };
    let running: Vec<_> =
        ["a", "b", "c", "d"].map(|who| stream(&s, text(who)).args(["--chunk", "100"]).spawn()).into();
    running.into_iter().for_each(|one| drop(one.wait().succeeds()));
    s.run(["keys", "p.n", "--count"]).prints("8000\n");
}

#[test]
fn a_stream_is_larger_than_memory_needs_to_be() {
    let s = sandbox();
    let path = s.path("long.stream");
    let mut file = std::io::BufWriter::new(File::create(&path).unwrap());
    let value = "v".repeat(1000);
    for number in 0..100_000_u64 {
        // A walk through all keys in an order that is not theirs.
        writeln!(file, "k{:06}={value};", number * 7919 % 100_000).unwrap();
    }
    file.flush().unwrap();
    let call = s.run(["stream", "-p", "p", "-n", "n"]).env("PRONTO_SECURITY", "false");
    let call = call.under(["sh", "-c", "ulimit -v 300000; exec \"$@\"", "sh"]);
    call.stdin_from(File::open(&path).unwrap()).succeeds().stderr_has("wrote 100000 entries");
    s.run(["keys", "p.n", "--count"]).prints("100000\n");
    let leftovers = std::fs::read_dir(database_file(&s, "main").parent().unwrap()).unwrap();
    let names: Vec<_> = leftovers.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("pronto.main.prdb")), "{names:?}");
}

/// Each of them fills what is collected, and is a run of its own in the file.
#[test]
fn many_large_values_take_the_memory_of_one() {
    let s = sandbox();
    let path = s.path("large.stream");
    let mut file = std::io::BufWriter::new(File::create(&path).unwrap());
    let value = "v".repeat(34 << 20);
    for number in 0..8 {
        writeln!(file, "k{number}={value};").unwrap();
    }
    file.flush().unwrap();
    let call = s.run(["stream", "-p", "p", "-n", "n"]).env("PRONTO_SECURITY", "false");
    let call = call.env("PRONTO_COMPRESS_ABOVE_BYTES", "0").within(std::time::Duration::from_secs(120));
    let call = call.under(["sh", "-c", "ulimit -v 300000; exec \"$@\"", "sh"]);
    call.stdin_from(File::open(&path).unwrap()).succeeds().stderr_has("wrote 8 entries");
    s.run(["keys", "p.n", "--count"]).prints("8\n");
}

#[test]
fn listings_print_streams_that_can_be_fed_back() {
    let s = sandbox();
    let text = "meta:delim=.;\nmeta:path=p.n;\na=1;\nb__eu=\"x;\\n\";\nmeta:path=q.m;\nbytes=b64:/w==;\n";
    stream(&s, text).succeeds();
    for command in ["keys", "scan"] {
        s.run([command, "--stream"]).prints(text).stderr_is("");
        s.run([command, "p.n", "--stream", "--limit", "1"]).prints("meta:delim=.;\nmeta:path=p.n;\na=1;\n");
    }
    let printed = s.run(["scan", "--stream"]).succeeds().stdout();
    let copy = sandbox();
    stream(&copy, printed.clone()).succeeds();
    copy.run(["scan", "--stream"]).prints(printed);
    s.run(["scan", "nothing.here", "--stream"]).prints("").stderr_has("nothing matches");
    s.run(&["scan", "--stream", "--json"]).fails(64);
    s.run(&["scan", "--stream", "--count"]).fails(64);
}

/// Whoever is used to another delimiter would read `a/b.c` otherwise.
#[test]
fn a_printed_stream_means_the_same_under_any_delimiter() {
    let (s, other) = (sandbox(), sandbox());
    s.run(["set", "a/b.c.k", "v"]).prints("");
    let printed = s.run(["scan", "--stream"]).succeeds().stdout();
    stream(&other, printed).env("PRONTO_NS_DELIM", "/").succeeds();
    other.run(["scan"]).prints("a/b.c.k=v\n");
}

#[test]
fn times_to_live_go_along() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "1h"]).prints("");
    stream(&s, "meta:path=p.c; meta:ttl=2h; a=1; b=2; meta:ttl=; c=3").succeeds();
    let printed = s.run(["scan", "p.c", "--stream"]).succeeds().stdout();
    assert!(printed.starts_with("meta:delim=.;\nmeta:path=p.c;\nmeta:ttl=7"), "{printed}");
    stream(&s, printed).succeeds();
    let left = |address: &str| s.run(["ttl", address]).succeeds().stdout().trim_end().parse::<u64>().unwrap();
    assert!((7100..=7200).contains(&left("p.c.b")));
    assert!((3500..=3600).contains(&left("p.c.c")));
}

#[test]
fn whatever_is_kept_can_be_fed_back() {
    let name = prop_oneof!["[ -~]{1,12}", "\\PC{1,8}"];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[ -~\\n]{0,40}".prop_map(String::into_bytes),
    ];
    let entries = prop::collection::vec((name.clone(), name.clone(), name, value), 1..40);
    properties::check(8, &entries, |entries| {
        let (s, copy) = (sandbox(), sandbox());
        let mut text = Vec::new();
        let mut printer = prontodb_core::stream::Printer::new(prontodb_core::Delimiter::default());
        for (project, namespace, key, value) in &entries {
            let (Ok(space), Ok(key)) = (
                prontodb_core::Namespace::new(project.as_str(), namespace.as_str()),
                prontodb_core::EntryName::parse(key),
            ) else {
                continue;
            };
            printer.entry(&mut text, &space, key.as_str(), None, value);
        }
        stream(&s, text).succeeds();
        let printed = s.run(["scan", "--stream"]).succeeds().stdout_bytes().to_vec();
        stream(&copy, printed.clone()).succeeds();
        let again = copy.run(["scan", "--stream"]).succeeds().stdout_bytes().to_vec();
        prop_assert_eq!(printed, again);
        Ok(())
    });
}

#[test]
fn a_full_disk_and_a_closed_folder_are_told() {
    let s = sandbox();
    let call = s.run(["scan", "--stream"]).stdout_to(File::options().write(true).open("/dev/full").unwrap());
    call.succeeds();
    stream(&s, "a=1").succeeds();
    let call = s.run(["scan", "--stream"]).stdout_to(File::options().write(true).open("/dev/full").unwrap());
    call.fails(1).stderr_has("cannot write standard output");
}

#[test]
fn json_lines_are_read_too() {
    let s = sandbox();
    let jsonl = |text: &str| stream(&s, text.to_owned()).args(["--format", "jsonl"]);
    let text = "{\"k\":\"p.n.a\",\"v\":\"1;\"}\n\n{\"k\":\"b__eu\",\"v64\":\"/w==\"}\r\n";
    jsonl(text).prints("").stderr_is("prontodb: wrote 2 entries\n");
    s.run(["scan", "--jsonl"])
        .prints("{\"k\":\"default.default.b__eu\",\"v64\":\"/w==\"}\n{\"k\":\"p.n.a\",\"v\":\"1;\"}\n");
    let printed = s.run(["scan", "--jsonl"]).succeeds().stdout();
    jsonl(&printed).succeeds();
    for (text, code, message) in [
        ("{\"k\":\"x\",\"v\":\"1\"}\n{\"k\":\"a.b.c.d\",\"v\":\"1\"}", 1, "line 2: `a.b.c.d` has 4 parts"),
        ("{\"k\":\"x\",\"v\":\"1\"}\nx", 1, "line 2: expected value"),
        ("{\"k\":\"x\"}", 1, "line 1: one of v and v64"),
    ] {
        jsonl(text).fails(code).stderr_has(message);
    }
    jsonl("").env("PRONTO_SECURITY", "true").fails(5).stderr_has("the credentials are missing");
    s.run(["exists", "x"]).fails(2);
    let text = "{\"k\":\"p.n.c\",\"v\":\"1\"}\n{\"k\":\"p.n.d\",\"v\":\"1\"}\n{";
    jsonl(text)
        .args(["--chunk", "1"])
        .fails(1)
        .stderr_has("everything up to line 2 is written: wrote 2 entries");
}
