//! `backup`: what is in an archive, where it goes, what goes away, and who can read it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use prontodb_testkit::sandbox::Sandbox;
use serde_json::Value;

use crate::bad_luck::{OrdinaryUser, in_own_mounts, reports, say_skipped, set_mode};
use crate::common::{
    RECIPIENT, contents, data_folder, database_file, error_of, fold_log, identity_file, json_of, mode_of,
    refused, sandbox, sandbox_with, sql,
};
use crate::many_processes::{Dice, kill_at_some_moment, kills_of_a_worker};

/// Backs up, and says where that went.
#[track_caller]
pub(crate) fn backup(s: &Sandbox, args: &[&str]) -> PathBuf {
    let outcome = s.run([&["backup"], args].concat()).succeeds();
    let path = PathBuf::from(outcome.stdout().strip_suffix('\n').unwrap());
    assert!(path.is_absolute() && path.is_file(), "{}", path.display());
    path
}

/// What `tar` finds in an archive.
fn names_in(s: &Sandbox, archive: &Path) -> Vec<String> {
    let listing = s.run_other("tar", ["-tzf".as_ref(), archive.as_os_str()]).succeeds().stdout();
    listing.lines().map(str::to_owned).collect()
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// The names in a folder.
fn listing(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn backups(s: &Sandbox) -> PathBuf {
    data_folder(s).join("backups")
}

#[test]
fn an_archive_holds_the_database_the_cursors_and_the_configuration() {
    let s = sandbox_with([("p.n.k", "1"), ("p.n.l", "2")]);
    s.run(["cursor", "set", "work", "work.prdb"]).succeeds();
    let long = format!("{}-{}", "n".repeat(60), "end");
    let user = "u".repeat(32);
    s.run(["cursor", "set", &long, "work.prdb", "--user", &user]).succeeds();
    s.run(["config", "set", "durability", "full"]).succeeds();
    let archive = backup(&s, &[]);
    assert_eq!(archive.parent().unwrap(), backups(&s));
    assert_eq!((mode_of(&archive), mode_of(&backups(&s))), (0o600, 0o700));
    let long = format!("cursors/{user}.{long}.cursor");
    let wanted = [
        "manifest.json",
        "pronto.main.prdb",
        "cursors/default.cursor",
        long.as_str(),
        "cursors/work.cursor",
        "pronto.conf",
    ];
    assert_eq!(names_in(&s, &archive), wanted);
    fs::create_dir(s.path("out")).unwrap();
    s.run_other("tar", ["-xzf".as_ref(), archive.as_os_str(), "-C".as_ref(), "out".as_ref()]).succeeds();
    s.run(["-d", "out/pronto.main.prdb", "scan", "p.n"]).prints("k=1\nl=2\n");
    assert_eq!(fs::read_to_string(s.path("out/pronto.conf")).unwrap(), "durability = \"full\"\n");
    let manifest: Value = serde_json::from_slice(&fs::read(s.path("out/manifest.json")).unwrap()).unwrap();
    assert_eq!(
        (&manifest["format"], &manifest["schema"], &manifest["revision"]),
        (&1.into(), &4.into(), &2.into())
    );
    assert_eq!(manifest["database"], "main");
    assert_eq!(manifest["data_directory"], data_folder(&s).to_str().unwrap());
    for file in manifest["files"].as_array().unwrap() {
        let path = s.path("out").join(file["name"].as_str().unwrap());
        if file_name(&path) != "pronto.main.prdb" {
            let sum = s.run_other("sha256sum", [path.as_os_str()]).succeeds().stdout();
            assert!(sum.starts_with(file["sha256"].as_str().unwrap()), "{sum}");
        }
    }
    assert_eq!(listing(&backups(&s)).len(), 1);
}

#[test]
fn each_backup_of_a_day_has_a_name_of_its_own() {
    let s = sandbox_with([("p.n.k", "1")]);
    let first = backup(&s, &[]);
    let stem = file_name(&first).strip_suffix(".tar.gz").unwrap().to_owned();
    let day = stem.strip_prefix("prontodb_main_").unwrap();
    assert!(day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit()), "{day}");
    assert_eq!(file_name(&backup(&s, &[])), format!("{stem}_n01.tar.gz"));
    // What was rotated away gives its name to nobody, as long as there is a later one.
    fs::remove_file(&first).unwrap();
    assert_eq!(file_name(&backup(&s, &[])), format!("{stem}_n02.tar.gz"));
    let many: Vec<_> = (0..6).map(|_| s.spawn(["backup"])).collect();
    let names: BTreeSet<_> = many.into_iter().map(|one| one.wait().succeeds().stdout()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(listing(&backups(&s)).len(), 8);
}

#[test]
fn databases_of_one_file_name_share_no_backups() {
    let s = sandbox_with([("p.n.k", "1")]);
    let kept = backup(&s, &[]);
    fs::create_dir(s.path("x")).unwrap();
    s.run(["-d", "x/main.prdb", "set", "p.n.k", "2"]).prints("");
    let never = json_of(s.run(["-d", "x/main.prdb", "admin", "status", "--json"]));
    assert!(never["last_backup"].is_null(), "{never}");
    let first = backup(&s, &["-d", "x/main.prdb"]);
    s.run(["-d", "x/main.prdb", "backup", "--keep", "1"]).succeeds();
    assert!(kept.exists() && !first.exists());
    s.run(["backup", "--keep", "1"]).succeeds();
    assert!(!kept.exists() && listing(&backups(&s)).len() == 2);
}

#[test]
fn a_database_without_a_name_is_called_after_its_file() {
    let s = sandbox();
    s.run(["-d", "my work.prdb", "set", "p.n.k", "1"]).prints("");
    let archive = backup(&s, &["-d", "my work.prdb", "--output", "there"]);
    assert!(file_name(&archive).starts_with("prontodb_my_work-"), "{}", archive.display());
    assert_eq!(archive.parent().unwrap(), s.path("there"));
    let by_name = database_file(&s, "main");
    s.run(["set", "p.n.k", "1"]).prints("");
    let archive = backup(&s, &["-d", by_name.to_str().unwrap(), "--out", "there"]);
    assert!(file_name(&archive).starts_with("prontodb_main_2"), "{}", archive.display());
}

#[test]
fn an_archive_may_be_named_and_replaces_nothing() {
    let s = sandbox_with([("p.n.k", "1")]);
    let archive = backup(&s, &["--output", "mine.tar.gz"]);
    assert_eq!(archive, s.path("mine.tar.gz"));
    let before = fs::read(&archive).unwrap();
    s.run(["set", "p.n.k", "2"]).prints("");
    refused(&s, &["backup", "--output", "mine.tar.gz"], 1, "invalid").stderr_has("already");
    assert_eq!(fs::read(&archive).unwrap(), before);
    refused(&s, &["backup", "--output", "x.tar.gz.age"], 64, "usage").stderr_has(".tar.gz");
    refused(&s, &["backup", "--output", "x.tar.gz", "--age-recipient", RECIPIENT], 64, "usage");
    refused(&s, &["backup", "--output", "x.tar.gz", "--all"], 64, "usage");
    refused(&s, &["backup", "--output", "x.tar.gz", "--keep", "3"], 64, "usage");
    fs::create_dir(s.path("folder.tar.gz")).unwrap();
    assert_eq!(backup(&s, &["--output", "folder.tar.gz"]).parent().unwrap(), s.path("folder.tar.gz"));
}

#[test]
fn a_database_that_is_not_there_has_no_backup() {
    let s = sandbox();
    refused(&s, &["backup"], 1, "no_database").stderr_has("no database");
    refused(&s, &["backup", "--all"], 1, "no_database");
    refused(&s, &["backup", "-d", "nothing.prdb"], 1, "no_database");
}

#[test]
fn all_databases_get_an_archive_each() {
    let s = sandbox_with([("p.n.k", "1")]);
    for name in ["b", "a"] {
        s.run(["--database", name, "set", "p.n.k", name]).prints("");
    }
    let outcome = s.run(["backup", "--all"]).succeeds().stdout();
    let databases: Vec<_> = outcome
        .lines()
        .map(|line| file_name(Path::new(line)).split('_').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(databases, ["a", "b", "main"]);
    let answer = json_of(s.run(["backup", "--all", "--json"]));
    assert_eq!(answer.as_array().unwrap().len(), 3);
    refused(&s, &["backup", "--all", "--database", "a"], 64, "usage");
    // One that cannot be backed up keeps no other from it, and is told.
    let file = database_file(&s, "a");
    fold_log(&s, &file);
    fs::write(&file, vec![b'x'; 8192]).unwrap();
    let outcome = s.run(["backup", "--all"]).fails(7).stderr_has("pronto.a.prdb");
    assert_eq!(outcome.stdout().lines().count(), 2);
}

#[test]
fn a_database_whose_folder_may_not_be_read_is_not_left_out_in_silence() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    for name in ["main", "two", "zoo"] {
        user.run(&["--database", name, "set", "p.n.k", "1"]).prints("");
    }
    let hide = |name: &str, mode| set_mode(data_folder(&s).join(name), mode);
    hide("two", 0o000);
    let outcome = user.run(&["backup", "--all"]).fails(5).stderr_has("pronto.two.prdb");
    assert_eq!(outcome.stdout().lines().count(), 2);
    let outcome = user.run(&["backup", "--all", "--json"]).fails(5);
    let made: Value = serde_json::from_slice(outcome.stdout_bytes()).unwrap();
    assert_eq!((made.as_array().unwrap().len(), &error_of(outcome)["kind"]), (2, &"denied".into()));
    user.run(&["backup", "--database", "two"]).fails(5).stdout_is("").stderr_has("pronto.two.prdb");
    hide("main", 0o000);
    hide("zoo", 0o000);
    user.run(&["backup", "--all"]).fails(5).stdout_is("").stderr_lacks("no database");
    ["main", "two", "zoo"].iter().for_each(|name| hide(name, 0o700));
    assert_eq!(user.run(&["backup", "--all"]).succeeds().stdout().lines().count(), 3);
}

#[test]
fn a_database_whose_parts_do_not_fit_is_not_backed_up() {
    for (statement, why) in [
        ("DROP TABLE sys_caches", "sys_caches"),
        ("UPDATE entries SET size = 9", "another length"),
        ("UPDATE sys_state SET revision = 9223372036854775806", "no database reaches"),
    ] {
        let s = sandbox_with([("p.n.k", "1")]);
        fold_log(&s, &database_file(&s, "main"));
        sql(&s, &database_file(&s, "main"), statement);
        refused(&s, &["backup"], 7, "damaged").stderr_has(why);
        s.run(["admin", "check"]).fails(7);
    }
}

#[test]
fn a_revision_that_no_database_reaches_is_restored_over() {
    let s = sandbox_with([("p.n.k", "1")]);
    let archive = backup(&s, &[]);
    sql(&s, &database_file(&s, "main"), "UPDATE sys_state SET revision = 9223372036854775806");
    s.run(["restore".as_ref(), archive.as_os_str()]).succeeds();
    s.run(["set", "p.n.l", "2"]).prints("");
    s.run(["scan", "p.n"]).prints("k=1\nl=2\n");
}

#[test]
fn where_there_is_no_database_nothing_is_made() {
    let s = sandbox();
    refused(&s, &["backup"], 1, "no_database");
    refused(&s, &["backup", "--output", "copies"], 1, "no_database");
    assert!(contents(&s).is_empty() && !data_folder(&s).exists() && !s.path("copies").exists());
}

#[test]
fn what_could_not_be_made_is_no_database() {
    let s = sandbox_with([("p.n.k", "1")]);
    let folder = data_folder(&s).join("phantom");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("pronto.phantom.prdb"), "").unwrap();
    s.run(["backup", "--all"]).succeeds().stdout_lacks("phantom");
    s.run(["admin", "list-dbs"]).prints("main\n");
}

#[test]
fn what_compresses_and_what_does_not_lie_in_one_archive() {
    let s = sandbox();
    let (mut dice, mut values) = (Dice(11), Vec::new());
    for i in 0..12 {
        let noise: Vec<u8> = (0..300_000).map(|_| dice.below(256) as u8).collect();
        values.push(if i % 6 < 3 { noise } else { "some text ".repeat(30_000).into_bytes() });
        s.run(["set", &format!("p.n.k{i}")]).stdin(values[i].clone()).prints("");
    }
    let archive = backup(&s, &[]);
    let bytes = fs::metadata(&archive).unwrap().len();
    assert!((1_800_000..2_700_000).contains(&bytes), "half of it has been compressed: {bytes}");
    s.run(["backup", "--verify", archive.to_str().unwrap()]).succeeds();
    s.run(["restore", archive.to_str().unwrap(), "-d", "copy.prdb"]).succeeds();
    for (i, value) in values.iter().enumerate() {
        let got = s.run(["get", &format!("p.n.k{i}"), "-d", "copy.prdb"]).succeeds();
        assert!(got.stdout_bytes().starts_with(value), "{i}");
    }
    assert_eq!(listing(&backups(&s)).len(), 1, "nothing is left of what lay aside");
}

#[test]
fn pages_of_every_size_are_read_where_they_lie() {
    for page_bytes in [512, 1024, 8192, 32_768, 65_536] {
        let s = sandbox();
        s.run(["set", "p.n.k", "1", "-d", "plain.prdb"]).succeeds();
        let odd = format!("PRAGMA page_size = {page_bytes}; VACUUM INTO 'odd.prdb'");
        s.run_other("sqlite3", ["plain.prdb", &odd]).succeeds();
        let mut dice = Dice(page_bytes);
        for i in 0..4 {
            let noise: Vec<u8> = (0..200_000).map(|_| dice.below(256) as u8).collect();
            s.run(["set", &format!("p.n.k{i}"), "-d", "odd.prdb"]).stdin(noise).prints("");
        }
        s.run(["backup", "-d", "odd.prdb", "--output", "odd.tar.gz"]).succeeds();
        s.run(["restore", "odd.tar.gz", "-d", "copy.prdb"]).succeeds();
        let listing = |file: &str| s.run(["scan", "p.n", "-d", file]).succeeds().stdout_bytes().to_owned();
        assert!(listing("odd.prdb") == listing("copy.prdb"), "{page_bytes}");
    }
}

#[test]
fn a_damaged_database_is_not_backed_up() {
    let s = sandbox();
    for i in 0..200 {
        s.run(["set", &format!("p.n.k{i}"), &"v".repeat(200)]).prints("");
    }
    let file = database_file(&s, "main");
    fold_log(&s, &file);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 8192 * 4096;
    bytes[middle..middle + 64].fill(0xff);
    fs::write(&file, bytes).unwrap();
    s.run(["backup"]).fails(7).stdout_is("").stderr_has("damaged");
    assert_eq!(listing(&backups(&s)).len(), 0);
}

#[test]
fn answers_are_json_when_asked() {
    let s = sandbox_with([("p.n.k", "1")]);
    let answer = json_of(s.run(["backup", "--json"]));
    let path = PathBuf::from(answer["path"].as_str().unwrap());
    assert_eq!(answer["bytes"], fs::metadata(&path).unwrap().len());
    assert_eq!((&answer["database"], &answer["revision"]), (&"main".into(), &1.into()));
    assert_eq!((&answer["encrypted"], &answer["removed"]), (&false.into(), &Value::Array(Vec::new())));
}

#[test]
fn backups_are_listed_the_newest_first() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["backup", "--list"]).prints("").stderr_has("no backup");
    let first = backup(&s, &[]);
    s.run(["set", "p.n.k", "2"]).prints("");
    let second = backup(&s, &["--age-recipient", RECIPIENT]);
    s.run(["--database", "other", "set", "p.n.k", "2"]).prints("");
    backup(&s, &["--database", "other"]);
    fs::write(backups(&s).join("prontodb_main.tar.gz"), "").unwrap();
    fs::write(backups(&s).join("prontodb_main_20200101.tar.gz"), "no archive").unwrap();
    fs::create_dir(backups(&s).join("prontodb_main_20200102.tar.gz")).unwrap();
    let list = s.run(["backup", "--list"]).succeeds().stdout();
    let rows: Vec<Vec<_>> = list.lines().map(|line| line.split('\t').collect()).collect();
    let names: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names[..3], [file_name(&second), file_name(&first), "prontodb_main_20200101.tar.gz"]);
    assert_eq!(rows.len(), 4);
    assert_eq!((rows[0][4], rows[0][5], rows[1][4], rows[1][5]), ("encrypted", "-", "plain", "1"));
    let list = json_of(s.run(["backup", "--list", "--json", "--database", "main"]));
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!((&list[0]["encrypted"], &list[0]["revision"]), (&true.into(), &Value::Null));
    assert_eq!((&list[1]["database"], &list[1]["revision"]), (&"main".into(), &1.into()));
}

