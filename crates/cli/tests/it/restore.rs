//! `restore`: what comes back, what is kept of what was there, and what changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prontodb_testkit::sandbox::Sandbox;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::backup::backup;
use crate::bad_luck::{OrdinaryUser, set_mode};
use crate::common::{
    RECIPIENT, assert_whole, contents, data_folder, database_file, databases, fold_log, identity_file,
    json_of, refused, sandbox, sandbox_with, side_file, sql, wait_until,
};
use crate::many_processes::{Dice, kill_at_some_moment, kills_of_a_worker};

/// Another program that has the database open until it is dropped.
struct Visitor(Child);

impl Visitor {
    fn of(s: &Sandbox, file: &Path) -> Self {
        let seen = s.path("seen");
        let mut child =
            Command::new("sqlite3").arg(file).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let script = format!("SELECT count(*) FROM sqlite_schema;\n.shell touch '{}'\n", seen.display());
        child.stdin.as_mut().unwrap().write_all(script.as_bytes()).unwrap();
        wait_until("somebody has the database open", || seen.exists());
        fs::remove_file(seen).unwrap();
        Self(child)
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Restores, and says where that is kept which was there.
#[track_caller]
fn restore(s: &Sandbox, args: &[&str]) -> Option<PathBuf> {
    let answer = json_of(s.run([&["restore", "--json"], args].concat()));
    answer["kept"].as_str().map(PathBuf::from)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_was_backed_up_comes_back_whether_others_have_it_open_or_not() {
    let s = sandbox();
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    s.run(["set", "p.n.k"]).stdin(bytes.clone()).prints("");
    s.run(["create-cache", "p.c", "90"]).prints("");
    s.run(["set", "p.c.e__ctx", "1"]).prints("");
    let archive = backup(&s, &[]);
    for is_open in [false, true] {
        s.run(["set", "p.n.k", "new"]).prints("");
        s.run(["set", "p.n.more", "new"]).prints("");
        let revision: u64 = json_of(s.run(["doctor", "--json"]))["revision"].as_u64().unwrap();
        let visitor = is_open.then(|| Visitor::of(&s, &database_file(&s, "main")));
        let kept = restore(&s, &[text(&archive)]).unwrap();
        drop(visitor);
        let value = s.run(["get", "p.n.k", "--raw"]).succeeds();
        assert!(value.stdout_bytes() == bytes, "another value, {is_open}");
        s.run(["get", "p.n.more"]).fails(2);
        s.run(["ttl", "p.c.e__ctx"]).succeeds();
        assert_whole(&s, &database_file(&s, "main"));
        // No version that somebody has seen is given to another state.
        s.run(["set", "p.n.next", "1"]).prints("");
        let version = s.run(["get", "p.n.next", "--meta", "--json"]).succeeds().stdout();
        let version = serde_json::from_str::<Value>(&version).unwrap()["version"].as_u64().unwrap();
        assert!(version > revision + 1, "{version} after {revision}");
        let name = kept.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("prontodb_main_2") && name.contains("_before_restore"), "{name}");
        s.run(["-d", text(&kept.join("pronto.main.prdb")), "get", "p.n.more"]).prints("new\n");
        fold_log(&s, &kept.join("pronto.main.prdb"));
        let _ = fs::remove_file(side_file(&kept.join("pronto.main.prdb"), "-turn"));
    }
    assert_eq!(databases(&s).len(), 3);
}

#[test]
fn what_a_restore_has_replaced_can_be_restored() {
    let s = sandbox_with([("p.n.k", "old")]);
    s.run(["cursor", "set", "work", "old.prdb"]).succeeds();
    s.run(["config", "set", "durability", "full"]).succeeds();
    let archive = backup(&s, &[]);
    s.run(["set", "p.n.k", "new"]).prints("");
    s.run(["cursor", "set", "work", "new.prdb"]).succeeds();
    s.run(["config", "set", "durability", "normal"]).succeeds();
    let cursor = |s: &Sandbox| fs::read_to_string(data_folder(s).join("cursors/work.cursor")).unwrap();
    let kept = restore(&s, &[text(&archive)]).unwrap();
    s.run(["get", "p.n.k"]).prints("old\n");
    s.run(["config", "get", "durability"]).prints("full\n");
    assert!(cursor(&s).contains("old.prdb"), "{}", cursor(&s));
    s.run(["restore", text(&kept)])
        .succeeds()
        .stderr_has("kept in")
        .stderr_has("pronto.conf")
        .stderr_has("work.cursor");
    s.run(["get", "p.n.k"]).prints("new\n");
    s.run(["config", "get", "durability"]).prints("normal\n");
    assert!(cursor(&s).contains("new.prdb"), "{}", cursor(&s));
    s.run(["backup", "--verify", text(&kept)]).succeeds();
}

/// The database among the files that were kept.
fn database_in(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|file| file.extension().is_some_and(|end| end == "prdb")).unwrap()
}

#[test]
fn a_folder_that_cannot_be_synced_undoes_no_restore() {
    let s = sandbox();
    fs::create_dir(s.path("w")).unwrap();
    set_mode(s.path("w"), 0o777);
    let user = OrdinaryUser::of(&s);
    user.run(&["-d", "w/x.prdb", "set", "p.n.k", "old"]).prints("");
    user.run(&["-d", "w/x.prdb", "backup", "--output", "x.tar.gz"]).succeeds();
    user.run(&["-d", "w/x.prdb", "set", "p.n.k", "new"]).prints("");
    // Names in it can be changed, and it cannot be opened.
    set_mode(s.path("w"), 0o333);
    let restored = user.run(&["-d", "w/x.prdb", "restore", "x.tar.gz", "--json"]).fails(5);
    let told = "the database is restored; cannot sync the folder";
    let answer = restored.stderr_has(told).stderr_has(r#""retryable":false"#).stdout();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let kept = database_in(Path::new(answer["kept"].as_str().unwrap()));
    user.run(&["-d", "w/x.prdb", "get", "p.n.k"]).prints("old\n");
    user.run(&["-d", text(&kept), "get", "p.n.k"]).prints("new\n");
    let outcome = user.run(&["-d", "w/y.prdb", "restore", "x.tar.gz"]).fails(5);
    outcome.stderr_has("the database is restored; ").stdout_has("w/y.prdb");
    user.run(&["-d", "w/y.prdb", "get", "p.n.k"]).prints("old\n");
    set_mode(s.path("w"), 0o777);
}

#[test]
fn what_fails_behind_the_database_does_not_hide_that_it_was_replaced() {
    let s = sandbox_with([("p.n.k", "old")]);
    s.run(["config", "set", "durability", "full"]).succeeds();
    s.run(["cursor", "set", "work", "old.prdb"]).succeeds();
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    s.run(["config", "set", "durability", "normal"]).succeeds();
    s.run(["cursor", "set", "work", "new.prdb"]).succeeds();
    s.run(["set", "p.n.k", "new"]).prints("");
    // Something that is no file has the name that a new configuration is written to first.
    let conf = PathBuf::from(s.run(["config", "path"]).succeeds().stdout().trim_end());
    let side = conf.with_file_name(".pronto.conf.prontodb-new");
    fs::create_dir(&side).unwrap();
    let restored = s.run(["restore", text(&archive)]).fails(1).stdout_has("pronto.main.prdb");
    restored
        .stderr_has("kept in")
        .stderr_has("work.cursor came back")
        .stderr_has("the database is restored; cannot write")
        .stderr_has("hint: ");
    s.run(["get", "p.n.k"]).prints("old\n");
    fs::remove_dir(side).unwrap();
    s.run(["restore", text(&archive)]).succeeds();
    s.run(["config", "get", "durability"]).prints("full\n");
}

#[test]
fn a_restored_file_has_the_owner_and_the_mode_of_the_one_before() {
    let s = sandbox_with([("p.n.k", "old")]);
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    let file = database_file(&s, "main");
    // Root alone gives files away; for others it is the mode that counts.
    let _ = chown(&file, Some(65534), Some(65534));
    set_mode(&file, 0o660);
    let about = |path: &Path| {
        let about = fs::metadata(path).unwrap();
        (about.uid(), about.gid(), about.mode() & 0o777, about.ino())
    };
    let before = about(&file);
    assert_eq!(before.2, 0o660);
    restore(&s, &[text(&archive)]).unwrap();
    let after = about(&file);
    assert_ne!(before.3, after.3, "the files have not changed places");
    assert_eq!((before.0, before.1, before.2), (after.0, after.1, after.2));
}

#[test]
fn a_restore_goes_where_the_selection_points() {
    let s = sandbox_with([("p.n.k", "1")]);
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    s.run(["restore", text(&archive), "-d", "file.prdb"]).prints(format!("{}\n", text(&s.path("file.prdb"))));
    s.run(["-d", "file.prdb", "get", "p.n.k"]).prints("1\n");
    s.run(["restore", text(&archive)]).env("PRONTO_DB", s.path("variable.prdb")).succeeds();
    s.run(["-d", "variable.prdb", "get", "p.n.k"]).prints("1\n");
    s.run(["cursor", "set", "work", "cursor.prdb"]).succeeds();
    s.run(["backup", "--restore", text(&archive), "--cursor", "work"]).succeeds();
    s.run(["-d", "cursor.prdb", "get", "p.n.k"]).prints("1\n");
    s.run(["restore", text(&archive), "--database", "named"])
        .prints(format!("{}\n", text(&database_file(&s, "named"))));
    s.run(["--database", "named", "get", "p.n.k"]).prints("1\n");
}

#[test]
fn another_database_gets_the_database_alone() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["config", "set", "durability", "full"]).succeeds();
    let archive = backup(&s, &[]);
    s.run(["config", "set", "durability", "normal"]).succeeds();
    assert_eq!(restore(&s, &[text(&archive), "--to", "other"]), None);
    s.run(["--database", "other", "get", "p.n.k"]).prints("1\n");
    s.run(["config", "get", "durability"]).prints("normal\n");
    s.run(["--database", "other", "set", "p.n.k", "2"]).prints("");
    let kept = restore(&s, &[text(&archive), "--to", "other"]).unwrap();
    assert!(text(&kept).contains("prontodb_other_2"), "{}", kept.display());
    s.run(["--database", "other", "get", "p.n.k"]).prints("1\n");
    s.run(["restore", text(&archive), "--to", "backups"]).fails(1).stderr_has("reserved");
}

