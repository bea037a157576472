//! Who may: credentials on streams and commands, users, API keys, sessions, grants, and what is kept of secrets.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Call, Outcome, Sandbox};
use serde_json::Value;

use crate::common::{
    LockHolder, PASSWORD, contents, data_folder, database_file, json_of, refused, sandbox, sandbox_with, sql,
    wait_until,
};

fn stream(s: &Sandbox, text: &str) -> Call {
    s.run(["stream"]).stdin(text)
}

fn admin(s: &Sandbox, line: &str) -> Outcome {
    s.run(line.split(' ')).env("PRONTO_PASS", PASSWORD).succeeds()
}

/// A sandbox with the user sam, who has no role.
fn with_sam() -> Sandbox {
    let s = sandbox();
    admin(&s, "admin user add sam");
    s
}

fn login(s: &Sandbox, name: &str) -> String {
    admin(s, &format!("auth login {name}")).stdout().trim_end().to_owned()
}

fn key(s: &Sandbox, name: &str, flags: &str) -> String {
    admin(s, &format!("admin key create {name}{flags}")).stdout().trim_end().to_owned()
}

/// A command of somebody who has to prove who they are.
fn local(s: &Sandbox, line: &str, variable: &str, token: &str) -> Call {
    s.run(line.split(' ')).env("PRONTO_SECURITY_LOCAL", "true").env(variable, token)
}

#[test]
fn a_stream_without_credentials_is_refused() {
    let s = sandbox();
    for text in ["", "a=1", "meta:path=p.n; a=1"] {
        let refused = stream(&s, text).fails(5);
        refused.stderr_has("the credentials are missing").stderr_has("hint: ").stdout_is("");
    }
    for text in [
        "meta:sec:user=admin; meta:sec:pass=pronto!; a=1",
        "meta:sec:pass=pronto!; a=1",
        "a=1; meta:sec:pass=pronto!; meta:sec:user=admin",
        "meta:sec:pass=wrong; meta:sec:user=admin; a=1",
        "meta:sec:pass=pronto!; meta:sec:user=nobody; a=1",
        "meta:sec:apikey=pdbk_00_00; a=1",
        "meta:sec:apikey=nonsense; a=1",
        "meta:sec:session=pdbs_00_00; a=1",
        "meta:sec:session=; a=1",
    ] {
        stream(&s, text).fails(5).stderr_lacks("pronto!").stdout_is("");
    }
    assert!(contents(&s).is_empty(), "{:?}", contents(&s));
}

#[test]
fn credentials_are_asked_for_unless_the_configuration_says_otherwise() {
    let s = sandbox();
    stream(&s, "a=1").env("PRONTO_SECURITY", "false").succeeds();
    stream(&s, "a=1").env("PRONTO_SECURITY_REQUIRED", "false").succeeds();
    stream(&s, "a=1").env("PRONTO_SECURITY", "maybe").fails(1).stderr_has("PRONTO_SECURITY=maybe");
    s.run(["config", "set", "security.required", "false"]).succeeds();
    stream(&s, "a=1").succeeds();
    stream(&s, "a=1").env("PRONTO_SECURITY", "true").fails(5);
    stream(&s, "meta:sec:pass=wrong;meta:sec:user=admin;a=1")
        .fails(5)
        .stderr_has("the credentials are wrong");
}

#[test]
fn the_seeded_admin_may_and_is_warned() {
    let s = sandbox();
    let text = "meta:sec:pass=pronto!; meta:sec:user=admin; meta:path=p.n; a=1";
    stream(&s, text).succeeds().stderr_has("admin user passwd admin").stderr_has("wrote 1 entry");
    s.run(["get", "p.n.a", "--meta"]).succeeds().stdout_has("writer: admin");
    let changed = s.run(["admin", "user", "passwd", "admin"]).env("PRONTO_PASS", PASSWORD).succeeds();
    changed.stderr_lacks("everybody knows");
    stream(&s, text).fails(5);
    let text = text.replace("pronto!", PASSWORD);
    stream(&s, &text).succeeds().stderr_lacks("everybody knows");
}

#[test]
fn the_environment_may_give_another_seed() {
    let s = sandbox();
    let with_seed = |text: &str| {
        let call = stream(&s, text).env("PRONTO_ADMIN_USER", "root");
        call.env("PRONTO_ADMIN_PASS", "deep secret")
    };
    with_seed("meta:sec:pass=deep secret; meta:sec:user=root; a=1")
        .succeeds()
        .stderr_lacks("everybody knows");
    with_seed("meta:sec:pass=pronto!; meta:sec:user=admin; a=1").fails(5);
    let users = s
        .run(["admin", "user", "list"])
        .env("PRONTO_ADMIN_USER", "root")
        .env("PRONTO_ADMIN_PASS", "deep secret");
    users.prints("root\tadmin\n");
}

#[test]
fn users_are_made_listed_changed_and_removed() {
    let s = with_sam();
    admin(&s, "admin user add ann --role read");
    s.run(["admin", "user", "list"]).prints("admin\tadmin\nann\tread\nsam\t-\n");
    let users = json_of(s.run(["admin", "user", "list", "--json"]));
    assert_eq!(users[1]["user"], "ann");
    assert_eq!(users[2]["role"], Value::Null);
    assert!(users[2].get("password").is_none());
    let again = s.run(["admin", "user", "add", "sam"]).env("PRONTO_PASS", "x").fails(3);
    again.stderr_has("there is a user or key sam already");
    s.run(["admin", "user", "del", "sam"]).succeeds();
    s.run(["admin", "user", "del", "sam"]).fails(1).stderr_has("there is no user sam");
    s.run(["admin", "user", "passwd", "sam"]).env("PRONTO_PASS", "x").fails(1);
    s.run(["admin", "user", "del", "admin"]).fails(3).stderr_has("the last user who may administer");
}