#[test]
fn old_backups_go_and_nothing_else_does() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["--database", "other", "set", "p.n.k", "2"]).prints("");
    let folder = s.path("b");
    fs::create_dir(&folder).unwrap();
    let foreign = [
        "prontodb_main.tar.gz",
        "prontodb_main_20200101_n1.tar.gz",
        "prontodb_main_20200101.tar",
        "prontodb_other_20200101.tar.gz",
        "prontodb_main_x_20200101.tar.gz",
        "prontodb_main_20200101_before_restore",
        "notes.txt",
    ];
    let old = [
        "prontodb_main_20200101.tar.gz",
        "prontodb_main_20200101_n01.tar.gz.age",
        "prontodb_main_20191231.tar.gz",
    ];
    for name in foreign.iter().chain(&old) {
        fs::write(folder.join(name), "").unwrap();
    }
    fs::create_dir(folder.join("prontodb_main_20180101.tar.gz")).unwrap();
    let before = contents(&s);
    let plan = s.run(["backup", "--output", "b", "--keep", "2", "--dry-run"]).succeeds().stdout();
    assert!(contents(&s) == before, "a dry run changes nothing");
    let plan: Vec<_> = plan.lines().collect();
    assert_eq!(plan.len(), 3, "{plan:?}");
    assert!(plan[0].starts_with("write "), "{plan:?}");
    assert!(
        plan[1].ends_with("/prontodb_main_20200101.tar.gz")
            && plan[2].ends_with("/prontodb_main_20191231.tar.gz"),
        "{plan:?}"
    );
    backup(&s, &["--output", "b", "--keep", "2"]);
    let left = listing(&folder);
    assert!(foreign.iter().all(|name| left.contains(*name)), "{left:?}");
    assert!(left.contains(old[1]) && !left.contains(old[0]) && !left.contains(old[2]), "{left:?}");
    assert_eq!(left.len(), foreign.len() + 3);
    // The newest stays, however old it is; here it is the one that is made.
    let newest = backup(&s, &["--output", "b", "--keep-days", "0"]);
    assert!(newest.exists() && !folder.join(old[1]).exists());
    for line in ["--keep 0", "--keep x", "--keep -1", "--keep 1 --keep-days 1", "--keep-days -1"] {
        let words: Vec<_> = line.split(' ').collect();
        s.run([&["backup"], &words[..]].concat()).fails(64).stdout_is("");
    }
}