#[test]
fn a_folder_gets_all_files_and_can_be_restored() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["cursor", "set", "work", "work.prdb"]).succeeds();
    let archive = backup(&s, &[]);
    s.run(["restore", text(&archive), "--to", "new/folder/"]).succeeds();
    fs::create_dir(s.path("empty")).unwrap();
    s.run(["restore", text(&archive), "--to", "empty"]).succeeds();
    for folder in ["new/folder", "empty"] {
        assert!(
            s.path(folder).join("cursors/work.cursor").is_file()
                && s.path(folder).join("manifest.json").is_file()
        );
        s.run(["restore", folder, "--to", "copy"]).succeeds();
        s.run(["--database", "copy", "get", "p.n.k"]).prints("1\n");
    }
    let before = contents(&s);
    s.run(["restore", text(&archive), "--to", "new/folder"]).fails(1).stdout_is("").stderr_has("not empty");
    assert!(contents(&s) == before);
    // A folder that is not what its manifest says is not restored.
    fs::write(s.path("empty/cursors/work.cursor"), "{}").unwrap();
    s.run(["restore", "empty"]).fails(7).stderr_has("work.cursor");
    fs::remove_file(s.path("empty/cursors/work.cursor")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", s.path("empty/cursors/work.cursor")).unwrap();
    s.run(["restore", "empty"]).fails(7).stderr_has("work.cursor");
    fs::remove_file(s.path("empty/manifest.json")).unwrap();
    s.run(["restore", "empty"]).fails(1).stderr_has("manifest.json");
}

