//! `--max-bytes`: no listing is longer than asked for, and none loses or repeats anything where it goes on.

use prontodb_testkit::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::{json_of, refused, sandbox, sandbox_with};

/// Entries with names that shells, JSON and prefixes might stumble over.
fn furnished() -> Sandbox {
    let s = sandbox();
    let names = ["a", "b", "it's", "a b", "-x", "k__eu", "k__us", "\"q\"", "日本", "zz"];
    for namespace in ["p.one", "p.two", "pp.one", "q.x y"] {
        for name in names {
            s.run(["set", &format!("{namespace}.{name}"), "--", &"v".repeat(name.len())]).prints("");
        }
    }
    s
}

/// Follows a listing in text with the flags that stderr names, a shell command at a time.
#[track_caller]
fn pages_of_text(s: &Sandbox, command: &str, max: usize) -> (String, usize) {
    let (mut whole, mut rest, mut pages) = (String::new(), String::new(), 0);
    loop {
        let line = format!("'{}' {command} --max-bytes {max} {rest}", s.program().display());
        let page = s.run_other("sh", ["-c", &line]).succeeds();
        assert!(page.stdout().len() <= max, "{line}: {}", page.stdout());
        whole += &page.stdout();
        pages += 1;
        let stderr = page.stderr();
        let Some((_, next)) = stderr.split_once("go on with ") else { return (whole, pages) };
        rest = next.lines().next().unwrap().to_owned();
        assert!(pages < 200, "{line} does not end");
    }
}

/// The same in JSON, by the member `next`.
#[track_caller]
fn pages_of_json(s: &Sandbox, args: &[&str], max: usize) -> Vec<Value> {
    let (mut whole, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut call = s.run(args.iter().copied()).args(["--json", "--max-bytes", &max.to_string()]);
        if let Some(after) = &after {
            call = call.arg(format!("--after={after}"));
        }
        let page = call.succeeds();
        assert!(page.stdout().len() <= max, "{args:?}: {}", page.stdout());
        let page: Value = serde_json::from_str(&page.stdout()).unwrap();
        whole.extend(page["entries"].as_array().unwrap().iter().cloned());
        match &page["next"] {
            Value::Null => return whole,
            next => after = Some(next.as_str().unwrap().to_owned()),
        }
        assert!(whole.len() < 500, "{args:?} does not end");
    }
}

#[test]
fn listings_go_on_where_they_were_cut() {
    let s = furnished();
    for command in [
        "keys p.one",
        "scan p.one",
        "ls",
        "scan",
        "keys p",
        "keys p.one --reverse",
        "scan --reverse",
        "keys --context eu",
        "nss",
        "projects",
        "namespaces -p p",
    ] {
        let args: Vec<_> = command.split(' ').collect();
        let whole = s.run(args.clone()).succeeds().stdout();
        let longest = whole.lines().map(str::len).max().unwrap();
        for max in [longest + 1, longest + 8, 60, 10_000] {
            let (text, pages) = pages_of_text(&s, command, max.max(longest + 1));
            assert_eq!(text, whole, "{command} {max}");
            assert!(pages > 1 || max >= whole.len(), "{command} {max}");
        }
        let array = json_of(s.run(args.clone()).arg("--json"));
        for max in [400, 1000, 100_000] {
            assert_eq!(json!(pages_of_json(&s, &args, max)), array, "{command} {max}");
        }
    }
}

/// Entries whose namespaces keep what was, some of it of one write, beside a log of who did what.
fn changed() -> Sandbox {
    let s = sandbox();
    for namespace in ["p.n", "p.x y", "q.n"] {
        s.run(["admin", "namespace", "set", namespace, "history=20"]).succeeds();
    }
    for number in 0..9 {
        s.run(["set", "p.n.it's", &number.to_string(), "--reason", "a \"reason\""]).prints("");
    }
    s.run(["stream", "--atomic"])
        .env("PRONTO_SECURITY", "false")
        .stdin("meta:path=q.n; -x=1; b=2; k__eu=3; meta:path=p.x y; a b=4; 日本=5; meta:path=p.n; z=6;")
        .succeeds();
    s.run(["del", "p.n.it's"]).prints("");
    for user in ["ann", "bob", "cem", "dora"] {
        s.run(["admin", "key", "create", user]).succeeds();
    }
    s
}

