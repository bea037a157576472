//! `export-fs` and `import-fs`: trees of files that bring back what was there, and nothing that leads out of them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use prontodb_testkit::sandbox::{Call, Outcome, Running, Sandbox};
use serde_json::Value;

use crate::common::{data_folder, database_file, mode_of, sandbox, sandbox_with};

const EXPORT: &str = "export-fs --root tree --ns p.n";
const IMPORT: &str = "import-fs --root tree --ns p.n";

fn run(s: &Sandbox, line: &str) -> Call {
    s.run(line.split(' '))
}

/// A sandbox with awkward entries in `p.n`.
fn furnished() -> Sandbox {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b__eu", "two, \"2\";\nlines"), ("p.n.empty", "")]);
    s.run(["set", "-p", "p", "-n", "n", &"long/".repeat(100), "7"]).prints("");
    s.run(["set", "--ns-delim", "|", "p|n|k__x.json", "8"]).prints("");
    s.run(["set", "--ns-delim", "|", "p|n|../x%:*", "up"]).prints("");
    s.run(["set", "-p", "p", "-n", "n", "x", "9"]).prints("");
    s.run(["set", "p.n.bytes"]).stdin(b"\xff\x00\r\n").prints("");
    s
}

fn file(s: &Sandbox, name: &str) -> PathBuf {
    s.path("tree/p/n").join(name)
}

fn text(s: &Sandbox, name: &str) -> String {
    fs::read_to_string(file(s, name)).unwrap()
}

/// The files below a folder, in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found.sort();
    found
}

fn exported(s: &Sandbox) -> String {
    s.run(["export", "p.n"]).succeeds().stdout()
}

#[test]
fn a_tree_brings_back_every_entry() {
    let s = furnished();
    run(&s, EXPORT).prints("").stderr_is("prontodb: wrote 8 files\n");
    assert_eq!(text(&s, "a.json"), "{\"k\":\"a\",\"v\":\"1\"}\n");
    assert_eq!(text(&s, "eu/b.json"), "{\"k\":\"b__eu\",\"v\":\"two, \\\"2\\\";\\nlines\"}\n");
    assert_eq!(text(&s, "x%2Ejson/k.json"), "{\"k\":\"k__x.json\",\"v\":\"8\"}\n");
    let other = sandbox();
    let import = format!("import-fs --root {} --ns p.n", s.path("tree").display());
    run(&other, &import).prints("").stderr_is("prontodb: imported 8 entries\n");
    assert_eq!(exported(&other), exported(&s));
    run(&other, &import).prints("").stderr_is("prontodb: imported 0 entries\n");
    run(&s, EXPORT).succeeds().stderr_is("prontodb: wrote 0 files, 8 as they should be\n");
    assert!(files(&s.path("tree")).iter().all(|file| file.ends_with(".json")));
}

#[test]
fn files_that_differ_are_kept_unless_they_are_to_be_replaced() {
    let s = furnished();
    run(&s, EXPORT).succeeds();
    s.run(["set", "p.n.a", "2"]).prints("");
    s.run(["set", "p.n.new", "3"]).prints("");
    fs::write(file(&s, "empty.json"), "not even JSON").unwrap();
    run(&s, &format!("{EXPORT} --dry-run"))
        .fails(3)
        .stdout_is("~ p/n/a.json\n~ p/n/empty.json\n+ p/n/new.json\n")
        .stderr_has("would write 1 file, 6 as they should be, 2 kept");
    assert!(!file(&s, "new.json").exists());
    run(&s, EXPORT).fails(3).stdout_is("~ p/n/a.json\n~ p/n/empty.json\n").stderr_has("--overwrite");
    assert_eq!(text(&s, "a.json"), "{\"k\":\"a\",\"v\":\"1\"}\n");
    assert_eq!(text(&s, "new.json"), "{\"k\":\"new\",\"v\":\"3\"}\n");
    run(&s, &format!("{EXPORT} --overwrite --dry-run")).prints("~ p/n/a.json\n~ p/n/empty.json\n");
    assert_eq!(text(&s, "empty.json"), "not even JSON");
    run(&s, &format!("{EXPORT} --overwrite")).prints("");
    assert_eq!(text(&s, "a.json"), "{\"k\":\"a\",\"v\":\"2\"}\n");
    run(&s, EXPORT).prints("");
    // Written otherwise, and says the same.
    fs::write(file(&s, "a.json"), "{\n  \"v\": \"2\",\n  \"k\": \"a\"\n}").unwrap();
    run(&s, EXPORT).prints("");
    assert!(text(&s, "a.json").contains('\n'));
}

#[test]
fn entries_that_differ_are_kept_unless_they_are_to_be_replaced() {
    let s = furnished();
    run(&s, EXPORT).succeeds();
    fs::write(file(&s, "a.json"), "{\"k\":\"a\",\"v\":\"changed\"}").unwrap();
    fs::write(file(&s, "new.json"), "{\"k\":\"new\",\"v\":\"3\"}").unwrap();
    run(&s, &format!("{IMPORT} --dry-run"))
        .fails(3)
        .stdout_is("~ p.n.a\n")
        .stderr_has("would import 1 entry");
    s.run(["get", "p.n.new"]).fails(2);
    run(&s, IMPORT).fails(3).stdout_is("~ p.n.a\n").stderr_has("imported 1 entry").stderr_has("--overwrite");
    s.run(["get", "p.n.a"]).prints("1\n");
    s.run(["get", "p.n.new"]).prints("3\n");
    run(&s, &format!("{IMPORT} --overwrite")).prints("").stderr_is("prontodb: imported 1 entry\n");
    s.run(["get", "p.n.a"]).prints("changed\n");
}

