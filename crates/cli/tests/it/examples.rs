//! Examples in the help of commands: each of them does what it says, as it stands.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use prontodb_testkit::sandbox::{Call, Sandbox};

use crate::common::{sandbox, sandbox_with};

/// The commands whose help has examples.
const COMMANDS: [&str; 15] = [
    "set",
    "get",
    "del",
    "keys",
    "ls",
    "scan",
    "txn",
    "watch",
    "lock run",
    "queue push",
    "queue claim",
    "export",
    "import",
    "backup",
    "restore",
];

/// What the examples take for granted.
fn furnished() -> Sandbox {
    let s = sandbox_with([
        ("shop.prices.apple", "120"),
        ("shop.prices.apple__eu", "130"),
        ("shop.prices.kiwi", "90"),
        ("shop.stock.pears", "7"),
    ]);
    s.run(["create-cache", "shop.sessions", "900"]).succeeds();
    for item in ["one", "two", "three"] {
        s.run(["queue", "push", "shop.jobs", item]).succeeds();
    }
    s.run(["backup", "--output", "shop.tar.gz"]).succeeds();
    for (file, text) in [
        ("apple.json", "{\"price\":120}"),
        ("job.json", "{\"resize\":\"17.png\"}"),
        ("prices.csv", "key,value\nplum,40\n"),
        (
            "change.json",
            "{\"if\":[{\"k\":\"shop.prices.fig\",\"version\":0}],\"then\":[{\"set\":\"shop.prices.fig\",\"v\":\"1\"}]}",
        ),
        ("deploy.sh", "#!/bin/sh\nexit 0\n"),
    ] {
        fs::write(s.path(file), text).unwrap();
    }
    fs::set_permissions(s.path("deploy.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    s
}

fn examples_of(s: &Sandbox, command: &str) -> Vec<String> {
    let help = s.run(["help"].into_iter().chain(command.split(' '))).succeeds().stdout();
    let Some((_, examples)) = help.split_once("\nExamples:\n") else { return Vec::new() };
    let examples: Vec<_> = examples.lines().map(|line| line.trim().to_owned()).collect();
    assert!(examples.iter().all(|line| !line.is_empty()), "{command}: {examples:?}");
    examples
}

fn typed(s: &Sandbox, line: &str) -> Call {
    let path = format!("{}:{}", s.program().parent().unwrap().display(), env::var("PATH").unwrap());
    s.run_other("sh", ["-c", line]).env("PATH", path)
}

#[test]
fn every_example_does_what_it_says() {
    for command in COMMANDS {
        let s = furnished();
        if command == "backup" {
            fs::remove_file(s.path("shop.tar.gz")).unwrap();
        }
        let examples = examples_of(&s, command);
        assert!(!examples.is_empty(), "{command} has no examples");
        for line in examples {
            if command != "watch" {
                let outcome = typed(&s, &line).succeeds();
                outcome.require(
                    !outcome.stderr().contains("nothing matches"),
                    "expected that something is there",
                );
                continue;
            }
            // It goes on until somebody ends it, or something changes.
            let watch = typed(&s, &line.replacen("prontodb", "exec timeout 2 prontodb", 1)).spawn();
            s.run(["set", "shop.prices.apple", "121"]).succeeds();
            watch.wait().fails_with_one_of(&[0, 124]).stderr_lacks("hint");
        }
    }
}

#[test]
fn what_has_no_examples_is_known() {
    let s = sandbox();
    for command in ["exists", "ttl", "admin gc"] {
        assert!(examples_of(&s, command).is_empty(), "{command}");
    }
}

#[test]
fn manual_pages_have_the_examples_too() {
    let s = sandbox();
    s.run(["man", "--output", "pages"]).succeeds();
    let files = ["prontodb-set.1", "prontodb-queue-claim.1"].map(|name| s.path("pages").join(name));
    for file in files {
        let page = fs::read_to_string(&file).unwrap();
        assert!(page.contains(".SH EXAMPLES\n") && !page.contains(".SH NOTES"), "{}", file.display());
    }
}
