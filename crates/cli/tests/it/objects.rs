//! `admin table`, `admin project` and `admin namespace`: they come, are told of, and go.

use prontodb_testkit::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::{
    IDENTITY, RECIPIENT, contents, database_file, error_of, identity_file, json_of, refused, refuses,
    sandbox, sandbox_with, sql,
};

/// Runs lines of a command line, each of which succeeds and prints nothing.
fn follow(s: &Sandbox, lines: &[&str]) {
    for line in lines {
        s.run(line.split(' ')).prints("");
    }
}

/// Two entries in `p.n`, one in `q.n`.
fn a_place() -> Sandbox {
    sandbox_with([("p.n.k", "1"), ("p.n.l", "22"), ("q.n.k", "333")])
}

/// Whether a command line is refused with this exit code and changes nothing.
#[track_caller]
fn changes_nothing(s: &Sandbox, line: &str, code: i32, why: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let before = s.run(["nss", "--json"]).succeeds().stdout();
    refused(s, &words, code, if code == 64 { "usage" } else { "invalid" }).stderr_has(why);
    assert_eq!(s.run(["nss", "--json"]).succeeds().stdout(), before);
}

#[test]
fn both_spellings_do_the_same() {
    let s = sandbox();
    follow(&s, &["admin create-table hot", "admin table create cold", "admin create-project p"]);
    follow(&s, &["admin project create q", "admin create-namespace p.n", "admin namespace create q.n"]);
    for (one, other, shown) in [
        ("admin list-tables", "admin table list", "cold\nhot\nshared\n"),
        ("admin list-projects", "admin project list", "p\nq\n"),
        ("admin list-namespaces p", "admin namespace list p", "n\n"),
        ("admin list-namespaces -p q", "admin namespace list -p q", "n\n"),
    ] {
        s.run(one.split(' ')).prints(shown);
        s.run(other.split(' ')).prints(shown);
    }
    for what in ["table hot", "project p", "namespace p.n"] {
        let (object, name) = what.split_once(' ').unwrap();
        let told = s.run(["admin", object, "describe", name]).succeeds().stdout();
        s.run(["admin", &format!("describe-{object}"), name]).prints(told);
    }
    s.run(["admin", "move-namespace", "p.n", "--table", "hot"])
        .prints("")
        .stderr_has("p.n lies in the table hot");
    s.run(["admin", "namespace", "move", "p.n", "--table", "own"]).prints("");
    follow(&s, &["admin drop-table hot", "admin table drop cold"]);
    follow(&s, &["admin drop-namespace p.n --force", "admin drop-project p --force"]);
    follow(&s, &["admin namespace drop q.n --force", "admin project drop q --force"]);
    s.run(["projects"]).prints("").stderr_has("nothing matches");
}

#[test]
fn what_is_there_already_is_not_made_again() {
    let s = a_place();
    follow(&s, &["admin table create hot", "admin project create empty"]);
    for (line, why) in [
        ("admin table create hot", "there is a table hot already"),
        ("admin project create p", "there is a project p already"),
        ("admin project create empty", "there is a project empty already"),
        ("admin namespace create p.n", "there is a namespace p.n already"),
        ("admin namespace create p.n 60 --table hot", "there is a namespace p.n already"),
    ] {
        changes_nothing(&s, line, 1, why);
    }
}

#[test]
fn what_is_not_there_is_an_error() {
    let s = a_place();
    for (line, why) in [
        ("admin table describe hot", "there is no table hot"),
        ("admin table drop hot", "there is no table hot"),
        ("admin table drop hot --force", "there is no table hot"),
        ("admin namespace move p.n --table hot", "there is no table hot"),
        ("admin namespace create p.new --table hot", "there is no table hot"),
        ("admin namespace describe p.x", "there is no namespace p.x"),
        ("admin namespace drop p.x --force", "there is no namespace p.x"),
        ("admin namespace drop p.x --dry-run", "there is no namespace p.x"),
        ("admin namespace move p.x --table own", "there is no namespace p.x"),
        ("admin project describe x", "there is no project x"),
        ("admin project drop x --force", "there is no project x"),
        ("admin --ns-delim | namespace describe p|x", "there is no namespace p|x"),
    ] {
        changes_nothing(&s, line, 1, why);
    }
    let error = error_of(s.run(["admin", "table", "describe", "hot", "--json"]).fails(1));
    assert_eq!((&error["kind"], &error["retryable"]), (&json!("invalid"), &json!(false)));
    assert!(error["hint"].as_str().unwrap().contains("table list"), "{error}");
}

