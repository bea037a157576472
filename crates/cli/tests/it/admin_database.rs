//! `admin database`: databases by their names, and what leads to them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use prontodb_testkit::sandbox::Sandbox;

use crate::backup::backup;
use crate::bad_luck::{OrdinaryUser, set_mode};
use crate::common::{
    assert_whole, contents, data_folder, database_file, error_of, json_of, mode_of, refused, refuses,
    sandbox, sandbox_with, side_file,
};
use crate::many_processes::{Dice, kill_at_some_moment, kills_of_a_worker};

/// Another program that has a database open until it is dropped, and reads nothing.
struct Visitor(Child);

impl Visitor {
    fn of(file: &Path) -> Self {
        let mut child = Command::new("sqlite3")
            .args(["-batch".as_ref(), file.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "SELECT 'open' FROM sys_state;").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "open\n");
        Self(child)
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A sandbox with the database `old`, which has an entry, is selected, and which cursors lead to.
fn with_old() -> Sandbox {
    let s = sandbox();
    let old = database_file(&s, "old");
    s.run(["--database", "old", "set", "p.n.k", "v"]).prints("");
    s.run(["cursor", "set", "work", old.to_str().unwrap(), "-p", "p"]).prints("");
    s.run(["cursor", "set", "work", old.to_str().unwrap(), "--user", "ann"]).prints("");
    s.run(["cursor", "old"]).succeeds();
    s.run(["cursor", "work", "--user", "ann"]).succeeds();
    s
}

fn cursor(s: &Sandbox, stem: &str) -> String {
    fs::read_to_string(data_folder(s).join(format!("cursors/{stem}.cursor"))).unwrap()
}

#[test]
fn a_database_is_made_once_and_empty() {
    let s = sandbox();
    s.run(["admin", "create-db", "shop"]).prints("").stderr_is("");
    assert_eq!((mode_of(&database_file(&s, "shop")), mode_of(&data_folder(&s).join("shop"))), (0o600, 0o700));
    s.run(["--database", "shop", "keys"]).prints("");
    s.run(["--database", "shop", "set", "p.n.k", "v"]).prints("");
    refused(&s, &["admin", "database", "create", "shop"], 1, "invalid").stderr_has("already");
    s.run(["--database", "shop", "get", "p.n.k"]).prints("v\n");
    for name in ["cursors", "backups", "a/b", ".x", "", "ä", "-"] {
        let args = ["admin", "create-db", "--", name];
        let code = if name == "-" { 0 } else { 1 };
        s.run(args).fails(code);
    }
    s.run(["admin", "list-dbs"]).prints("-\nshop\n");
}

#[test]
fn databases_are_listed_and_nothing_else() {
    let s = sandbox();
    s.run(["admin", "list-dbs"]).prints("").stderr_has("no databases yet");
    s.run(["admin", "list-dbs", "--json"]).prints("[]\n");
    for name in ["b", "a"] {
        s.run(["admin", "create-db", name]).succeeds();
    }
    s.run(["cursor", "set", "to-a", database_file(&s, "a").to_str().unwrap()]).succeeds();
    s.run(["cursor", "a"]).succeeds();
    let data = data_folder(&s);
    for folder in ["backups", "empty", "not a name"] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    fs::write(data.join("backups/pronto.backups.prdb"), "x").unwrap();
    fs::write(data.join("not a name/pronto.not a name.prdb"), "x").unwrap();
    fs::write(data.join("file"), "x").unwrap();
    s.run(["admin", "database", "list"]).prints("a\nb\n");
    let long = s.run(["admin", "list-dbs", "--long"]).succeeds().stdout();
    let lines: Vec<Vec<_>> = long.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((lines[0][0], lines[0][3], lines[0][5]), ("*", "default,to-a", "a"));
    assert_eq!((lines[1][0], lines[1][3], lines[1][5]), ("-", "-", "b"));
    let list = json_of(s.run(["admin", "list-dbs", "--json"]));
    assert_eq!(list[0]["selected"], true);
    assert_eq!(list[0]["path"], database_file(&s, "a").to_str().unwrap());
    assert!(list[1]["bytes"].as_u64().unwrap() > 0 && list[1]["schema"].as_u64().unwrap() > 1);
}

#[test]
fn what_cannot_be_opened_is_listed_without_a_schema() {
    let s = sandbox_with([("p.n.k", "v")]);
    fs::create_dir_all(data_folder(&s).join("bad")).unwrap();
    fs::write(database_file(&s, "bad"), "no database ".repeat(100)).unwrap();
    let list = json_of(s.run(["admin", "list-dbs", "--json"]));
    assert_eq!((&list[0]["name"], list[0]["schema"].is_null()), (&"bad".into(), true));
    assert!(list[1]["schema"].is_u64());
    s.run(["admin", "describe-db", "bad"]).fails(7);
}

#[test]
fn what_may_not_be_looked_at_is_told_and_does_not_count_as_absent() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    user.run(&["set", "p.n.k", "1"]).prints("");
    user.run(&["--database", "two", "set", "p.n.k", "1"]).prints("");
    let folder = data_folder(&s).join("two");
    set_mode(&folder, 0o000);
    user.run(&["admin", "list-dbs"]).fails(5).stdout_is("main\n").stderr_has("pronto.two.prdb");
    user.run(&["admin", "list-dbs", "--long"]).fails(5).stdout_has("main\n").stderr_has("pronto.two.prdb");
    let listed = user.run(&["admin", "list-dbs", "--json"]).fails(5).stdout_has("\"main\"");
    assert_eq!(error_of(listed)["kind"], "denied");
    for args in [
        &["admin", "describe-db", "two"][..],
        &["admin", "switch-db", "two"],
        &["admin", "delete-db", "two", "--force"],
        &["admin", "rename-db", "two", "three"],
        &["admin", "create-db", "two"],
    ] {
        user.run(args).fails(5).stdout_is("").stderr_has("two").stderr_lacks("no database");
    }
    user.run(&["doctor"]).succeeds().stdout_has("cannot tell whether").stdout_has("pronto.two.prdb");
    set_mode(data_folder(&s).join("main"), 0o000);
    user.run(&["admin", "list-dbs"]).fails(5).stdout_is("").stderr_lacks("no databases yet");
    for name in ["main", "two"] {
        set_mode(data_folder(&s).join(name), 0o700);
    }
    user.run(&["admin", "list-dbs"]).prints("main\ntwo\n").stderr_is("");
}

#[test]
fn a_database_is_described() {
    let s = with_old();
    let about = json_of(s.run(["admin", "describe-db", "old", "--json"]));
    assert_eq!(about["entries"], 1);
    assert_eq!(about["namespaces"], 1);
    assert_eq!(about["encrypted"], 0);
    assert_eq!(about["selected"], true);
    assert_eq!(about["cursors"], serde_json::json!(["ann", "ann.work", "default", "work"]));
    s.run(["admin", "database", "describe", "old"]).succeeds().stdout_has("entries: 1\n");
    refused(&s, &["admin", "describe-db", "none"], 1, "no_database").stderr_has("list-dbs");
}

#[test]
fn a_database_is_selected_by_its_name_though_a_cursor_has_it_too() {
    let s = sandbox();
    s.run(["admin", "create-db", "shop"]).succeeds();
    s.run(["cursor", "set", "shop", "elsewhere.prdb"]).succeeds();
    s.run(["admin", "switch-db", "shop"]).prints("").stderr_has("shop is selected");
    s.run(["set", "p.n.k", "v"]).prints("");
    s.run(["--database", "shop", "get", "p.n.k"]).prints("v\n");
    refused(&s, &["admin", "database", "switch", "none"], 1, "no_database");
}

#[test]
fn a_renamed_database_takes_along_what_leads_to_it() {
    let s = with_old();
    let outcome = s.run(["admin", "rename-db", "old", "new"]).prints("");
    outcome.stderr_has("old is called new now").stderr_has("ann, ann.work, default, work");
    s.run(["--database", "new", "get", "p.n.k"]).prints("v\n");
    s.run(["get", "p.n.k"]).prints("v\n");
    s.run(["--cursor", "work", "get", "n.k"]).prints("v\n");
    s.run(["--user", "ann", "get", "p.n.k"]).prints("v\n");
    assert!(!data_folder(&s).join("old").exists());
    let new = database_file(&s, "new");
    for stem in ["ann", "ann.work", "default", "work"] {
        assert!(cursor(&s, stem).contains(new.to_str().unwrap()), "{stem}");
    }
    assert!(cursor(&s, "ann").contains(r#""cursor":"work""#));
    let names: Vec<_> =
        fs::read_dir(new.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name.to_str().unwrap().starts_with("pronto.new.prdb")), "{names:?}");
    assert_whole(&s, &new);
}

#[test]
fn a_name_that_is_taken_or_missing_renames_nothing() {
    let s = with_old();
    s.run(["admin", "create-db", "other"]).succeeds();
    refused(&s, &["admin", "rename-db", "old", "other"], 1, "invalid").stderr_has("already");
    refused(&s, &["admin", "rename-db", "old", "old"], 1, "invalid");
    refused(&s, &["admin", "rename-db", "none", "new"], 1, "no_database");
    refused(&s, &["admin", "rename-db", "old", "cursors"], 1, "invalid");
    refused(&s, &["admin", "rename-db", "old", "a/b"], 1, "invalid");
}

#[test]
fn a_database_that_others_have_open_is_neither_renamed_nor_removed() {
    let s = with_old();
    let visitor = Visitor::of(&database_file(&s, "old"));
    for args in [&["rename-db", "old", "new"][..], &["delete-db", "old", "--force"]] {
        let args = [&["admin", "--busy-timeout-ms", "30"], args].concat();
        refuses(&s, s.run(args), 4).stderr_has("others have it open").stderr_has("--busy-timeout-ms");
    }
    assert!(!data_folder(&s).join("new").exists());
    drop(visitor);
    s.run(["admin", "rename-db", "old", "new"]).succeeds();
}

/// The same when a process has died that renamed it to `new`, once the file had its new name.
fn with_half_renamed() -> Sandbox {
    let s = with_old();
    let (old, new) = (database_file(&s, "old"), database_file(&s, "new"));
    s.run(["admin", "vacuum"]).succeeds();
    fs::create_dir(new.parent().unwrap()).unwrap();
    set_mode(new.parent().unwrap(), 0o700);
    let inode = fs::metadata(&old).unwrap().ino();
    fs::write(new.with_file_name(".renamed-from"), format!("old {inode}")).unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(side_file(&old, suffix)).unwrap();
    }
    fs::rename(&old, &new).unwrap();
    s
}

#[test]
fn a_database_whose_renaming_was_interrupted_is_found_by_its_old_name() {
    let s = with_half_renamed();
    let told = "prontodb admin rename-db old new";
    let before = contents(&s);
    s.run(["get", "p.n.k"]).prints("v\n").stderr_has(told);
    s.run(["--cursor", "work", "get", "n.k"]).prints("v\n").stderr_has(told);
    s.run(["--user", "ann", "keys", "p.n"]).prints("k\n").stderr_has(told);
    s.run(["doctor"]).succeeds().stdout_has("state: good").stdout_has(told);
    s.run(["admin", "status"]).succeeds().stdout_has("entries: 1");
    s.run(["context"]).succeeds();
    assert!(contents(&s) == before, "reads write nothing");
    s.run(["set", "p.n.k", "w"]).prints("").stderr_has(told);
    s.run(["incr", "p.n.i", "--database", "old"]).prints("1\n");
    s.run(["backup"]).succeeds().stdout_has("prontodb_new_");
    assert!(!database_file(&s, "old").exists());
    s.run(["admin", "rename-db", "old", "new"]).succeeds().stderr_lacks("warning");
    for call in [s.run(["get", "p.n.k"]), s.run(["--cursor", "work", "get", "n.k"])] {
        call.prints("w\n").stderr_is("");
    }
    s.run(["doctor"]).succeeds().stdout_has("advice: none");
}

#[test]
fn the_old_name_is_not_taken_before_a_rename_is_finished() {
    let s = with_half_renamed();
    let archive = backup(&s, &["--database", "new"]);
    for args in [
        &["admin", "create-db", "old"][..],
        &["admin", "describe-db", "old"],
        &["admin", "delete-db", "old", "--force"],
        &["admin", "rename-db", "old", "third"],
        &["restore", archive.to_str().unwrap(), "--to", "old"],
    ] {
        refused(&s, args, 3, "conflict").stderr_has("prontodb admin rename-db old new");
    }
    // The file is another one then, of which the mark knows nothing.
    let restore = ["restore", archive.to_str().unwrap(), "--to", "new"];
    s.run(restore).succeeds().stdout_has("pronto.new.prdb");
    s.run(["get", "p.n.k"]).prints("v\n").stderr_is("");
    let s = with_half_renamed();
    s.run(["cursor", "old"]).succeeds().stderr_has("pronto.new.prdb");
    s.run(["get", "p.n.k"]).prints("v\n").stderr_is("");
}

#[test]
fn whoever_may_nothing_may_nothing_by_an_old_name() {
    let s = with_half_renamed();
    let get = || s.run(["get", "p.n.k"]).env("PRONTO_SECURITY_LOCAL", "true");
    get().fails(5).stdout_is("");
    get().env("PRONTO_API_KEY", "sk_nobody").fails(5).stdout_is("");
    let before = fs::read_dir(data_folder(&s)).unwrap().count();
    let set = s.run(["set", "p.n.k", "w"]).env("PRONTO_SECURITY_LOCAL", "true");
    set.fails(5).stdout_is("");
    assert_eq!(fs::read_dir(data_folder(&s)).unwrap().count(), before);
}

#[test]
fn an_interrupted_rename_is_finished_before_the_database_moves_on_or_goes() {
    let s = with_half_renamed();
    s.run(["admin", "rename-db", "new", "third"]).succeeds();
    s.run(["get", "p.n.k"]).prints("v\n").stderr_is("");
    assert!(!data_folder(&s).join("new").exists());
    let s = with_half_renamed();
    s.run(["admin", "rename-db", "new", "old"]).succeeds();
    s.run(["get", "p.n.k"]).prints("v\n").stderr_is("");
    assert!(!data_folder(&s).join("new").exists());
    let s = with_half_renamed();
    s.run(["admin", "delete-db", "new", "--force"]).succeeds().stderr_has("main is selected now");
    s.run(["get", "p.n.k"]).fails(2).stderr_has("pronto.main.prdb");
}

#[test]
fn a_rename_that_was_interrupted_is_finished_when_it_is_said_again() {
    let s = with_half_renamed();
    let new = database_file(&s, "new");
    s.run(["admin", "rename-db", "other", "new"]).fails(1);
    s.run(["admin", "rename-db", "old", "new"]).succeeds();
    s.run(["get", "p.n.k"]).prints("v\n");
    assert!(cursor(&s, "work").contains(new.to_str().unwrap()));
    assert!(!new.with_file_name(".renamed-from").exists());
    s.run(["admin", "rename-db", "old", "new"]).fails(1);
}

#[test]
fn a_rename_that_is_killed_loses_nothing_and_can_be_said_again() {
    let s = with_old();
    let start = std::time::Instant::now();
    s.run(["admin", "rename-db", "old", "new"]).succeeds();
    s.run(["admin", "rename-db", "new", "old"]).succeeds();
    let time = u64::try_from(start.elapsed().as_micros()).unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut from, mut to, mut kills) = ("old", "new", 0);
    for _ in 0..2 * kills_of_a_worker() {
        let code = kill_at_some_moment(s.spawn(["admin", "rename-db", from, to]), &mut dice, time);
        kills += u64::from(code.is_none());
        // Before anybody says it again: whatever happened, it is found by what led to it.
        s.run(["get", "p.n.k"]).prints("v\n");
        s.run(["incr", "p.n.i"]).succeeds();
        let is_there = [from, to].map(|name| database_file(&s, name).is_file());
        assert!(is_there[0] != is_there[1], "{code:?} {is_there:?}");
        if code != Some(0) {
            let mut again = s.run(["admin", "rename-db", from, to]).outcome();
            // Killed behind its last step, it was done already.
            assert!(matches!(again.code(), Some(0 | 1)));
        }
        s.run(["--database", to, "get", "p.n.k"]).prints("v\n");
        s.run(["--cursor", "work", "get", "n.k"]).prints("v\n");
        s.run(["get", "p.n.k"]).prints("v\n");
        assert!(!database_file(&s, from).exists());
        (from, to) = (to, from);
    }
    assert_whole(&s, &database_file(&s, from));
    assert!(kills > 0, "none was killed");
}