#[test]
fn names_of_users_are_plain() {
    let s = sandbox();
    let long = "x".repeat(33);
    for name in ["", "1a", "a b", "../a", "a.b", "a/b", "ä", "a\u{1b}[2J", "-a", long.as_str()] {
        let call = s.run(["admin", "user", "add", "--", name]).env("PRONTO_PASS", "x");
        let outcome = call.fails_with_one_of(&[1, 64]);
        outcome.stderr_lacks("\u{1b}");
    }
    s.run(["admin", "user", "add", "sam", "--role", "king"])
        .env("PRONTO_PASS", "x")
        .fails(1)
        .stderr_has("read, write and admin are");
    s.run(["admin", "user", "add", "sam"])
        .env("PRONTO_PASS", "")
        .fails(1)
        .stderr_has("the password is empty");
}

#[test]
fn passwords_come_from_files_standard_input_and_the_environment() {
    let s = sandbox();
    fs::write(s.path("secret"), "from a file\n").unwrap();
    s.run(["admin", "user", "add", "ann", "--pass-file", "secret"]).succeeds();
    s.run(["admin", "user", "add", "bob", "--pass-file", "-"]).stdin("from stdin\r\n").succeeds();
    s.run(["admin", "user", "add", "cid"]).env("PRONTO_PASS", "from the environment").succeeds();
    refused(&s, &["admin", "user", "add", "dan"], 64, "usage").stderr_has("--pass-file");
    for (name, password) in [("ann", "from a file"), ("bob", "from stdin"), ("cid", "from the environment")] {
        s.run(["auth", "login", name]).env("PRONTO_PASS", password).succeeds().stdout_has("pdbs_");
        s.run(["auth", "login", name])
            .env("PRONTO_PASS", format!("{password} "))
            .fails(5)
            .stderr_has("the credentials are wrong");
    }
    s.run(["admin", "user", "add", "eve", "--pass-file", "missing"])
        .fails(1)
        .stderr_has("cannot read missing");
}

#[test]
fn the_spellings_of_the_stream_say_the_same_and_warn() {
    let s = sandbox();
    let added = s.run(["admin", "user=sam;pass=hunter2;"]).succeeds();
    added.stderr_has("can see command lines").stderr_lacks("hunter2");
    s.run(["admin", "user=ann;", "pass=hunter2"]).succeeds();
    s.run(["admin", "user=bob;", "--pass-file", "-"]).stdin("hunter2").succeeds().stderr_lacks("can see");
    let login = s.run(["proto", "auth", "pass=hunter2;", "user=sam;"]).succeeds();
    login.stdout_has("pdbs_").stderr_has("can see command lines");
    s.run(["proto", "auth", "-"])
        .stdin("pass=hunter2; user=bob;")
        .succeeds()
        .stderr_lacks("can see")
        .stdout_has("pdbs_");
    let key = key(&s, "ci", "");
    s.run(["proto", "auth", &format!("sec={key}")]).prints("ci\n");
    for words in [&["user=sam;", "pass=hunter2;"][..], &["pass=hunter2;"], &["sec=x;", "y"], &["hunter2"]] {
        let args = [&["proto", "auth"][..], words].concat();
        s.run(&args).fails(64).stderr_lacks("hunter2");
    }
    s.run(&["proto", "auth", "pass=wrong;user=sam"]).fails(5);
}

