//! The project and the namespace that a cursor gives to addresses that leave them out.

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{data_folder, json_of, sandbox};
use crate::contexts::{directory_file, follow};

/// Ways in which `a.prdb`, with the defaults `app` and `prod`, comes to be in force.
const WAYS: [&str; 5] = ["--cursor", "selected", "--select", "--user", ".prontodb"];

/// Brings `a.prdb` into force; the flags that each command then needs.
fn in_force(s: &Sandbox, way: &str) -> &'static [&'static str] {
    follow(s, &["cursor set c a.prdb -p app -n prod"]);
    match way {
        "--cursor" => &["--cursor", "c"],
        "--select" => &["--select", "c"],
        "--user" => {
            follow(s, &["cursor set c a.prdb -p app -n prod --user alice", "cursor c --user alice"]);
            &["--user", "alice"]
        }
        ".prontodb" => {
            directory_file(s, "", "file = 'a.prdb'\nproject = 'app'\nnamespace = 'prod'\n");
            follow(s, &["allow"]);
            &[]
        }
        _ => {
            follow(s, &["cursor c"]);
            &[]
        }
    }
}

/// Commands, what they print, and then an address in full with its value; without a value it is missing.
const ACCESSES: [(&str, &str, &str, Option<&str>); 18] = [
    ("set new 5", "", "app.prod.new", Some("5")),
    ("set other.new 5", "", "app.other.new", Some("5")),
    ("set x.y.new 5", "", "x.y.new", Some("5")),
    ("set --key new 5", "", "app.prod.new", Some("5")),
    ("set new 5 -n other", "", "app.other.new", Some("5")),
    ("set new 5 -p x", "", "x.prod.new", Some("5")),
    ("set new 5 -p x -n y", "", "x.y.new", Some("5")),
    ("set new__ctx 5", "", "app.prod.new__ctx", Some("5")),
    ("get k", "1\n", "app.prod.k", Some("1")),
    ("get default.default.k", "far\n", "default.default.k", Some("far")),
    ("del k", "", "app.prod.k", None),
    ("exists k", "", "app.prod.k", Some("1")),
    ("incr k", "2\n", "app.prod.k", Some("2")),
    ("append k 0", "", "app.prod.k", Some("10")),
    ("rename k new", "", "app.prod.new", Some("1")),
    ("copy k other.new", "", "app.other.new", Some("1")),
    ("copy other.k new", "", "app.prod.new", Some("o")),
    ("touch k --ttl 50", "", "app.prod.k", Some("1")),
];

/// A sandbox with the database `a.prdb`, where `app.prod` is a cache.
fn with_entries() -> Sandbox {
    let s = sandbox();
    follow(
        &s,
        &[
            "-d a.prdb create-cache app.prod 5000",
            "-d a.prdb set app.prod.k 1",
            "-d a.prdb set app.other.k o",
            "-d a.prdb set default.default.k far",
        ],
    );
    s
}

#[test]
fn addresses_are_completed_in_every_command() {
    for way in WAYS {
        for (line, stdout, address, value) in ACCESSES {
            let s = with_entries();
            let flags = in_force(&s, way);
            s.run(flags.iter().copied().chain(line.split(' '))).prints(stdout);
            let get = s.run(["-d", "a.prdb", "get", address]);
            match value {
                Some(value) => get.prints(format!("{value}\n")),
                None => get.fails(2),
            };
            assert!(!data_folder(&s).join("main").exists(), "{line} by {way}");
        }
    }
}

#[test]
fn ttl_finds_the_entry_by_its_key_alone() {
    for way in WAYS {
        let s = with_entries();
        let flags = in_force(&s, way);
        let answer = s.run([flags, &["ttl", "k"]].concat()).succeeds().stdout();
        let seconds: u64 = answer.trim_end().parse().unwrap();
        assert!((4000..=5000).contains(&seconds), "{answer} by {way}");
    }
}

/// A sandbox with the database `a.prdb`, where a project, a namespace and keys have the name `x`.
fn with_names_alike() -> Sandbox {
    let s = sandbox();
    for address in
        ["app.prod.x1", "app.prod.y1", "app.other.z1", "default.default.x2", "x.n.k", "default.x.k"]
    {
        s.run(["-d", "a.prdb", "set", address, "1"]).prints("");
    }
    s
}