#[test]
fn what_the_other_side_lacks_stays() {
    let s = furnished();
    run(&s, EXPORT).succeeds();
    fs::remove_file(file(&s, "a.json")).unwrap();
    run(&s, &format!("{IMPORT} --overwrite")).prints("").stderr_is("prontodb: imported 0 entries\n");
    s.run(["get", "p.n.a"]).prints("1\n");
    s.run(["del", "p.n.x"]).prints("");
    run(&s, &format!("{EXPORT} --overwrite")).prints("").stderr_has("wrote 1 file, 6 as they should be\n");
    assert!(file(&s, "a.json").exists() && file(&s, "x.json").exists());
}

#[test]
fn meta_goes_along_where_it_is_asked_for() {
    let s = sandbox();
    s.run(["create-cache", "p.n", "1h"]).prints("");
    s.run(["set", "p.n.k", "v", "--ttl", "2h"]).env("USER", "ada").prints("");
    let meta = s.run(["export", "p.n", "--with-meta"]).succeeds().stdout();
    run(&s, &format!("{EXPORT} --with-meta")).prints("");
    assert!(text(&s, "k.json").contains("\"writer\":\"ada\""));
    s.run(["del", "p.n.k"]).prints("");
    run(&s, &format!("{IMPORT} --with-meta")).prints("");
    s.run(["export", "p.n", "--with-meta"]).prints(meta);
    s.run(["touch", "p.n.k", "--ttl", "3h"]).prints("");
    run(&s, EXPORT).prints("");
    run(&s, &format!("{EXPORT} --with-meta")).fails(3);
}

#[test]
fn what_is_no_plain_file_is_refused_before_anything_is_written() {
    let s = furnished();
    let outside = s.path("outside");
    fs::create_dir_all(outside.join("n")).unwrap();
    fs::write(outside.join("a.json"), "mine").unwrap();
    let cases: [(&str, &dyn Fn()); 6] = [
        ("a link in place of a file", &|| symlink(outside.join("a.json"), file(&s, "a.json")).unwrap()),
        ("a pipe", &|| assert!(Command::new("mkfifo").arg(file(&s, "a.json")).status().unwrap().success())),
        ("a folder", &|| fs::create_dir(file(&s, "a.json")).unwrap()),
        ("a link in place of a context", &|| symlink(&outside, file(&s, "eu")).unwrap()),
        ("a file in place of a context", &|| fs::write(file(&s, "eu"), "").unwrap()),
        ("a device", &|| symlink("/dev/zero", file(&s, "a.json")).unwrap()),
    ];
    for (what, make) in cases {
        fs::create_dir_all(s.path("tree/p/n")).unwrap();
        make();
        for flags in ["", " --overwrite"] {
            run(&s, &format!("{EXPORT}{flags}")).fails(1).stdout_is("").stderr_has("tree/p/n/");
        }
        assert_eq!(fs::read_dir(s.path("tree/p/n")).unwrap().count(), 1, "{what}");
        run(&s, &format!("{EXPORT} --dry-run")).fails(1);
        fs::remove_dir_all(s.path("tree")).unwrap();
    }
    assert_eq!(fs::read_to_string(outside.join("a.json")).unwrap(), "mine");
    fs::create_dir_all(s.path("tree")).unwrap();
    symlink(&outside, s.path("tree/p")).unwrap();
    run(&s, EXPORT).fails(1).stderr_has("is no folder, or a link to one");
    assert_eq!(fs::read_dir(outside.join("n")).unwrap().count(), 0);
}