#[test]
fn what_is_made_stays_also_beside_one_of_a_later_day() {
    let s = sandbox_with([("p.n.k", "1")]);
    fs::create_dir(s.path("b")).unwrap();
    let later = s.path("b/prontodb_main_20990101.tar.gz");
    fs::write(&later, "").unwrap();
    let arguments = ["--output", "b", "--keep", "1"];
    let plan = s.run([&["backup", "--dry-run"], &arguments[..]].concat()).succeeds().stdout();
    let first = backup(&s, &arguments);
    assert_eq!(plan, format!("write {}\n", first.display()));
    let plan = s.run([&["backup", "--dry-run"], &arguments[..]].concat()).succeeds().stdout();
    let second = backup(&s, &arguments);
    assert_eq!(plan, format!("write {}\nremove {}\n", second.display(), first.display()));
    assert!(later.exists() && second.exists() && !first.exists());
}

#[test]
fn the_configuration_says_where_and_how_many() {
    let s = sandbox_with([("p.n.k", "1")]);
    let folder = s.path("kept");
    s.run(["config", "set", "backup.directory", folder.to_str().unwrap()]).succeeds();
    s.run(["config", "set", "backup.keep", "2"]).succeeds();
    s.run(["config", "set", "backup.age_recipient", RECIPIENT]).succeeds();
    for _ in 0..4 {
        let path = backup(&s, &[]);
        assert!(path.starts_with(&folder) && file_name(&path).ends_with(".age"));
    }
    assert_eq!(listing(&folder).len(), 2);
    assert!(!backups(&s).exists());
    refused(&s, &["config", "set", "backup.directory", "relative"], 1, "invalid");
    refused(&s, &["config", "set", "backup.age_recipient", "ssh-rsa"], 1, "invalid");
}

