//! Metakeys: `admin metakey`, `--where`, and what shows them.

use prontodb_testkit::sandbox::{Call, Sandbox};
use serde_json::json;

use crate::common::{database_file, json_of, refused, refuses, sandbox, sandbox_with, seconds_left, sql};

fn run(s: &Sandbox, line: &str) -> Call {
    s.run(line.split(' '))
}

/// A sandbox with `p.n.k` of alice in team red, `p.n.k__eu` of bob, and `p.n.l` of nobody.
fn labelled() -> Sandbox {
    let s = sandbox_with([("p.n.k", "1"), ("p.n.k__eu", "2"), ("p.n.l", "3")]);
    for line in ["p.n.k owner alice", "p.n.k team red", "p.n.k__eu owner bob"] {
        run(&s, &format!("admin metakey set {line}")).prints("").stderr_is("");
    }
    s
}

#[test]
fn metakeys_are_set_read_listed_and_removed() {
    let s = labelled();
    run(&s, "admin metakey get p.n.k owner").prints("alice\n");
    run(&s, "admin metakey get p.n.k owner --json").prints("\"alice\"\n");
    run(&s, "admin metakey list p.n.k").prints("owner=alice\nteam=red\n");
    run(&s, "admin metakey list p.n.k --json").prints("{\"owner\":\"alice\",\"team\":\"red\"}\n");
    run(&s, "admin metakey list p.n.l").prints("").stderr_has("p.n.l has no metakeys");
    run(&s, "admin metakey list p.n.l --json").prints("{}\n").stderr_is("");
    run(&s, "admin metakey set p.n.k owner carl").prints("");
    run(&s, "admin metakey del p.n.k team").prints("");
    run(&s, "admin metakey list p.n.k").prints("owner=carl\n");
    run(&s, "admin metakey list p.n.k__eu").prints("owner=bob\n");
}

#[test]
fn the_words_may_come_in_the_other_order_and_flags_may_say_the_address() {
    let s = labelled();
    run(&s, "admin set-metakey p.n.l owner dora").prints("");
    run(&s, "admin get-metakey p.n.l owner").prints("dora\n");
    run(&s, "admin list-metakeys p.n.l").prints("owner=dora\n");
    run(&s, "admin del-metakey p.n.l owner").prints("");
    run(&s, "admin metakey set -p p -n n l owner eve").prints("");
    run(&s, "admin metakey get -p p -n n --key l owner").prints("eve\n");
    run(&s, "admin metakey set -p p -n n --key l team blue").prints("");
    run(&s, "admin metakey del -p p -n n --key l owner team").prints("");
    run(&s, "admin metakey list --key l -p p -n n").prints("");
    run(&s, "admin metakey get -p p -n n k --context eu owner").prints("bob\n");
    run(&s, "admin metakey get p|n|k owner --ns-delim |").prints("alice\n");
}

#[test]
fn what_is_missing_exits_with_2_and_writes_nothing() {
    let s = labelled();
    for line in [
        "admin metakey set p.n.nothing owner alice",
        "admin metakey get p.n.nothing owner",
        "admin metakey del p.n.nothing owner",
        "admin metakey list p.n.nothing",
        "admin metakey get q.q.nothing owner",
        "admin metakey get p.n.k colour",
        "admin metakey del p.n.k colour",
        "admin metakey del p.n.k owner colour",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        refused(&s, &words, 2, "not_found");
    }
    refused(&s, &["admin", "metakey", "del", "p.n.k", "colour", "owner", "size"], 2, "not_found")
        .stderr_has("p.n.k has no metakey `colour`, nor `size`");
    let s = sandbox();
    refuses(&s, run(&s, "admin metakey set p.n.k owner alice"), 2);
}

#[test]
fn what_can_be_no_metakey_is_refused() {
    let s = labelled();
    let (long_name, long_value) = ("n".repeat(65), "v".repeat(1025));
    for (name, value, code, kind) in [
        ("", "v", 1, "invalid"),
        ("a=b", "v", 1, "invalid"),
        ("a\tb", "v", 1, "invalid"),
        ("a", "x\ny", 1, "invalid"),
        ("a", "x\ty", 1, "invalid"),
        (long_name.as_str(), "v", 6, "limit"),
        ("a", long_value.as_str(), 6, "limit"),
    ] {
        refused(&s, &["admin", "metakey", "set", "p.n.k", name, value], code, kind).stderr_has("p.n.k: ");
    }
    for number in 2..32 {
        s.run(["admin", "metakey", "set", "p.n.k", &format!("n{number}"), ""]).succeeds();
    }
    refused(&s, &["admin", "metakey", "set", "p.n.k", "one too many", ""], 6, "limit");
    for number in 0..3 {
        s.run(["admin", "metakey", "set", "p.n.l", &format!("n{number}"), &long_value[1..]]).succeeds();
    }
    refused(&s, &["admin", "metakey", "set", "p.n.l", "n3", &long_value[1..]], 6, "limit");
    for line in [
        "set p.n.k",
        "set p.n.k a",
        "set p.n.k a b c",
        "set",
        "get p.n.k",
        "get p.n.k a b",
        "get",
        "del p.n.k",
        "list",
    ] {
        let words: Vec<_> = ["admin", "metakey"].into_iter().chain(line.split(' ')).collect();
        refused(&s, &words, 64, "usage");
    }
}