#[test]
fn what_was_goes_on_where_it_was_cut() {
    let s = changed();
    for command in [
        "history -p p -n n --key it's",
        "history -p p -n n --key it's --values --json",
        "log",
        "log p.n",
        "log p",
        "log -p q -n n",
        "admin audit",
    ] {
        let args: Vec<_> = command.split(' ').collect();
        let array = json_of(s.run(args.clone()).args((!command.ends_with("--json")).then_some("--json")));
        let args: Vec<_> = args.into_iter().filter(|word| *word != "--json").collect();
        for max in [500, 1000, 100_000] {
            assert_eq!(json!(pages_of_json(&s, &args, max)), array, "{command} {max}");
        }
        if command.ends_with("--json") {
            continue;
        }
        let (whole, command) = (s.run(args).succeeds().stdout(), command.replace('\'', "\\'"));
        let longest = whole.lines().map(str::len).max().unwrap();
        for max in [longest + 1, longest * 3, 100_000] {
            let (text, pages) = pages_of_text(&s, &command, max);
            assert_eq!(text, whole, "{command} {max}");
            assert!(pages > 1 || max >= whole.len(), "{command} {max}");
        }
    }
}

#[test]
fn queues_and_locks_go_on_where_they_were_cut() {
    let s = sandbox();
    for number in 0..9 {
        s.run(["queue", "push", "p.q", &number.to_string(), "--priority", &(number % 3).to_string()])
            .succeeds();
        s.run(["lock", "acquire", &format!("it's {number}"), "--ttl", "1h"]).succeeds();
    }
    s.run(["queue", "claim", "p.q", "--ttl", "1h"]).succeeds();
    let ids = |page: &[Value], name: &str| page.iter().map(|item| item[name].clone()).collect::<Vec<_>>();
    for (args, name) in [(&["queue", "list", "p.q"][..], "id"), (&["lock", "list"], "name")] {
        let whole = json_of(s.run(args).arg("--json"));
        for max in [400, 1000, 100_000] {
            let pages = pages_of_json(&s, args, max);
            assert_eq!(ids(&pages, name), ids(whole.as_array().unwrap(), name), "{args:?} {max}");
        }
        s.run(args).args(["--max-bytes", "5"]).fails(6).stdout_is("");
    }
    let text = s.run(["queue", "list", "p.q"]).succeeds().stdout();
    assert_eq!(pages_of_text(&s, "queue list p.q", 150).0, text);
    let gone = s.run(["queue", "list", "p.q", "--after", "none"]).fails(1).stdout_is("");
    gone.stderr_has("there is no item none any more").stderr_has("without --after");
}

#[test]
fn of_what_was_the_rest_is_told_of_too_where_a_limit_cuts() {
    let s = changed();
    let newest = json_of(s.run(["history", "p.n.it's", "--json", "--limit", "2", "--max-bytes", "9000"]));
    assert_eq!(newest["entries"][1]["version"].to_string(), newest["next"].as_str().unwrap());
    let all = json_of(s.run(["history", "p.n.it's", "--json", "--limit", "20", "--max-bytes", "9000"]));
    assert_eq!(all["next"], Value::Null);
    let newest = json_of(s.run(["log", "--json", "--limit", "1", "--max-bytes", "9000"]));
    let shown = format!("{} p.n.it's", newest["entries"][0]["version"]);
    assert_eq!(newest["next"], shown);
    for (args, code) in [
        (&["history", "p.n.it's", "--max-bytes", "5"][..], 6),
        (&["log", "--max-bytes", "5"], 6),
        (&["log", "--max-bytes", "5", "--json"], 6),
        (&["admin", "audit", "--max-bytes", "5"], 6),
        (&["admin", "audit", "--verify", "--max-bytes", "5"], 64),
        (&["log", "--after", "12"], 64),
        (&["log", "--after", "x p.n.k"], 64),
        (&["history", "p.n.it's", "--after", "x"], 64),
    ] {
        s.run(args).fails(code).stdout_is("");
    }
    s.run(["history", "p.n.it's", "--after", "1"]).prints("").stderr_has("comes behind that");
    s.run(["history", "p.n.none", "--json"]).fails(2).stdout_is("");
}