#[test]
fn encrypted_archives_are_those_of_age() {
    let s = sandbox_with([("p.n.k", "a value that nobody sees")]);
    let identity = identity_file(&s);
    let sealed = backup(&s, &["--age-recipient", RECIPIENT, "--output", "x.tar.gz.age"]);
    let bytes = fs::read(&sealed).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    s.run_other("age", ["-d", "-i", &identity, "-o", "x.tar.gz", "x.tar.gz.age"]).succeeds();
    assert_eq!(names_in(&s, &s.path("x.tar.gz"))[..2], ["manifest.json", "pronto.main.prdb"]);
    s.run(["backup", "--verify", "x.tar.gz.age", "--age-identity", &identity])
        .succeeds()
        .stdout_has("is whole");
    s.run(["backup", "--verify", "x.tar.gz"]).succeeds();
    // What age has made is as good, in either of its forms.
    for armor in [&["-o", "y.tar.gz.age"][..], &["-a", "-o", "z.tar.gz.age"]] {
        s.run_other("age", [&["-r", RECIPIENT], armor, &["x.tar.gz"]].concat()).succeeds();
        let call = s.run(["backup", "--verify", armor[armor.len() - 1]]);
        call.env("PRONTO_AGE_IDENTITY", &identity).succeeds();
    }
    refused(&s, &["backup", "--age-recipient", "age1nobody"], 1, "invalid").stderr_has("recipient");
}