#[test]
fn command_lines_that_make_no_sense_are_refused() {
    let s = a_place();
    for line in [
        "admin table create",
        "admin table create a b",
        "admin namespace create",
        "admin namespace describe",
        "admin namespace describe p.n q.n",
        "admin namespace move p.n",
        "admin namespace move p.n hot",
        "admin namespace list",
        "admin project create",
        "admin project create a -p b",
        "admin table list -p p",
        "admin project drop p -n n",
    ] {
        changes_nothing(&s, line, 64, "");
    }
    for (line, why) in [
        ("admin table create a.b", "cannot be the name of a table"),
        ("admin table create own-1", "cannot be made"),
        ("admin table create shared", "cannot be made"),
        ("admin table drop shared --force", "stays"),
        ("admin namespace move p.n --table own-1", "for one namespace"),
        ("admin namespace create p.c max_items=5", "timeout"),
        ("admin namespace create p.c timeout=0", ""),
        ("admin namespace create p.c color=red", "no setting of a cache"),
        ("admin namespace create p", ""),
        ("admin project create p.q", ""),
    ] {
        changes_nothing(&s, line, 1, why);
    }
}

#[test]
fn refusals_make_no_database() {
    let s = sandbox();
    for line in [
        "admin table create a.b",
        "admin namespace create p.c max_items=5 color=red",
        "admin project create a.b",
    ] {
        s.run(line.split(' ')).fails(1);
    }
    for line in
        ["admin table describe hot", "admin namespace drop p.n --force", "admin project drop p --force"]
    {
        s.run(line.split(' ')).fails(1).stderr_has("there is no");
    }
    s.run(["admin", "table", "list"]).prints("shared\n");
    assert!(!database_file(&s, "main").exists());
    assert!(contents(&s).is_empty());
}

#[test]
fn control_characters_in_names_are_escaped() {
    let s = a_place();
    for line in [
        ["admin", "table", "create", "a\u{1b}[31m"],
        ["admin", "table", "describe", "a\nb"],
        ["admin", "project", "describe", "a\u{7}b"],
        ["admin", "namespace", "describe", "a\u{7}b.c"],
    ] {
        let outcome = s.run(line).fails(1).stdout_is("");
        outcome.require(!outcome.stderr().trim_end().contains(['\u{1b}', '\u{7}']), "expected escapes");
        outcome.require(outcome.stderr().lines().count() <= 2, "expected a line and a hint");
    }
}

#[test]
fn a_namespace_in_a_table_is_like_any_other() {
    let s = a_place();
    follow(&s, &["admin table create hot", "admin namespace create p.hot --table hot"]);
    follow(&s, &["admin namespace create p.c timeout=60 max_items=2 policy=lru --table own"]);
    follow(&s, &["admin namespace create -p p -n d 90"]);
    for key in ["k", "l", "m"] {
        follow(&s, &[&format!("set p.hot.{key} 1"), &format!("set p.c.{key} 1")]);
    }
    s.run(["keys", "p.hot"]).prints("k\nl\nm\n");
    s.run(["keys", "p.c"]).prints("l\nm\n");
    let listed = s.run(["nss", "--long"]).succeeds().stdout();
    let tables: Vec<_> = listed.lines().map(|line| line.split('\t').nth(4).unwrap()).collect();
    assert_eq!(tables, ["own-5", "shared", "hot", "shared", "shared"], "{listed}");
    let all = json_of(s.run(["nss", "--json"]));
    let table = |name: &str| {
        all.as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()["table"].clone()
    };
    assert_eq!((table("p.hot"), table("p.n")), (json!("hot"), json!("shared")));
    s.run(["namespaces", "-p", "p", "--long"]).succeeds().stdout_has("\thot\t");
    s.run(["export", "p.hot"]).succeeds().stdout_has("k\t");
}

