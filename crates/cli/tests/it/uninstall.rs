//! `uninstall`: it removes what is ours and unchanged, and with `--purge` data too, once somebody has said yes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use prontodb_testkit::sandbox::Sandbox;

use crate::bad_luck::{OrdinaryUser, set_mode};
use crate::common::{LockHolder, contents, data_folder, database_file, json_of, refused, refuses, sandbox};
use crate::contexts::without_privileges;
use crate::terminal::Terminal;

fn local(s: &Sandbox, path: &str) -> PathBuf {
    s.home().join(".local").join(path)
}

/// A sandbox in which everything is installed.
fn installed() -> Sandbox {
    let s = sandbox();
    s.run(["install"]).succeeds();
    s
}

/// All files below a folder, by their paths in it.
fn files_in(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => folders.push(path),
                false => files.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    files.sort();
    files
}

/// The same with data of every kind.
fn furnished() -> Sandbox {
    let s = installed();
    s.run(["set", "p.n.k", "v"]).succeeds();
    s.run(["--database", "other", "set", "k", "v"]).succeeds();
    s.run(["--user", "alice", "set", "k", "v"]).succeeds();
    s.run(["cursor", "set", "work", "work.prdb"]).succeeds();
    fs::write(s.path(".prontodb"), "database = 'main'").unwrap();
    s.run(["allow"]).succeeds();
    let backups = data_folder(&s).join("backups");
    fs::create_dir_all(backups.join("prontodb_main_20261126_before_restore/cursors")).unwrap();
    for folder in [data_folder(&s), data_folder(&s).join("main"), backups.clone()] {
        let partial = folder.join(".prontodb-partial-00000000000000aa");
        fs::create_dir_all(partial.join("cursors")).unwrap();
        fs::write(partial.join("pronto.main.prdb"), "").unwrap();
    }
    fs::write(data_folder(&s).join("main/pronto.main.prdb-new-schema-2"), "").unwrap();
    fs::write(data_folder(&s).join("main/pronto.main.prdb.schema-2"), "").unwrap();
    for name in [
        "prontodb_main_20261126.tar.gz",
        "prontodb_main_20261126_n01.tar.gz.age",
        "prontodb_main_20261126_before_restore/manifest.json",
        "prontodb_main_20261126_before_restore/pronto.main.prdb",
        "prontodb_main_20261126_before_restore/cursors/default.cursor",
    ] {
        fs::write(backups.join(name), "").unwrap();
    }
    s
}

#[test]
fn a_purge_that_may_not_remove_all_removes_nothing() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    user.run(&["set", "p.n.k", "v"]).prints("");
    user.run(&["set", "p.n.k", "v", "--database", "other"]).prints("");
    set_mode(data_folder(&s).join("main"), 0o500);
    let before = contents(&s);
    user.run(&["uninstall", "--purge", "--force"]).fails(5).stderr_has("nothing was removed");
    assert!(before == contents(&s), "something has changed");
    set_mode(data_folder(&s).join("main"), 0o700);
}

#[test]
fn a_dry_run_tells_what_would_go_and_removes_nothing() {
    let s = furnished();
    let before = contents(&s);
    s.run(["uninstall", "--dry-run"])
        .succeeds()
        .stdout_has("bin/prontodb would go")
        .stdout_lacks("the database ");
    let told = s.run(["uninstall", "--purge", "--dry-run"]).succeeds().stdout();
    assert!(told.contains("the database ") && told.contains("bin/prontodb would go"), "{told}");
    assert!(json_of(s.run(["uninstall", "--purge", "--dry-run", "--json"])).is_array());
    assert!(before == contents(&s), "something has changed");
}