#[test]
fn a_tree_with_one_bad_file_changes_nothing() {
    let s = sandbox();
    fs::create_dir_all(file(&s, "eu/deeper")).unwrap();
    fs::write(file(&s, "a.json"), "{\"k\":\"a\",\"v\":\"1\"}").unwrap();
    run(&s, IMPORT).fails(1).stderr_has("tree/p/n/eu/deeper lies too deep");
    fs::remove_dir(file(&s, "eu/deeper")).unwrap();
    for (name, bytes, why) in [
        ("bad.json", "", "EOF"),
        ("bad.json", "{\"k\":\"bad\"", "EOF"),
        ("bad.json", "{\"k\":\"bad\",\"v\":1}", "invalid type"),
        ("bad.json", "{\"k\":\"bad\",\"v\":\"1\"} more", "trailing"),
        ("bad.json", "{\"k\":\"bad\",\"v\":\"1\",\"what\":1}", "unknown field"),
        ("bad.json", "{\"k\":\"bad\",\"v64\":\"-\"}", "no base64"),
        ("bad.json", "{\"k\":\"\",\"v\":\"1\"}", "empty"),
        ("bad.json", "{\"k\":\"other\",\"v\":\"1\"}", "whose file is other.json"),
        ("bad.json", "{\"k\":\"bad__eu\",\"v\":\"1\"}", "whose file is eu/bad.json"),
        ("eu/bad.json", "{\"k\":\"bad\",\"v\":\"1\"}", "whose file is bad.json"),
        ("BAD.json", "{\"k\":\"bad\",\"v\":\"1\"}", "whose file is bad.json"),
        ("b%61d.json", "{\"k\":\"bad\",\"v\":\"1\"}", "whose file is bad.json"),
    ] {
        fs::write(file(&s, name), bytes).unwrap();
        let refused = run(&s, IMPORT).fails(1);
        refused.stdout_is("").stderr_has(&format!("tree/p/n/{name}")).stderr_has(why);
        assert!(!data_folder(&s).exists(), "{bytes}");
        fs::remove_file(file(&s, name)).unwrap();
    }
    symlink(file(&s, "a.json"), file(&s, "link.json")).unwrap();
    run(&s, IMPORT).fails(1).stderr_has("link.json is no plain file");
    fs::remove_file(file(&s, "link.json")).unwrap();
    // What others keep beside entries is none of our business.
    for name in [".DS_Store", ".a.json.swp", "README.md", "a.json~"] {
        fs::write(file(&s, name), "something else").unwrap();
    }
    run(&s, IMPORT).prints("").stderr_is("prontodb: imported 1 entry\n");
}

#[test]
fn what_may_stand_for_something_else_is_refused_whatever_its_name() {
    let s = furnished();
    run(&s, EXPORT).succeeds();
    fs::create_dir_all(s.path("real")).unwrap();
    fs::write(s.path("real/k.json"), "{\"k\":\"k__ca\",\"v\":\"1\"}").unwrap();
    for name in ["ca", "README.md", "eu/ca", "eu/notes"] {
        symlink(s.path("real"), file(&s, name)).unwrap();
        run(&s, IMPORT).fails(1).stderr_has(&format!("tree/p/n/{name} is no plain file"));
        fs::remove_file(file(&s, name)).unwrap();
        assert!(Command::new("mkfifo").arg(file(&s, name)).status().unwrap().success());
        run(&s, IMPORT).fails(1).stderr_has(&format!("tree/p/n/{name} is no plain file"));
        fs::remove_file(file(&s, name)).unwrap();
    }
    fs::create_dir(file(&s, "ca.json")).unwrap();
    fs::write(file(&s, "ca.json/k.json"), "{\"k\":\"k__ca.json\",\"v\":\"1\"}").unwrap();
    run(&s, IMPORT).fails(1).stderr_has("tree/p/n/ca.json is no plain file");
    fs::remove_dir_all(file(&s, "ca.json")).unwrap();
    // What is hidden is none of our business.
    symlink(s.path("real"), file(&s, ".git")).unwrap();
    symlink(s.path("real/k.json"), file(&s, "eu/.k.json")).unwrap();
    run(&s, IMPORT).prints("");
    s.run(["exists", "p.n.k__ca"]).fails(2);
}

#[test]
fn names_that_are_not_utf8_are_no_entries() {
    let s = furnished();
    let watch = format!("{EXPORT} --watch");
    run(&s, EXPORT).succeeds();
    let other = |name: &[u8]| s.path("tree/p/n").join(OsStr::from_bytes(name));
    fs::write(other(b"\xff.txt"), "").unwrap();
    run(&s, IMPORT).prints("");
    fs::write(other(b"\xff.json"), "{}").unwrap();
    run(&s, IMPORT).fails(1).stderr_has(".json is not UTF-8");
    let watching = run(&s, &watch).spawn();
    s.run(["set", "p.n.new", "1"]).prints("");
    eventually("names of others are let be", || file(&s, "new.json").exists());
    assert_eq!(watching.kill().code(), None);
    fs::remove_file(other(b"\xff.json")).unwrap();
    fs::create_dir(other(b"\xff")).unwrap();
    run(&s, IMPORT).fails(1).stderr_has("is not UTF-8");
    run(&s, EXPORT).prints("");
}

#[test]
fn a_file_of_another_key_is_never_replaced() {
    let s = furnished();
    fs::create_dir_all(s.path("tree/p/n")).unwrap();
    // So it looks where a file system takes `a` and `A` for one name.
    fs::write(file(&s, "a.json"), "{\"k\":\"A\",\"v\":\"other\"}").unwrap();
    run(&s, &format!("{EXPORT} --overwrite"))
        .fails(3)
        .stdout_is("~ p/n/a.json\n")
        .stderr_has("files that hold other keys were kept")
        .stderr_lacks("--overwrite replaces");
    assert!(text(&s, "a.json").contains("other"));
    s.run(["set", "p.n.A", "capital"]).prints("");
    fs::remove_file(file(&s, "a.json")).unwrap();
    run(&s, EXPORT).prints("");
    assert_ne!(text(&s, "a.json"), text(&s, "A.json"));
}

