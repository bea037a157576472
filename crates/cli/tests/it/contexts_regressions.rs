//! Faults of cursors, users and directories that were found in use and in review, each with a test that it stays away.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{data_folder, json_of, refused, refuses, sandbox, sandbox_with};
use crate::contexts::{
    cursor_file, directory_file, follow, gigantic_file, plant, saved, stopped, two_files, without_privileges,
    work,
};

/// A sandbox whose cursor `shop` gives a namespace with three entries, and is selected.
fn shop() -> Sandbox {
    let s = sandbox();
    follow(&s, &["cursor set shop shop.prdb -p shop -n prices", "cursor shop"]);
    follow(&s, &["set apple 1", "set apricot 2", "set pear 3"]);
    s
}

/// What decides here, and what it names.
fn database(s: &Sandbox, args: &[&str]) -> serde_json::Value {
    json_of(s.run([args, &["context", "--json"]].concat()))["database"].clone()
}

/// It removed all that the cursor leads to.
#[test]
fn del_prefix_needs_its_prefix_under_a_cursor() {
    let s = shop();
    refused(&s, &["del", "--prefix", "--yes"], 64, "usage");
    stopped(&s, &["del", "--prefix", "", "--yes"], 1);
    s.run(["del", "--prefix", "ap", "--yes"]).succeeds().stderr_has("2 entries of shop.prices");
    s.run(["keys"]).prints("pear\n");
}

/// A word chose whatever file was called so.
#[test]
fn a_word_is_never_a_file() {
    let s = sandbox();
    fs::write(s.path("work"), "hi").unwrap();
    stopped(&s, &["cursor", "work"], 1).stderr_has("./work");
    stopped(&s, &["--select", "work", "set", "k", "v"], 1).stderr_has("./work");
}

/// The next write went to `main`, through the link.
#[test]
fn a_selection_that_is_a_link_to_nothing_is_an_error() {
    let s = sandbox_with([("k", "1")]);
    fs::remove_file(cursor_file(&s, "default")).unwrap();
    symlink(s.path("nowhere"), cursor_file(&s, "default")).unwrap();
    for args in [&["set", "k", "2"][..], &["get", "k"]] {
        s.run(args.iter().copied()).fails(1).stdout_is("").stderr_has("default.cursor");
    }
    s.run(["--database", "main", "get", "k"]).prints("1\n");
    assert!(!s.path("nowhere").exists());
}

#[test]
fn a_folder_of_cursors_that_is_none_is_an_error() {
    let s = sandbox_with([("k", "1")]);
    fs::remove_dir_all(data_folder(&s).join("cursors")).unwrap();
    fs::write(data_folder(&s).join("cursors"), "").unwrap();
    stopped(&s, &["set", "k", "2"], 1).stderr_has("cursors");
}

/// A copy wrote into the original without a word.
#[test]
fn a_copied_home_is_warned_of() {
    let s = sandbox_with([("k", "1")]);
    let copy = s.path("copy");
    s.run_other("cp", ["-a".into(), s.home(), copy.clone()]).succeeds();
    s.run(["get", "k"]).env("HOME", &copy).prints("1\n").stderr_has("warning: ").stderr_has("copy");
    s.run(["get", "k"]).prints("1\n").stderr_is("");
    s.run(["cursor", "clear"]).env("HOME", &copy).prints("");
    s.run(["set", "k", "2"]).env("HOME", &copy).prints("").stderr_is("");
    s.run(["get", "k"]).prints("1\n");
}

/// A process that was stopped while it changed a cursor kept everybody waiting, whatever the timeout.
#[test]
fn others_who_change_cursors_are_waited_for_as_long_as_is_said() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb"]);
    let folder = File::open(data_folder(&s).join("cursors")).unwrap();
    folder.lock().unwrap();
    let start = Instant::now();
    refuses(&s, s.run(["cursor", "a", "--busy-timeout-ms", "20"]), 4);
    refuses(&s, s.run(["--select", "a", "get", "p.n.k", "--busy-timeout-ms", "20"]), 4);
    s.run(["set", "first", "use"]).prints("");
    s.run(["set", "first", "use", "--user", "alice"]).prints("");
    assert!(start.elapsed() < Duration::from_secs(4));
    assert!(cursor_file(&s, "default").exists() && cursor_file(&s, "alice").exists());
}

/// The selection and the list told of different databases.
#[test]
fn a_cursor_that_is_selected_and_set_at_once_is_one() {
    let s = two_files();
    for _ in 0..20 {
        follow(&s, &["cursor set w a.prdb", "cursor clear"]);
        let (select, set) = (s.spawn(["cursor", "w"]), s.spawn(["cursor", "set", "w", "b.prdb"]));
        select.wait().succeeds();
        set.wait().succeeds();
        s.run(["get", "p.n.k"]).prints("b\n");
        assert_eq!(saved(&s, "default")["database_path"], saved(&s, "w")["database_path"]);
    }
}