/// How many files the record says were put in place.
fn recorded(s: &Sandbox) -> usize {
    let record = fs::read(local(s, "lib/odx/prontodb/installed.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    record["files"].as_array().unwrap().len()
}

#[test]
fn the_program_goes_and_the_data_stays() {
    let s = furnished();
    let data = |s: &Sandbox| {
        let is_data = |(path, _): &(PathBuf, Vec<u8>)| {
            !path.starts_with(local(s, "lib")) && !path.starts_with(local(s, "bin"))
        };
        contents(s)
            .into_iter()
            .filter(is_data)
            .filter(|(path, _)| !path.starts_with(local(s, "share")))
            .collect::<Vec<_>>()
    };
    let (before, beside_the_program) = (data(&s), recorded(&s) - 1);
    let told = format!("{beside_the_program} of its");
    s.run(["uninstall"]).prints("").stderr_has("removed ").stderr_has(&told);
    assert!(before == data(&s), "data has changed");
    for gone in ["bin", "share", "lib"] {
        assert!(!local(&s, gone).exists(), "{gone}");
    }
    s.run(["get", "p.n.k"]).prints("v\n");
    s.run(["uninstall"]).prints("").stderr_has("nothing was removed");
}

#[test]
fn a_program_removes_itself() {
    let s = installed();
    let program = local(&s, "bin/prontodb");
    s.run_other(&program, ["uninstall"]).succeeds();
    assert!(!program.exists());
}

#[test]
fn directories_that_were_there_before_stay() {
    let s = sandbox();
    fs::create_dir_all(local(&s, "share/man/man1")).unwrap();
    fs::create_dir_all(local(&s, "bin")).unwrap();
    s.run(["install"]).succeeds();
    s.run(["uninstall"]).succeeds();
    assert!(local(&s, "share/man/man1").exists() && local(&s, "bin").exists());
    assert!(!local(&s, "share/fish").exists());
}

#[test]
fn what_was_changed_stays_and_is_named() {
    let s = installed();
    let page = local(&s, "share/man/man1/prontodb.1");
    fs::write(&page, "mine").unwrap();
    fs::write(local(&s, "share/man/man1/other.1"), "of others").unwrap();
    s.run(["uninstall"])
        .succeeds()
        .stderr_has("left ")
        .stderr_has("prontodb.1; it is not what install put there");
    assert_eq!(files_in(&local(&s, "share")), ["man/man1/other.1", "man/man1/prontodb.1"]);
}

#[test]
fn another_build_of_the_program_goes_when_it_is_meant() {
    let s = installed();
    let program = local(&s, "bin/prontodb");
    let mut other = fs::read(&program).unwrap();
    other.extend_from_slice(b"another build");
    fs::write(&program, other).unwrap();
    s.run(["uninstall"]).succeeds().stderr_has("left ");
    s.run(["install", "--force"]).succeeds();
    fs::write(&program, "something else").unwrap();
    s.run(["uninstall", "--force"]).succeeds().stderr_has("left ");
    fs::remove_file(&program).unwrap();
    s.run(["install"]).succeeds();
    let mut other = fs::read(&program).unwrap();
    other.extend_from_slice(b"another build");
    fs::write(&program, other).unwrap();
    s.run(["uninstall", "--force"]).succeeds().stderr_lacks("left ");
    assert!(!program.exists());
}

#[test]
fn what_nobody_remembers_is_known_by_what_it_holds() {
    let s = installed();
    fs::remove_file(local(&s, "lib/odx/prontodb/installed.json")).unwrap();
    let fish = local(&s, "share/fish/vendor_completions.d/prontodb.fish");
    fs::write(&fish, "mine").unwrap();
    s.run(["uninstall"]).succeeds().stderr_has("left ");
    assert_eq!(files_in(&local(&s, "share")), ["fish/vendor_completions.d/prontodb.fish"]);
    assert!(!local(&s, "bin/prontodb").exists());
    s.run(["install"]).succeeds();
    fs::write(local(&s, "lib/odx/prontodb/installed.json"), "{").unwrap();
    refused(&s, &["uninstall"], 7, "damaged").stderr_has("installed.json");
}

#[test]
fn one_of_several_programs_can_be_named() {
    let s = installed();
    s.run(["install", "--target", "tools"]).succeeds();
    s.run(["uninstall", "--target", "tools"]).succeeds();
    assert!(!s.path("tools").exists());
    assert!(local(&s, "bin/prontodb").exists() && local(&s, "share/man/man1/prontodb.1").exists());
    s.run(["uninstall"]).succeeds();
    assert!(!local(&s, "bin").exists() && !local(&s, "share").exists());
}

#[test]
fn without_permission_nothing_is_forgotten() {
    let s = installed();
    fs::set_permissions(local(&s, "bin"), Permissions::from_mode(0o555)).unwrap();
    s.run(["uninstall"]).under(without_privileges()).fails(5).stderr_has("cannot remove");
    fs::set_permissions(local(&s, "bin"), Permissions::from_mode(0o755)).unwrap();
    s.run(["uninstall"]).succeeds();
    assert!(!local(&s, "bin").exists());
}

#[test]
fn a_purge_removes_all_that_is_ours() {
    let s = furnished();
    let outcome = s.run(["uninstall", "--purge", "--force"]).prints("");
    outcome.require(outcome.stderr().matches("removed the database").count() == 3, "three databases");
    assert!(!local(&s, "").exists(), "{:?}", files_in(&local(&s, "")));
    assert!(s.path(".prontodb").exists());
}

#[test]
fn a_purge_works_when_the_program_has_gone() {
    let s = furnished();
    fs::remove_file(local(&s, "bin/prontodb")).unwrap();
    s.run(["uninstall", "--purge", "--force"]).succeeds();
    assert!(!local(&s, "").exists());
    let s = sandbox();
    s.run(["set", "k", "v"]).succeeds();
    s.run(["uninstall", "--purge", "--force"]).succeeds();
    assert_eq!(files_in(&s.home()), [""; 0]);
    s.run(["uninstall", "--purge", "--force"]).succeeds().stderr_has("nothing was removed");
}

#[test]
fn what_is_foreign_stays_and_is_named() {
    let s = furnished();
    let data = data_folder(&s);
    fs::write(s.path("precious"), "mine").unwrap();
    fs::create_dir(data.join("notes")).unwrap();
    for file in [
        "readme.txt",
        "main/pronto.main.prdb.bak",
        "main/other.prdb",
        "notes/todo",
        "cursors/notes.txt",
        "backups/prontodb_main.tar.gz",
        "backups/prontodb_main_20261126_before_restore/mine",
        "../../../etc/odx/prontodb/mine.conf",
    ] {
        fs::write(data.join(file), "mine").unwrap();
    }
    symlink(s.path("precious"), data.join("main/pronto.main.prdb-journal")).unwrap();
    symlink(s.path(""), data.join("linked")).unwrap();
    let outcome = s.run(["uninstall", "--purge", "--force"]).succeeds();
    for name in
        ["readme.txt", "pronto.main.prdb.bak", "other.prdb", "notes", "mine.conf", "linked", "-journal"]
    {
        outcome.require(
            outcome.stderr().lines().any(|line| line.contains(name) && line.contains("stays")),
            name,
        );
    }
    assert_eq!(
        files_in(&local(&s, "")),
        [
            "data/odx/prontodb/backups/prontodb_main.tar.gz",
            "data/odx/prontodb/backups/prontodb_main_20261126_before_restore/mine",
            "data/odx/prontodb/cursors/notes.txt",
            "data/odx/prontodb/linked",
            "data/odx/prontodb/main/other.prdb",
            "data/odx/prontodb/main/pronto.main.prdb-journal",
            "data/odx/prontodb/main/pronto.main.prdb.bak",
            "data/odx/prontodb/notes/todo",
            "data/odx/prontodb/readme.txt",
            "etc/odx/prontodb/mine.conf",
        ]
    );
    assert_eq!(fs::read_to_string(s.path("precious")).unwrap(), "mine");
}

#[test]
fn only_what_was_there_is_said_to_be_removed() {
    let s = sandbox();
    let folder = data_folder(&s).join("backups");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("notes"), "mine").unwrap();
    let outcome = s.run(["uninstall", "--purge", "--force"]).succeeds();
    outcome.stderr_has("notes stays").stderr_lacks("removed");
    fs::remove_file(folder.join("notes")).unwrap();
    s.run(["uninstall", "--purge", "--force"]).succeeds().stderr_has("removed directories");
    s.run(["uninstall", "--purge", "--force"]).succeeds().stderr_has("nothing was removed");
    s.run(["set", "k", "v"]).prints("");
    let outcome = s.run(["uninstall", "--purge", "--force"]).succeeds();
    outcome.stderr_has("removed the database").stderr_has("removed 1 cursor").stderr_lacks("backup");
}

#[test]
fn a_data_directory_that_is_a_link_is_not_followed() {
    let s = sandbox();
    fs::create_dir_all(s.path("elsewhere/main")).unwrap();
    fs::write(s.path("elsewhere/main/pronto.main.prdb"), "mine").unwrap();
    fs::create_dir_all(local(&s, "data/odx")).unwrap();
    symlink(s.path("elsewhere"), local(&s, "data/odx/prontodb")).unwrap();
    s.run(["uninstall", "--purge", "--force"]).succeeds().stderr_has("stays");
    assert!(s.path("elsewhere/main/pronto.main.prdb").exists());
}

#[test]
fn without_a_yes_nothing_is_removed() {
    let s = furnished();
    let before = contents(&s);
    for keys in ["n\n", "\n", "\u{4}", "yes please\n"] {
        let mut terminal = Terminal::run(&s, "exec \"$P\" uninstall --purge");
        terminal.answer("[y/N] ", keys);
        let shown = terminal.ends(1);
        for word in
            ["pronto.main.prdb would go", "pronto.other.prdb would go", "3 backups", "the answer was not yes"]
        {
            assert!(shown.contains(word), "{word} is not in {shown}");
        }
        fs::remove_file(s.path("screen")).unwrap();
        assert!(before == contents(&s), "something was removed");
    }
    refuses(&s, s.run(["uninstall", "--purge"]), 1)
        .stderr_has("Remove the program, 3 databases, ")
        .stderr_has("3 backups")
        .stderr_has("--dry-run lists it all")
        .stderr_has("--force");
    refuses(&s, s.run(["uninstall", "--purge"]).stdin("y\n"), 1).stderr_has("--force");
    let mut terminal = Terminal::run(&s, "exec \"$P\" uninstall --purge");
    terminal.answer("[y/N] ", "y\n");
    terminal.ends(0);
    assert!(!local(&s, "").exists());
}

#[test]
fn a_database_that_others_have_open_is_not_purged_unasked() {
    let s = furnished();
    let holder = LockHolder::of(&s);
    refused(&s, &["uninstall", "--purge"], 4, "busy")
        .stderr_has("pronto.main.prdb open")
        .stderr_lacks("other.prdb");
    assert!(database_file(&s, "main").exists());
    drop(holder);
    refused(&s, &["uninstall", "--purge"], 1, "refused");
    let holder = LockHolder::of(&s);
    s.run(["uninstall", "--purge", "--force"]).succeeds();
    assert!(!data_folder(&s).exists());
    drop(holder);
}

#[test]
fn programs_are_told_in_json() {
    let s = installed();
    let recorded = recorded(&s);
    let told = json_of(s.run(["uninstall", "--json"]));
    assert_eq!(told["removed"], recorded);
    assert!(told["done"][0].as_str().unwrap().contains("bin/prontodb"));
}