#[test]
fn arguments_are_checked() {
    let s = furnished();
    for (line, code) in [
        ("export-fs", 64),
        ("export-fs --root tree", 64),
        ("export-fs --root tree p.n", 64),
        ("export-fs --root tree --ns p", 1),
        ("export-fs --root tree --ns p.n.k", 1),
        ("export-fs --root tree --ns p.n -p p", 64),
        ("export-fs --root no/where --ns p.n", 1),
        ("export-fs --root tree --ns p.n --watch --dry-run", 64),
        ("import-fs --root tree --ns p.n", 1),
        ("import-fs --root tree", 64),
    ] {
        run(&s, line).fails(code).stdout_is("");
    }
    fs::write(s.path("plain"), "").unwrap();
    run(&s, "export-fs --root plain --ns p.n").fails(1).stderr_has("cannot read plain");
    run(&s, "export-fs --root tree -p p -n n").prints("");
    run(&s, "export-fs --root tree --ns no.where").prints("").stderr_has("wrote 0 files");
}

#[test]
fn writers_of_one_tree_take_turns() {
    let s = furnished();
    run(&s, EXPORT).succeeds();
    let locked = fs::File::open(s.path("tree")).unwrap();
    locked.lock().unwrap();
    run(&s, EXPORT).fails(4).stderr_has("another export-fs writes there");
    run(&s, &format!("{EXPORT} --dry-run")).succeeds();
}

#[test]
fn several_first_exports_do_not_get_into_each_others_way() {
    let s = furnished();
    for _ in 0..6 {
        let exports: Vec<_> = (0..3).map(|_| run(&s, EXPORT).spawn()).collect();
        let codes: Vec<_> = exports.into_iter().map(|export| export.wait().code()).collect();
        assert!(codes.iter().all(|code| [Some(0), Some(4)].contains(code)), "{codes:?}");
        assert!(codes.contains(&Some(0)), "{codes:?}");
        run(&s, EXPORT).prints("").stderr_has("wrote 0 files");
        fs::remove_dir_all(s.path("tree")).unwrap();
    }
}

/// Waits until something is true, for as long as a slow machine may need.
fn eventually(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_watched_tree_stays_in_step() {
    let s = furnished();
    let watch = format!("{EXPORT} --watch");
    let watching = run(&s, &watch).spawn();
    eventually("the first files are there", || file(&s, "x.json").exists());
    s.run(["set", "p.n.new", "1"]).prints("");
    eventually("a new entry has a file", || file(&s, "new.json").exists());
    s.run(["set", "p.n.a", "changed"]).prints("");
    eventually("a changed entry has another file", || text(&s, "a.json").contains("changed"));
    s.run(["del", "p.n.b__eu"]).prints("");
    eventually("a removed entry has none", || !file(&s, "eu/b.json").exists());
    run(&s, EXPORT).fails(4);
    assert_eq!(watching.kill().code(), None);
    run(&s, EXPORT).prints("");
    // Whoever begins to watch says first what would be lost.
    fs::write(file(&s, "a.json"), "{\"k\":\"a\",\"v\":\"by hand\"}").unwrap();
    fs::write(file(&s, "gone.json"), "{\"k\":\"gone\",\"v\":\"by hand\"}").unwrap();
    fs::write(file(&s, "notes.json"), "[1, 2, 3]").unwrap();
    run(&s, &watch).fails(3).stdout_is("~ p/n/a.json\n- p/n/gone.json\n");
    let watching = run(&s, &format!("{watch} --overwrite")).spawn();
    eventually("what is not in the namespace is removed", || !file(&s, "gone.json").exists());
    assert!(text(&s, "a.json").contains("changed") && file(&s, "notes.json").exists());
    assert_eq!(watching.kill().code(), None);
}

#[test]
fn a_watched_tree_loses_what_expires() {
    let s = sandbox();
    s.run(["create-cache", "p.n", "1h"]).prints("");
    s.run(["set", "p.n.k", "v", "--ttl", "700ms"]).prints("");
    let watching = run(&s, &format!("{EXPORT} --watch")).spawn();
    eventually("the entry has a file", || file(&s, "k.json").exists());
    eventually("the entry has expired", || !file(&s, "k.json").exists());
    assert_eq!(watching.kill().code(), None);
}

/// A watching export-fs whose lines are seen while it runs.
struct Watching {
    process: Running,
    printed: PathBuf,
}

impl Watching {
    fn begin(s: &Sandbox, flags: &str) -> Self {
        let printed = s.path("printed");
        let call = run(s, &format!("{EXPORT} --watch{flags}")).stdout_to(File::create(&printed).unwrap());
        // Also where these tests run behind an `&`, which has all they start ignore the signal.
        let call = call.under(["env", "--default-signal=INT"]).within(Duration::from_secs(120));
        let watching = Self { process: call.spawn(), printed };
        watching.has_seen(s, "begin");
        watching
    }

    /// Waits until what was written before has been heeded.
    fn has_seen(&self, s: &Sandbox, what: &str) {
        let name = format!("seen-{what}");
        let removed =
            [format!("- p/n/{name}.json"), format!("{{\"change\":\"-\",\"path\":\"p/n/{name}.json\"}}")];
        s.run(["set", &format!("p.n.{name}"), ""]).prints("");
        eventually(what, || file(s, &format!("{name}.json")).exists());
        // A pass ends with the files that nobody asks for.
        s.run(["del", &format!("p.n.{name}")]).prints("");
        eventually(what, || self.lines().iter().any(|line| removed.contains(line)));
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.printed).unwrap().lines().map(str::to_owned).collect()
    }

    /// How often a line has been printed.
    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|printed| *printed == line).count()
    }

    fn end(self) {
        assert_eq!(self.process.kill().code(), None);
    }
}