/// A cursor could be selected and gone.
#[test]
fn a_cursor_that_is_selected_and_deleted_at_once_is_either() {
    let s = two_files();
    for _ in 0..20 {
        follow(&s, &["cursor set w a.prdb"]);
        let (select, delete) = (s.spawn(["cursor", "w"]), s.spawn(["cursor", "delete", "w"]));
        let selected = select.wait().fails_with_one_of(&[0, 1]).code() == Some(0);
        let deleted = delete.wait().fails_with_one_of(&[0, 1]).code() == Some(0);
        assert_ne!(selected, deleted);
        s.run(["cursor", "clear"]).prints("");
    }
}

/// Its defaults stayed behind, and its file could not be brought back.
#[test]
fn a_selected_cursor_whose_file_has_gone_is_an_error_until_it_is_set() {
    let s = shop();
    fs::remove_file(cursor_file(&s, "shop")).unwrap();
    for args in [&["get", "apple"][..], &["set", "apple", "2"], &["context"]] {
        stopped(&s, args, 1).stderr_has("prontodb cursor set shop PATH");
    }
    follow(&s, &["cursor set shop shop.prdb -p shop -n prices"]);
    s.run(["get", "apple"]).prints("1\n");
}

/// `deny` failed on what it was asked to pass over.
#[test]
fn whatever_a_directory_holds_can_be_denied() {
    let s = two_files();
    let file = directory_file(&s, "", "file = 'a.prdb'");
    gigantic_file(&file);
    s.run(["get", "p.n.k"]).fails(5).stderr_has("prontodb deny");
    s.run(["deny"]).prints("");
    s.run(["get", "p.n.k"]).fails(2);
    fs::write(&file, "no toml").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    s.run(["get", "p.n.k"]).under(without_privileges()).fails(2);
    s.run(["deny"]).under(without_privileges()).prints("");
}

/// It stopped every command, and could not be denied.
#[test]
fn a_link_that_leads_in_circles_can_be_denied() {
    let s = two_files();
    symlink(".prontodb", s.path(".prontodb")).unwrap();
    s.run(["get", "p.n.k"]).fails(5).stderr_has("prontodb deny");
    s.run(["allow"]).fails(1).stdout_is("");
    s.run(["deny"]).prints("");
    s.run(["get", "p.n.k"]).fails(2);
}

/// Writes went elsewhere without a word, though the link had been allowed.
#[test]
fn a_link_to_what_has_gone_is_no_reason_to_guess() {
    let s = two_files();
    fs::write(s.path("shop.toml"), "file = 'a.prdb'").unwrap();
    symlink("shop.toml", s.path(".prontodb")).unwrap();
    s.run(["allow"]).prints("");
    s.run(["get", "p.n.k"]).prints("a\n");
    fs::remove_file(s.path("shop.toml")).unwrap();
    s.run(["set", "p.n.k", "2"]).fails(5).stdout_is("").stderr_has("prontodb deny");
    s.run(["--database", "main", "get", "p.n.k"]).fails(2);
    s.run(["deny"]).prints("");
    s.run(["set", "p.n.k", "2"]).prints("");
}

/// Without a path both took the nearest, and left in the way what was in the way.
#[test]
fn allow_and_deny_are_about_the_file_that_is_in_the_way() {
    let s = two_files();
    directory_file(&s, "", "file = 'a.prdb'");
    directory_file(&s, "below", "file = '../b.prdb'");
    let below = |args: &[&str]| s.run(args.iter().copied()).current_dir("below");
    below(&["deny"]).prints("");
    below(&["get", "p.n.k"]).fails(5);
    below(&["allow"]).prints("");
    below(&["get", "p.n.k"]).prints("a\n");
    below(&["allow", "."]).prints("");
    below(&["get", "p.n.k"]).prints("b\n");
}