#[test]
fn an_encrypted_backup_leaves_nothing_in_the_clear_where_it_goes() {
    let s = sandbox();
    let mut dice = Dice(3);
    for i in 0..8 {
        let noise: Vec<u8> = (0..1_000_000).map(|_| dice.below(256) as u8).collect();
        s.run(["set", &format!("p.n.k{i}")]).stdin(noise).prints("");
    }
    let main = database_file(&s, "main").parent().unwrap().to_owned();
    let copies = |folder: &Path| {
        let partial = listing(folder).into_iter().filter(|name| name.starts_with(".prontodb-partial-"));
        partial.filter(|name| folder.join(name).join("database").exists()).count()
    };
    fs::create_dir(s.path("there")).unwrap();
    let arguments = ["backup", "--output", "there", "--age-recipient", RECIPIENT];
    let mut seen = 0;
    thread::scope(|scope| {
        let process = s.spawn(arguments);
        let made = scope.spawn(|| process.wait().succeeds());
        while !made.is_finished() {
            seen += copies(&main);
            assert_eq!(copies(&s.path("there")), 0);
        }
    });
    assert!(seen > 0, "the copy lies beside the database meanwhile");
    assert_eq!((copies(&main), listing(&s.path("there")).len()), (0, 1));
}

#[test]
fn a_passphrase_opens_what_was_encrypted_under_it() {
    let s = sandbox_with([("p.n.k", "1")]);
    fs::write(s.path("phrase"), "correct horse\n").unwrap();
    let sealed = backup(&s, &["--new-pass-file", "phrase", "--output", "x.tar.gz.age"]);
    let verify =
        |phrase: &str| s.run(["backup", "--verify", "x.tar.gz.age"]).env("PRONTO_PASSPHRASE", phrase);
    verify("correct horse").succeeds();
    verify("wrong").fails(5).stdout_is("").stderr_has("passphrase");
    s.run(["backup", "--verify", "x.tar.gz.age"]).fails(5).stderr_has("PRONTO_PASSPHRASE");
    s.run(["backup", "--passphrase", "--output", "y.tar.gz.age"])
        .env("PRONTO_PASSPHRASE", "another")
        .succeeds();
    s.run(["backup", "--verify", "y.tar.gz.age"]).env("PRONTO_PASSPHRASE", "another").succeeds();
    // The program age asks on a terminal.
    let script = format!("age -d -o opened.tar.gz {}", sealed.display());
    let typed = s.run_other("script", ["-qec", &script, "/dev/null"]).env("SHELL", "/bin/sh");
    typed.stdin("correct horse\n").succeeds();
    assert_eq!(names_in(&s, &s.path("opened.tar.gz"))[0], "manifest.json");
}