#[test]
fn lines_of_json_end_with_the_place_to_go_on() {
    let s = furnished();
    let cut = s.run(["scan", "p.one", "--jsonl", "--max-bytes", "90"]).succeeds();
    let lines: Vec<Value> = cut.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [.., last, next] = lines.as_slice() else { panic!("{}", cut.stdout()) };
    assert_eq!(next["next"], last["k"]);
    assert!(cut.stdout().len() <= 90);
    s.run(["scan", "p.one", "--jsonl", "--max-bytes", "9000"]).succeeds().stdout_lacks("next").stderr_is("");
    let limited = json_of(s.run(["keys", "p.one", "--json", "--limit", "2", "--max-bytes", "9000"]));
    assert_eq!(limited, json!({"entries": [{"k": "\"q\""}, {"k": "-x"}], "next": "-x"}));
    let last = json_of(s.run(["keys", "p.one", "--json", "--limit", "10", "--max-bytes", "9000"]));
    assert_eq!(last["next"], Value::Null);
    let none = json_of(s.run(["keys", "p.one", "--json", "--limit", "0", "--max-bytes", "9000"]));
    assert_eq!(none, json!({"entries": [], "next": null}));
    let stream = s.run(["scan", "p.one", "--stream", "--max-bytes", "60"]).succeeds().stderr_has("--after");
    assert!(stream.stdout().len() <= 60 && !stream.stdout().is_empty());
}

#[test]
fn what_does_not_fit_is_told_and_nothing_is_printed() {
    let s = sandbox_with([("p.n.key", "a value that is long")]);
    for args in [
        &["scan", "p.n", "--max-bytes", "10"][..],
        &["scan", "p.n", "--max-bytes", "30", "--json"],
        &["scan", "p.n", "--max-bytes", "30", "--jsonl"],
        &["keys", "p.n", "--max-bytes", "0"],
        &["keys", "p.none", "--max-bytes", "5", "--json"],
        &["nss", "--max-bytes", "2"],
        &["projects", "--max-bytes", "1"],
    ] {
        let outcome = s.run(args.iter().copied()).fails(6).stdout_is("");
        outcome.stderr_has("--max-bytes");
    }
    refused(&s, &["keys", "p.n", "--max-bytes", "x"], 64, "usage");
    refused(&s, &["keys", "p.n", "--max-bytes", "5", "--count"], 64, "usage");
    s.run(["keys", "p.none", "--max-bytes", "5"]).prints("").stderr_has("nothing matches");
    s.run(["projects", "--after", "p"]).prints("").stderr_has("nothing matches");
}

#[test]
fn an_entry_that_is_too_long_is_named_with_what_it_takes() {
    let s = sandbox_with([("p.n.long", &"x".repeat(100)), ("p.n.short", "y")]);
    for form in [&[][..], &["--json"], &["--jsonl"]] {
        let scan = |flags: &[&str]| s.run([&["scan", "p.n"], form, flags].concat());
        let told = scan(&["--max-bytes", "70"]).fails(6).stderr_has("the first entry, long,").stderr();
        let needed: String =
            told.split("--max-bytes ").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
        scan(&["--max-bytes", &needed]).succeeds().stdout_has("xxx");
        let less = (needed.parse::<u64>().unwrap() - 1).to_string();
        scan(&["--max-bytes", &less]).fails(6).stderr_has("--after long");
        scan(&["--max-bytes", "70", "--after", "long"]).succeeds().stdout_has("short");
    }
}