#[test]
fn a_database_file_is_restored_with_its_log() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["-d", "file.prdb", "set", "p.n.k", "in the log"]).prints("");
    assert!(fs::metadata(s.path("file.prdb-wal")).unwrap().len() > 0);
    assert!(restore(&s, &["file.prdb"]).is_some());
    s.run(["get", "p.n.k"]).prints("in the log\n");
    s.run(["restore", text(&database_file(&s, "main"))]).fails(1).stderr_has("itself");
    sql(&s, &s.path("other.db"), "CREATE TABLE t(x)");
    s.run(["restore", "other.db"]).fails(1).stderr_has("another program");
    s.run(["get", "p.n.k"]).prints("in the log\n");
}

#[test]
fn cursors_to_the_data_directory_of_then_lead_to_the_present_one() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["cursor", "set", "here", text(&database_file(&s, "main"))]).succeeds();
    s.run(["cursor", "set", "there", "/elsewhere/x.prdb"]).succeeds();
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    let moved = sandbox();
    moved.run(["restore", text(&archive)]).succeeds();
    moved.run(["get", "p.n.k"]).prints("1\n").stderr_is("");
    let cursor = |name: &str| {
        let text = fs::read_to_string(data_folder(&moved).join(format!("cursors/{name}.cursor"))).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for name in ["here", "default"] {
        assert_eq!(cursor(name)["database_path"], text(&database_file(&moved, "main")));
    }
    assert_eq!(cursor("there")["database_path"], "/elsewhere/x.prdb");
    assert!(cursor("default").get("cursor").is_some() && cursor("here").get("cursor").is_none());
}