#[test]
fn a_description_of_a_namespace_tells_all() {
    let s = a_place();
    follow(
        &s,
        &["admin namespace create p.c timeout=60 max_items=5 evict_on_read=1 --table own", "set p.c.k 12345"],
    );
    let cache = json_of(s.run(["admin", "namespace", "describe", "p.c", "--json"]));
    let expected = [
        ("namespace", json!("p.c")),
        ("id", json!(3)),
        ("table", json!("own-3")),
        ("kind", json!("ttl")),
        ("timeout_ms", json!(60_000)),
        ("evict_on_read", json!(true)),
        ("max_items", json!(5)),
        ("max_bytes", json!(0)),
        ("policy", json!("fifo")),
        ("keys", json!(1)),
        ("bytes", json!(6)),
        ("expired", json!(0)),
        ("encryption", json!("off")),
    ];
    for (field, value) in expected {
        assert_eq!(cache[field], value, "{field} of {cache}");
    }
    assert!(cache["created"].is_string() && cache["last_write"].is_string(), "{cache}");
    let plain = s.run(["admin", "namespace", "describe", "-p", "p", "-n", "n"]).succeeds().stdout();
    for line in ["namespace: p.n", "table: shared", "kind: std", "keys: 2", "bytes: 5", "encryption: off"] {
        assert!(plain.lines().any(|shown| shown == line), "{line} is not in\n{plain}");
    }
    assert!(!plain.contains("timeout") && !plain.contains("recipients"), "{plain}");
}

#[test]
fn a_description_names_those_who_can_read() {
    let s = a_place();
    let identity = identity_file(&s);
    assert!(IDENTITY.starts_with("AGE-SECRET-KEY"));
    let describe = || json_of(s.run(["admin", "namespace", "describe", "p.n", "--json"]));
    s.run(["admin", "namespace", "set", "p.n", "encrypt=on"])
        .env("PRONTO_AGE_IDENTITY", &identity)
        .succeeds();
    assert_eq!((&describe()["encryption"], &describe()["recipients"]), (&json!("on"), &json!([RECIPIENT])));
    s.run(["admin", "namespace", "move", "p.n", "--table", "own"]).prints("");
    assert_eq!(describe()["recipients"], json!([RECIPIENT]));
    s.run(["get", "p.n.l"]).env("PRONTO_AGE_IDENTITY", &identity).prints("22\n");
    s.run(["get", "p.n.l"]).fails(5);
    s.run(["admin", "namespace", "set", "q.n", "encrypt=on"]).env("PRONTO_PASSPHRASE", "open").succeeds();
    s.run(["admin", "namespace", "describe", "q.n"]).succeeds().stdout_has("passphrase: yes\n");
    // Nobody needs a key to drop what it locks.
    follow(&s, &["admin namespace drop p.n --force"]);
    assert_eq!(sql(&s, &database_file(&s, "main"), "SELECT count(*) FROM sec_data_keys"), "1");
}

