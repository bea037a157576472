//! Flags stand before or after the command and work on every command; unknown ones are errors.

use crate::common::{data_folder, databases, made_ready, refused, refuses, sandbox, sandbox_with};
use crate::help_version::COMMANDS;

/// Arguments with which each command works in [`a_place`], with `|` as the delimiter.
fn arguments_of(command: &str) -> &'static [&'static str] {
    match command {
        "set" | "append" | "admin create-key" => &["p|n|new", "1"],
        "rename" | "copy" | "admin rename-key" | "admin key rename" => &["p|n|k", "p|n|new"],
        "namespaces" => &["-p", "p"],
        "create-cache" | "admin create-cache" => &["p|new", "90"],
        "admin set-cache" => &["p|c", "timeout=80"],
        "admin drop-cache" => &["p|c"],
        "admin status" | "admin check" | "admin migrate" | "admin vacuum" => &[],
        "admin database list" | "admin list-dbs" => &[],
        "admin database create" | "admin create-db" => &["new"],
        "admin database describe" | "admin describe-db" => &["other"],
        "admin database switch" | "admin switch-db" => &["other"],
        "admin database rename" | "admin rename-db" => &["other", "new"],
        "admin database delete" | "admin delete-db" => &["other", "--force"],
        "config get" => &["ns_delim"],
        "config set" => &["busy_timeout_ms", "4000"],
        "cursor set" => &["new", "file.prdb"],
        "sync" => &["other", "copy"],
        "cursor rename" => &["saved", "new"],
        "cursor delete" => &["saved"],
        "projects" | "nss" | "admin gc" | "config list" | "config path" | "doctor" => &[],
        "cursor list" | "cursor active" | "cursor clear" | "context" | "allow" | "deny" => &[],
        "keys" | "ls" | "scan" | "log" | "export" | "import" | "admin list-keys" => &["p|n"],
        "watch" => &["p|n", "--snapshot", "--limit", "1"],
        "lock acquire" => &["job", "--ttl", "1h"],
        "lock list" | "prime" => &[],
        "queue push" => &["p|jobs", "1"],
        "queue list" => &["p|n"],
        "stream" | "admin user list" | "admin key list" | "admin grants" | "admin audit" => &[],
        "auth logout" | "auth whoami" => &[],
        "install" | "uninstall" | "man" => &[],
        "completions" => &["bash"],
        "export-fs" => &["--root", "tree", "--ns", "p|n"],
        "import-fs" => &["--root", "files", "--ns", "p|n"],
        "admin project create" | "admin create-project" => &["new"],
        "admin project list" | "admin list-projects" => &[],
        "admin project describe" | "admin describe-project" => &["p"],
        "admin project drop" | "admin drop-project" => &["p", "--force"],
        "admin namespace create" | "admin create-namespace" => &["p|new"],
        "admin namespace list" | "admin list-namespaces" => &["p"],
        "admin namespace describe" | "admin describe-namespace" => &["p|n"],
        "admin namespace move" | "admin move-namespace" => &["p|n", "--table", "own"],
        "admin namespace drop" | "admin drop-namespace" => &["p|n", "--force"],
        "admin table create" | "admin create-table" => &["new"],
        "admin table list" | "admin list-tables" => &[],
        "admin table describe" | "admin describe-table" => &["shared"],
        "admin table drop" | "admin drop-table" => &["hot", "--force"],
        "admin namespace set" => &["p|n", "encrypt=on"],
        "admin namespace rotate" | "admin namespace rewrap" => &["p|n"],
        "admin user add" | "admin key create" => &["joe"],
        "admin user passwd" | "admin user del" | "auth login" => &["sam"],
        "admin user role" => &["sam", "admin"],
        "admin drop-key" | "admin key drop" => &["p|n|k", "--force"],
        "admin set-metakey" | "admin metakey set" => &["p|n|k", "owner", "bob"],
        "admin get-metakey" | "admin metakey get" => &["p|n|k", "owner"],
        "admin del-metakey" | "admin metakey del" => &["p|n|k", "owner"],
        "admin key revoke" => &["ci"],
        "admin grant" => &["sam", "write", "p|*"],
        "admin revoke" => &["sam", "p|*"],
        "proto auth" => &["pass=a secret of sam;", "user=sam;"],
        _ => &["p|n|k"],
    }
}

/// A sandbox whose database `other` has an entry `p.n.k` and a cache `p.c`, with a cursor and a `.prontodb`.
fn a_place() -> prontodb_testkit::sandbox::Sandbox {
    let s = sandbox();
    s.run(["--database", "other", "set", "p.n.k", "1"]).prints("");
    s.run(["--database", "other", "create-cache", "p.c", "90"]).prints("");
    s.run(["cursor", "set", "saved", "saved.prdb"]).prints("");
    std::fs::write(s.path(".prontodb"), "database = 'main'").unwrap();
    s
}