#[test]
fn a_folder_that_cannot_be_synced_undoes_no_rename() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    let old = database_file(&s, "old");
    user.run(&["--database", "old", "set", "p.n.k", "v"]).prints("");
    user.run(&["cursor", "set", "work", old.to_str().unwrap(), "-p", "p"]).prints("");
    // Names in it can be changed, and it cannot be opened.
    set_mode(old.parent().unwrap(), 0o333);
    let outcome = user.run(&["admin", "rename-db", "old", "new"]).fails(5);
    outcome.stderr_has("old is called new now").stderr_has("it is renamed").stderr_has("hint: ");
    user.run(&["--database", "new", "get", "p.n.k"]).prints("v\n");
    user.run(&["--cursor", "work", "get", "n.k"]).prints("v\n");
    assert!(!database_file(&s, "new").with_file_name(".renamed-from").exists());
}

#[test]
fn an_old_mark_beside_another_file_means_nothing() {
    let s = with_old();
    s.run(["admin", "create-db", "new"]).succeeds();
    let new = database_file(&s, "new");
    fs::write(new.with_file_name(".renamed-from"), "gone 1").unwrap();
    s.run(["cursor", "set", "stray", database_file(&s, "gone").to_str().unwrap()]).succeeds();
    refused(&s, &["admin", "rename-db", "gone", "new"], 1, "no_database");
}

