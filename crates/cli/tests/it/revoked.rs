//! Whatever waits, asks or runs for long ends where the proof ends of whom it is done for.

use std::fs;
use std::thread;
use std::time::Duration;

use prontodb_testkit::sandbox::{Call, Running, Sandbox};

use crate::common::{PASSWORD, sandbox_with, wait_until};
use crate::terminal::Terminal;

/// A database with an entry, in which every command has to say who it is of, and an administrator that is not revoked.
struct Guarded {
    s: Sandbox,
    root: String,
}

impl Guarded {
    fn begin() -> Self {
        let s = sandbox_with([("p.n.k", "1")]);
        let root = s.run(["admin", "key", "create", "root", "--role", "admin"]).succeeds().stdout();
        Self { s, root: root.trim_end().to_owned() }
    }

    fn key(&self, name: &str, role: &str) -> String {
        let made = self.s.run(["admin", "key", "create", name, "--role", role]).env("PRONTO_PASS", PASSWORD);
        made.succeeds().stdout().trim_end().to_owned()
    }

    fn run(&self, line: &str, key: &str) -> Call {
        let call = self.s.run(line.split(' ')).within(Duration::from_secs(60));
        call.env("PRONTO_SECURITY_LOCAL", "true").env("PRONTO_API_KEY", key)
    }

    fn as_root(&self, line: &str) -> Call {
        self.run(line, &self.root)
    }

    fn revoke(&self, name: &str) {
        self.as_root(&format!("admin key revoke {name}")).succeeds();
    }
}

#[track_caller]
fn is_refused(running: Running, name: &str) {
    let why = format!("what proved that this is {name} no longer holds; the API key was revoked");
    running.wait().fails(5).stdout_is("").stderr_has(&why);
}

#[test]
fn whoever_waits_is_told_nothing_that_comes_after() {
    let guarded = Guarded::begin();
    let key = guarded.key("ci", "read");
    let waits: Vec<_> = ["p.n.new", "p.n.k --value 2", "p.n.k --changed", "p.n.k --absent"]
        .iter()
        .map(|what| guarded.run(&format!("wait {what} --timeout 30s"), &key).spawn())
        .collect();
    // Whoever has not begun to wait by then is refused at the door, and hears as little.
    thread::sleep(Duration::from_millis(300));
    guarded.revoke("ci");
    guarded.as_root("set p.n.new secret").succeeds();
    for waiting in waits {
        waiting.wait().fails(5).stdout_is("");
    }
}

#[test]
fn whoever_may_not_read_any_more_waits_in_vain() {
    let guarded = Guarded::begin();
    guarded.s.run(["admin", "user", "add", "sam"]).env("PRONTO_PASS", PASSWORD).succeeds();
    guarded.as_root("admin grant sam read p.n").succeeds();
    let session = guarded.s.run(["auth", "login", "sam"]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
    let waiting = guarded.s.run(["wait", "p.n.new", "--timeout", "30s"]).env("PRONTO_SECURITY_LOCAL", "true");
    let waiting = waiting.env("PRONTO_SESSION", session.trim_end()).spawn();
    thread::sleep(Duration::from_millis(300));
    guarded.as_root("admin revoke sam p.n").succeeds();
    guarded.as_root("set p.n.new secret").succeeds();
    waiting.wait().fails(5).stdout_is("").stderr_has("sam may not read in namespace n of project p");
}

#[test]
fn an_update_writes_nothing_after_its_command() {
    let guarded = Guarded::begin();
    let key = guarded.key("ci", "write");
    let script = "touch running; while [ ! -e revoked ]; do sleep 0.01; done; echo 99";
    let update = guarded.run("update p.n.k -- sh -c", &key).args([script]).spawn();
    wait_until("the command runs", || guarded.s.path("running").exists());
    guarded.revoke("ci");
    fs::write(guarded.s.path("revoked"), "").unwrap();
    is_refused(update, "ci");
    guarded.as_root("get p.n.k").prints("1\n");
}

#[test]
fn a_follower_ships_nothing_that_is_written_after() {
    let guarded = Guarded::begin();
    let key = guarded.key("bk", "admin");
    let following = guarded.run("backup --follow rep --interval 100ms", &key).spawn();
    let generations = guarded.s.path("rep/generations");
    wait_until("a generation", || {
        let Ok(entries) = fs::read_dir(&generations) else { return false };
        entries.flatten().any(|entry| entry.path().join("generation.json").exists())
    });
    guarded.revoke("bk");
    is_refused(following, "bk");
    guarded.as_root("set p.n.after written").succeeds();
    guarded.as_root("restore rep --to copy").succeeds();
    guarded.s.run(["keys", "p.n", "--database", "copy"]).prints("k\n");
}

#[test]
fn who_only_reads_by_now_follows_no_more() {
    let guarded = Guarded::begin();
    guarded.s.run(["admin", "user", "add", "sam", "--role", "admin"]).env("PRONTO_PASS", PASSWORD).succeeds();
    let session = guarded.s.run(["auth", "login", "sam"]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
    let call = guarded.s.run(["backup", "--follow", "rep", "--interval", "100ms"]);
    let call = call.env("PRONTO_SECURITY_LOCAL", "true").env("PRONTO_SESSION", session.trim_end());
    let following = call.within(Duration::from_secs(60)).spawn();
    wait_until("the replica", || guarded.s.path("rep/generations").exists());
    guarded.as_root("admin user role sam read").succeeds();
    following.wait().fails(5).stderr_has("sam may not administer");
}

#[test]
fn a_yes_that_comes_too_late_removes_nothing() {
    let guarded = Guarded::begin();
    for (command, question) in [
        ("admin drop-namespace p.n", "Drop the namespace"),
        ("admin drop-project p", "Drop the project"),
        ("admin drop-key p.n.k", "Remove p.n.k?"),
        ("admin delete-db main", "Remove the database main"),
    ] {
        let key = guarded.key("ci", "admin");
        let script = format!("export PRONTO_SECURITY_LOCAL=true PRONTO_API_KEY={key}; exec \"$P\" {command}");
        let mut terminal = Terminal::run(&guarded.s, &script);
        wait_until(question, || terminal.shows(question));
        guarded.revoke("ci");
        terminal.answer(question, "y\n");
        let shown = terminal.ends(5);
        assert!(!shown.contains("removed"), "{command}: {shown}");
        guarded.as_root("get p.n.k").prints("1\n");
    }
}