#[test]
fn an_empty_home_gets_all_of_it_and_keeps_nothing() {
    let s = sandbox_with([("p.n.k", "1")]);
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    let fresh = sandbox();
    assert_eq!(restore(&fresh, &[text(&archive)]), None);
    fresh.run(["get", "p.n.k"]).prints("1\n");
    let names = fs::read_dir(data_folder(&fresh).join("main")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("pronto.main.prdb")), "{names:?}");
}

#[test]
fn the_log_of_another_database_is_not_taken_for_that_of_the_restored_one() {
    let s = sandbox_with([("p.n.k", "1")]);
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    s.run(["set", "p.n.k", "2"]).prints("");
    let file = database_file(&s, "main");
    assert!(fs::metadata(side_file(&file, "-wal")).unwrap().len() > 0);
    fs::remove_file(&file).unwrap();
    s.run(["restore", text(&archive)]).succeeds();
    s.run(["get", "p.n.k"]).prints("1\n");
    assert_whole(&s, &file);
}

#[test]
fn a_damaged_database_is_kept_as_it_is_and_replaced() {
    let s = sandbox();
    for i in 0..200 {
        s.run(["set", &format!("p.n.k{i}"), &"v".repeat(200)]).prints("");
    }
    let archive = backup(&s, &[]);
    let file = database_file(&s, "main");
    fold_log(&s, &file);
    let mut bytes = fs::read(&file).unwrap();
    // The page of the table that has the revision, and others.
    for page in 1..bytes.len() / 4096 {
        bytes[page * 4096..page * 4096 + 64].fill(0xff);
    }
    fs::write(&file, &bytes).unwrap();
    s.run(["keys", "p.n"]).fails(7);
    let kept = restore(&s, &[text(&archive)]).unwrap();
    assert_eq!(s.run(["keys", "p.n"]).succeeds().stdout().lines().count(), 200);
    assert_whole(&s, &file);
    assert_eq!(fs::read(kept.join("pronto.main.prdb")).unwrap(), bytes);
}

#[test]
fn pages_of_another_size_go_only_where_nobody_is() {
    let s = sandbox_with([("p.n.k", "1")]);
    let old = text(&database_file(&s, "main")).to_owned();
    s.run_other("sqlite3", [&old, "PRAGMA page_size = 8192; VACUUM INTO 'pages.prdb'"]).succeeds();
    let visitor = Visitor::of(&s, Path::new(&old));
    s.run(["set", "p.n.k", "2"]).prints("");
    s.run(["restore", "pages.prdb"]).fails(1).stderr_has("8192");
    s.run(["get", "p.n.k"]).prints("2\n");
    drop(visitor);
}

// Archives that are not what they should be.

/// An archive: its manifest, and its files.
struct Archive {
    manifest: Value,
    files: Vec<(String, Vec<u8>)>,
}

impl Archive {
    fn of(path: &Path) -> Self {
        let mut files = Vec::new();
        let mut archive = tar::Archive::new(MultiGzDecoder::new(fs::File::open(path).unwrap()));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.push((entry.path().unwrap().to_str().unwrap().to_owned(), bytes));
        }
        let manifest = serde_json::from_slice(&files.remove(0).1).unwrap();
        Self { manifest, files }
    }

    /// Says in the manifest what the files are.
    fn described(mut self) -> Self {
        let items = self.files.iter().map(|(name, bytes)| {
            let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({"name": name, "bytes": bytes.len(), "sha256": digest})
        });
        self.manifest["files"] = items.collect();
        self
    }

    fn entries(&self) -> Vec<(Header, Vec<u8>)> {
        let manifest = self.manifest.to_string().into_bytes();
        let named = self.files.iter().map(|(name, bytes)| entry(name, EntryType::Regular, bytes));
        std::iter::once(entry("manifest.json", EntryType::Regular, &manifest)).chain(named).collect()
    }
}

fn entry(name: &str, kind: EntryType, bytes: &[u8]) -> (Header, Vec<u8>) {
    let mut header = Header::new_gnu();
    // `set_path` has scruples that whoever means harm has not.
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    (header, bytes.to_vec())
}

fn tar_of(entries: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (header, content) in entries {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a gzip file holds, if it is one.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut found).ok().map(|_| found)
}

