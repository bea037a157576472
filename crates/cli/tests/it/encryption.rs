//! Encrypted namespaces through the program: who can read them, and what they say to others.

use std::fs;
use std::process::Command;

use prontodb_testkit::sandbox::{Call, Sandbox};

use crate::common::{IDENTITY, RECIPIENT, data_folder, database_file, identity_file, json_of, sandbox};

const SECRET: &str = "what nobody else may read";

/// A sandbox whose namespace `p.n` is encrypted for an identity, and holds `p.n.k`.
fn encrypted() -> Sandbox {
    let s = sandbox();
    s.run(["set", "p.n.k", SECRET]).succeeds();
    knows(&s, "admin namespace set p.n encrypt=on")
        .prints("")
        .stderr_is("prontodb: p.n is encrypted; 1 value was written anew\n");
    s
}

/// A call of somebody who has the identity.
fn knows(s: &Sandbox, line: &str) -> Call {
    s.run(line.split(' ')).env("PRONTO_AGE_IDENTITY", identity_file(s))
}

fn stranger(s: &Sandbox, line: &str) -> Call {
    s.run(line.split(' '))
}

fn with_passphrase(s: &Sandbox, line: &str, passphrase: &str) -> Call {
    s.run(line.split(' ')).env("PRONTO_PASSPHRASE", passphrase)
}

#[test]
fn values_are_for_those_with_the_identity() {
    let s = encrypted();
    knows(&s, "get p.n.k").prints(format!("{SECRET}\n"));
    knows(&s, "set p.n.l two").prints("");
    knows(&s, "scan p.n").succeeds().stdout_has(SECRET).stdout_has("two");
    s.run(["config", "set", "age_identity", &identity_file(&s)]).succeeds();
    s.run(["get", "p.n.l"]).prints("two\n");
}

#[test]
fn without_it_every_use_of_a_value_is_refused_and_changes_nothing() {
    let s = encrypted();
    let before = knows(&s, "export p.n --with-meta --format json").succeeds().stdout();
    for line in [
        "get p.n.k",
        "get p.n.k --json",
        "set p.n.k new",
        "set p.n.new new",
        "append p.n.k new",
        "incr p.n.k",
        "set p.n.k new --if-value old",
        "del p.n.k --if-value old",
        "copy p.n.k p.c.k",
        "copy p.n.k p.n.l",
        "rename p.n.k p.c.k",
        "scan p.n",
        "scan p.n --stream",
        "keys p.n --stream",
        "export p.n",
        "admin namespace set p.n encrypt=off",
        "admin namespace rotate p.n",
        "admin namespace rewrap p.n --recipient RECIPIENT",
    ] {
        let line = line.replace("RECIPIENT", RECIPIENT);
        let refused = stranger(&s, &line).fails(5);
        if !line.contains("--json") {
            refused.stdout_is("").stderr_has("p.n is encrypted: an age identity is needed, and neither");
        }
    }
    stranger(&s, "import p.n").stdin("l\tMQ==\n").fails(5);
    stranger(&s, "stream")
        .env("PRONTO_SECURITY", "false")
        .stdin("meta:path=a.b; k=1; meta:path=p.n; l=2")
        .fails(5);
    stranger(&s, "exists a.b.k").fails(2);
    assert_eq!(knows(&s, "export p.n --with-meta --format json").succeeds().stdout(), before);
}

#[test]
fn what_needs_no_value_needs_no_identity() {
    let s = encrypted();
    stranger(&s, "keys p.n").succeeds().stdout_is("k\n");
    stranger(&s, "exists p.n.k").succeeds();
    stranger(&s, "touch p.n.k").succeeds();
    stranger(&s, "nss").prints("p.n\n");
    let spaces = json_of(stranger(&s, "nss --json"));
    assert_eq!((spaces[0]["encrypted"].as_bool(), spaces[0]["keys"].as_u64()), (Some(true), Some(1)));
    assert_eq!(spaces[0]["bytes"].as_u64(), Some(SECRET.len() as u64 + 1));
    stranger(&s, "get p.c.k").fails(2);
    stranger(&s, "set p.c.k open").succeeds();
    stranger(&s, "del p.n.k").succeeds();
}

