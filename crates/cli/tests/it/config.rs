//! `config path|get|set|list`, and what configures every command.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use prontodb_testkit::sandbox::Sandbox;
use serde_json::json;

use crate::common::{json_of, mode_of, refused, refuses, sandbox};

fn usual_path(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".local/etc/odx/prontodb/pronto.conf")
}

/// A sandbox with this `pronto.conf`.
fn with_file(text: impl AsRef<[u8]>) -> (Sandbox, PathBuf) {
    let sandbox = sandbox();
    let path = usual_path(&sandbox);
    fs::create_dir_all(path.parent().expect("a folder for the file")).expect("a folder of the sandbox");
    fs::write(&path, text).expect("a file to write");
    (sandbox, path)
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a folder of the sandbox");
    entries
        .map(|entry| {
            entry.expect("an entry of the folder").file_name().into_string().expect("a name in UTF-8")
        })
        .collect()
}

#[test]
fn path_prints_the_file_in_use_whether_it_is_there_or_not() {
    let sandbox = sandbox();
    sandbox.run(["config", "path"]).prints(format!("{}\n", usual_path(&sandbox).display()));
    sandbox.run(["config", "path"]).env("XDG_HOME", "/x").prints("/x/etc/odx/prontodb/pronto.conf\n");
    sandbox.run(["config", "path"]).env("XDG_CONFIG_HOME", "/c").prints("/c/odx/prontodb/pronto.conf\n");
    sandbox
        .run(["config", "path"])
        .env("XDG_CONFIG_HOME", "c")
        .fails(1)
        .stderr_has("XDG_CONFIG_HOME=c is refused");
    fs::write(sandbox.path("my.conf"), "").unwrap();
    let wanted = format!("{}\n", sandbox.path("my.conf").canonicalize().unwrap().display());
    sandbox.run(["config", "path", "--config", "my.conf"]).prints(wanted);
    let answer = json_of(sandbox.run(["config", "path", "--json"]));
    assert_eq!(answer, json!({"path": usual_path(&sandbox)}));
}

#[test]
fn path_prints_also_when_the_file_is_broken() {
    let (sandbox, path) = with_file("not toml");
    sandbox.run(["config", "path"]).prints(format!("{}\n", path.display()));
}

#[test]
fn list_prints_every_key_in_order() {
    let sandbox = sandbox();
    sandbox.run(["config", "list"]).prints(
        "age_identity=\nbackup.age_recipient=\nbackup.directory=\nbackup.keep=0\nbackup.keep_days=0\nbusy_timeout_ms=5000\ncompress_above_bytes=4096\ndefault_namespace=default\ndefault_project=default\ndurability=normal\n\
         max_value_bytes=67108864\nns_delim=.\nsecurity.local=false\nsecurity.required=true\n",
    );
}

#[test]
fn list_as_json_says_where_values_come_from() {
    let (sandbox, path) = with_file("max_value_bytes = 1_000\n");
    let call = sandbox.run(["config", "list", "--json", "--durable"]);
    let list = json_of(call.env("PRONTO_DEFAULT_PROJECT", "web"));
    assert_eq!(list["max_value_bytes"], json!({"value": 1000, "source": path}));
    assert_eq!(list["durability"], json!({"value": "full", "source": "--durable"}));
    assert_eq!(list["default_project"], json!({"value": "web", "source": "PRONTO_DEFAULT_PROJECT"}));
    assert_eq!(list["ns_delim"], json!({"value": ".", "source": "default"}));
    assert_eq!(list.as_object().unwrap().len(), 14);
}

#[test]
fn get_prints_the_value_in_effect() {
    let (sandbox, _) = with_file("busy_timeout_ms = 1\n");
    let get = || sandbox.run(["config", "get", "busy_timeout_ms"]);
    get().prints("1\n");
    get().env("PRONTO_BUSY_TIMEOUT_MS", "2").prints("2\n");
    get().env("PRONTO_BUSY_TIMEOUT_MS", "2").arg("--busy-timeout-ms=3").prints("3\n");
    assert_eq!(json_of(get().arg("--json"))["value"], json!(1));
    sandbox.run(["config", "get", "durability"]).prints("normal\n");
}

