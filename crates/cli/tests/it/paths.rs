//! Where databases and the configuration are, as the environment says.

use std::fs;

use crate::common::{data_folder, database_file, mode_of, refused, sandbox};

#[test]
fn the_first_write_in_an_empty_home_makes_a_private_database() {
    let sandbox = sandbox();
    sandbox.run(["set", "a.b.c", "v"]).prints("");
    assert_eq!(mode_of(&data_folder(&sandbox)), 0o700);
    assert_eq!(mode_of(&data_folder(&sandbox).join("main")), 0o700);
    assert_eq!(mode_of(&database_file(&sandbox, "main")), 0o600);
}

#[test]
fn a_read_in_an_empty_home_makes_nothing() {
    let sandbox = sandbox();
    sandbox.run(["get", "a.b.c"]).fails(2).stdout_is("");
    sandbox.run(["config", "list"]).succeeds();
    assert_eq!(fs::read_dir(sandbox.home()).unwrap().count(), 0);
}

#[test]
fn xdg_variables_move_the_data() {
    let sandbox = sandbox();
    let (common, data) = (sandbox.path("common"), sandbox.path("data"));
    sandbox.run(["set", "k", "v"]).env("XDG_HOME", &common).succeeds();
    assert!(common.join("data/odx/prontodb/main/pronto.main.prdb").is_file());
    sandbox.run(["set", "k", "v"]).env("XDG_HOME", &common).env("XDG_DATA_HOME", &data).succeeds();
    assert!(data.join("odx/prontodb/main/pronto.main.prdb").is_file());
    assert!(!sandbox.home().join(".local").exists());
}

#[test]
fn variables_that_are_no_place_are_refused() {
    let sandbox = sandbox();
    for value in ["data", "${HOME}/data", "/srv/${USER}"] {
        for variable in ["XDG_HOME", "XDG_DATA_HOME"] {
            sandbox
                .run(["set", "k", "v"])
                .env(variable, value)
                .fails(1)
                .stdout_is("")
                .stderr_has(&format!("prontodb: {variable}={value} is refused; it "));
        }
    }
    assert_eq!(fs::read_dir(sandbox.path("")).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_named_needs_no_home() {
    let sandbox = sandbox();
    let file = sandbox.path("x.prdb");
    let with_file = |args: [&str; 3]| {
        sandbox.run(args.into_iter().filter(|arg| !arg.is_empty())).arg("-d").arg(&file).env_remove("HOME")
    };
    with_file(["set", "k", "v"]).succeeds();
    with_file(["get", "k", ""]).env("HOME", "relative").prints("v\n");
    with_file(["get", "k", ""]).env("HOME", "/dev/null").prints("v\n");
}

#[test]
fn without_a_home_the_message_says_so() {
    let sandbox = sandbox();
    for args in [&["get", "k"][..], &["config", "path"], &["config", "set", "durability", "full"]] {
        sandbox.run(args).env_remove("HOME").fails(1).stderr_has("HOME is not set");
        sandbox.run(args).env("HOME", "").fails(1).stderr_has("HOME is not set");
        sandbox
            .run(args)
            .env("HOME", "here")
            .fails(1)
            .stderr_has("HOME=here is refused; it is not an absolute");
    }
}

#[test]
fn databases_stand_side_by_side() {
    let sandbox = sandbox();
    for name in ["one", "a.b-c_D9"] {
        sandbox.run(["--database", name, "set", "k", name]).succeeds();
        assert!(database_file(&sandbox, name).is_file());
    }
    sandbox.run(["get", "k", "--database", "one"]).prints("one\n");
    sandbox.run(["get", "k", "--database", "a.b-c_D9"]).prints("a.b-c_D9\n");
}

#[test]
fn names_that_are_no_databases_are_refused() {
    let sandbox = sandbox();
    let long = "n".repeat(65);
    for (name, why) in [
        ("cursors", "the name is reserved"),
        ("backups", "the name is reserved"),
        (".hidden", "may not start with a dot"),
        ("../x", "files are named with -d FILE"),
        ("a b", "are allowed"),
        ("", "1 to 64 characters"),
        (&long, "1 to 64 characters"),
    ] {
        let message = format!("`{name}` cannot be the name of a database; ");
        refused(&sandbox, &["--database", name, "set", "k", "v"], 1, "invalid")
            .stderr_has(&message)
            .stderr_has(why);
    }
}