/// Expects that these bytes are refused with one of these codes, by `--verify` and by `restore`, and that nothing changes.
#[track_caller]
fn refuses(s: &Sandbox, what: &str, bytes: &[u8], codes: &[i32]) {
    fs::write(s.path("bad.tar.gz"), bytes).unwrap();
    let before = contents(s);
    for command in [
        &["restore", "bad.tar.gz"][..],
        &["backup", "--verify", "bad.tar.gz"],
        &["restore", "bad.tar.gz", "--to", "new/folder/"],
    ] {
        let mut outcome = s.run(command).ends();
        let is_refused = outcome.code().is_some_and(|code| codes.contains(&code));
        outcome.require(is_refused, &format!("expected one of {codes:?}: {what}"));
        let stderr = outcome.stdout_is("").stderr();
        assert!(stderr.starts_with("prontodb: ") && stderr.lines().count() <= 2, "{what}: {stderr}");
    }
    let after = contents(s);
    assert!(before == after, "{what} changes something");
    assert!(!s.path("new").exists(), "{what} leaves a folder");
}

/// A sandbox with something in it that would be lost, and an archive of what was before.
fn at_stake() -> (Sandbox, PathBuf) {
    let s = sandbox_with([("p.n.k", "old")]);
    s.run(["set", "p.n.large"]).stdin("x".repeat(3000)).prints("");
    s.run(["cursor", "set", "work", "work.prdb"]).succeeds();
    let archive = backup(&s, &["--output", "good.tar.gz"]);
    s.run(["set", "p.n.k", "new"]).prints("");
    (s, archive)
}

#[test]
fn archives_that_are_cut_off_or_changed_change_nothing() {
    let (s, archive) = at_stake();
    let whole = fs::read(&archive).unwrap();
    for part in 0..16 {
        refuses(&s, "a part of an archive", &whole[..whole.len() * part / 16], &[7]);
    }
    refuses(&s, "an archive without its last byte", &whole[..whole.len() - 1], &[7]);
    refuses(&s, "something behind an archive", &[&whole[..], b"x"].concat(), &[7]);
    refuses(&s, "an archive behind an archive", &[&whole[..], &whole[..]].concat(), &[7]);
    for place in (20..whole.len()).step_by(whole.len() / 24) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        // Zeros may be copied from another distance: the same archive, written otherwise.
        if unpacked(&bytes).is_some_and(|found| Some(found) == unpacked(&whole)) {
            continue;
        }
        refuses(&s, &format!("another byte at {place}"), &bytes, &[7]);
    }
    fs::write(s.path("bad.tar.gz"), &whole).unwrap();
    s.run(["restore", "bad.tar.gz"]).succeeds();
    s.run(["get", "p.n.k"]).prints("old\n");
}

#[test]
fn what_no_command_could_read_is_not_restored() {
    let (s, archive) = at_stake();
    for (name, bytes) in [
        ("cursors/default.cursor", &b"{ no cursor"[..]),
        ("cursors/default.cursor", b""),
        ("pronto.conf", b"busy_timeout_ms = [\n"),
        ("pronto.conf", b"busy_timeout_ms = \"soon\"\n"),
        ("pronto.conf", b"\xff\xfe"),
    ] {
        let mut bad = Archive::of(&archive);
        bad.files.retain(|(other, _)| other != name);
        let place = if name == "pronto.conf" { bad.files.len() } else { 1 };
        bad.files.insert(place, (name.to_owned(), bytes.to_vec()));
        fs::write(s.path("bad.tar.gz"), gz(&tar_of(&bad.described().entries()))).unwrap();
        let before = contents(&s);
        for command in [&["restore", "bad.tar.gz"][..], &["backup", "--verify", "bad.tar.gz"]] {
            s.run(command)
                .fails(7)
                .stdout_is("")
                .stderr_has("is damaged")
                .stderr_has(name)
                .stderr_has("--to");
        }
        assert!(before == contents(&s), "{name} changes something");
        s.run(["restore", "bad.tar.gz", "--to", "other"]).succeeds();
        s.run(["admin", "delete-db", "other", "--force"]).succeeds();
    }
    // Nor is it put into a backup.
    fs::write(data_folder(&s).join("cursors/broken.cursor"), "{ no cursor").unwrap();
    s.run(["backup", "--output", "y.tar.gz"]).succeeds().stderr_has("broken.cursor is left out");
    s.run(["restore", "y.tar.gz"]).succeeds();
}