#[test]
fn unknown_keys_are_errors_that_name_those_alike() {
    let sandbox = sandbox();
    for args in [&["config", "get", "busy_timeout"][..], &["config", "set", "busy_timeout", "7"]] {
        refused(&sandbox, args, 1, "invalid")
            .stderr_has(
                "`busy_timeout` is no key of the configuration; known are age_identity, backup.age_recipient, ",
            )
            .stderr_has("did you mean busy_timeout_ms?");
    }
}

#[test]
fn set_makes_a_private_file() {
    let sandbox = sandbox();
    sandbox.run(["config", "set", "busy_timeout_ms", "70"]).prints("");
    sandbox.run(["config", "set", "ns_delim", "|"]).prints("");
    let path = usual_path(&sandbox);
    assert_eq!(fs::read_to_string(&path).unwrap(), "busy_timeout_ms = 70\nns_delim = \"|\"\n");
    assert_eq!(mode_of(&path), 0o600);
    assert_eq!(mode_of(path.parent().unwrap()), 0o700);
    assert_eq!(names_in(path.parent().unwrap()), ["pronto.conf"]);
    sandbox.run(["set", "a|b|c", "v"]).succeeds();
    sandbox.run(["get", "a.b.c", "--ns-delim", "."]).prints("v\n");
}

#[test]
fn set_keeps_comments_order_and_permissions() {
    let old = "# Mine.\n\nns_delim = ':' # as in ports\nbusy_timeout_ms = 1\n\n# The end.\n";
    let (sandbox, path) = with_file(old);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    sandbox.run(["config", "set", "ns_delim", "|"]).prints("");
    assert_eq!(fs::read_to_string(&path).unwrap(), old.replace("':'", "\"|\""));
    assert_eq!(mode_of(&path), 0o640);
}