#[test]
fn descriptions_of_tables_and_projects_add_up() {
    let s = a_place();
    follow(&s, &["admin table create hot", "admin namespace create p.m --table hot", "set p.m.k 4444"]);
    let hot = json_of(s.run(["admin", "table", "describe", "hot", "--json"]));
    assert_eq!((&hot["keys"], &hot["bytes"], &hot["leftovers"]), (&json!(1), &json!(5), &json!(0)), "{hot}");
    assert_eq!((&hot["namespaces"], &hot["arriving"]), (&json!(["p.m"]), &json!([])));
    s.run(["admin", "table", "describe", "shared"])
        .succeeds()
        .stdout_has("namespaces: p.n\nnamespaces: q.n\n");
    let p = json_of(s.run(["admin", "project", "describe", "p", "--json"]));
    assert_eq!((&p["keys"], &p["bytes"], &p["created"]), (&json!(3), &json!(10), &Value::Null), "{p}");
    assert_eq!(p["namespaces"], json!(["p.m", "p.n"]));
    let tables = json_of(s.run(["admin", "table", "list", "--json"]));
    assert_eq!((&tables[0]["table"], &tables[0]["namespaces"]), (&json!("hot"), &json!(1)));
    s.run(["admin", "table", "list", "--long"]).succeeds().stdout_has("2\t-\tshared\n");
}

#[test]
fn projects_that_were_made_are_there_without_namespaces() {
    let s = a_place();
    follow(&s, &["admin project create new", "admin project create -p other"]);
    s.run(["projects"]).prints("new\nother\np\nq\n");
    s.run(["projects", "--long"]).succeeds().stdout_has("0\t0\t0\t-\tnew\n");
    let all = json_of(s.run(["admin", "project", "list", "--json"]));
    assert_eq!((&all[0]["project"], &all[0]["namespaces"]), (&json!("new"), &json!(0)));
    follow(&s, &["set new.n.k 1", "admin namespace drop new.n --force", "admin project drop other --force"]);
    s.run(["projects"]).prints("new\np\nq\n");
    follow(&s, &["admin namespace drop p.n --force"]);
    s.run(["projects"]).prints("new\nq\n");
}

#[test]
fn what_is_empty_is_dropped_unasked() {
    let s = sandbox();
    follow(&s, &["admin project create e", "admin namespace create e.n"]);
    s.run(["admin", "namespace", "drop", "e.n"]).prints("").stderr_has("dropped the namespace e.n");
    follow(&s, &["admin namespace create e.n", "admin project drop e"]);
    s.run(["nss"]).prints("");
    // What was deleted is in the history.
    follow(
        &s,
        &["admin namespace create h.n", "admin namespace set h.n history=5", "set h.n.k 1", "del h.n.k"],
    );
    s.run(["admin", "namespace", "drop", "h.n"]).fails(1).stderr_has("nothing was changed");
}

#[test]
fn without_a_terminal_nothing_is_dropped_but_by_force() {
    let s = a_place();
    let before = s.run(["nss", "--json"]).succeeds().stdout();
    for line in ["admin namespace drop p.n", "admin drop-project p"] {
        for input in ["", "y\n", "yes\n"] {
            let outcome = refuses(&s, s.run(line.split(' ')).stdin(input), 1);
            outcome.stderr_has("nothing was changed").stderr_has("and 2 entries?").stderr_has("--force");
        }
        let error = error_of(s.run(line.split(' ').chain(["--json"])).fails(1));
        assert_eq!(error["kind"], "refused");
    }
    assert_eq!(s.run(["nss", "--json"]).succeeds().stdout(), before);
    s.run(["admin", "namespace", "drop", "p.n", "--force"])
        .prints("")
        .stderr_is("prontodb: dropped the namespace p.n, and 2 entries\n");
    s.run(["get", "p.n.k"]).fails(2);
    let dropped = json_of(s.run(["admin", "project", "drop", "q", "--force", "--json"]));
    assert_eq!(dropped, json!({"dropped": true, "namespaces": [{"name": "q.n", "keys": 1, "bytes": 4}]}));
    s.run(["nss"]).prints("");
}