#[test]
fn archives_that_mean_harm_change_nothing() {
    let (s, archive) = at_stake();
    let good = Archive::of(&archive).entries();
    let with = |place: usize, added: (Header, Vec<u8>)| {
        let mut entries = Archive::of(&archive).entries();
        entries.insert(place.min(entries.len()), added);
        gz(&tar_of(&entries))
    };
    refuses(&s, "a foreign archive", &gz(&tar_of(&[entry("hello", EntryType::Regular, b"x")])), &[1]);
    refuses(&s, "no archive", &gz(&vec![b'x'; 5000]), &[1]);
    refuses(&s, "a text", b"hello there", &[1]);
    refuses(&s, "an empty archive", &gz(&tar_of(&[])), &[1]);
    let names = [
        "../evil",
        "/tmp/evil",
        "cursors/../../evil",
        "cursors/evil.cursor",
        "pronto.main.prdb",
        "manifest.json",
        "",
    ];
    for place in 0..=good.len() {
        for name in names {
            let codes: &[i32] = if place == 0 { &[1, 7] } else { &[7] };
            refuses(
                &s,
                &format!("{name} at {place}"),
                &with(place, entry(name, EntryType::Regular, b"evil")),
                codes,
            );
        }
    }
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Directory,
        EntryType::GNUSparse,
        EntryType::XHeader,
    ] {
        refuses(&s, &format!("{kind:?} among others"), &with(1, entry("x", kind, b"")), &[7]);
        for place in 1..good.len() {
            let mut entries = Archive::of(&archive).entries();
            entries[place].0.set_entry_type(kind);
            entries[place].0.set_cksum();
            refuses(&s, &format!("{kind:?} in place of {place}"), &gz(&tar_of(&entries)), &[7]);
        }
    }
    let mut swapped = Archive::of(&archive).entries();
    swapped.swap(1, 2);
    refuses(&s, "another order", &gz(&tar_of(&swapped)), &[7]);
    let mut fewer = Archive::of(&archive).entries();
    fewer.pop();
    refuses(&s, "a file less", &gz(&tar_of(&fewer)), &[7]);
    let mut longer = Archive::of(&archive).entries();
    longer[2].1.push(b' ');
    let length = longer[2].1.len() as u64;
    longer[2].0.set_size(length);
    longer[2].0.set_cksum();
    refuses(&s, "a longer file", &gz(&tar_of(&longer)), &[7]);
}

#[test]
fn manifests_that_promise_too_much_change_nothing() {
    let (s, archive) = at_stake();
    let changed = |change: &dyn Fn(&mut Archive)| {
        let mut archive = Archive::of(&archive);
        change(&mut archive);
        gz(&tar_of(&archive.entries()))
    };
    refuses(
        &s,
        "more than any disk has",
        &changed(&|a| a.manifest["files"][0]["bytes"] = u64::MAX.into()),
        &[7],
    );
    refuses(
        &s,
        "more than this disk has",
        &changed(&|a| a.manifest["files"][0]["bytes"] = (1_u64 << 60).into()),
        &[1],
    );
    refuses(
        &s,
        "another checksum",
        &changed(&|a| a.manifest["files"][1]["sha256"] = "0".repeat(64).into()),
        &[7],
    );
    refuses(&s, "another revision", &changed(&|a| a.manifest["revision"] = 99.into()), &[7]);
    refuses(&s, "a later format", &changed(&|a| a.manifest["format"] = 2.into()), &[1]);
    refuses(
        &s,
        "a name with a path",
        &changed(&|a| a.manifest["files"][1]["name"] = "cursors/../../x.cursor".into()),
        &[7],
    );
    // Zeros without end behind a short promise.
    let mut bomb = Archive::of(&archive);
    bomb.files[0].1.resize(64 << 20, 0);
    refuses(&s, "a bomb", &gz(&tar_of(&bomb.entries())), &[7]);
    let mut later = Archive::of(&archive);
    fs::write(s.path("later.prdb"), &later.files[0].1).unwrap();
    sql(&s, &s.path("later.prdb"), "PRAGMA user_version = 99");
    fold_log(&s, &s.path("later.prdb"));
    later.files[0].1 = fs::read(s.path("later.prdb")).unwrap();
    refuses(&s, "a later schema", &gz(&tar_of(&later.described().entries())), &[1]);
    let mut broken = Archive::of(&archive);
    broken.files[0].1[4096..4100].fill(0xff);
    refuses(&s, "a damaged database", &gz(&tar_of(&broken.described().entries())), &[7]);
    let mut foreign = Archive::of(&archive);
    sql(&s, &s.path("foreign.db"), "CREATE TABLE t(x)");
    foreign.files[0].1 = fs::read(s.path("foreign.db")).unwrap();
    refuses(&s, "a database of another program", &gz(&tar_of(&foreign.described().entries())), &[1]);
}