#[test]
fn a_link_to_a_file_elsewhere_is_neither_renamed_nor_removed() {
    let s = with_old();
    let (link, file) = (database_file(&s, "link"), s.path("mine.prdb"));
    s.run(["-d", "mine.prdb", "set", "p.n.k", "mine"]).succeeds();
    fs::create_dir(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    refused(&s, &["admin", "rename-db", "link", "new"], 1, "invalid").stderr_has("link");
    refused(&s, &["admin", "delete-db", "link", "--force"], 1, "invalid").stderr_has("link");
    s.run(["-d", "mine.prdb", "get", "p.n.k"]).prints("mine\n");
}

#[test]
fn writes_beside_a_rename_are_kept_or_refused() {
    let s = sandbox();
    s.run(["--database", "old", "set", "p.n.first", "v"]).prints("");
    let write = |worker: usize| {
        let keys = (0..12).map(move |i| format!("k{worker}-{i}"));
        keys.filter(|key| {
            let mut outcome = s.run(["--database", "old", "set", &format!("p.n.{key}"), "v"]).outcome();
            let code = outcome.code();
            assert!(matches!(code, Some(0 | 4)), "{}", outcome.stderr());
            code == Some(0)
        })
        .collect::<Vec<_>>()
    };
    let acknowledged = thread::scope(|scope| {
        let writers: Vec<_> = (0..3).map(|worker| scope.spawn(move || write(worker))).collect();
        let mut outcome = s.run(["admin", "rename-db", "old", "new"]).outcome();
        assert!(matches!(outcome.code(), Some(0 | 4)), "{}", outcome.stderr());
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
    });
    let kept: String =
        ["old", "new"].map(|name| s.run(["--database", name, "keys", "p.n"]).succeeds().stdout()).concat();
    for key in &acknowledged {
        assert!(kept.lines().any(|line| line == key), "{key} was acknowledged and is lost");
    }
    assert!(kept.lines().any(|line| line == "first"));
    for name in ["old", "new"].iter().filter(|name| database_file(&s, name).exists()) {
        assert_whole(&s, &database_file(&s, name));
    }
}

#[test]
fn a_deleted_database_is_gone_and_main_is_selected() {
    let s = with_old();
    let outcome = s.run(["admin", "delete-db", "old", "--force"]).prints("");
    outcome
        .stderr_has("old is gone; these cursors lead to nothing now: ann.work, work")
        .stderr_has("main is selected now")
        .stderr_has("nothing is selected for ann now");
    assert!(!data_folder(&s).join("old").exists());
    s.run(["context"]).succeeds().stdout_has("pronto.main.prdb");
    s.run(["context", "--user", "ann"]).succeeds().stdout_has("pronto.ann.prdb");
    s.run(["cursor", "list"]).prints("work\n");
    refused(&s, &["admin", "delete-db", "old", "--force"], 1, "no_database");
}

#[test]
fn what_a_crash_has_left_of_a_database_goes_with_it() {
    let s = with_old();
    let folder = data_folder(&s).join("old");
    let partial = folder.join(".prontodb-partial-00000000000000aa");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("pronto.old.prdb"), "secret").unwrap();
    fs::write(folder.join("pronto.old.prdb-new-schema-2"), "secret").unwrap();
    s.run(["admin", "delete-db", "old", "--dry-run"]).succeeds().stdout_has("-new-schema-2");
    s.run(["admin", "delete-db", "old", "--force"]).prints("");
    assert!(!folder.exists());
}