#[test]
fn a_watched_tree_that_is_moved_or_removed_is_made_again() {
    let s = furnished();
    let watching = Watching::begin(&s, "");
    let whole = files(&s.path("tree"));
    fs::rename(s.path("tree/p"), s.path("elsewhere")).unwrap();
    watching.has_seen(&s, "moved");
    assert_eq!(files(&s.path("tree")), whole);
    assert_eq!(files(&s.path("elsewhere")).len(), whole.len(), "nothing is written outside of the tree");
    for folder in ["tree/p/n/eu", "tree/p/n", "tree/p", "tree"] {
        fs::remove_dir_all(s.path(folder)).unwrap();
        watching.has_seen(&s, &folder.replace('/', "-"));
        assert_eq!(files(&s.path("tree")), whole, "{folder}");
    }
    fs::rename(s.path("tree"), s.path("tree-elsewhere")).unwrap();
    watching.has_seen(&s, "all-moved");
    assert_eq!(files(&s.path("tree")), whole);
    assert_eq!(files(&s.path("tree-elsewhere")).len(), whole.len());
    run(&s, EXPORT).fails(4);
    watching.end();
}

#[test]
fn a_watched_tree_keeps_what_others_write() {
    let s = furnished();
    let watching = Watching::begin(&s, "");
    let (by_hand, of_new) = ("{\"k\":\"a\",\"v\":\"by hand\"}", "{\"k\":\"new\",\"v\":\"by hand\"}");
    fs::write(file(&s, "a.json"), by_hand).unwrap();
    fs::write(file(&s, "new.json"), of_new).unwrap();
    fs::write(file(&s, "eu/b.json"), "no entry any more").unwrap();
    fs::write(file(&s, "notes.json"), "[1, 2, 3]").unwrap();
    fs::remove_file(file(&s, "empty.json")).unwrap();
    watching.has_seen(&s, "edits");
    for (change, args) in ["set p.n.a 2", "set p.n.new 1", "del p.n.b__eu"].iter().enumerate() {
        run(&s, args).prints("");
        watching.has_seen(&s, &format!("change-{change}"));
    }
    assert_eq!((text(&s, "a.json"), text(&s, "new.json")), (by_hand.to_owned(), of_new.to_owned()));
    assert_eq!(text(&s, "eu/b.json"), "no entry any more");
    assert!(file(&s, "empty.json").exists() && file(&s, "notes.json").exists());
    for (line, times) in [
        ("~ p/n/a.json", 1),
        ("~ p/n/new.json", 1),
        ("~ p/n/eu/b.json", 1),
        ("- p/n/eu/b.json", 0),
        ("+ p/n/empty.json", 2),
        ("~ p/n/notes.json", 0),
    ] {
        assert_eq!(watching.count(line), times, "{line} in {:?}", watching.lines());
    }
    // Whoever says the same as the entry is in step again, and only until they say something else.
    fs::write(file(&s, "a.json"), "{\"v\":\"2\",\"k\":\"a\"}").unwrap();
    watching.has_seen(&s, "same");
    s.run(["set", "p.n.a", "3"]).prints("");
    eventually("what was found equal is replaced", || text(&s, "a.json").contains('3'));
    fs::write(file(&s, "a.json"), by_hand).unwrap();
    watching.has_seen(&s, "again");
    assert_eq!(watching.count("~ p/n/a.json"), 3);
    // Nor is removed what somebody has taken over from an entry that goes.
    s.run(["del", "p.n.a"]).prints("");
    watching.has_seen(&s, "gone");
    assert_eq!(text(&s, "a.json"), by_hand);
    watching.end();
}

#[test]
fn a_link_in_place_of_a_file_ends_a_watch() {
    let s = furnished();
    let watching = Watching::begin(&s, "");
    fs::write(s.path("outside"), "mine").unwrap();
    fs::remove_file(file(&s, "a.json")).unwrap();
    symlink(s.path("outside"), file(&s, "a.json")).unwrap();
    s.run(["set", "p.n.a", "2"]).prints("");
    watching.process.wait().fails(1).stderr_has("tree/p/n/a.json is no plain file");
    assert_eq!(fs::read_to_string(s.path("outside")).unwrap(), "mine");
}

#[test]
fn a_watched_tree_replaces_what_others_write_when_it_is_told_so() {
    let s = furnished();
    let watching = Watching::begin(&s, " --overwrite");
    fs::write(file(&s, "a.json"), "no entry any more").unwrap();
    fs::write(file(&s, "gone.json"), "{\"k\":\"gone\",\"v\":\"1\"}").unwrap();
    fs::write(file(&s, "x.json"), "{\"k\":\"other\",\"v\":\"1\"}").unwrap();
    watching.has_seen(&s, "edits");
    watching.has_seen(&s, "more");
    assert_eq!(text(&s, "a.json"), "{\"k\":\"a\",\"v\":\"1\"}\n");
    assert!(!file(&s, "gone.json").exists() && text(&s, "x.json").contains("other"));
    assert_eq!(watching.count("~ p/n/a.json") + watching.count("- p/n/gone.json"), 2);
    assert_eq!(watching.count("~ p/n/x.json"), 1, "what is kept is told once");
    watching.end();
}