#[test]
fn a_passphrase_does_as_well() {
    let s = sandbox();
    s.run(["set", "p.n.k", SECRET]).succeeds();
    stranger(&s, "admin namespace set p.n encrypt=on").fails(64).stderr_has("it is not said who is to read");
    with_passphrase(&s, "admin namespace set p.n encrypt=on", "open sesame").succeeds();
    with_passphrase(&s, "get p.n.k", "open sesame").prints(format!("{SECRET}\n"));
    fs::write(s.path("phrase"), "open sesame\n").unwrap();
    stranger(&s, "get p.n.k").env("PRONTO_PASSPHRASE_FILE", s.path("phrase")).prints(format!("{SECRET}\n"));
    for wrong in ["open", "open sesame ", "Open sesame"] {
        let refused = with_passphrase(&s, "get p.n.k", wrong).fails(5);
        refused.stderr_has("p.n is encrypted: the key or passphrase is not the one").stderr_lacks(wrong);
    }
    stranger(&s, "get p.n.k").fails(5).stderr_has("PRONTO_PASSPHRASE");
    knows(&s, "get p.n.k").fails(5);
}

#[test]
fn an_identity_that_is_none_is_refused() {
    let s = encrypted();
    fs::write(s.path("empty"), "\n# nothing\n").unwrap();
    fs::write(s.path("broken"), IDENTITY.replace('L', "M")).unwrap();
    let other = "AGE-SECRET-KEY-OTHER";
    fs::write(s.path("other"), other).unwrap();
    for (file, why) in [
        ("empty", "there is no age identity"),
        ("broken", "cannot be read"),
        ("other", "cannot be read"),
        ("missing", "cannot read"),
        (".", "cannot read"),
    ] {
        let refused = stranger(&s, "get p.n.k").env("PRONTO_AGE_IDENTITY", s.path(file)).fails(5);
        refused.stderr_has(why).stderr_lacks("SECRET-KEY-1K").stderr_lacks(other);
    }
    stranger(&s, "get p.n.k").env("PRONTO_AGE_IDENTITY", "identity.txt").fails(1).stderr_has("absolute path");
}

#[test]
fn settings_are_checked_before_anything_is_done() {
    let s = sandbox();
    for (line, code) in [
        ("admin namespace set p.n", 64),
        ("admin namespace set p.n encrypt", 64),
        ("admin namespace set p.n encrypt=yes", 64),
        ("admin namespace set p.n encrypt=on encrypt=off", 64),
        ("admin namespace set p.n colour=red", 64),
        ("admin namespace set p encrypt=on", 1),
        ("admin namespace set", 64),
        ("admin namespace set p.n encrypt=on --recipient nonsense", 1),
        ("admin namespace set p.n encrypt=on --recipient RECIPIENT --new-pass-file phrase", 64),
        ("admin namespace set p.n encrypt=on --new-pass-file missing", 1),
        ("admin namespace set p.n encrypt=off --recipient RECIPIENT", 64),
        ("admin namespace rotate", 64),
        ("admin namespace rotate p.n p.m", 64),
        ("admin namespace rotate p.n", 1),
        ("admin namespace rewrap p.n", 1),
    ] {
        knows(&s, &line.replace("RECIPIENT", RECIPIENT)).fails(code).stdout_is("");
    }
    assert!(!database_file(&s, "main").exists() || knows(&s, "nss").succeeds().stdout().is_empty());
    knows(&s, "set p.n.k 1").succeeds();
    knows(&s, "admin namespace set p.n encrypt=off")
        .succeeds()
        .stderr_is("prontodb: p.n was not encrypted\n");
    knows(&s, "admin namespace rotate p.n")
        .fails(1)
        .stderr_is("prontodb: the values of p.n are not encrypted\n");
}