#[test]
fn set_writes_through_links() {
    let sandbox = sandbox();
    let (link, real) = (usual_path(&sandbox), sandbox.path("dotfiles.conf"));
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(&real, &link).unwrap();
    for milliseconds in ["1", "2"] {
        sandbox.run(["config", "set", "busy_timeout_ms", milliseconds]).prints("");
        assert_eq!(fs::read_to_string(&real).unwrap(), format!("busy_timeout_ms = {milliseconds}\n"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}

#[test]
fn set_refuses_bad_values_and_leaves_the_file() {
    let (sandbox, path) = with_file("durability = 'full'\n");
    for (key, value, why) in [
        ("busy_timeout_ms", "5s", "cannot set busy_timeout_ms to `5s`; a whole number from 0 to 2147483647"),
        ("durability", "maybe", "`normal` or `full` is needed"),
        ("max_value_bytes", "900000001", "a whole number from 1 to 900000000"),
        ("ns_delim", "ab", "one character is needed"),
        ("default_project", "", "the project is empty"),
        ("default_project", "my.app", "the project `my.app` holds the delimiter `.`"),
    ] {
        refused(&sandbox, &["config", "set", key, value], 1, "invalid").stderr_has(why);
    }
    assert_eq!(names_in(path.parent().unwrap()), ["pronto.conf"]);
}

#[test]
fn set_mends_a_file_that_stops_other_commands() {
    let (sandbox, path) = with_file("busy_timeout_ms = 'soon'\n");
    sandbox
        .run(["get", "k"])
        .fails(1)
        .stderr_has(&format!("busy_timeout_ms=soon in {}, line 1; ", path.display()));
    sandbox.run(["config", "set", "busy_timeout_ms", "10"]).prints("");
    sandbox.run(["config", "get", "busy_timeout_ms"]).prints("10\n");
}

#[test]
fn set_says_when_something_else_goes_before_the_file() {
    let sandbox = sandbox();
    sandbox
        .run(["config", "set", "durability", "full"])
        .env("PRONTO_DURABILITY", "normal")
        .prints("")
        .stderr_has("PRONTO_DURABILITY goes before the file");
    sandbox.run(["config", "set", "durability", "normal"]).prints("").stderr_is("");
}

#[test]
fn two_that_set_at_once_both_succeed() {
    let sandbox = sandbox();
    let values = ["busy_timeout_ms", "max_value_bytes"];
    for round in 1..=10 {
        let round = round.to_string();
        for running in values.map(|key| sandbox.spawn(["config", "set", key, &round])) {
            running.wait().succeeds();
        }
        for key in values {
            sandbox.run(["config", "get", key]).prints(format!("{round}\n"));
        }
    }
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let sandbox = sandbox();
    for args in [&["get", "k"][..], &["config", "list"], &["config", "set", "durability", "full"]] {
        let call = sandbox.run(args).arg("--config").arg("no.conf");
        refuses(&sandbox, call, 1).stderr_has("--config no.conf; there is no such file");
    }
    fs::write(sandbox.path("my.conf"), "").unwrap();
    sandbox.run(["config", "set", "durability", "full", "--config", "my.conf"]).prints("");
    assert_eq!(fs::read_to_string(sandbox.path("my.conf")).unwrap(), "durability = \"full\"\n");
    sandbox.run(["--config", "my.conf", "config", "get", "durability"]).prints("full\n");
    assert!(!usual_path(&sandbox).exists());
}

#[test]
fn files_that_cannot_be_read_are_errors_with_their_place() {
    for (text, why) in [
        (&b"ns_delim = '|'\nbusy_timeout_ms\n"[..], "line 2, is not TOML; "),
        (b"# \xff\n", "line 1, is not UTF-8"),
        (b"ns_delim = '|'\nns_delim = ':'\n", "line 2, is not TOML; "),
    ] {
        let (sandbox, path) = with_file(text);
        for args in [&["get", "k"][..], &["config", "list"], &["config", "set", "durability", "full"]] {
            refused(&sandbox, args, 1, "invalid").stderr_has(&format!("prontodb: {}, {why}", path.display()));
        }
    }
    let sandbox = sandbox();
    fs::create_dir_all(usual_path(&sandbox)).unwrap();
    sandbox
        .run(["get", "k"])
        .fails(1)
        .stderr_has(&format!("cannot read {}; ", usual_path(&sandbox).display()));
}

#[test]
fn unknown_keys_in_the_file_are_one_warning_each() {
    let (sandbox, path) = with_file("busy_timeout = 1\nns_delim = '|'\n[servr]\nport = 1\nhost = 'x'\n");
    sandbox.run(["set", "a|b", "v"]).prints("");
    let known = "age_identity, backup.age_recipient, backup.directory, backup.keep, backup.keep_days, busy_timeout_ms, compress_above_bytes, default_namespace, default_project, durability, max_value_bytes, ns_delim, \
        security.local, security.required";
    let path = path.display();
    sandbox.run(["get", "a|b"]).prints("v\n").stderr_is(&format!(
        "prontodb: warning: unknown key `busy_timeout` in {path}, line 1; did you mean busy_timeout_ms?\n\
         prontodb: warning: unknown key `servr` in {path}, line 3; known are {known}\n"
    ));
}

#[test]
fn a_bad_value_names_the_variable_or_the_flag() {
    let sandbox = sandbox();
    let message = "prontodb: PRONTO_BUSY_TIMEOUT_MS=abc; a whole number from 0 to ";
    sandbox.run(["get", "k"]).env("PRONTO_BUSY_TIMEOUT_MS", "abc").fails(1).stderr_has(message);
    sandbox.run(["get", "k", "--ns-delim", "ab"]).fails(1).stderr_has("prontodb: --ns-delim ab; ");
}

#[test]
fn defaults_of_the_file_complete_addresses() {
    let (sandbox, _) = with_file("default_project = 'web'\ndefault_namespace = 'prod'\n");
    sandbox.run(["set", "k", "v"]).prints("");
    sandbox.run(["get", "web.prod.k"]).prints("v\n");
    sandbox.run(["get", "k"]).env("PRONTO_DEFAULT_NAMESPACE", "test").fails(2);
}

#[test]
fn values_over_the_limit_of_the_file_are_refused() {
    let (sandbox, _) = with_file("max_value_bytes = 4\n");
    sandbox.run(["set", "k", "four"]).prints("");
    sandbox.run(["set", "k", "fives"]).fails(6).stdout_is("");
    sandbox.run(["get", "k"]).prints("four\n");
}

#[test]
fn help_lists_the_keys_and_their_variables() {
    let sandbox = sandbox();
    for command in ["get", "set", "list"] {
        let line = "max_value_bytes, PRONTO_MAX_VALUE_BYTES (default 67108864)";
        sandbox.run(["config", command, "--help"]).succeeds().stdout_has(line);
    }
}