#[test]
fn without_an_answer_nothing_is_removed() {
    let s = with_old();
    refused(&s, &["admin", "delete-db", "old"], 1, "refused").stderr_has("--force");
    let call = s.run(["admin", "database", "delete", "old"]).stdin("y\n");
    refuses(&s, call, 1).stderr_has("--force");
}

#[test]
fn a_dry_run_tells_which_files_would_go() {
    let s = with_old();
    let before = contents(&s);
    let old = database_file(&s, "old");
    s.run(["admin", "delete-db", "old", "--dry-run"]).succeeds().stdout_has(old.to_str().unwrap());
    let told = json_of(s.run(["admin", "delete-db", "old", "--dry-run", "--json"]));
    let files = told["file"].as_array().unwrap();
    assert!(files.iter().all(|file| Path::new(file.as_str().unwrap()).is_file()) && files.len() >= 2);
    assert_eq!(before, contents(&s));
}

#[test]
fn only_what_belongs_to_a_database_is_removed() {
    let s = sandbox_with([("p.n.k", "v")]);
    let folder = data_folder(&s).join("main");
    let backups = data_folder(&s).join("backups");
    fs::create_dir(&backups).unwrap();
    fs::write(backups.join("prontodb_main_20261126.tar.gz"), "x").unwrap();
    fs::write(folder.join("notes"), "mine").unwrap();
    fs::write(folder.join("pronto.main.prdb.schema-1"), "a copy").unwrap();
    s.run(["admin", "delete-db", "main", "--force"]).succeeds();
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes"]);
    assert!(backups.join("prontodb_main_20261126.tar.gz").exists());
    s.run(["get", "p.n.k"]).fails(2);
    s.run(["set", "p.n.k", "anew"]).prints("");
    s.run(["get", "p.n.k"]).prints("anew\n");
}

#[test]
fn a_file_of_another_program_is_not_removed() {
    let s = sandbox();
    fs::create_dir_all(data_folder(&s).join("other")).unwrap();
    let file = database_file(&s, "other");
    s.run_other("sqlite3", [file.as_os_str(), "CREATE TABLE t(a)".as_ref()]).succeeds();
    let before = fs::read(&file).unwrap();
    s.run(["admin", "delete-db", "other", "--force"]).fails(1).stderr_has("another program");
    s.run(["admin", "rename-db", "other", "new"]).fails(1).stderr_has("another program");
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(!data_folder(&s).join("new").exists());
}