#[test]
fn any_other_text_is_a_name_and_a_value() {
    let s = sandbox_with([("p.n.k", "1")]);
    for name in [" ", "'; DROP TABLE entries; --", "ключ", "a.b.c", "{}", "\"", "\\", "%"] {
        for value in ["", " ", "a=b", "'\"\\", "🗝", "{\"a\":1}"] {
            s.run(["admin", "metakey", "set", "p.n.k", "--", name, value]).prints("");
            s.run(["admin", "metakey", "get", "p.n.k", "--", name]).prints(format!("{value}\n"));
            s.run(["keys", "--where", &format!("{name}={value}")]).prints("p.n.k\n");
        }
    }
    s.run(["admin", "metakey", "set", "p.n.k", "--", "-n", "-v"]).prints("");
    s.run(["keys", "--where", "-n=-v"]).prints("p.n.k\n");
}

#[test]
fn setting_one_is_a_write_that_keeps_the_value_and_the_time_left() {
    let s = sandbox();
    run(&s, "create-cache p.c 1000").prints("");
    run(&s, "set p.c.k v --ttl 500").prints("");
    let before = json_of(run(&s, "get p.c.k --meta --json"));
    run(&s, "admin metakey set p.c.k owner alice").env("USER", "zoe").prints("");
    let after = json_of(run(&s, "get p.c.k --meta --json"));
    assert!(after["version"].as_u64() > before["version"].as_u64());
    assert_eq!(after["writer"], "zoe");
    for same in ["v", "created", "expires", "size"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert!(seconds_left(&s, "p.c.k") <= 500);
}

#[test]
fn listings_choose_by_metakeys() {
    let s = labelled();
    run(&s, "keys p.n --where owner=alice").prints("k\n");
    run(&s, "ls p.n --where owner").prints("k\nk__eu\n");
    run(&s, "scan --where owner=bob").prints("p.n.k__eu=2\n");
    run(&s, "scan p.n --where owner --where team=red").prints("k=1\n");
    run(&s, "keys p.n --where owner --count").prints("2\n");
    run(&s, "keys p.n --where owner --count --json").prints("2\n");
    run(&s, "keys p.n --where owner --reverse --limit 1").prints("k__eu\n");
    run(&s, "keys p.n --where owner --after k").prints("k__eu\n");
    run(&s, "keys p.n --where=owner --json").prints("[{\"k\":\"k\"},{\"k\":\"k__eu\"}]\n");
    run(&s, "scan p.n --where team --jsonl").prints("{\"k\":\"k\",\"v\":\"1\"}\n");
    run(&s, "scan p.n --where team --stream").succeeds().stdout_has("k=1").stdout_lacks("k__eu");
    run(&s, "keys p.n --where owner --glob *__eu").prints("k__eu\n");
    run(&s, "keys p.n --where owner=").prints("").stderr_has("nothing matches");
    run(&s, "keys p.n --where owner=ALICE").prints("");
    run(&s, "admin list-keys p.n k --where owner=bob").prints("k__eu\n");
    refused(&s, &["keys", "p.n", "--where", "=alice"], 1, "invalid");
    refused(&s, &["keys", "p.n", "--where"], 64, "usage");
}

#[test]
fn a_prefix_is_removed_as_far_as_metakeys_say() {
    let s = labelled();
    let outcome = refuses(&s, run(&s, "del p.n --prefix --where owner=bob --where owner"), 64);
    outcome.stderr_has("every entry of p.n whose key starts with `` and that has `owner=bob` and `owner`");
    refused(&s, &["del", "p.n.k", "--where", "owner=bob"], 64, "usage");
    refused(&s, &["del", "p.n", "--prefix", "--yes", "--where", "="], 1, "invalid");
    run(&s, "del p.n --prefix --yes --where owner=bob").succeeds().stderr_has("removed 1 entry of p.n");
    run(&s, "keys p.n").prints("k\nl\n");
    run(&s, "del p.n.l --prefix --yes --where owner").succeeds().stderr_has("removed 0 entries");
    run(&s, "del p.n --prefix --yes --where owner --where team=red").succeeds();
    run(&s, "keys p.n").prints("l\n");
}

#[test]
fn keys_and_scan_show_no_metakeys_unless_all_is_asked_for() {
    let s = labelled();
    for line in
        ["keys p.n", "scan p.n", "keys p.n --json", "scan p.n --json", "keys p.n --long", "scan p.n --stream"]
    {
        run(&s, line).succeeds().stdout_lacks("alice");
    }
    let listed = json_of(run(&s, "keys p.n --long --json"));
    assert_eq!(listed[0]["metakeys"], json!({"owner": "alice", "team": "red"}));
    assert_eq!(listed[2].get("metakeys"), None);
    run(&s, "get p.n.k --meta")
        .succeeds()
        .stdout_has("\nmetakeys: {\"owner\":\"alice\",\"team\":\"red\"}\n\n1\n");
    run(&s, "get p.n.l --meta").succeeds().stdout_lacks("metakeys");
    assert_eq!(json_of(run(&s, "get p.n.k__eu p.n.l --meta --json"))[0]["metakeys"], json!({"owner": "bob"}));
    run(&s, "get p.n.k").prints("1\n");
}

#[test]
fn they_go_where_their_key_goes() {
    let s = labelled();
    let is_alice = |address: &str| {
        run(&s, &format!("admin metakey get {address} owner")).prints("alice\n");
    };
    run(&s, "set p.n.k 2").prints("");
    run(&s, "incr p.n.k").prints("3\n");
    is_alice("p.n.k");
    run(&s, "copy p.n.k q.m.copy").prints("");
    is_alice("q.m.copy");
    run(&s, "rename q.m.copy q.m.moved").prints("");
    is_alice("q.m.moved");
    run(&s, "copy q.m.moved p.n.l --move").prints("");
    is_alice("p.n.l");
    run(&s, "sync main ./copy.prdb").succeeds();
    run(&s, "admin metakey get p.n.l owner -d copy.prdb").prints("alice\n");
    run(&s, "admin metakey set p.n.l owner bob").prints("");
    run(&s, "sync main ./copy.prdb --dry-run").prints("~ p.n.l\n");
    run(&s, "del p.n.k").prints("");
    run(&s, "set p.n.k 1").prints("");
    run(&s, "admin metakey list p.n.k").prints("");
}

#[test]
fn files_with_meta_carry_them_and_older_ones_need_not() {
    let s = labelled();
    for format in ["tsv", "json", "jsonl", "csv"] {
        run(&s, &format!("export p.n --with-meta --output all.{format}")).succeeds();
        run(&s, &format!("import q.{format} all.{format} --with-meta")).succeeds();
        run(&s, &format!("admin metakey list q.{format}.k")).prints("owner=alice\nteam=red\n");
        run(&s, &format!("admin metakey list q.{format}.l")).prints("");
        // Without the flag values alone are written, and keys keep what they have.
        run(&s, &format!("admin metakey set q.{format}.k owner carl")).prints("");
        run(&s, &format!("import q.{format} all.{format}")).succeeds();
        run(&s, &format!("admin metakey get q.{format}.k owner")).prints("carl\n");
    }
    let old = "k\tMQ==\t2026-01-01T00:00:00.000Z\t2026-01-01T00:00:00.000Z\t\tada\n";
    run(&s, "import p.n --with-meta").stdin(old).succeeds();
    run(&s, "admin metakey list p.n.k").prints("");
    let bad = old.replace("ada\n", "ada\t{\"owner\":1}\n");
    refuses(&s, run(&s, "import p.n --with-meta").stdin(bad), 1)
        .stderr_has("line 1: metakeys are no JSON object");
    run(&s, "export-fs --root tree --ns p.n --with-meta").succeeds();
    run(&s, "admin metakey set p.n.l owner dora").prints("");
    run(&s, "export-fs --root tree --ns p.n --with-meta").fails(3).stdout_is("~ p/n/l.json\n");
    run(&s, "import-fs --root tree --ns p.n --with-meta --overwrite").succeeds();
    run(&s, "admin metakey list p.n.l").prints("");
}

#[test]
fn what_this_program_would_not_write_is_damaged() {
    let s = labelled();
    for text in ["{\"owner\":1}", "alice", "{\"a=b\":\"\"}"] {
        sql(
            &s,
            &database_file(&s, "main"),
            &format!("UPDATE entries SET metakeys = '{text}' WHERE name = 'k'"),
        );
        refused(&s, &["admin", "metakey", "list", "p.n.k"], 7, "damaged").stderr_has("metakey");
        refused(&s, &["keys", "p.n", "--where", "owner"], 7, "damaged");
        run(&s, "admin metakey list p.n.k__eu").prints("owner=bob\n");
    }
}