#[test]
fn what_is_given_to_no_purpose_is_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    for line in [
        "backup --age-identity x",
        "backup --to x",
        "backup --list --verify x",
        "backup --list --keep 1",
        "backup --verify x --output y",
        "backup --verify x --database main",
        "backup --restore x --keep 1",
        "backup --restore x --output y",
        "restore x --to y --database main",
        "restore x --to y -d z.prdb",
        "backup --list --dry-run",
        "backup --verify x --restore y",
        "backup -p p",
        "backup --passphrase --age-recipient x",
        "restore",
        "restore x --context c",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        refused(&s, &words, 64, "usage");
    }
}

#[test]
fn backups_hold_one_moment_while_others_write() {
    let s = sandbox();
    let pair = |number: u32| format!("meta:path=p.left; n={number}; meta:path=q.right; n={number};");
    s.run(["stream", "--atomic"]).env("PRONTO_SECURITY", "false").stdin(pair(0)).succeeds();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let archives: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                s.run(["stream", "--atomic"]).env("PRONTO_SECURITY", "false").stdin(pair(number)).succeeds();
            }
        });
        let archives = (0..10).map(|_| backup(&s, &[])).collect();
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        archives
    });
    let mut numbers = BTreeSet::new();
    for archive in archives {
        s.run(["restore", archive.to_str().unwrap(), "--to", "copy"]).succeeds();
        let left = s.run(["--database", "copy", "get", "p.left.n"]).succeeds().stdout();
        s.run(["--database", "copy", "get", "q.right.n"]).prints(&left);
        numbers.insert(left);
    }
    assert!(numbers.len() > 1, "somebody writes between backups: {numbers:?}");
}