#[test]
fn who_can_read_it_can_be_changed() {
    let s = encrypted();
    knows(&s, "admin namespace set p.n encrypt=on --recipient RECIPIENT")
        .fails(3)
        .stderr_has("p.n is encrypted already, for others")
        .stderr_has("rewrap");
    fs::write(s.path("phrase"), "another").unwrap();
    knows(&s, "admin namespace rewrap p.n --new-pass-file phrase")
        .succeeds()
        .stderr_is("prontodb: p.n is for whoever knows the passphrase\n");
    knows(&s, "get p.n.k").fails(5);
    with_passphrase(&s, "get p.n.k", "another").prints(format!("{SECRET}\n"));
    // Both at once: the passphrase opens, and the new key is for the identity.
    let line = format!("admin namespace rotate p.n --recipient {RECIPIENT}");
    with_passphrase(&s, &line, "another").succeeds().stderr_has("has a new key; 1 value was");
    with_passphrase(&s, "get p.n.k", "another").fails(5);
    knows(&s, "get p.n.k").prints(format!("{SECRET}\n"));
    knows(&s, "admin namespace rotate p.n").succeeds();
    knows(&s, "get p.n.k").prints(format!("{SECRET}\n"));
    knows(&s, "admin namespace set p.n encrypt=off").succeeds().stderr_has("is not encrypted any more");
    stranger(&s, "get p.n.k").prints(format!("{SECRET}\n"));
}

#[test]
fn whoever_locks_themselves_out_is_told() {
    let s = encrypted();
    let other = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    knows(&s, &format!("admin namespace rewrap p.n --recipient {other}"))
        .succeeds()
        .stderr_has(&format!("p.n is for {other}"))
        .stderr_has("the identity of age_identity can no longer read p.n");
}

#[test]
fn encrypting_what_is_not_there_makes_it_and_says_so() {
    let s = sandbox();
    knows(&s, "admin namespace set p.typo encrypt=on").succeeds().stderr_has("p.typo is new, and encrypted");
}

/// One of several namespaces that are listed cannot be read.
#[test]
fn a_listing_prints_nothing_that_it_cannot_finish() {
    let s = encrypted();
    s.run(["set", "a.plain.k", "1"]).succeeds();
    for line in ["scan", "scan --json", "scan --stream"] {
        stranger(&s, line).fails(5).stdout_is("").stderr_has("p.n is encrypted");
    }
    stranger(&s, "keys").prints("a.plain.k\np.n.k\n");
    stranger(&s, "scan a").succeeds();
    knows(&s, "scan").succeeds();
    stranger(&s, "del p.n.k").succeeds();
    stranger(&s, "scan").prints("a.plain.k=1\n");
}

#[test]
fn a_stream_removes_without_the_key() {
    let s = encrypted();
    let call = stranger(&s, "stream").env("PRONTO_SECURITY", "false");
    call.stdin("meta:path=p.n;meta:op=del;k=;").succeeds().stderr_has("removed 1");
}

#[test]
fn a_terminal_is_asked_for_the_passphrase() {
    let s = encrypted();
    fs::write(s.path("phrase"), "typed").unwrap();
    knows(&s, "admin namespace rewrap p.n --new-pass-file phrase").succeeds();
    s.run(["get", "p.n.k"]).stdin("typed\n").fails(5).stderr_has("a passphrase is needed");
}

#[test]
fn the_files_hold_nothing_of_what_was_encrypted() {
    let s = encrypted();
    knows(&s, &format!("set p.n.large {}", "secret-".repeat(400))).succeeds();
    knows(&s, "set p.n.k changed-secret").succeeds();
    for file in fs::read_dir(data_folder(&s).join("main")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for secret in [SECRET, "secret-secret", "changed-secret", "AGE-SECRET-KEY"] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
        }
    }
}