#[test]
fn an_archive_that_another_tar_has_packed_is_as_good() {
    let (s, archive) = at_stake();
    s.run(["restore", text(&archive), "--to", "folder/"]).succeeds();
    let script = "cd folder && tar -czf ../again.tar.gz manifest.json pronto.main.prdb cursors/*.cursor";
    s.run_other("sh", ["-c", script]).succeeds();
    s.run(["restore", "again.tar.gz"]).succeeds();
    s.run(["get", "p.n.k"]).prints("old\n");
}

#[test]
fn whoever_has_another_identity_restores_nothing() {
    let (s, _) = at_stake();
    let identity = identity_file(&s);
    backup(&s, &["--age-recipient", RECIPIENT, "--output", "x.tar.gz.age"]);
    s.run_other("age-keygen", ["-o", "other.txt"]).succeeds();
    let whole = fs::read(s.path("x.tar.gz.age")).unwrap();
    let before = contents(&s);
    s.run(["restore", "x.tar.gz.age", "--age-identity", "other.txt"]).fails(5).stdout_is("");
    s.run(["restore", "x.tar.gz.age"]).fails(5).stdout_is("").stderr_has("age_identity");
    for part in [1, 4, 10, 15] {
        fs::write(s.path("cut.age"), &whole[..whole.len() * part / 16]).unwrap();
        s.run(["restore", "cut.age", "--age-identity", &identity]).fails(7).stdout_is("");
    }
    fs::remove_file(s.path("cut.age")).unwrap();
    assert!(contents(&s) == before);
    s.run(["set", "p.n.k", "newer"]).prints("");
    s.run(["backup", "--restore", "x.tar.gz.age", "--age-identity", &identity]).succeeds();
    s.run(["get", "p.n.k"]).prints("new\n");
}

#[test]
fn every_write_beside_a_restore_is_in_what_is_kept_or_in_what_is_restored() {
    let s = sandbox_with([("p.n.counter", "0")]);
    s.run(["set", "p.n.ballast"]).stdin("x".repeat(400_000)).prints("");
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    let count_of = |flags: &[&str]| -> u64 {
        let outcome = s.run([flags, &["get", "p.n.counter"]].concat()).succeeds();
        outcome.stdout().trim_end().parse().unwrap()
    };
    let (mut acknowledged, mut kept_counts) = (0, 0);
    for _ in 0..5 {
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let (counts, kept) = std::thread::scope(|scope| {
            let count = || {
                let mut done = 0_u64;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    s.run(["incr", "p.n.counter"]).succeeds();
                    done += 1;
                }
                done
            };
            let workers = [scope.spawn(count), scope.spawn(count)];
            let kept = restore(&s, &[text(&archive)]).unwrap();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            (workers.map(|worker| worker.join().unwrap()), kept)
        });
        acknowledged += counts.iter().sum::<u64>();
        kept_counts += count_of(&["-d", text(&kept.join("pronto.main.prdb"))]);
        assert_eq!(kept_counts + count_of(&[]), acknowledged);
        assert_whole(&s, &database_file(&s, "main"));
    }
    assert!(acknowledged > 0);
}

#[test]
fn a_restore_that_is_killed_leaves_one_state_or_the_other() {
    let s = sandbox();
    let fill = |value: &str| {
        let lines: String = (0..40).map(|i| format!("k{i}={value}{};", "x".repeat(5000))).collect();
        s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(format!("meta:path=p.n;{lines}")).succeeds();
    };
    fill("old");
    let archive = backup(&s, &["--output", "x.tar.gz"]);
    let start = std::time::Instant::now();
    s.run(["restore", text(&archive)]).succeeds();
    let (mut dice, time) = (Dice(11), start.elapsed().as_micros() as u64);
    let (mut kills, mut seen) = (0, BTreeSet::new());
    for round in 0..20 * kills_of_a_worker() {
        if round >= kills_of_a_worker() && kills > 0 && seen.len() == 2 {
            break;
        }
        fill("new");
        let visitor = (round % 2 == 0).then(|| Visitor::of(&s, &database_file(&s, "main")));
        let code = kill_at_some_moment(s.spawn(["restore", text(&archive)]), &mut dice, time);
        kills += u64::from(code.is_none());
        let listing = s.run(["scan", "p.n"]).succeeds().stdout();
        let count = |value: &str| listing.lines().filter(|line| line.contains(&format!("={value}x"))).count();
        assert!(
            [(40, 0), (0, 40)].contains(&(count("old"), count("new"))),
            "{} old, {} new",
            count("old"),
            count("new")
        );
        drop(visitor);
        assert_whole(&s, &database_file(&s, "main"));
        seen.insert(count("old") == 40);
        if count("old") == 40 {
            let kept = fs::read_dir(data_folder(&s).join("backups")).unwrap();
            let newest = kept
                .map(|entry| entry.unwrap())
                .max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
            let file = newest.unwrap().path().join("pronto.main.prdb");
            assert!(s.run(["-d", text(&file), "get", "p.n.k0"]).succeeds().stdout().starts_with("newx"));
        }
    }
    assert!(kills > 0 && seen.len() == 2, "{kills} kills; the old state came back: {seen:?}");
    s.run(["restore", text(&archive)]).succeeds();
    for folder in [data_folder(&s).join("main"), data_folder(&s).join("backups")] {
        let partial = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(partial.into_iter().all(|name| !name.to_str().unwrap().starts_with(".prontodb")));
    }
}