#[test]
fn pairs_are_read_as_a_stream_reads_them() {
    let s = sandbox();
    for (name, written, password) in [
        ("ann", r#"pass="a;b = \"c\" ";"#, "a;b = \"c\" "),
        ("bob", "pass=a=b c", "a=b c"),
        ("cid", r#" pass = "\x41\\" "#, "A\\"),
        ("dan", "pass=b64:YWJj", "abc"),
    ] {
        s.run(["admin", &format!("user={name};{written}")]).succeeds();
        s.run(["auth", "login", name]).env("PRONTO_PASS", password).succeeds();
        s.run(["proto", "auth", "-"]).stdin(format!("{written}; user={name};")).succeeds();
    }
    for text in [
        "user=eve;pass=\"5ec4e7",
        "user=eve;pass=5ec4e7;x.5ec4e7=",
        "user=eve;pass=5ec4e7;meta:5ec4e7=",
        "user=eve;meta:sec:pass=5ec4e7;meta:sec:user=eve",
        "user=eve;meta:op=del;pass=5ec4e7",
        "user=eve;pass=b64:5ec4e7",
        "user=eve;pass=\"\\xff\"",
    ] {
        s.run(["admin", text]).fails(64).stderr_lacks("5ec4e7").stderr_has("pairs are wanted");
    }
}

#[test]
fn tokens_come_in_objects_where_json_is_wanted() {
    let s = with_sam();
    let login = json_of(s.run(["auth", "login", "sam", "--json"]).env("PRONTO_PASS", PASSWORD));
    assert_eq!(login["name"], "sam");
    let session = login["token"].as_str().unwrap();
    s.run(["auth", "whoami"]).env("PRONTO_SESSION", session).prints("sam\t-\n");
    let key = json_of(s.run(["admin", "key", "create", "ci", "--role", "read", "--json"]));
    assert_eq!(key["name"], "ci");
    let pairs = format!("sec={}", key["token"].as_str().unwrap());
    let whose = json_of(s.run(["proto", "auth", "-", "--json"]).stdin(pairs));
    assert_eq!(whose, serde_json::json!({"name": "ci", "role": "read"}));
    let proto = s.run(["proto", "auth", "-", "--json"]).stdin(format!("pass={PASSWORD};user=sam"));
    assert!(json_of(proto)["token"].as_str().unwrap().starts_with("pdbs_"));
}

#[test]
fn no_message_of_the_command_line_repeats_a_secret() {
    let s = sandbox();
    for line in [
        "admin pass=5ec4e7;user=eve;",
        "auth login bob 5ec4e7",
        "auth login bob --ttl pdbs_00_5ec4e7",
        "auth logout 5ec4e7",
        "admin key create ci --ttl pass=5ec4e7",
        "set a.b.k x 5ec4e7",
        "get k --json=5ec4e7",
        "export a.b x 5ec4e7",
        "admin key revoke pdbk_00_5ec4e7",
        "admin key create pdbk_00_5ec4e7",
        "admin grant pdbk_00_5ec4e7 read a.b",
        "admin grant sam pdbk_00_5ec4e7 a.b",
        "admin grant sam read pdbk_00_5ec4e7",
        "admin revoke pdbk_00_5ec4e7 a.b",
        "admin user add sam=1;pass=5ec4e7 --pass-file /dev/null",
        "admin user role pass=5ec4e7 read",
        "admin user del pdbs_00_5ec4e7",
        "admin user passwd sam 5ec4e7",
        "admin namespace set p.n encrypt=on --recipient AGE-SECRET-KEY-15EC4E7",
        "stream --chunk sec=5ec4e7",
        "stream --format pass=5ec4e7",
        "help pdbs_00_5ec4e7",
        "pdbs_00_5ec4e7",
        "get --pass=5ec4e7 k",
        "get --pdbk_00_5ec4e7 k",
    ] {
        for words in [line.to_owned(), format!("--json {line}")] {
            let outcome = s.run(words.split(' ')).fails_with_one_of(&[1, 64]);
            outcome.stderr_lacks("5ec4e7").stderr_lacks("5EC4E7").stdout_is("");
        }
    }
    let refused = refused(&s, &["auth", "login", "bob", "5ec4e7"], 64, "usage");
    refused.stderr_is("prontodb: one argument too many behind prontodb auth login; it takes <NAME>\n");
    s.run(["auth", "logout", "x"]).fails(64).stderr_has("prontodb auth logout, which takes none");
    s.run(["export", "a.b", "x", "y"]).fails(64).stderr_has("one argument too many behind prontodb export");
}

#[test]
fn sources_of_secrets_are_taken_whole_or_refused() {
    let s = sandbox();
    let long = "x".repeat(64 * 1024 + 1);
    fs::write(s.path("long"), &long).unwrap();
    let add = |source: &str| s.run(["admin", "user", "add", "sam", "--pass-file", source]);
    add("long").fails(6).stderr_has("the password is longer than 65536 bytes");
    add("-").stdin(long).fails(6);
    fs::write(s.path("bytes"), b"\xff").unwrap();
    add("bytes").fails(1).stderr_has("the password is not UTF-8");
    let set = ["admin", "namespace", "set", "p.n", "encrypt=on"];
    s.run([&set[..], &["--new-pass-file", "bytes"]].concat())
        .fails(1)
        .stderr_has("the passphrase is not UTF-8");
    s.run(set).env("PRONTO_AGE_IDENTITY", s.path("long")).fails(6).stderr_has("the age identity is longer");
    s.run(set).env("PRONTO_PASSPHRASE_FILE", s.path("long")).fails(6).stderr_has("the passphrase is longer");
}

#[test]
fn variables_that_are_no_text_are_refused_and_not_ignored() {
    let s = sandbox();
    let bytes = || OsString::from_vec(b"\xff".to_vec());
    for (variable, line) in [
        ("PRONTO_PASS", "auth login admin"),
        ("PRONTO_PASSPHRASE", "admin namespace set p.n encrypt=on"),
        ("PRONTO_SESSION", "auth whoami"),
        ("PRONTO_API_KEY", "auth whoami"),
        ("PRONTO_SESSION", "stream"),
        ("PRONTO_ADMIN_USER", "admin user list"),
        ("PRONTO_ADMIN_PASS", "admin user list"),
    ] {
        let call = s.run(line.split(' ')).env(variable, bytes());
        call.fails(1).stdout_is("").stderr_has(&format!("the value of {variable} is not UTF-8"));
    }
    for (variable, value, why) in [
        ("PRONTO_ADMIN_USER", "a b", "PRONTO_ADMIN_USER: `a b` cannot be the name of a user"),
        ("PRONTO_ADMIN_USER", "owner", "PRONTO_ADMIN_USER: `owner` cannot be"),
        ("PRONTO_ADMIN_PASS", &"5ec4e7".repeat(200), "PRONTO_ADMIN_PASS: the password is 1200 bytes long"),
    ] {
        let call = s.run(["admin", "user", "list"]).env(variable, value);
        call.fails(1).stderr_has(why).stderr_lacks("5ec4e7");
    }
    s.run(["get", "k"]).env("PRONTO_ADMIN_USER", "a b").fails(2);
}

#[test]
fn whoami_tells_who_and_where_that_matters() {
    let s = with_sam();
    let (session, key) = (login(&s, "sam"), key(&s, "ci", ""));
    let whoami = || s.run(["auth", "whoami"]);
    whoami().prints("owner\tadmin\n").stderr_is("");
    let as_owner = "other commands act for the owner of the file";
    whoami().env("PRONTO_SESSION", &session).prints("sam\t-\n").stderr_has(as_owner);
    whoami().env("PRONTO_SESSION", &session).env("PRONTO_API_KEY", &key).prints("sam\t-\n");
    whoami().env("PRONTO_SESSION", "").env("PRONTO_API_KEY", &key).prints("ci\t-\n");
    local(&s, "auth whoami", "PRONTO_SESSION", &session).prints("sam\t-\n").stderr_is("");
    let unproved = whoami().env("PRONTO_SECURITY_LOCAL", "true").fails(5);
    unproved.stdout_is("").stderr_has("security.local asks for proof");
}

#[test]
fn refused_credentials_are_told_with_what_helps() {
    let s = with_sam();
    let hint = "hint: prontodb auth login USER makes a new session";
    local(&s, "get k", "PRONTO_SESSION", "pdbs_00_00").fails(5).stderr_has(hint);
    s.run(["auth", "whoami"]).env("PRONTO_SESSION", "pdbs_00_00").fails(5).stderr_has(hint);
    stream(&s, "meta:sec:session=pdbs_00_00; a=1").fails(5).stderr_has(hint);
    let hint = "hint: prontodb admin key create NAME makes a new key";
    local(&s, "get k", "PRONTO_API_KEY", "pdbk_00_00").fails(5).stderr_has(hint);
    s.run(["auth", "login", "sam"]).env("PRONTO_PASS", "x").fails(5).stderr_lacks("hint");
    stream(&s, "a=1").fails(5).stderr_has("PRONTO_SECURITY=false lets");
    let call = stream(&s, "a=1").env("PRONTO_SECURITY_LOCAL", "true");
    call.fails(5).stderr_lacks("PRONTO_SECURITY").stderr_has("prontodb auth login USER prints a session");
}

#[test]
fn a_running_stream_ends_where_its_proof_does() {
    let s = sandbox();
    let token = key(&s, "ci", " --role write");
    let (input, mut feed) = io::pipe().unwrap();
    let running = s.run(["stream", "--chunk", "1"]).env("PRONTO_API_KEY", &token).stdin_from(input).spawn();
    feed.write_all(b"meta:path=p.n; a=1; b=2;").unwrap();
    wait_until("the chunk is written", || s.run(["exists", "p.n.b"]).ends().code() == Some(0));
    s.run(["admin", "key", "revoke", "ci"]).succeeds();
    feed.write_all(b"c=3; d=4;").unwrap();
    drop(feed);
    let ended =
        running.wait().fails(5).stderr_has("that this is ci no longer holds; the API key was revoked");
    ended.stderr_has("is written: wrote 2 entries");
    s.run(["keys", "p.n"]).prints("a\nb\n");
    s.run(["admin", "audit"]).succeeds().stdout_has("\tci\tcli\trefused\tgo on\t");
}

#[test]
fn a_running_stream_heeds_roles_that_change() {
    let s = with_sam();
    admin(&s, "admin user role sam write");
    let token = login(&s, "sam");
    let (input, mut feed) = io::pipe().unwrap();
    let running = s.run(["stream", "--chunk", "1"]).env("PRONTO_SESSION", &token).stdin_from(input).spawn();
    feed.write_all(b"meta:path=p.n; a=1; b=2;").unwrap();
    wait_until("the chunk is written", || s.run(["exists", "p.n.b"]).ends().code() == Some(0));
    admin(&s, "admin user role sam read");
    feed.write_all(b"c=3; d=4;").unwrap();
    drop(feed);
    running.wait().fails(5).stderr_has("sam may not write").stderr_has("wrote 2 entries");
    s.run(["keys", "p.n"]).prints("a\nb\n");
}

#[test]
fn refusals_wait_for_others_who_write() {
    let s = with_sam();
    let token = login(&s, "sam");
    let holder = LockHolder::of(&s);
    let start = Instant::now();
    local(&s, "get p.n.k --busy-timeout-ms 400", "PRONTO_SESSION", &token).fails(5);
    assert!(start.elapsed() >= Duration::from_millis(400), "it did not wait");
    let get = local(&s, "get p.n.k", "PRONTO_SESSION", &token).spawn();
    let wrong = s.run(["auth", "login", "sam"]).env("PRONTO_PASS", "wrong").spawn();
    drop(holder);
    get.wait().fails(5);
    wrong.wait().fails(5);
    let log = s.run(["admin", "audit"]).succeeds().stdout_has("\tsam\tcli\trefused\tread\t");
    log.stdout_has("\tsam\tcli\trefused\tlog in\t");
}

#[test]
fn events_of_other_programs_forge_no_line() {
    let s = with_sam();
    let insert = r#"INSERT INTO sec_audit VALUES ('9', '{"at":1,"who":"a\nb","origin":"c\td","action":"e","target":"f\u001b[2J","done":true}')"#;
    sql(&s, &database_file(&s, "main"), insert);
    let log = s.run(["admin", "audit"]).succeeds().stdout_lacks("\u{1b}");
    assert_eq!(log.stdout().lines().count(), 2);
    log.stdout_has("\ta\\nb\tc\\td\tdone\te\tf\\u{1b}[2J\n");
}

#[test]
fn writers_and_times_are_imported_by_admins_alone() {
    let s = with_sam();
    admin(&s, "admin user role sam write");
    s.run(["set", "p.n.k", "1"]).prints("");
    let kept = s.run(["export", "p.n", "--with-meta"]).succeeds().stdout();
    let token = login(&s, "sam");
    let import =
        |flags: &str| local(&s, &format!("import p.m{flags}"), "PRONTO_SESSION", &token).stdin(kept.clone());
    for flags in [" --with-meta", " --with-meta --dry-run"] {
        import(flags).fails(5).stderr_has("sam may not administer in namespace m of project p");
    }
    s.run(["keys", "p.m"]).prints("");
    admin(&s, "admin grant sam admin p.m");
    import(" --with-meta").succeeds();
}

#[test]
fn a_hash_that_would_cost_too_much_is_damaged() {
    let s = with_sam();
    let update = "UPDATE sec_users SET record = replace(record, 'm=19456', 'm=4000000') WHERE key = 'sam'";
    sql(&s, &database_file(&s, "main"), update);
    let login = s.run(["auth", "login", "sam"]).env("PRONTO_PASS", PASSWORD).fails(7);
    login.stderr_has("asks for more memory or time than any check takes");
}

#[test]
fn sessions_prove_who_somebody_is_until_they_end() {
    let s = with_sam();
    let token = login(&s, "sam");
    let whoami = |token: &str| s.run(["auth", "whoami"]).env("PRONTO_SESSION", token);
    whoami(&token).prints("sam\t-\n");
    s.run(["auth", "whoami"]).prints("owner\tadmin\n");
    s.run(["auth", "logout"]).env("PRONTO_SESSION", &token).succeeds();
    whoami(&token).fails(5).stderr_has("the credentials are wrong").stderr_lacks(&token);
    s.run(["auth", "logout"]).env("PRONTO_SESSION", &token).fails(5);
    refused(&s, &["auth", "logout"], 64, "usage");
    let token = login(&s, "sam");
    admin(&s, "admin user passwd sam");
    whoami(&token).fails(5);
    let token = login(&s, "sam");
    s.run(["admin", "user", "del", "sam"]).succeeds();
    whoami(&token).fails(5);
    let cut = &token[..token.len() - 1];
    whoami(cut).fails(5);
}

#[test]
fn api_keys_are_shown_once_and_end() {
    let s = sandbox();
    let token = key(&s, "ci", " --role write");
    s.run(["admin", "key", "list"]).succeeds().stdout_has("\tci\twrite\t-\n").stdout_lacks(&token);
    s.run(["auth", "whoami"]).env("PRONTO_API_KEY", &token).prints("ci\twrite\n");
    stream(&s, &format!("meta:sec:apikey={token}; meta:path=p.n; a=1")).succeeds();
    stream(&s, "meta:path=p.n; b=1").env("PRONTO_API_KEY", &token).succeeds();
    s.run(["admin", "key", "create", "ci"]).fails(3);
    s.run(["admin", "key", "revoke", "ci"]).succeeds();
    s.run(["auth", "whoami"]).env("PRONTO_API_KEY", &token).fails(5);
    s.run(["admin", "key", "revoke", "ci"]).fails(1).stderr_has("there is no API key ci");
    s.run(["admin", "key", "create", "late", "--ttl", "0"]).fails(1);
}

#[test]
fn grants_say_who_may_do_what_where() {
    let s = with_sam();
    for (address, value) in [("tasks.open.a", "1"), ("tasks.done.b", "2"), ("other.open.c", "3")] {
        s.run(["set", address, value]).prints("");
    }
    admin(&s, "admin grant sam read tasks.*");
    admin(&s, "admin grant sam write tasks.open");
    s.run(["admin", "grants"]).prints("sam\tread\ttasks.*\nsam\twrite\ttasks.open\n");
    let token = login(&s, "sam");
    let as_sam = |line: &str| local(&s, line, "PRONTO_SESSION", &token);
    as_sam("get tasks.done.b").prints("2\n");
    as_sam("set tasks.open.a 9").prints("");
    as_sam("set tasks.done.b 9")
        .fails(5)
        .stderr_has("sam may not write in namespace done of project tasks; sam has the role read there");
    as_sam("get other.open.c").fails(5).stdout_is("");
    as_sam("keys").prints("tasks.done.b\ntasks.open.a\n");
    as_sam("nss").prints("tasks.done\ntasks.open\n");
    as_sam("projects").prints("tasks\n");
    as_sam("copy tasks.done.b tasks.open.b").prints("");
    as_sam("copy tasks.open.b tasks.done.c").fails(5);
    as_sam("copy tasks.done.b tasks.open.c --move").fails(5);
    as_sam("admin revoke sam tasks.*").fails(5);
    admin(&s, "admin grant sam read tasks.open");
    as_sam("set tasks.open.a 1").fails(5);
    admin(&s, "admin revoke sam tasks.*");
    as_sam("get tasks.done.b").fails(5);
    s.run(["admin", "revoke", "sam", "tasks.*"]).fails(1).stderr_has("nothing is granted to sam by tasks.*");
    for bad in [
        "admin grant nobody read a.b",
        "admin grant sam king a.b",
        "admin grant sam read a",
        "admin grant sam read a.b.c",
        "admin grant sam read a.",
    ] {
        s.run(bad.split(' ')).fails(1);
    }
}

/// Commands that touch data or what protects it, each with what makes it pass for the owner of [`furnished`].
const GUARDED: [&str; 103] = [
    "set p.n.new 1",
    "get p.n.k",
    "get p.n.k --include-expired",
    "get p.n.k p.n.l --json",
    "get p.n.k --context c --fallback",
    "del p.n.k",
    "del p.n --prefix --yes",
    "exists p.n.k",
    "incr p.n.k",
    "append p.n.k 1",
    "touch p.n.k",
    "ttl p.n.k",
    "rename p.n.k p.n.new",
    "copy p.n.k p.n.new",
    "lock acquire job --ttl 1h",
    "lock list",
    "lock run job -- true",
    "queue push p.n work",
    "queue list p.n",
    "update p.n.k -- cat",
    "run p.n -- true",
    "admin audit --verify",
    "get p.n.k --version 1",
    "history p.n.k",
    "blame p.n.k",
    "log p.n",
    "undo p.n.k",
    "undo --by tester p.n",
    "admin namespace set p.n history=5",
    "keys p.n",
    "scan p.n",
    "scan p.n --stream",
    "create-cache p.new 90",
    "admin set-cache p.c timeout=80",
    "admin drop-cache p.c",
    "admin gc",
    "admin status",
    "admin check",
    "admin migrate",
    "admin migrate --check",
    "admin vacuum",
    "admin describe-db main",
    "admin rename-db main other",
    "admin delete-db main --force",
    "admin user add joe",
    "admin user list",
    "admin user passwd sam",
    "admin user del sam",
    "admin key create other",
    "admin key list",
    "admin key revoke ci",
    "admin grant sam write p.*",
    "admin grants",
    "admin revoke sam p.*",
    "admin audit",
    "admin project create new",
    "admin create-project new",
    "admin project describe p",
    "admin describe-project p",
    "admin project drop p --force",
    "admin drop-project p --force",
    "admin namespace create p.new",
    "admin create-namespace p.new",
    "admin namespace describe p.n",
    "admin describe-namespace p.n",
    "admin namespace move p.n --table own",
    "admin move-namespace p.n --table own",
    "admin namespace drop p.n --force",
    "admin drop-namespace p.n --force",
    "admin table create new",
    "admin create-table new",
    "admin table list",
    "admin list-tables",
    "admin table describe shared",
    "admin describe-table shared",
    "admin table drop hot --force",
    "admin drop-table hot --force",
    "backup",
    "backup --list",
    "backup --verify backup.tar.gz",
    "restore backup.tar.gz",
    "restore backup.tar.gz --to folder/",
    "set p.n.k 2 --if-present",
    "keys p.n --count",
    "watch p.n --snapshot --limit 1",
    "wait p.n.k --timeout 1s",
    "admin create-key p.n.new 1",
    "admin list-keys p.n",
    "admin describe-key p.n.k",
    "admin drop-key p.n.k --force",
    "admin rename-key p.n.k p.n.new",
    "admin set-metakey p.n.k owner bob",
    "admin get-metakey p.n.k owner",
    "admin del-metakey p.n.k owner",
    "admin list-metakeys p.n.k",
    "admin key create p.n.new 1",
    "admin key list p.n",
    "admin key drop p.n.k --force",
    "admin metakey set p.n.k team red",
    "admin metakey get p.n.k owner",
    "keys p.n --where owner",
    "uninstall --purge --force",
    "backup --follow replica --once",
];

fn furnished() -> Sandbox {
    let s = sandbox_with([("p.n.k", "1"), ("p.n.l", "1")]);
    s.run(["create-cache", "p.c", "90"]).prints("");
    s.run(["admin", "namespace", "set", "p.n", "history=9"]).prints("");
    s.run(["admin", "metakey", "set", "p.n.k", "owner", "alice"]).prints("");
    for line in [
        "admin user add sam --role admin",
        "admin user add ann",
        "admin key create ci",
        "admin grant sam read p.*",
        "admin table create hot",
    ] {
        admin(&s, line);
    }
    s.run(["backup", "--output", "backup.tar.gz"]).succeeds();
    s
}

#[test]
fn nothing_is_done_for_those_who_may_nothing() {
    let s = furnished();
    let token = login(&s, "ann");
    let before = s.run(["scan"]).succeeds().stdout();
    let users = s.run(["admin", "user", "list"]).succeeds().stdout();
    for line in GUARDED {
        let outcome = local(&s, line, "PRONTO_SESSION", &token).env("PRONTO_PASS", "x").fails(5);
        outcome.stdout_is("").stderr_has("ann may not");
        let unproved =
            s.run(line.split(' ')).env("PRONTO_SECURITY_LOCAL", "true").env("PRONTO_PASS", "x").fails(5);
        unproved.stdout_is("").stderr_has("PRONTO_SESSION");
    }
    assert_eq!(s.run(["scan"]).succeeds().stdout(), before);
    assert_eq!(s.run(["admin", "user", "list"]).succeeds().stdout(), users);
    local(&s, "projects", "PRONTO_SESSION", &token).prints("");
}

/// The seeded admin of a database of one's own is nobody to others.
#[test]
fn backups_are_for_those_who_administer_what_is_in_them() {
    let s = sandbox_with([("p.n.k", "1")]);
    admin(&s, "admin user add sam --role admin");
    let (archive, replica) = (["backup", "--output", "b.tar.gz"], ["backup", "--follow", "rep", "--once"]);
    // Once the database has gone, what is in the backup has to know who it is.
    let early = login(&s, "sam");
    s.run(archive).succeeds();
    s.run(replica).succeeds();
    s.run(["-d", "own.prdb", "set", "p.n.k", "mine"]).prints("");
    s.run(["-d", "own.prdb", "admin", "user", "add", "eve", "--role", "admin"])
        .env("PRONTO_PASS", PASSWORD)
        .succeeds();
    let eve =
        s.run(["-d", "own.prdb", "auth", "login", "eve"]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
    let sam = login(&s, "sam");
    let lines = [
        "restore b.tar.gz --to folder/",
        "restore b.tar.gz --to fresh",
        "backup --verify b.tar.gz",
        "backup --list",
        "restore rep --to folder2/",
        "restore rep --to fresh2",
        "backup --follow rep --list",
    ];
    let own = |line: &str, token: &str| {
        // Where a line says where to, no flag may say so too; what is selected must not matter either.
        local(&s, line, "PRONTO_SESSION", token).env("PRONTO_DB", s.path("own.prdb"))
    };
    admin(&s, "admin user add ann");
    let ann = login(&s, "ann");
    for line in lines {
        own(line, eve.trim_end()).fails(5).stdout_is("");
        own(line, &ann).fails(5).stdout_is("").stderr_has("ann may not");
        s.run(line.split(' ')).env("PRONTO_SECURITY_LOCAL", "true").fails(5).stderr_has("PRONTO_SESSION");
    }
    let fresh = ["fresh", "fresh2"].map(|name| database_file(&s, name).parent().unwrap().to_owned());
    for place in [&s.path("folder"), &s.path("folder2"), &fresh[0], &fresh[1]] {
        assert!(!place.exists(), "{}", place.display());
    }
    for line in lines {
        own(line, &sam).succeeds();
    }
    s.run(["backup", "--verify", "folder"]).succeeds();
    for name in ["fresh", "fresh2"] {
        s.run(["get", "p.n.k", "--database", name]).prints("1\n");
        let audit = s.run(["admin", "audit", "--database", name]).succeeds().stdout();
        assert!(audit.contains("\tsam\tcli\tdone\trestore\t"), "{audit}");
    }
    // The database is no more: what knows sam by then is the backup, and a later session it does not know.
    for folder in ["folder", "folder2"] {
        fs::remove_dir_all(s.path(folder)).unwrap();
    }
    for name in ["main", "fresh", "fresh2"] {
        fs::remove_dir_all(database_file(&s, name).parent().unwrap()).unwrap();
    }
    for line in lines.iter().filter(|line| !line.contains("--list")) {
        own(line, &sam).fails(5);
        own(line, eve.trim_end()).fails(5);
        own(line, &early).succeeds();
    }
    s.run(["backup", "--verify", "folder"]).succeeds();
    let files = fs::read_dir(s.path("folder2")).unwrap();
    assert_eq!(files.count(), 1, "whoever was looked up there left nothing");
}

#[test]
fn everything_is_done_for_those_who_may_everything() {
    for line in GUARDED {
        let s = furnished();
        let token = login(&s, "sam");
        local(&s, line, "PRONTO_SESSION", &token).env("PRONTO_PASS", "x").succeeds();
    }
}

#[test]
fn the_log_tells_who_did_what_and_no_secret() {
    let s = with_sam();
    let token = login(&s, "sam");
    stream(&s, &format!("meta:sec:session={token}; meta:path=p.n; k=a value of sam")).fails(5);
    admin(&s, "admin grant sam write p.n");
    stream(&s, &format!("meta:sec:session={token}; meta:path=p.n; k=a value of sam; l=2")).succeeds();
    s.run(["auth", "login", "sam"]).env("PRONTO_PASS", "a wrong one").fails(5);
    let log = s.run(["admin", "audit"]).succeeds().stdout();
    let lines: Vec<Vec<_>> = log.lines().map(|line| line.split('\t').skip(1).collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["owner", "cli", "done", "add user", "sam"],
            vec!["sam", "cli", "done", "log in", ""],
            vec![
                "sam",
                "cli",
                "refused",
                "write",
                "sam may not write in namespace n of project p; sam has no role there"
            ],
            vec!["owner", "cli", "done", "grant", "sam write p.n"],
            vec!["sam", "cli", "done", "write", "p.n 2"],
            vec!["sam", "cli", "refused", "log in", ""],
        ]
    );
    let events = json_of(s.run(["admin", "audit", "--json"]));
    assert_eq!(events.as_array().unwrap().len(), 6);
    assert_eq!(events[4]["outcome"], "done");
    for secret in [PASSWORD, token.as_str(), "a value of sam", "a wrong one"] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Every byte that is kept anywhere below the home directory.
fn all_that_is_kept(s: &Sandbox) -> Vec<u8> {
    let mut folders: Vec<PathBuf> = vec![data_folder(s)];
    let mut bytes = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { bytes.extend(fs::read(path).unwrap()) }
        }
    }
    bytes
}

#[test]
fn no_secret_lies_in_a_file() {
    let s = with_sam();
    let (session, key) = (login(&s, "sam"), key(&s, "ci", ""));
    stream(&s, &format!("meta:sec:pass={PASSWORD};meta:sec:user=sam;k=1")).fails(5);
    let kept = all_that_is_kept(&s);
    let secret_part = |token: &str| token.rsplit('_').next().unwrap().to_owned();
    for secret in [PASSWORD.to_owned(), "pronto!".to_owned(), secret_part(&session), secret_part(&key)] {
        assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is kept");
    }
    assert!(kept.windows(9).any(|window| window == b"$argon2id"));
}

#[test]
fn databases_without_users_have_no_tables_for_them() {
    let s = sandbox_with([("k", "v")]);
    s.run(["admin", "user", "list"]).prints("admin\tadmin\n");
    s.run(["admin", "audit"]).prints("");
    s.run(["admin", "grants"]).prints("");
    let kept = fs::read(database_file(&s, "main")).unwrap();
    assert!(!kept.windows(4).any(|window| window == b"sec_"));
}

#[test]
fn many_make_users_at_once() {
    let s = sandbox();
    let running: Vec<_> = (0..8)
        .map(|number| s.run(["admin", "user", "add", &format!("u{number}")]).env("PRONTO_PASS", "x").spawn())
        .collect();
    running.into_iter().for_each(|one| drop(one.wait().succeeds()));
    assert_eq!(s.run(["admin", "user", "list"]).succeeds().stdout().lines().count(), 9);
}

#[test]
fn a_role_changes_at_once_and_the_last_admin_keeps_theirs() {
    let s = with_sam();
    let session = login(&s, "sam");
    let set = |expected: i32| {
        let call = local(&s, "set p.n.k v", "PRONTO_SESSION", &session);
        call.fails_with_one_of(&[expected]);
    };
    set(5);
    admin(&s, "admin user role sam write");
    set(0);
    admin(&s, "admin user role sam read");
    set(5);
    admin(&s, "admin user role sam none");
    s.run(["admin", "user", "list"]).succeeds().stdout_has("sam\t-\n");
    for (line, code) in [
        ("admin user role admin read", 3),
        ("admin user role admin none", 3),
        ("admin user role nobody read", 1),
        ("admin user role sam owner", 1),
        ("admin user role sam", 64),
    ] {
        s.run(line.split(' ')).fails(code);
    }
    admin(&s, "admin user role admin admin");
    admin(&s, "admin user role sam admin");
    admin(&s, "admin user role admin none");
    s.run(["admin", "user", "del", "sam"]).fails(3).stderr_has("the last user who may administer");
    s.run(["admin", "audit"]).succeeds().stdout_has("change role\tsam read");
}

#[test]
fn a_role_cannot_be_taken_by_whoever_has_none() {
    let s = with_sam();
    let session = login(&s, "sam");
    for line in ["admin user role sam admin", "admin user role admin none"] {
        local(&s, line, "PRONTO_SESSION", &session).fails(5);
    }
}

/// A page is a thousand events.
#[test]
fn an_audit_log_of_many_pages_is_printed_whole() {
    let s = with_sam();
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
        INSERT INTO sec_audit SELECT printf('9%014d-000000', i), record FROM n, sec_audit";
    sql(&s, &database_file(&s, "main"), copies);
    assert_eq!(s.run(["admin", "audit"]).succeeds().stdout().lines().count(), 2501);
    let events = json_of(s.run(["admin", "audit", "--json"]));
    assert_eq!(events.as_array().map(Vec::len), Some(2501));
    assert_eq!(json_of(sandbox().run(["admin", "audit", "--json"])), serde_json::json!([]));
}

#[test]
fn lists_that_are_empty_say_so() {
    let s = sandbox_with([("p.n.k", "1")]);
    for list in ["grants", "key list", "audit"] {
        let words: Vec<_> = std::iter::once("admin").chain(list.split(' ')).collect();
        let outcome = s.run(&words).prints("");
        outcome.require(outcome.stderr().lines().count() == 1, "expected a line on stderr");
        s.run(words).args(["--json"]).prints("[]\n");
    }
}

#[test]
fn the_audit_log_says_what_was_refused_within_a_transaction() {
    let s = with_sam();
    let session = login(&s, "sam");
    let txn = |text: &str| {
        let call = s.run(["txn"]).stdin(text.to_owned()).env("PRONTO_SECURITY_LOCAL", "true");
        call.env("PRONTO_SESSION", &session).fails(5);
        s.run(["admin", "audit"]).succeeds().stdout().lines().last().unwrap().to_owned()
    };
    let refused = txn(r#"{"then":[{"get":"secret.n.k"},{"get":"secret.n.l"}]}"#);
    assert!(refused.contains("\trefused\tread\tsam may not read"), "{refused}");
    let refused = txn(r#"{"if":[{"k":"secret.n.k","absent":true}],"then":[{"set":"secret.n.k","v":"1"}]}"#);
    assert!(refused.contains("\trefused\tread\tif[0]: sam may not read"), "{refused}");
    let refused = txn(r#"{"then":[{"set":"secret.n.k","v":"1"}]}"#);
    assert!(refused.contains("\trefused\twrite\t"), "{refused}");
}
