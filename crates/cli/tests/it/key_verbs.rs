//! The verbs of objects, for keys: `admin create-key`, and the same as `admin key create`.

use prontodb_testkit::sandbox::{Call, Sandbox};
use serde_json::json;

use crate::common::{json_of, refused, refuses, sandbox, sandbox_with};

fn run(s: &Sandbox, line: &str) -> Call {
    s.run(line.split(' '))
}

#[test]
fn a_key_is_created_once() {
    let s = sandbox();
    run(&s, "admin create-key p.n.k 1").prints("").stderr_is("");
    refused(&s, &["admin", "create-key", "p.n.k", "2"], 3, "conflict").stderr_has("p.n.k");
    refused(&s, &["admin", "key", "create", "p.n.k", "2"], 3, "conflict");
    run(&s, "get p.n.k").prints("1\n");
    run(&s, "admin key create p.n.l 2").prints("");
    run(&s, "admin create-key p.n.piped").stdin("3").prints("");
    run(&s, "admin create-key -p p -n n --key m 4").prints("");
    run(&s, "admin key create -p p -n n o 5").prints("");
    run(&s, "scan p.n").prints("k=1\nl=2\nm=4\no=5\npiped=3\n");
    std::fs::write(s.path("file"), b"\0\xff").unwrap();
    run(&s, "admin create-key p.n.file --file file").prints("");
    run(&s, "get p.n.file --raw").prints(b"\0\xff");
    run(&s, "create-cache p.c 100").prints("");
    run(&s, "admin create-key p.c.k 1 --ttl 50").prints("");
    refused(&s, &["admin", "create-key", "p.n.new", "1", "--ttl", "50"], 2, "no_ttl");
}

#[test]
fn one_word_and_its_flags_are_about_api_keys() {
    let s = sandbox_with([("p.n.k", "1")]);
    run(&s, "admin key create ci").succeeds().stdout_has("pdbk_");
    run(&s, "admin key create deploy --role read --ttl 1h").succeeds().stdout_has("pdbk_");
    assert_eq!(run(&s, "admin key list").succeeds().stdout().lines().count(), 2);
    let listed = json_of(run(&s, "admin key list --json"));
    let mut names: Vec<_> = listed.as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["ci", "deploy"]);
    run(&s, "keys").prints("p.n.k\n");
    refused(&s, &["admin", "key", "create", "p.n.new"], 1, "invalid").stderr_has("takes a value");
}

#[test]
fn keys_of_a_namespace_are_listed() {
    let s = sandbox_with([("p.n.ab", "1"), ("p.n.ac__x", "2"), ("p.n.b", "3"), ("q.n.a", "4")]);
    for line in ["admin list-keys", "admin key list"] {
        run(&s, &format!("{line} p.n")).prints("ab\nac__x\nb\n");
        run(&s, &format!("{line} p.n a")).prints("ab\nac__x\n");
        run(&s, &format!("{line} -p p -n n a")).prints("ab\nac__x\n");
        run(&s, &format!("{line} -p p -n n")).prints("ab\nac__x\nb\n");
        run(&s, &format!("{line} p.n --count")).prints("3\n");
        run(&s, &format!("{line} p.n --json --limit 1")).prints("[{\"k\":\"ab\"}]\n");
        run(&s, &format!("{line} p.nothing")).prints("").stderr_has("nothing matches");
    }
    refused(&s, &["admin", "list-keys"], 64, "usage");
    refused(&s, &["admin", "list-keys", "p"], 1, "invalid");
    refused(&s, &["admin", "list-keys", "p.n", "a", "b"], 64, "usage");
    refused(&s, &["admin", "list-keys", "p.n", "a", "--key", "b"], 64, "usage");
}

#[test]
fn a_description_tells_all_but_the_value() {
    let s = sandbox_with([("p.n.k__eu", "secret")]);
    run(&s, "admin metakey set p.n.k__eu owner alice").prints("");
    let described = run(&s, "admin describe-key p.n.k__eu").succeeds().stdout_lacks("secret").stdout();
    let names: Vec<_> = described.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    let expected = "address project namespace key context version created updated expires writer size coding table metakeys";
    assert_eq!(names.join(" "), expected);
    for line in [
        "address: p.n.k__eu",
        "key: k",
        "context: eu",
        "expires: never",
        "coding: plain",
        "metakeys: {\"owner\":\"alice\"}",
    ] {
        assert!(described.lines().any(|shown| shown == line), "{line} is not in {described}");
    }
    run(&s, "admin key describe p.n.k__eu").prints(described);
    let told = json_of(run(&s, "admin describe-key p.n.k__eu --json"));
    for (name, value) in [
        ("k", json!("p.n.k__eu")),
        ("project", json!("p")),
        ("namespace", json!("n")),
        ("key", json!("k")),
        ("context", json!("eu")),
        ("expires", json!(null)),
        ("size", json!(6)),
        ("compressed", json!(false)),
        ("encrypted", json!(false)),
        ("table", json!("shared")),
        ("metakeys", json!({"owner": "alice"})),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    run(&s, "set p.n.long").stdin("words ".repeat(2000)).prints("");
    run(&s, "admin describe-key p.n.long")
        .succeeds()
        .stdout_has("coding: compressed\n")
        .stdout_has("metakeys: -\n");
    assert_eq!(json_of(run(&s, "admin key describe p.n.long --json"))["metakeys"], json!({}));
    refused(&s, &["admin", "describe-key", "p.n.nothing"], 2, "not_found");
}

#[test]
fn encrypted_values_are_described_without_their_key() {
    let s = sandbox();
    run(&s, "admin namespace set p.n encrypt=on").env("PRONTO_PASSPHRASE", "open").succeeds();
    run(&s, "set p.n.k 1").env("PRONTO_PASSPHRASE", "open").prints("");
    run(&s, "admin describe-key p.n.k").succeeds().stdout_has("coding: encrypted\n");
    assert_eq!(json_of(run(&s, "admin describe-key p.n.k --json"))["encrypted"], json!(true));
}

#[test]
fn a_key_is_dropped_when_that_is_meant() {
    let s = sandbox_with([("p.n.k", "1"), ("p.n.l", "1")]);
    for line in ["admin drop-key", "admin key drop"] {
        let words: Vec<_> = line.split(' ').chain(["p.n.k"]).collect();
        refused(&s, &words, 1, "refused").stderr_has("--force");
        refuses(&s, run(&s, &words.join(" ")).stdin("y\n"), 1);
    }
    run(&s, "admin drop-key p.n.k --force").prints("").stderr_is("");
    run(&s, "admin key drop p.n.l --force").prints("");
    run(&s, "keys").prints("");
    refused(&s, &["admin", "drop-key", "p.n.k"], 2, "not_found");
    refused(&s, &["admin", "drop-key", "p.n.k", "--force"], 2, "not_found");
}

#[test]
fn a_key_is_renamed_to_where_none_is() {
    let s = sandbox_with([("p.n.k", "1"), ("p.n.l", "2")]);
    refused(&s, &["admin", "rename-key", "p.n.k", "p.n.l"], 3, "conflict").stderr_has("p.n.l");
    refused(&s, &["admin", "rename-key", "p.n.nothing", "p.n.new"], 2, "not_found");
    run(&s, "admin rename-key p.n.k q.m.new").prints("");
    run(&s, "admin key rename p.n.l p.n.m").prints("");
    run(&s, "scan").prints("p.n.m=2\nq.m.new=1\n");
}