/// The key of a namespace is in the hands of whoever has the `age` program, too.
#[test]
fn a_sync_encrypts_what_was_encrypted() {
    let s = encrypted();
    stranger(&s, "sync main ./copy.prdb").fails(5).stderr_has("p.n is encrypted");
    assert!(!s.path("copy.prdb").exists());
    s.run(["set", "p.n.old", "plain so far", "-d", "copy.prdb"]).succeeds();
    stranger(&s, "sync main ./copy.prdb").fails(5).stderr_has("p.n is encrypted");
    s.run(["get", "p.n.old", "-d", "copy.prdb"]).prints("plain so far\n");
    knows(&s, "sync main ./copy.prdb --dry-run").prints("* p.n\n+ p.n.k\n- p.n.old\n");
    knows(&s, "sync main ./copy.prdb").succeeds();
    stranger(&s, "get p.n.k -d copy.prdb").fails(5);
    knows(&s, "get p.n.k -d copy.prdb").prints(format!("{SECRET}\n"));
    for file in ["copy.prdb", "copy.prdb-wal"] {
        let bytes = fs::read(s.path(file)).unwrap();
        for plain in [SECRET, "plain so far"] {
            assert!(!bytes.windows(plain.len()).any(|text| text == plain.as_bytes()), "{file} holds {plain}");
        }
    }
    knows(&s, "sync main ./copy.prdb --dry-run").prints("");
    with_passphrase(&s, "admin namespace set q.n encrypt=on", "open").succeeds();
    with_passphrase(&s, "set q.n.k v", "open").succeeds();
    s.run(["sync", "main", "./copy.prdb"])
        .env("PRONTO_PASSPHRASE", "open")
        .env("PRONTO_AGE_IDENTITY", identity_file(&s))
        .succeeds();
    with_passphrase(&s, "get q.n.k -d copy.prdb", "open").prints("v\n");
    with_passphrase(&s, "get q.n.k -d copy.prdb", "shut").fails(5);
    // Whoever can read the source only must not read on in the target.
    fs::write(s.path("phrase"), "other").unwrap();
    with_passphrase(&s, "admin namespace rewrap q.n --new-pass-file phrase -d copy.prdb", "open").succeeds();
    s.run(["sync", "main", "./copy.prdb"])
        .env("PRONTO_PASSPHRASE", "open")
        .env("PRONTO_AGE_IDENTITY", identity_file(&s))
        .fails(5);
    knows(&s, "admin namespace rewrap p.n --new-pass-file phrase").succeeds();
    knows(&s, "sync main ./copy.prdb").fails(5);
}

#[test]
fn the_age_program_opens_the_wrapped_key() {
    let s = encrypted();
    let select = "SELECT record ->> 'wrapped' FROM sec_data_keys";
    let wrapped =
        Command::new("sqlite3").arg("-readonly").arg(database_file(&s, "main")).arg(select).output().unwrap();
    fs::write(s.path("key.age"), wrapped.stdout).unwrap();
    let opened = Command::new("age").args(["-d", "-i", &identity_file(&s)]).arg(s.path("key.age")).output();
    let opened = opened.unwrap();
    assert_eq!((opened.status.code(), opened.stdout.len()), (Some(0), 32));
}

#[test]
fn long_values_are_compressed_unless_that_is_turned_off() {
    let s = sandbox();
    let long = "words that come again ".repeat(400);
    let kept = |s: &Sandbox| {
        let select = "SELECT coalesce(coding, 0) FROM entries";
        let output =
            Command::new("sqlite3").arg("-readonly").arg(database_file(s, "main")).arg(select).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    s.run(["set", "p.n.k", &long]).succeeds();
    assert_eq!(kept(&s), "1\n");
    s.run(["get", "p.n.k"]).prints(format!("{long}\n"));
    s.run(["set", "p.n.k", &long]).env("PRONTO_COMPRESS_ABOVE_BYTES", "0").succeeds();
    assert_eq!(kept(&s), "0\n");
    s.run(["set", "p.n.k", "short"]).succeeds();
    assert_eq!(kept(&s), "0\n");
    s.run(["set", "p.n.k", &"a".repeat(100)]).env("PRONTO_COMPRESS_ABOVE_BYTES", "10").succeeds();
    assert_eq!(kept(&s), "1\n");
    s.run(["get", "p.n.k"]).env("PRONTO_COMPRESS_ABOVE_BYTES", "0").prints(format!("{}\n", "a".repeat(100)));
}