const SHARED_FLAGS: [&str; 6] =
    ["--database", "other", "--ns-delim=|", "--busy-timeout-ms", "3000", "--json"];

#[test]
fn shared_flags_work_on_every_command_before_and_after_it() {
    for command in COMMANDS.into_iter().filter(|command| !is_about_selections(command)) {
        let words: Vec<_> = command.split(' ').collect();
        let arguments = arguments_of(command);
        for args in [
            [&SHARED_FLAGS[..], &words, arguments].concat(),
            [&words, arguments, &SHARED_FLAGS[..]].concat(),
            [&words, &SHARED_FLAGS[..], arguments].concat(),
            [&SHARED_FLAGS[..3], &words, &SHARED_FLAGS[3..], arguments].concat(),
        ] {
            let s = a_place();
            made_ready(&s, &["--database", "other"], command, s.run(args)).succeeds();
            assert!(!data_folder(&s).join("main").exists(), "{command} does not see --database");
        }
    }
}

#[test]
fn a_fence_is_heeded_or_refused() {
    let mut wrong = Vec::new();
    for command in COMMANDS {
        let words: Vec<_> = command.split(' ').chain(arguments_of(command).iter().copied()).collect();
        let s = a_place();
        let chosen = if is_about_selections(command) { &[][..] } else { &SHARED_FLAGS[..2] };
        let rest = ["--ns-delim=|", "--json", "--fence", "999"];
        let call = s.run([chosen, &words, &rest].concat());
        let mut outcome = made_ready(&s, &["--database", "other"], command, call).ends();
        let help = s.run(command.split(' ').chain(["--help"])).succeeds().stdout();
        let is_heeded = help.contains("--fence <TOKEN>");
        let (code, why) = if is_heeded {
            (3, "the lease of the token 999")
        } else {
            (64, "--fence means nothing to this command")
        };
        // Of an empty tree there is nothing to write.
        let is_idle = command == "import-fs" && outcome.code() == Some(0);
        if !is_idle && (outcome.code() != Some(code) || !outcome.stderr().contains(why)) {
            wrong.push(format!("{command}: {:?} {}", outcome.code(), outcome.stderr()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join(""));
}

#[test]
fn a_fence_of_the_environment_is_for_what_heeds_it() {
    let s = a_place();
    let run = |args: &[&str]| s.run(args).env("PRONTO_FENCE", "999");
    run(&["--database", "other", "get", "p.n.k"]).prints("1\n");
    run(&["admin", "create-db", "new"]).prints("");
    run(&["backup", "--database", "other"]).succeeds();
    run(&["--database", "other", "set", "p.n.k", "2"]).fails(3);
}

/// Commands that say what is selected, and so take no flag that does, and those about the program itself.
fn is_about_selections(command: &str) -> bool {
    command.starts_with("cursor")
        || command.starts_with("admin database")
        || command.ends_with("-db")
        || command.ends_with("-dbs")
        || ["allow", "deny", "sync", "install", "uninstall", "completions", "man"].contains(&command)
}

#[test]
fn commands_about_selections_take_no_flag_that_selects() {
    let s = a_place();
    for command in COMMANDS.into_iter().filter(|command| is_about_selections(command)) {
        let words: Vec<_> = command.split(' ').chain(arguments_of(command).iter().copied()).collect();
        for flag in [["--database", "other"], ["-d", "x.prdb"], ["--cursor", "saved"], ["--select", "saved"]]
        {
            refused(&s, &[&words, &flag[..]].concat(), 64, "usage").stderr_has(flag[0]);
            refused(&s, &[&flag[..], &words].concat(), 64, "usage").stderr_has(flag[0]);
        }
        let s = a_place();
        s.run([&words, &SHARED_FLAGS[2..]].concat()).succeeds();
    }
}

#[test]
fn flags_between_the_words_of_a_command_work() {
    let s = a_place();
    s.run(["admin", "--database", "other", "gc"]).succeeds();
    s.run(["admin", "--ns-delim", "|", "drop-cache", "p|c", "--database", "other"]).succeeds();
    s.run(["config", "--json", "list"]).succeeds().stdout_has("{");
}

#[test]
fn unknown_flags_are_refused_on_every_command() {
    for command in COMMANDS {
        let s = sandbox();
        let words: Vec<_> = command.split(' ').collect();
        let args = [&words[..], arguments_of(command)].concat();
        for flag in ["--bogus", "--bogus=5", "-x"] {
            let name = flag.split('=').next().unwrap();
            refused(&s, &[&args[..], &[flag]].concat(), 64, "usage").stderr_has(name);
            refused(&s, &[&[flag], &args[..]].concat(), 64, "usage").stderr_has(name);
        }
    }
}

#[test]
fn flags_of_one_command_are_unknown_to_others() {
    let s = sandbox_with([("k", "1")]);
    for args in [
        ["get", "k", "--if-absent"],
        ["get", "k", "--yes"],
        ["del", "k", "--raw"],
        ["keys", "--meta", "--raw"],
        ["exists", "k", "--limit=1"],
        ["incr", "k", "--reverse"],
        ["rename", "k", "--discard"],
    ] {
        refused(&s, &args, 64, "usage");
    }
}

#[test]
fn flags_that_a_command_cannot_heed_are_refused_not_ignored() {
    let s = sandbox_with([("p.n.k", "1")]);
    for args in [
        &["del", "p.n.k", "--yes"][..],
        &["nss", "--key", "k"],
        &["nss", "--context", "c"],
        &["projects", "--key", "k"],
        &["projects", "-n", "n"],
        &["namespaces", "-p", "p", "--key", "k"],
        &["admin", "gc", "-p", "p"],
        &["create-cache", "p.c", "5", "--key", "k"],
        &["create-cache", "p.c", "5", "--context", "c"],
        &["admin", "drop-cache", "p.c", "--key", "k"],
        &["admin", "key", "create", "ci", "-p", "p"],
        &["admin", "key", "create", "ci", "--key", "k"],
        &["admin", "key", "create", "p.n.new", "1", "--role", "read"],
        &["admin", "key", "create", "p.n.new", "1", "--ttl", "5"],
        &["admin", "key", "list", "--key", "k"],
        &["admin", "key", "list", "--context", "c"],
        &["admin", "key", "list", "--limit", "1"],
        &["admin", "key", "list", "--where", "owner"],
        &["admin", "key", "list", "--long"],
    ] {
        refused(&s, args, 64, "usage");
    }
}

#[test]
fn close_flags_are_proposed() {
    let s = sandbox_with([("k", "1")]);
    refused(&s, &["set", "k", "1", "--if-absnt"], 64, "usage").stderr_has("--if-absent");
    refused(&s, &["get", "k", "--ns-delimiter", "|"], 64, "usage").stderr_has("--ns-delim");
}

#[test]
fn flags_are_not_shortened() {
    let s = sandbox_with([("k", "1")]);
    refused(&s, &["get", "k", "--data", "main"], 64, "usage");
    refused(&s, &["set", "k", "1", "--if-abs"], 64, "usage");
}

#[test]
fn flags_with_values_need_them() {
    let s = sandbox_with([("k", "1")]);
    for flag in
        ["--project", "--namespace", "--key", "--context", "--ns-delim", "--database", "-d", "-p", "-n"]
    {
        refused(&s, &["get", "k", flag], 64, "usage").stderr_has(flag);
    }
    refused(&s, &["get", "k", "--raw=yes"], 64, "usage");
}

#[test]
fn flags_that_count_once_are_not_given_twice() {
    let s = sandbox_with([("p.n.k", "1")]);
    refused(&s, &["get", "k", "-p", "p", "-p", "q"], 64, "usage");
    refused(&s, &["--ns-delim", "|", "get", "p.n.k", "--ns-delim", "."], 64, "usage");
}

#[test]
fn all_behind_two_dashes_is_an_argument() {
    let s = sandbox();
    s.run(["set", "--", "--raw", "v"]).prints("");
    s.run(["get", "--", "--raw"]).prints("v\n");
    s.run(["del", "--", "--raw"]).prints("");
    s.run(["exists", "--", "--raw"]).fails(2);
}

#[test]
fn values_of_flags_may_be_words_of_commands() {
    let s = sandbox();
    s.run(["--database", "get", "set", "p.n.k", "1"]).prints("");
    s.run(["-p", "admin", "-n", "gc", "--database", "get", "set", "help", "2"]).prints("");
    s.run(["keys", "--database", "get"]).prints("admin.gc.help\np.n.k\n");
}

#[test]
fn timeouts_of_flags_and_environment_are_checked() {
    let s = sandbox_with([("k", "1")]);
    for text in ["abc", "", "1.5", "1s"] {
        refused(&s, &["get", "k", &format!("--busy-timeout-ms={text}")], 1, "invalid").stderr_has("busy");
        if !text.is_empty() {
            let call = s.run(["get", "k"]).env("PRONTO_BUSY_TIMEOUT_MS", text);
            refuses(&s, call, 1).stderr_has("PRONTO_BUSY_TIMEOUT_MS");
        }
    }
}

#[test]
fn durable_writes_like_any_other() {
    let s = sandbox();
    s.run(["set", "k", "v", "--durable"]).prints("");
    s.run(["--durable", "incr", "i"]).prints("1\n");
    s.run(["get", "k"]).prints("v\n");
    assert_eq!(databases(&s).len(), 1);
}

#[test]
fn a_flag_that_is_given_twice_is_said_to_be() {
    let s = sandbox();
    s.run(["get", "k", "--raw", "--raw"]).fails(64).stderr_is("prontodb: --raw is given twice\n");
    s.run(["get", "k", "--json", "--json"]).fails(64).stderr_has("--json is given twice");
}