#[test]
fn a_dry_run_tells_what_would_go_and_drops_nothing() {
    let s = a_place();
    follow(&s, &["set p.m.k 1", "admin table create hot", "admin table create empty"]);
    s.run(["admin", "namespace", "move", "q.n", "--table", "hot"]).prints("");
    let before = s.run(["nss", "--json"]).succeeds().stdout();
    for (line, shown) in [
        ("admin namespace drop p.n --dry-run", "2\t5\tp.n\n"),
        ("admin namespace drop p.n --dry-run --force", "2\t5\tp.n\n"),
        ("admin project drop p --dry-run", "1\t2\tp.m\n2\t5\tp.n\n"),
        ("admin table drop hot --dry-run", "1\t4\tq.n\n"),
        ("admin table drop empty --dry-run", ""),
    ] {
        s.run(line.split(' ')).prints(shown).stderr_has("nothing was dropped");
    }
    let full = s.run(["admin", "table", "drop", "hot", "--dry-run"]).succeeds();
    full.stderr_has("with --force the table hot would go");
    let told = json_of(s.run(["admin", "table", "drop", "hot", "--dry-run", "--json"]));
    assert_eq!(told, json!({"dropped": false, "namespaces": [{"name": "q.n", "keys": 1, "bytes": 4}]}));
    assert_eq!(s.run(["nss", "--json"]).succeeds().stdout(), before);
    s.run(["admin", "table", "list"]).prints("empty\nhot\nshared\n");
}

#[test]
fn a_table_with_namespaces_goes_by_force_alone() {
    let s = a_place();
    follow(&s, &["admin table create hot", "admin namespace create p.hot --table hot", "set p.hot.k 1"]);
    changes_nothing(&s, "admin table drop hot", 1, "the table hot holds p.hot; nothing was dropped");
    s.run(["admin", "table", "drop", "hot"]).fails(1).stderr_has("hint: prontodb admin namespace move");
    follow(&s, &["admin table drop hot --force"]);
    s.run(["nss"]).prints("p.n\nq.n\n");
    s.run(["admin", "table", "list"]).prints("shared\n");
    follow(&s, &["admin table create hot", "admin table drop hot"]);
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'entries%' AND type = 'table'";
    assert_eq!(sql(&s, &database_file(&s, "main"), tables), "1");
}

#[test]
fn a_namespace_of_the_same_name_is_a_new_one() {
    let s = sandbox();
    follow(&s, &["create-cache p.n 60", "set p.n.k old", "set p.n.l old"]);
    let large = "x".repeat(5000);
    s.run(["set", "p.n.large"]).stdin(large).env("PRONTO_COMPRESS_ABOVE_BYTES", "0").prints("");
    follow(&s, &["admin namespace drop p.n --force", "set p.n.k new"]);
    s.run(["scan", "p.n"]).prints("k=new\n");
    s.run(["admin", "namespace", "describe", "p.n"])
        .succeeds()
        .stdout_has("kind: std\n")
        .stdout_has("id: 2\n");
    let file = database_file(&s, "main");
    assert_eq!(sql(&s, &file, "SELECT count(*) FROM entries"), "1");
    assert_eq!(sql(&s, &file, "SELECT count(*) FROM large_values"), "0");
}

#[test]
fn moving_tells_where_a_namespace_lies() {
    let s = a_place();
    follow(&s, &["admin table create hot"]);
    let to = |table: &str| s.run(["admin", "namespace", "move", "p.n", "--table", table]);
    to("hot").prints("").stderr_is("prontodb: p.n lies in the table hot\n");
    to("hot").prints("").stderr_is("prontodb: p.n lay already in the table hot\n");
    let moved = json_of(to("own").arg("--json"));
    assert_eq!(moved, json!({"namespace": "p.n", "table": "own", "moved": true}));
    to("shared").prints("");
    s.run(["scan", "p.n"]).prints("k=1\nl=22\n");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'entries%' AND type = 'table'";
    assert_eq!(sql(&s, &database_file(&s, "main"), tables), "2");
}

#[test]
fn a_database_without_tables_has_nothing_for_them() {
    let s = a_place();
    for line in
        ["nss --long", "projects --long", "admin table list", "admin namespace describe p.n", "admin gc"]
    {
        s.run(line.split(' ')).succeeds();
    }
    let names = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
    assert_eq!(sql(&s, &database_file(&s, "main"), names), "4");
}