/// Listings and what they print where `app` and `prod` are the defaults.
const LISTINGS: [(&str, &str); 17] = [
    ("keys", "x1\ny1\n"),
    ("ls", "x1\ny1\n"),
    ("scan", "x1=1\ny1=1\n"),
    ("keys x", "x1\n"),
    ("ls x", "x1\n"),
    ("scan x", "x1=1\n"),
    ("keys x2", ""),
    ("keys --key y", "y1\n"),
    ("keys x.n", "k\n"),
    ("keys default.default.x", "x2\n"),
    ("keys -n other", "z1\n"),
    ("keys -p default -n default", "x2\n"),
    ("keys -p x -n n k", "k\n"),
    ("keys --count", "2\n"),
    ("keys x --count", "1\n"),
    ("namespaces", "other\nprod\n"),
    ("namespaces -p default", "default\nx\n"),
];

#[test]
fn listings_keep_to_the_defaults() {
    for way in WAYS {
        let s = with_names_alike();
        let flags = in_force(&s, way);
        for (line, stdout) in LISTINGS {
            s.run(flags.iter().copied().chain(line.split(' '))).prints(stdout);
        }
        let projects = [flags, &["projects"]].concat();
        s.run(projects).prints("app\ndefault\nx\n");
    }
}

#[test]
fn a_prefix_that_matches_nothing_is_told_on_stderr() {
    for way in WAYS {
        let s = with_names_alike();
        let flags = in_force(&s, way);
        let outcome = s.run([flags, &["keys", "default"]].concat()).prints("");
        // Selecting something with --select may be told as well.
        outcome.require(!outcome.stderr().is_empty(), "expected a line on stderr");
    }
}

#[test]
fn a_cursor_without_defaults_lists_as_ever() {
    let s = with_names_alike();
    follow(&s, &["cursor set plain a.prdb", "cursor plain"]);
    s.run(["keys", "x"]).prints("default.x.k\nx.n.k\n");
    s.run(["keys", "--count"]).prints("6\n");
    s.run(["get", "x2"]).prints("1\n");
    s.run(["namespaces"]).fails(64);
}

#[test]
fn one_default_leaves_the_other_to_the_rest() {
    let s = with_names_alike();
    follow(&s, &["cursor set project a.prdb -p app", "cursor set namespace a.prdb -n x"]);
    s.run(["--cursor", "project", "get", "other.z1"]).prints("1\n");
    s.run(["--cursor", "project", "get", "x1"]).env("PRONTO_DEFAULT_NAMESPACE", "prod").prints("1\n");
    s.run(["--cursor", "project", "get", "x1", "-n", "prod"]).prints("1\n");
    s.run(["--cursor", "project", "keys"]).env("PRONTO_DEFAULT_NAMESPACE", "prod").prints("x1\ny1\n");
    s.run(["--cursor", "project", "namespaces"]).prints("other\nprod\n");
    s.run(["--cursor", "namespace", "get", "k"]).prints("1\n");
    s.run(["--cursor", "namespace", "keys"]).prints("k\n");
    s.run(["--cursor", "namespace", "namespaces"]).fails(64);
}

#[test]
fn a_cursor_goes_before_environment_and_configuration() {
    let s = with_entries();
    follow(&s, &["cursor set c a.prdb -p app -n prod", "cursor c", "config set default_project far"]);
    let get = || s.run(["get", "k"]).env("PRONTO_DEFAULT_NAMESPACE", "far");
    get().prints("1\n");
    get().arg("-n").arg("other").prints("o\n");
}

#[test]
fn a_cursor_that_did_not_choose_the_database_has_no_say() {
    let s = with_entries();
    follow(&s, &["cursor set c a.prdb -p app -n prod", "cursor c", "cursor set plain a.prdb"]);
    for flags in [&["-d", "a.prdb"][..], &["--cursor", "plain"]] {
        s.run([flags, &["get", "k"]].concat()).prints("far\n");
    }
    s.run(["get", "k"]).env("PRONTO_DB", "a.prdb").prints("far\n");
    follow(&s, &["--database other set default.default.k other", "--user alice set default.default.k alice"]);
    s.run(["get", "k", "--database", "other"]).prints("other\n");
    s.run(["get", "k", "--user", "alice"]).prints("alice\n");
}

#[test]
fn listed_lines_are_input_again() {
    let s = with_names_alike();
    follow(&s, &["cursor set c a.prdb -p app -n prod", "cursor c", "set x1__ctx 2"]);
    for key in s.run(["keys"]).succeeds().stdout().lines() {
        s.run(["get", key]).succeeds();
    }
    let keys: Vec<_> = json_of(s.run(["keys", "--json"])).as_array().unwrap().clone();
    assert_eq!(keys.len(), 3);
}