#[test]
fn backups_that_are_killed_leave_nothing_that_looks_whole() {
    let s = sandbox();
    let mut noise = Dice(5);
    for i in 0..20 {
        s.run(["set", &format!("p.n.k{i}")]).stdin("some text ".repeat(5000)).prints("");
        let noise: Vec<u8> = (0..50_000).map(|_| noise.below(256) as u8).collect();
        s.run(["set", &format!("p.n.n{i}")]).stdin(noise).prints("");
    }
    let start = std::time::Instant::now();
    backup(&s, &[]);
    let (mut dice, time) = (Dice(7), start.elapsed().as_micros() as u64);
    let codes = (0..kills_of_a_worker()).map(|_| kill_at_some_moment(s.spawn(["backup"]), &mut dice, time));
    assert!(codes.filter(Option::is_none).count() > 0, "none was killed");
    let list = json_of(s.run(["backup", "--list", "--json"]));
    for backup in list.as_array().unwrap() {
        s.run(["backup", "--verify", backup["path"].as_str().unwrap()]).succeeds();
    }
    backup(&s, &[]);
    let left = listing(&backups(&s));
    assert!(left.iter().all(|name| name.starts_with("prontodb_main_")), "{left:?}");
    s.run(["get", "p.n.k0"]).succeeds();
}