#[test]
fn what_is_wrong_is_told_without_paths_that_are_gone_by_then() {
    let s = sandbox_with([("p.n.k", "0")]);
    let file = database_file(&s, "main");
    sql(&s, &file, "UPDATE sys_state SET revision = 0");
    let file = file.to_str().unwrap();
    let outcome = refused(&s, &["backup", "--verify", file], 7, "damaged");
    let outcome =
        outcome.stderr_has("its database is damaged; p.n.k: the entry is of a write that has not been yet");
    outcome.require(!outcome.stderr().contains("partial"), "no private folder is named");
}

#[test]
fn a_dry_run_checks_all_of_it_and_changes_nothing() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["cursor", "set", "work", "main", "-p", "p"]).succeeds();
    s.run(["backup", "--output", "b.tar.gz"]).succeeds();
    s.run(["set", "p.n.k", "2"]).prints("");
    s.run(["cursor", "delete", "work"]).prints("");
    std::fs::write(s.path("bad.tar.gz"), &std::fs::read(s.path("b.tar.gz")).unwrap()[..300]).unwrap();
    let before = contents(&s);
    let main = database_file(&s, "main");
    let told = s.run(["restore", "b.tar.gz", "--dry-run"]).succeeds();
    told.stdout_has(&format!("replace {}\nwrite ", main.display()))
        .stdout_has("work.cursor")
        .stderr_has("nothing was restored");
    let answer = json_of(s.run(["backup", "--restore", "b.tar.gz", "--dry-run", "--json"]));
    assert_eq!((&answer["replaces"], &answer["dry_run"]), (&true.into(), &true.into()));
    assert_eq!(answer["changed"].as_array().unwrap().len(), 1);
    let other = database_file(&s, "other");
    s.run(["restore", "b.tar.gz", "--dry-run", "--to", "other"])
        .prints(format!("write {}\n", other.display()));
    s.run(["restore", "b.tar.gz", "--dry-run", "--to", "files/"]).succeeds().stdout_has("/files");
    assert!(!s.path("files").exists() && !other.parent().unwrap().exists());
    refused(&s, &["restore", "bad.tar.gz", "--dry-run"], 7, "damaged");
    assert!(contents(&s) == before, "a file was changed");
}

#[test]
fn bytes_behind_a_backup_are_told_as_what_they_are() {
    let s = sandbox_with([("p.n.k", "1")]);
    let whole = fs::read(backup(&s, &[])).unwrap();
    for (more, why) in [
        (&b"garbage\n"[..], "or other bytes stand behind its end"),
        (b"garbage, and more of it\n", "; other bytes stand behind its end"),
        (&whole, "; other bytes stand behind its end"),
    ] {
        fs::write(s.path("more.tar.gz"), [&whole, more].concat()).unwrap();
        refused(&s, &["backup", "--verify", "more.tar.gz"], 7, "damaged").stderr_has(why);
        refused(&s, &["restore", "more.tar.gz"], 7, "damaged").stderr_has(why);
    }
    fs::write(s.path("cut.tar.gz"), &whole[..whole.len() / 2]).unwrap();
    refused(&s, &["restore", "cut.tar.gz"], 7, "damaged").stderr_has("; it has been cut off");
}

#[test]
fn a_file_where_a_folder_is_wanted_is_told_as_one() {
    let s = sandbox_with([("p.n.k", "1")]);
    let archive = backup(&s, &[]);
    fs::write(s.path("x"), "mine").unwrap();
    fs::create_dir_all(s.path("a/b")).unwrap();
    let call = s.run(["restore", archive.to_str().unwrap(), "--to", "../../x"]).current_dir("a/b");
    call.fails(1).stdout_is("").stderr_has("../../x is there already, and is no folder");
}