/// Writes went to what stands further up.
#[test]
fn a_directory_that_may_not_be_searched_is_no_reason_to_guess() {
    let s = two_files();
    directory_file(&s, "", "file = 'a.prdb'");
    directory_file(&s, "mid", "file = '../b.prdb'");
    follow(&s, &["allow", "allow mid"]);
    fs::create_dir(s.path("mid/low")).unwrap();
    let script = ["sh", "-c", "cd mid/low; chmod a-x ..; exec \"$@\"", "sh"];
    let set = s.run(["set", "p.n.k", "2"]).under(without_privileges()).under(script);
    set.fails(5).stderr_has(".prontodb");
    fs::set_permissions(s.path("mid"), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_working_directory_that_has_gone_is_no_reason_to_guess() {
    let s = two_files();
    let gone = |args: &[&str]| {
        s.run(args.iter().copied()).under([
            "sh",
            "-c",
            "mkdir gone; cd gone; rmdir ../gone; exec \"$@\"",
            "sh",
        ])
    };
    gone(&["set", "p.n.k", "2"]).fails(1).stderr_has("working directory");
    let file = work(&s).join("a.prdb").display().to_string();
    gone(&["-d", &file, "get", "p.n.k"]).prints("a\n");
    gone(&["--database", "main", "set", "k", "v"]).prints("");
}

/// A path with a slash at its end was made, selected, and could not be opened again.
#[test]
fn paths_of_directories_are_no_databases() {
    let s = sandbox();
    stopped(&s, &["cursor", "set", "c", "x.prdb/"], 1);
    stopped(&s, &["--select", "q.prdb/", "set", "k", "v"], 1);
    stopped(&s, &["-d", "y.prdb/", "set", "k", "v"], 1);
    stopped(&s, &["cursor", "set", "c", &"aa/".repeat(30_000)], 1);
}

/// What was written anew kept the permissions that had made it useless.
#[test]
fn a_selection_that_cannot_be_read_is_mended_by_selecting() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor a"]);
    fs::set_permissions(cursor_file(&s, "default"), Permissions::from_mode(0o000)).unwrap();
    s.run(["get", "p.n.k"]).under(without_privileges()).fails(5).stderr_has("default.cursor");
    s.run(["cursor", "a"]).under(without_privileges()).prints("");
    s.run(["get", "p.n.k"]).under(without_privileges()).prints("a\n");
    assert_eq!(fs::metadata(cursor_file(&s, "default")).unwrap().mode() & 0o777, 0o600);
}

/// It forged lines and reached the terminal.
#[test]
fn control_characters_of_paths_are_shown_as_escapes() {
    let s = sandbox();
    let outcome = s.run(["context"]).env("PRONTO_DB", "/x\nexists: yes\u{1b}[31m").succeeds();
    assert!(!outcome.stdout().contains('\u{1b}') && outcome.stdout().matches("exists: ").count() == 2);
    assert!(outcome.stdout().starts_with("database: /x\\nexists: yes"), "{}", outcome.stdout());
    s.run(["cursor", "set", "c", "a\nb"]).prints("");
    s.run(["cursor", "list", "--long"]).succeeds().stdout_has("a\\nb");
}

/// Each command of a loop wrote the selection again, and waited for the others.
#[test]
fn selecting_what_is_selected_writes_nothing() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb"]);
    s.run(["--select", "a", "get", "p.n.k"]).prints("a\n");
    let inode = || fs::metadata(cursor_file(&s, "default")).unwrap().ino();
    let before = inode();
    s.run(["--select", "a", "get", "p.n.k"]).prints("a\n");
    assert_eq!(inode(), before);
}

/// The explanation failed where the command would not have.
#[test]
fn commands_that_mend_can_be_explained() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb"]);
    plant(&s, "default", "{");
    for args in
        [&["version", "--explain"][..], &["cursor", "a", "--explain"], &["config", "path", "--explain"]]
    {
        s.run(args.iter().copied()).succeeds().stderr_has("nothing to explain");
    }
}

#[test]
fn a_bad_user_in_the_environment_stops_no_command_that_needs_none() {
    let s = sandbox();
    for args in [&["version"][..], &["config", "path"], &["help"]] {
        s.run(args.iter().copied()).env("PRONTO_USER", "a b").succeeds();
    }
    refuses(&s, s.run(["get", "k"]).env("PRONTO_USER", "a b"), 1).stderr_has("PRONTO_USER");
}

/// It said that the user went before what the user had just cleared.
#[test]
fn clearing_tells_of_nothing_that_goes_before_it() {
    let s = two_files();
    follow(&s, &["cursor ./a.prdb --user alice"]);
    s.run(["cursor", "clear", "--user", "alice"]).prints("").stderr_is("");
    assert_eq!(database(&s, &["--user", "alice"])["source"], "--user");
}

/// The way out of the clash was not told.
#[test]
fn a_cursor_in_the_way_of_a_user_is_moved_by_the_line_to_type() {
    let s = two_files();
    follow(&s, &["cursor set alice a.prdb"]);
    stopped(&s, &["--user", "alice", "set", "k", "v"], 1)
        .stderr_has("prontodb cursor rename alice NAME --user default");
    follow(&s, &["cursor rename alice board --user default"]);
    follow(&s, &["--user alice set k v"]);
    s.run(["--cursor", "board", "get", "p.n.k"]).prints("a\n");
}

/// What was allowed stopped every command, or never counted.
#[test]
fn what_could_not_be_used_is_not_allowed() {
    let s = sandbox();
    for text in ["file = '.'", "file = '~/x'", "file = \"a\\u0000b\"", "database = 'd'\nproject = 'a.b'"] {
        directory_file(&s, "", text);
        stopped(&s, &["allow"], 1);
    }
    fs::write(s.path("other.toml"), "database = 'd'").unwrap();
    stopped(&s, &["allow", "other.toml"], 1).stderr_has(".prontodb");
}