/// Changes the time of a file over and over, so that whoever reads it finds it changed.
struct Restless {
    ends: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Restless {
    fn begin(path: &Path) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        // Several, since one may have to wait for its turn on a busy machine.
        let threads = (0..3u64).map(|number| {
            let (file, is_over) = (File::options().append(true).open(path).unwrap(), Arc::clone(&ends));
            thread::spawn(move || {
                for second in (0..1_000_000).cycle().take_while(|_| !is_over.load(Relaxed)) {
                    let time = Duration::from_secs(second * 3 + number);
                    file.set_modified(SystemTime::UNIX_EPOCH + time).unwrap();
                }
            })
        });
        Self { threads: threads.collect(), ends }
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_busy() {
    let s = sandbox();
    s.run(["set", "p.n.big"]).stdin("x".repeat(8 << 20)).prints("");
    run(&s, EXPORT).prints("");
    let restless = Restless::begin(&file(&s, "big.json"));
    run(&s, IMPORT).fails(4).stdout_is("").stderr_has("big.json is busy: it was changed while it was read");
    run(&s, EXPORT).fails(4).stderr_has("big.json is busy");
    drop(restless);
    run(&s, IMPORT).prints("");
}

#[test]
fn what_expires_while_a_pass_fails_is_removed_by_the_next() {
    let s = sandbox();
    s.run(["create-cache", "p.n", "1h"]).prints("");
    s.run(["set", "p.n.a-big"]).stdin("x".repeat(8 << 20)).prints("");
    let watching = Watching::begin(&s, "");
    s.run(["set", "p.n.k", "v", "--ttl", "3s"]).prints("");
    watching.has_seen(&s, "k");
    let restless = Restless::begin(&file(&s, "a-big.json"));
    eventually("the entry has expired", || s.run(["get", "p.n.k"]).ends().code() == Some(2));
    // Long enough for some passes; none of them is likely to come to an end.
    thread::sleep(Duration::from_secs(1));
    drop(restless);
    eventually("its file has gone", || !file(&s, "k.json").exists());
    watching.end();
}

#[test]
fn no_change_is_missed_however_many_there_are() {
    let s = furnished();
    let watching = Watching::begin(&s, "");
    let mut last = String::new();
    for round in 0..60 {
        last = format!("round {round}");
        s.run(["set", &format!("p.n.k{}", round % 7), &last]).prints("");
    }
    let shows = |name: &str| fs::read_to_string(file(&s, name)).unwrap_or_default();
    eventually("the last write has its file", || shows("k3.json").contains(&last));
    // The pass that wrote it may still be at work on the files behind it.
    eventually("the tree is in step", || run(&s, &format!("{EXPORT} --dry-run")).ends().code() == Some(0));
    run(&s, &format!("{EXPORT} --dry-run"))
        .prints("")
        .stderr_is("prontodb: would write 0 files, 15 as they should be\n");
    watching.end();
}

#[test]
fn signals_end_a_watch_and_leave_whole_files() {
    let s = furnished();
    for signal in ["-INT", "-TERM"] {
        let watching = Watching::begin(&s, "");
        let id = watching.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert_eq!(watching.process.wait().code(), None);
        run(&s, EXPORT).prints("");
    }
}

/// Changes as JSON tells them, as text.
fn changes(json: &Value, member: &str) -> Vec<String> {
    let told = |change: &Value| {
        assert_eq!(change.as_object().unwrap().len(), 2, "{change}");
        format!("{} {}", change["change"].as_str().unwrap(), change[member].as_str().unwrap())
    };
    json.as_array().unwrap().iter().map(told).collect()
}

fn array(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout()).unwrap()
}

#[test]
fn differences_are_one_json_array_where_json_is_asked_for() {
    let s = furnished();
    run(&s, &format!("{EXPORT} --json --dry-run -d empty.prdb")).prints("[]\n");
    run(&s, &format!("{EXPORT} --json")).prints("[]\n");
    s.run(["set", "p.n.a", "2"]).prints("");
    s.run(["set", "--ns-delim", "|", "p|n|say \"hi\"__eu", "3"]).prints("");
    let told = run(&s, &format!("{EXPORT} --json --dry-run")).fails(3);
    let quoted = "+ p/n/eu/say %22hi%22.json";
    assert_eq!(changes(&array(&told), "path"), ["~ p/n/a.json", quoted]);
    assert_eq!(changes(&array(&run(&s, &format!("{EXPORT} --json")).fails(3)), "path"), ["~ p/n/a.json"]);
    s.run(["set", "--ns-delim", "|", "p|n|say \"hi\"__eu", "4"]).prints("");
    let told = run(&s, &format!("{IMPORT} --json")).fails(3);
    assert_eq!(changes(&array(&told), "address"), ["~ p.n.a", "~ p.n.say \"hi\"__eu"]);
    run(&s, &format!("{IMPORT} --json --overwrite")).prints("[]\n");
    fs::write(file(&s, "bad.json"), "").unwrap();
    run(&s, &format!("{IMPORT} --json")).fails(1).stdout_is("").stderr_has("{\"error\":");
}

#[test]
fn a_watch_tells_json_a_line_each() {
    let s = furnished();
    let watching = Watching::begin(&s, " --json");
    let lines = watching.lines();
    assert_eq!(lines[0], "{\"change\":\"+\",\"path\":\"p/n/%2E.%2Fx%25%3A%2A.json\"}");
    let all = Value::Array(lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect());
    assert_eq!(changes(&all, "path").len(), 10);
    watching.end();
    fs::write(file(&s, "a.json"), "").unwrap();
    run(&s, &format!("{EXPORT} --watch --json"))
        .fails(3)
        .stdout_is("{\"change\":\"~\",\"path\":\"p/n/a.json\"}\n");
}

#[test]
fn whoever_stops_reading_stops_no_writing() {
    let s = sandbox();
    let entries: String = (0..40).map(|n| format!("k{n}={};", "x".repeat(60_000))).collect();
    s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(format!("meta:path=p.n;{entries}")).succeeds();
    run(&s, EXPORT).prints("");
    fs::write(file(&s, "k0.json"), "").unwrap();
    fs::remove_file(file(&s, "k9.json")).unwrap();
    let closed = || std::io::pipe().unwrap().1;
    for command in [EXPORT, IMPORT] {
        run(&s, command).stdout_to(closed()).fails(3);
        assert!(file(&s, "k9.json").exists());
        fs::write(file(&s, "k0.json"), "{\"k\":\"k0\",\"v\":\"\"}").unwrap();
    }
    let full = || File::options().write(true).open("/dev/full").unwrap();
    run(&s, EXPORT).stdout_to(full()).fails(1).stderr_has("standard output");
    run(&s, IMPORT).stdout_to(full()).fails(1).stderr_has("standard output");
}

#[test]
fn a_namespace_without_entries_is_told_of() {
    let s = furnished();
    for flags in ["", " --dry-run"] {
        run(&s, &format!("export-fs --root empty --ns p.other{flags}"))
            .prints("")
            .stderr_has("prontodb: there is nothing to export\n");
    }
    run(&s, EXPORT).prints("").stderr_lacks("nothing to export");
    run(&s, EXPORT).prints("").stderr_lacks("nothing to export");
}

#[test]
fn a_killed_export_leaves_whole_files_and_the_next_one_cleans_up() {
    let s = sandbox();
    let entries: String = (0..60).map(|n| format!("k{n}__c{}={};", n % 5, "x".repeat(100_000))).collect();
    s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(format!("meta:path=p.n;{entries}")).succeeds();
    for kill in 0..12 {
        let export = run(&s, EXPORT).spawn();
        thread::sleep(Duration::from_millis(kill * 9));
        let _ = export.kill().code();
        if s.path("tree").exists() {
            run(&s, IMPORT).fails_with_one_of(&[0, 1]).stderr_lacks(".json");
        }
        // As one that is killed in the middle of a file leaves it.
        fs::create_dir_all(file(&s, "c1")).unwrap();
        fs::write(file(&s, "c1/.prontodb-new"), "{\"k\":").unwrap();
        if kill % 3 == 0 {
            run(&s, EXPORT).prints("");
            fs::write(file(&s, "c2/.prontodb-new"), "{\"k\":").unwrap();
            run(&s, EXPORT).prints("").stderr_has("wrote 0 files");
            assert!(files(&s.path("tree")).iter().all(|file| file.ends_with(".json")));
            fs::remove_dir_all(s.path("tree")).unwrap();
        }
    }
}

#[test]
fn trees_of_any_width_take_few_descriptors() {
    let s = sandbox();
    let entries: String = (0..3000).map(|n| format!("k{}__c{}={n};", n / 1000, n % 1000)).collect();
    s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(format!("meta:path=p.n;{entries}")).succeeds();
    let few = ["sh", "-c", "ulimit -n 100; exec \"$@\"", "sh"];
    run(&s, EXPORT).under(few).prints("").stderr_is("prontodb: wrote 3000 files\n");
    run(&s, &format!("{EXPORT} --dry-run")).under(few).prints("");
    run(&s, &format!("{IMPORT} -d other.prdb")).under(few).prints("").stderr_has("imported 3000 entries");
    s.run(["del", "p.n.k1__c77"]).prints("");
    s.run(["set", "p.n.new__c77", "1"]).prints("");
    let watching = run(&s, &format!("{EXPORT} --watch --overwrite")).under(few).spawn();
    eventually("all contexts are looked through", || !file(&s, "c77/k1.json").exists());
    assert_eq!(watching.kill().code(), None);
    assert!(file(&s, "c77/new.json").exists());
}

#[test]
fn names_of_any_length_are_places_of_their_own() {
    let s = sandbox();
    let (project, namespace) = (":".repeat(64), "é".repeat(32));
    let (long, other) = (format!("a{}", ":".repeat(254)), format!("b{}", ":".repeat(254)));
    for (key, value) in [
        (format!("{long}__{long}"), "1"),
        (format!("{long}__{other}"), "2"),
        (format!("{other}__{long}"), "3"),
        ("k".repeat(512), "4"),
        ("é".repeat(256), "5"),
        (format!("k__{}", "c".repeat(500)), "6"),
    ] {
        s.run(["set", "-p", &project, "-n", &namespace, "--key", &key, value]).prints("");
    }
    let place = ["--root", "tree", "-p", &project, "-n", &namespace];
    s.run(["export-fs"]).args(place).prints("").stderr_is("prontodb: wrote 6 files\n");
    let all = files(&s.path("tree"));
    assert!(all.iter().all(|path| path.split('/').all(|name| name.len() <= 255)), "{all:?}");
    s.run(["import-fs", "-d", "other.prdb"]).args(place).prints("");
    let listing = |database: &str| {
        s.run(["scan", "-p", &project, "-n", &namespace, "-d", database]).succeeds().stdout()
    };
    let main = database_file(&s, "main");
    assert_eq!(listing("other.prdb"), listing(main.to_str().unwrap()));
    assert_eq!(listing("other.prdb").lines().count(), 6);
}

#[test]
fn the_root_is_a_folder_or_a_link_to_one() {
    let s = furnished();
    fs::create_dir(s.path("real")).unwrap();
    symlink(s.path("real"), s.path("link")).unwrap();
    symlink(s.path("nowhere"), s.path("dangling")).unwrap();
    fs::write(s.path("plain"), "mine").unwrap();
    run(&s, "export-fs --root link --ns p.n").prints("");
    assert_eq!(files(&s.path("real")).len(), 8);
    run(&s, "import-fs --root link --ns p.n").prints("");
    for command in ["export-fs", "import-fs"] {
        for (root, why) in
            [("plain", "cannot read plain"), ("plain/tree", "plain/tree"), ("dangling", "dangling")]
        {
            run(&s, &format!("{command} --root {root} --ns p.n")).fails(1).stdout_is("").stderr_has(why);
        }
    }
    run(&s, "import-fs --root missing --ns p.n").fails(1).stderr_has("there is no folder missing/p/n");
    assert!(!s.path("missing").exists() && !s.path("nowhere").exists());
    assert_eq!(fs::read_to_string(s.path("plain")).unwrap(), "mine");
}

#[test]
fn devices_are_no_entries() {
    let s = furnished();
    run(&s, EXPORT).succeeds();
    let device = Command::new("mknod").arg(file(&s, "zero")).args(["c", "1", "5"]).output().unwrap();
    if !device.status.success() {
        // Only root may make devices.
        return;
    }
    run(&s, IMPORT).fails(1).stderr_has("tree/p/n/zero is no plain file");
    fs::rename(file(&s, "zero"), file(&s, "a.json")).unwrap();
    run(&s, IMPORT).fails(1).stderr_has("tree/p/n/a.json is no plain file");
    run(&s, &format!("{EXPORT} --overwrite")).fails(1).stderr_has("tree/p/n/a.json is no plain file");
}

/// A shell that lets no file get longer than 64 KiB, as a full disk would.
const LITTLE_SPACE: [&str; 4] = ["sh", "-c", "trap '' XFSZ; ulimit -f 128; exec \"$@\"", "sh"];

#[test]
fn a_file_that_finds_no_space_is_not_left_behind() {
    let s = sandbox_with([("p.n.a", "1")]);
    run(&s, EXPORT).prints("");
    s.run(["set", "p.n.a"]).stdin("x".repeat(1 << 20)).prints("");
    let full = run(&s, &format!("{EXPORT} --overwrite")).under(LITTLE_SPACE);
    full.fails(1).stdout_is("").stderr_has("cannot write tree/p/n/a.json");
    assert_eq!(text(&s, "a.json"), "{\"k\":\"a\",\"v\":\"1\"}\n");
    assert_eq!(fs::read_dir(s.path("tree/p/n")).unwrap().count(), 1);
    run(&s, &format!("{EXPORT} --overwrite")).prints("");
}

#[test]
fn folders_that_may_not_be_used_are_denied() {
    let s = furnished();
    run(&s, EXPORT).succeeds();
    let root = s.home().parent().unwrap().to_owned();
    let program = root.join("prontodb");
    fs::copy(s.program(), &program).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(&root).status().unwrap().success());
    }
    let call = |line: &str| {
        let call = s.run_other(&program, line.split(' '));
        if is_root { call.under(nobody) } else { call }
    };
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (path, mode) in [("eu", 0o000), ("a.json", 0o000), (".", 0o000)] {
        let usual = mode_of(&file(&s, path));
        set_mode(&file(&s, path), mode);
        for line in [EXPORT, IMPORT] {
            call(line).fails(5).stdout_is("").stderr_has("tree/p/n");
        }
        set_mode(&file(&s, path), usual);
    }
    set_mode(&file(&s, "."), 0o500);
    call(EXPORT).prints("");
    call(IMPORT).prints("");
    call("set p.n.new 1").prints("");
    call(EXPORT).fails(5).stderr_has("cannot write tree/p/n/.prontodb-new");
    set_mode(&file(&s, "."), 0o700);
    call(EXPORT).prints("");
}

#[test]
fn a_watch_needs_a_database() {
    let s = sandbox();
    run(&s, "export-fs --root tree --ns p.n --watch")
        .fails(1)
        .stderr_has("there is no database to watch yet");
    assert!(!s.path("tree").exists());
}