const FULL_DISK: &str = r#"
    exec 2>&1
    mount -t tmpfs -o size=3m none "$HOME/b" || exit 1
    "$0" backup --output "$HOME/b" --json
    echo "full: $?"
    echo "left: $(ls -A "$HOME/b" | wc -l)"
    "$0" restore "$HOME/x.tar.gz" --to "$HOME/b/folder"
    echo "restore: $?"
    echo "left after restore: $(ls -A "$HOME/b" | wc -l)"
    mount -o remount,size=30m "$HOME/b"
    "$0" backup --output "$HOME/b" > /dev/null
    echo "after: $?"
    echo "left in the end: $(ls -A "$HOME/b" | wc -l)"
"#;

#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    let s = sandbox();
    for i in 0..5 {
        let mut dice = Dice(i + 1);
        let noise: Vec<u8> = (0..1_000_000).map(|_| dice.below(256) as u8).collect();
        s.run(["set", &format!("p.n.k{i}")]).stdin(noise).prints("");
    }
    backup(&s, &["--output", s.home().join("x.tar.gz").to_str().unwrap()]);
    fs::create_dir(s.home().join("b")).unwrap();
    let Some(report) = in_own_mounts(&s, FULL_DISK) else {
        return say_skipped();
    };
    let expected = [
        ("full", "1"),
        ("left", "0"),
        ("restore", "1"),
        ("left after restore", "0"),
        ("after", "0"),
        ("left in the end", "1"),
    ];
    reports(&report, &expected);
    assert!(report.contains("\"kind\":\"no_space\""), "{report}");
}

#[test]
fn a_folder_that_may_not_be_written_is_denied() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    user.run(&["set", "p.n.k", "1"]).prints("");
    fs::create_dir(s.path("locked")).unwrap();
    set_mode(s.path("locked"), 0o555);
    let outcome = user.run(&["backup", "--output", "locked", "--json"]).fails(5).stdout_is("");
    assert_eq!(error_of(outcome)["kind"], "denied");
    set_mode(s.path("locked"), 0o755);
    // One that may be read alone is backed up to where one may write.
    set_mode(database_file(&s, "main"), 0o400);
    let target = s.home().join("b");
    user.run(&["backup", "--output", target.to_str().unwrap()]).succeeds();
    assert_eq!(listing(&target).len(), 1);
}

#[test]
fn a_folder_that_cannot_be_synced_hides_no_backup() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    user.run(&["set", "p.n.k", "1"]).prints("");
    fs::create_dir(s.path("w")).unwrap();
    // Names in it can be changed, and it cannot be opened.
    set_mode(s.path("w"), 0o333);
    let outcome = user.run(&["backup", "--output", "w/x.tar.gz"]).fails(5);
    outcome.stdout_has("w/x.tar.gz").stderr_has("x.tar.gz is whole; cannot write").stderr_has("hint: ");
    user.run(&["backup", "--verify", "w/x.tar.gz"]).succeeds();
    set_mode(s.path("w"), 0o777);
    assert_eq!(listing(&s.path("w")).len(), 1);
}

#[test]
fn a_backup_is_written_down_where_people_are_known() {
    let s = sandbox_with([("p.n.k", "1")]);
    crate::common::make_people(&s, &[]);
    let login =
        s.run(["auth", "login", "sam"]).env("PRONTO_PASS", crate::common::PASSWORD).succeeds().stdout();
    let call = s.run(["backup"]).env("PRONTO_SECURITY_LOCAL", "true").env("PRONTO_SESSION", login.trim_end());
    call.succeeds();
    s.run(["admin", "audit"]).succeeds().stdout_has("\tsam\tcli\tdone\tback up\t");
    assert_eq!(sql(&s, &database_file(&s, "main"), "PRAGMA integrity_check"), "ok");
}
