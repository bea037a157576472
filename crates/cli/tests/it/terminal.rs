//! Questions for secrets on a terminal, which `script` makes: what is typed is not shown, and the terminal is as before.

use std::fs::{self, File};
use std::io::{self, PipeWriter, Write};
use std::path::PathBuf;

use prontodb_testkit::sandbox::{Running, Sandbox};

use crate::common::{PASSWORD, sandbox, wait_until};

/// A shell on a terminal of its own.
pub(crate) struct Terminal {
    running: Running,
    keys: PipeWriter,
    screen: PathBuf,
}

impl Terminal {
    /// Runs a script in which `"$P"` is the program.
    pub(crate) fn run(s: &Sandbox, script: &str) -> Self {
        let (input, keys) = io::pipe().unwrap();
        let screen = s.path("screen");
        let call = s.run_other("script", ["-q", "-e", "-c", script, "/dev/null"]);
        let call = call.env("P", s.program()).env("SHELL", "/bin/sh").env("PRONTO_AGE_IDENTITY", "");
        let running = call.stdin_from(input).stdout_to(File::create(&screen).unwrap()).spawn();
        Self { running, keys, screen }
    }

    pub(crate) fn shows(&self, text: &str) -> bool {
        fs::read_to_string(&self.screen).unwrap().contains(text)
    }

    /// Types once this is on the screen.
    pub(crate) fn answer(&mut self, question: &str, keys: &str) {
        wait_until(question, || self.shows(question));
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// What was on the screen, once the script has ended with this code.
    pub(crate) fn ends(self, code: i32) -> String {
        let Self { running, keys, screen } = self;
        let mut outcome = running.wait();
        drop(keys);
        let shown = fs::read_to_string(screen).unwrap();
        let has_code = outcome.code() == Some(code);
        outcome.require(has_code, &format!("expected exit code {code}: {shown}"));
        shown
    }
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let s = sandbox();
    s.run(["admin", "user", "add", "sam"]).env("PRONTO_PASS", PASSWORD).succeeds();
    let mut terminal = Terminal::run(&s, "exec \"$P\" auth login sam");
    terminal.answer("password of sam: ", &format!("wrong\u{15}{PASSWORD}x\u{7f}\n"));
    let shown = terminal.ends(0);
    assert!(shown.contains("pdbs_") && !shown.contains(PASSWORD), "{shown}");
}

#[test]
fn a_terminal_is_as_before_when_a_question_is_interrupted() {
    let s = sandbox();
    for key in ["\u{3}", "half a pass\u{3}", "\u{1c}"] {
        let mut terminal = Terminal::run(&s, "\"$P\" auth login admin; echo \"code $?\"; stty -a");
        terminal.answer("password of admin: ", key);
        let shown = terminal.ends(0);
        assert!(shown.contains("code 130"), "{shown}");
        assert!(!shown.contains("prontodb") && !shown.contains("half"), "{shown}");
        for mode in ["echo", "isig", "icanon"] {
            assert!(shown.split_whitespace().any(|word| word == mode), "{mode} is not in {shown}");
        }
        assert!(shown.contains("eol = <undef>"), "{shown}");
    }
}

#[test]
fn new_passwords_are_asked_for_twice() {
    let s = sandbox();
    for command in ["admin user add sam", "admin user passwd sam"] {
        let script = format!("exec \"$P\" {command}");
        let mut terminal = Terminal::run(&s, &script);
        terminal.answer("sam: ", "one\n");
        terminal.answer("the same once more: ", "another\n");
        assert!(terminal.ends(1).contains("these were two different passwords"));
        let mut terminal = Terminal::run(&s, &script);
        terminal.answer("sam: ", "one\n");
        terminal.answer("the same once more: ", "one\n");
        terminal.ends(0);
        s.run(["auth", "login", "sam"]).env("PRONTO_PASS", "one").succeeds();
    }
}

#[test]
fn a_passphrase_is_asked_for_where_a_value_needs_it() {
    let s = sandbox();
    s.run(["admin", "namespace", "set", "p.n", "encrypt=on"]).env("PRONTO_PASSPHRASE", "open").succeeds();
    s.run(["set", "p.n.k", "v"]).env("PRONTO_PASSPHRASE", "open").succeeds();
    let mut terminal = Terminal::run(&s, "exec \"$P\" get p.n.k");
    terminal.answer("passphrase: ", "open\n");
    assert!(terminal.ends(0).ends_with("v\r\n"));
    let mut terminal = Terminal::run(&s, "exec \"$P\" --json get p.n.k");
    terminal.answer("passphrase: ", "\u{3}");
    assert_eq!(terminal.ends(130).trim(), "passphrase:");
}

#[test]
fn a_database_goes_once_the_answer_is_yes() {
    let s = sandbox();
    s.run(["--database", "old", "set", "p.n.k", "v"]).succeeds();
    for keys in ["\n", "n\n", "yess\n", "\u{4}"] {
        let mut terminal = Terminal::run(&s, "exec \"$P\" admin delete-db old");
        terminal.answer("[y/N]", keys);
        assert!(terminal.ends(1).contains("nothing was changed"));
        s.run(["--database", "old", "get", "p.n.k"]).prints("v\n");
    }
    let mut terminal = Terminal::run(&s, "exec \"$P\" admin delete-db old");
    terminal.answer("Remove the database old", "y\n");
    terminal.ends(0);
    s.run(["admin", "list-dbs"]).prints("");
}

#[test]
fn what_is_no_answer_is_refused() {
    let s = sandbox();
    for (keys, why) in [("\u{4}", "nothing was answered"), ("a\u{1b}b\n", "a control character was typed")] {
        let mut terminal = Terminal::run(&s, "exec \"$P\" auth login admin");
        terminal.answer("password of admin: ", keys);
        assert!(terminal.ends(1).contains(why), "{why}");
    }
}

#[test]
fn a_key_is_dropped_when_the_answer_is_yes() {
    let s = sandbox();
    s.run(["set", "p.n.k", "v"]).prints("");
    for keys in ["n\n", "\n", "\u{4}", "yes please\n"] {
        let mut terminal = Terminal::run(&s, "exec \"$P\" admin drop-key p.n.k");
        terminal.answer("Remove p.n.k? [y/N] ", keys);
        assert!(terminal.ends(1).contains("nothing was changed"), "{keys:?}");
        s.run(["get", "p.n.k"]).prints("v\n");
    }
    let mut terminal = Terminal::run(&s, "exec \"$P\" admin key drop p.n.k");
    terminal.answer("Remove p.n.k? [y/N] ", "y\n");
    terminal.ends(0);
    s.run(["exists", "p.n.k"]).fails(2);
}

#[test]
fn whoever_drops_something_is_asked_and_only_yes_is_a_yes() {
    let s = sandbox();
    s.run(["set", "p.n.k", "v"]).prints("");
    for keys in ["n\n", "\n", "\u{4}", "yes please\n"] {
        let mut terminal = Terminal::run(&s, "exec \"$P\" admin namespace drop p.n");
        terminal.answer("Drop the namespace p.n, and 1 entry? [y/N] ", keys);
        assert!(terminal.ends(1).contains("the answer was not yes"));
        s.run(["get", "p.n.k"]).prints("v\n");
    }
    let mut terminal = Terminal::run(&s, "exec \"$P\" admin drop-project p");
    terminal.answer("Drop the project p with 1 namespace, and 1 entry? [y/N] ", "y\n");
    assert!(terminal.ends(0).contains("dropped the project p"));
    s.run(["nss"]).prints("");
}
