//! Closed pipes, full disks, missing rights and locks that others hold.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Call, Sandbox};

use crate::common::{
    LockHolder, assert_whole, data_folder, database_file, databases, error_of, fold_log, refuses, sandbox,
    sandbox_with, side_file,
};

// Readers that go away, and a stdout that takes nothing.

/// A pipe that nobody reads from.
fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().expect("a pipe").1
}

#[test]
fn a_closed_pipe_is_a_silent_success() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2")]);
    for args in [
        &["keys"][..],
        &["keys", "p.n", "--long"],
        &["keys", "--json"],
        &["scan"],
        &["scan", "--jsonl"],
        &["nss"],
        &["projects", "--json"],
        &["get", "p.n.a"],
        &["wait", "p.n.a"],
        &["watch", "--snapshot"],
        &["help"],
        &["help", "get"],
    ] {
        s.run(args).stdout_to(closed_pipe()).succeeds().stderr_is("");
    }
}

#[test]
fn head_takes_one_line_of_many() {
    let s = sandbox();
    for i in 0..4 {
        s.run(["set", &format!("p.n.k{i}")]).stdin("x".repeat(200_000)).prints("");
    }
    let script = "{ \"$@\"; echo \"exit $?\" >&2; } | head -c 6";
    for args in [&["scan", "p.n"][..], &["scan", "p.n", "--json"], &["get", "p.n.k0"]] {
        s.run(args).under(["sh", "-c", script, "sh"]).succeeds().stderr_is("exit 0\n");
    }
}

#[test]
fn a_full_stdout_is_an_error() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2")]);
    for args in [
        &["get", "p.n.a"][..],
        &["get", "p.n.a", "--raw"],
        &["keys"],
        &["keys", "--json"],
        &["scan"],
        &["keys", "--count"],
        &["nss"],
        &["ttl", "p.n.a"],
        &["incr", "p.n.a"],
        &["help"],
        &["version"],
        &["config", "list"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        s.run(args).stdout_to(full).fails(1).stderr_has("standard output");
    }
}

#[test]
fn a_closed_stdout_harms_nothing() {
    let s = sandbox_with([("p.n.a", "1")]);
    let script = "exec \"$@\" >&-";
    s.run(["set", "p.n.b", "2"]).under(["sh", "-c", script, "sh"]).succeeds();
    s.run(["get", "p.n.b"]).under(["sh", "-c", script, "sh"]).ends();
    s.run(["scan", "p.n"]).prints("a=1\nb=2\n");
    assert_whole(&s, &database_file(&s, "main"));
}

#[test]
fn closed_standard_streams_never_meet_the_database() {
    let s = sandbox_with([("p.n.a", "1")]);
    let script = "exec \"$@\" <&- >&- 2>&-";
    for args in [&["set", "p.n.b", "2"][..], &["get", "p.n.x"], &["get", "a.b.c.d"], &["keys"], &["help"]] {
        s.run(args).under(["sh", "-c", script, "sh"]).ends();
    }
    s.run(["scan", "p.n"]).prints("a=1\nb=2\n");
    assert_whole(&s, &database_file(&s, "main"));
}

// Somebody with fewer rights.

/// Nobody's user and group id.
const NOBODY: u32 = 65534;

/// Runs the program without special rights, also when the tests run as root.
pub(crate) struct OrdinaryUser<'a> {
    sandbox: &'a Sandbox,
    program: PathBuf,
    wrapper: Vec<String>,
}

impl<'a> OrdinaryUser<'a> {
    /// The sandbox becomes that user's, with a copy of the program, for the original may be out of reach.
    pub(crate) fn of(sandbox: &'a Sandbox) -> Self {
        if !is_root() {
            return Self { sandbox, program: sandbox.program().to_owned(), wrapper: Vec::new() };
        }
        let root = sandbox.home().parent().expect("a folder around the home").to_owned();
        fs::set_permissions(&root, Permissions::from_mode(0o755)).expect("a folder of ours");
        for folder in [sandbox.home(), sandbox.tmp(), sandbox.path("")] {
            chown(folder, Some(NOBODY), Some(NOBODY)).expect("root may give folders away");
        }
        let program = root.join("prontodb");
        fs::copy(sandbox.program(), &program).expect("a copy of the program");
        let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        Self { sandbox, program, wrapper: wrapper.map(str::to_owned).to_vec() }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Call {
        self.sandbox.run_other(&self.program, args).under(&self.wrapper)
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

pub(crate) fn set_mode(path: impl AsRef<std::path::Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_home_that_may_not_be_written_is_denied() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    set_mode(s.home(), 0o500);
    let set = user.run(&["--json", "set", "p.n.k", "1"]).fails(5).stdout_is("");
    assert_eq!(error_of(set)["kind"], "denied");
    user.run(&["set", "p.n.k", "1"]).fails(5).stderr_has("prontodb: ").stderr_has(".local");
    user.run(&["get", "p.n.k"]).fails(2);
    user.run(&["keys"]).prints("");
    set_mode(s.home(), 0o700);
    user.run(&["set", "p.n.k", "1"]).prints("");
}

#[test]
fn a_database_that_may_not_be_read_is_denied() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    user.run(&["set", "p.n.k", "1"]).prints("");
    for (path, mode, usual) in [(database_file(&s, "main"), 0o000, 0o600), (data_folder(&s), 0o000, 0o700)] {
        set_mode(&path, mode);
        user.run(&["get", "p.n.k"]).fails(5).stdout_is("").stderr_has("odx/prontodb");
        user.run(&["set", "p.n.k", "2"]).fails(5).stdout_is("").stderr_has("odx/prontodb");
        set_mode(&path, usual);
    }
    user.run(&["get", "p.n.k"]).prints("1\n");
}

#[test]
fn a_database_that_may_not_be_written_can_still_be_read() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    user.run(&["set", "p.n.k", "1"]).prints("");
    let folder = data_folder(&s).join("main");
    for entry in fs::read_dir(&folder).unwrap() {
        set_mode(entry.unwrap().path(), 0o400);
    }
    set_mode(&folder, 0o500);
    user.run(&["get", "p.n.k"]).prints("1\n");
    user.run(&["scan"]).prints("p.n.k=1\n");
    let set = user.run(&["--json", "set", "p.n.k", "2"]).fails(5).stdout_is("");
    assert_eq!(error_of(set)["kind"], "denied");
    user.run(&["incr", "p.n.k"]).fails(5).stdout_is("");
    user.run(&["get", "p.n.k"]).prints("1\n");
    set_mode(&folder, 0o700);
}

#[test]
fn what_may_not_be_written_is_named() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    let file = s.path("open/x.prdb");
    let set = || user.run(&["-d", file.to_str().unwrap(), "set", "p.n.k", "1"]);
    fs::create_dir(s.path("open")).unwrap();
    set_mode(s.path("open"), 0o777);
    set().prints("");
    fold_log(&s, &file);
    set_mode(&file, 0o400);
    set().fails(5).stderr_has("x.prdb may not be written");
    // SQLite has made an index of the log by now, of the same mode.
    set_mode(&file, 0o600);
    set().fails(5).stderr_has("x.prdb-").stderr_has(" may not be written");
    for suffix in ["-wal", "-shm"] {
        set_mode(s.path(format!("open/x.prdb{suffix}")), 0o600);
    }
    set().prints("");
}

#[test]
fn a_database_in_a_folder_that_may_not_be_written_can_be_read() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    let file = s.path("ro/pronto.main.prdb");
    fs::create_dir(s.path("ro")).unwrap();
    set_mode(s.path("ro"), 0o777);
    user.run(&["-d", file.to_str().unwrap(), "set", "p.n.k", "1"]).prints("");
    fold_log(&s, &file);
    set_mode(&file, 0o666);
    std::os::unix::fs::symlink("ro/pronto.main.prdb", s.path("link.prdb")).unwrap();
    set_mode(s.path("ro"), 0o555);
    for path in ["ro/pronto.main.prdb", "link.prdb"] {
        user.run(&["-d", path, "get", "p.n.k"]).prints("1\n");
        user.run(&["-d", path, "keys", "p.n"]).prints("k\n");
        user.run(&["-d", path, "doctor"]).succeeds().stdout_has("state: good");
        let set = user.run(&["--json", "-d", path, "set", "p.n.k", "2"]).fails(5).stdout_is("");
        assert_eq!(error_of(set)["kind"], "denied");
    }
    assert!(["-wal", "-shm"].iter().all(|suffix| !side_file(&file, suffix).exists()));
    set_mode(s.path("ro"), 0o777);
    user.run(&["-d", "ro/pronto.main.prdb", "get", "p.n.k"]).prints("1\n");
}

#[test]
fn an_input_or_output_that_may_not_be_touched_is_denied() {
    let s = sandbox();
    let user = OrdinaryUser::of(&s);
    user.run(&["set", "p.n.k", "1"]).prints("");
    fs::write(s.path("secret"), "kept").unwrap();
    set_mode(s.path("secret"), 0o000);
    user.run(&["set", "p.n.k", "--file", "secret"]).fails(5).stderr_has("secret");
    user.run(&["get", "p.n.k", "--output", "secret"]).fails(5).stderr_has("secret");
    user.run(&["get", "p.n.k"]).prints("1\n");
    set_mode(s.path("secret"), 0o600);
    assert_eq!(fs::read(s.path("secret")).unwrap(), b"kept");
}

// File systems that take no more.

/// A script that mounts something over the data where nobody else sees it, if this machine lets us.
pub(crate) fn in_own_mounts(s: &Sandbox, script: &str) -> Option<String> {
    let may_mount = s.run_other("unshare", ["-m", "sh", "-c", "mount -t tmpfs none \"$TMPDIR\""]);
    if may_mount.outcome().code() != Some(0) {
        return None;
    }
    let program = s.program().to_str().expect("a path in UTF-8");
    let words = ["-m", "sh", "-c", script, program];
    Some(s.run_other("unshare", words).succeeds().stdout())
}

#[expect(clippy::print_stderr, reason = "a test that cannot be run here says so")]
pub(crate) fn say_skipped() {
    eprintln!("skipped: nothing can be mounted here");
}

/// The lines of a script's report, with the values that each must have.
#[track_caller]
pub(crate) fn reports(report: &str, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        let line = format!("{name}: {value}");
        assert!(report.lines().any(|it| it == line), "expected `{line}` in\n{report}");
    }
}

const FULL_DISK: &str = r#"
    exec 2>&1
    mount -t tmpfs -o size=2m none "$HOME" || exit 1
    file="$HOME/.local/data/odx/prontodb/main/pronto.main.prdb"
    "$0" set p.n.before ok
    head -c 4000000 /dev/zero > "$HOME/filler"
    head -c 1000000 /dev/urandom | "$0" set p.n.small
    echo "full: $?"
    echo "get while full: $("$0" get p.n.before)"
    echo "keys while full: $("$0" keys p.n | tr '\n' ' ')"
    rm "$HOME/filler"
    head -c 4000000 /dev/urandom | "$0" set p.n.big
    echo "big: $?"
    echo "get after big: $("$0" get p.n.before)"
    mount -o remount,size=20m "$HOME"
    "$0" set p.n.after ok
    echo "after: $?"
    echo "keys: $("$0" keys p.n | tr '\n' ' ')"
    echo "check: $(sqlite3 "$file" 'PRAGMA integrity_check')"
"#;

#[test]
fn a_full_disk_is_told_and_leaves_the_database_whole() {
    let s = sandbox();
    let Some(report) = in_own_mounts(&s, FULL_DISK) else {
        return say_skipped();
    };
    let expected = [
        ("big", "1"),
        ("get after big", "ok"),
        ("full", "1"),
        ("get while full", "ok"),
        ("keys while full", "before "),
        ("after", "0"),
        ("keys", "after before "),
        ("check", "ok"),
    ];
    reports(&report, &expected);
    let complaints: Vec<_> = report.lines().filter(|line| line.starts_with("prontodb: ")).collect();
    assert_eq!(complaints.len(), 2, "{report}");
    for complaint in complaints {
        assert!(complaint.contains("full") || complaint.contains("space"), "{complaint}");
        assert!(!complaint.contains("damaged") && !complaint.contains("busy"), "{complaint}");
    }
}

const DISK_FULL_FROM_THE_START: &str = r#"
    exec 2>&1
    mount -t tmpfs -o size=1m none "$HOME" || exit 1
    head -c 2000000 /dev/zero > "$HOME/filler" 2>/dev/null
    "$0" set p.n.k v
    echo "full: $?"
    rm "$HOME/filler"
    "$0" set p.n.k v
    echo "after: $?"
    echo "get: $("$0" get p.n.k)"
"#;

#[test]
fn a_disk_that_is_full_from_the_start_can_be_used_once_there_is_room() {
    let s = sandbox();
    let Some(report) = in_own_mounts(&s, DISK_FULL_FROM_THE_START) else {
        return say_skipped();
    };
    reports(&report, &[("full", "1"), ("after", "0"), ("get", "v")]);
}

const DELETE_ON_A_FULL_DISK: &str = r#"
    exec 2>&1
    mount -t tmpfs -o size=2m none "$HOME" || exit 1
    "$0" --database store set p.n.k v
    head -c 100000 /dev/urandom | "$0" --database store set p.n.more
    head -c 4000000 /dev/zero > "$HOME/filler"
    "$0" admin rename-db store other
    echo "rename: $?"
    echo "get: $("$0" --database store get p.n.k)"
    "$0" admin delete-db store --force
    echo "delete: $?"
    echo "files: $(ls "$HOME/.local/data/odx/prontodb/store" 2>/dev/null | wc -l)"
    rm "$HOME/filler"
    "$0" --database store get p.n.k
    echo "gone: $?"
"#;

#[test]
fn a_database_can_be_removed_from_a_full_disk() {
    let s = sandbox();
    let Some(report) = in_own_mounts(&s, DELETE_ON_A_FULL_DISK) else {
        return say_skipped();
    };
    reports(&report, &[("rename", "1"), ("get", "v"), ("delete", "0"), ("files", "0"), ("gone", "2")]);
}

const DELETE_THE_SELECTED_ON_A_FULL_DISK: &str = r#"
    exec 2>&1
    mount -t tmpfs -o size=700k none "$HOME" || exit 1
    for name in main store; do
        "$0" --database "$name" set p.n.k v
        "$0" cursor "$name"
        head -c 2000000 /dev/zero > "$HOME/filler"
        "$0" admin delete-db "$name" --force
        echo "delete $name: $?"
        "$0" context | grep -c pronto.main.prdb
        rm "$HOME/filler"
        "$0" get p.n.k
        echo "get $name: $?"
    done
"#;

#[test]
fn the_selected_database_can_be_removed_from_a_full_disk() {
    let s = sandbox();
    let Some(report) = in_own_mounts(&s, DELETE_THE_SELECTED_ON_A_FULL_DISK) else {
        return say_skipped();
    };
    reports(&report, &[("delete main", "0"), ("get main", "2"), ("delete store", "0"), ("get store", "2")]);
    assert!(report.lines().filter(|line| *line == "1").count() == 2, "main is selected:\n{report}");
}

const READ_ONLY_MOUNT: &str = r#"
    exec 2>&1
    mount --bind "$HOME" "$HOME" && mount -o remount,bind,ro "$HOME" || exit 1
    echo "get: $("$0" get p.n.k)"
    echo "keys: $("$0" keys p.n)"
    "$0" get p.n.missing
    echo "missing: $?"
    "$0" set p.n.k w
    echo "set: $?"
    "$0" --database other set p.n.k w
    echo "create: $?"
    echo "get again: $("$0" get p.n.k)"
"#;

#[track_caller]
fn is_read_but_not_written(s: &Sandbox) {
    let Some(report) = in_own_mounts(s, READ_ONLY_MOUNT) else {
        return say_skipped();
    };
    reports(&report, &[("get", "v"), ("keys", "k"), ("missing", "2"), ("get again", "v")]);
    let code_of = |name: &str| report.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    assert!(matches!(code_of("set"), Some("1" | "5")), "{report}");
    assert!(matches!(code_of("create"), Some("1" | "5")), "{report}");
    assert!(report.contains("read-only") || report.contains("Read-only"), "{report}");
}

#[test]
fn a_read_only_file_system_can_be_read_and_refuses_writes() {
    is_read_but_not_written(&sandbox_with([("p.n.k", "v")]));
}

#[test]
fn a_read_only_file_system_without_a_log_can_be_read_too() {
    let s = sandbox_with([("p.n.k", "v")]);
    fold_log(&s, &database_file(&s, "main"));
    is_read_but_not_written(&s);
}

// Locks that others hold.

#[test]
fn a_lock_held_for_too_long_is_busy_and_never_damage() {
    let s = sandbox_with([("p.n.k", "1")]);
    let holder = LockHolder::of(&s);
    for args in [
        &["set", "p.n.k", "2"][..],
        &["set", "p.n.new", "2", "--if-absent"],
        &["incr", "p.n.k"],
        &["append", "p.n.k", "2"],
        &["del", "p.n.k"],
        &["touch", "p.n.k"],
        &["rename", "p.n.k", "p.n.l"],
        &["create-cache", "p.c", "5"],
    ] {
        let start = Instant::now();
        let call = s.run(args).env("PRONTO_BUSY_TIMEOUT_MS", "300");
        let outcome =
            call.fails(4).stdout_is("").stderr_has("busy").stderr_lacks("damage").stderr_lacks("corrupt");
        outcome.require(start.elapsed() >= Duration::from_millis(300), "expected that it waits");
        outcome.require(start.elapsed() < Duration::from_secs(5), "expected that it gives up");
    }
    let error = error_of(s.run(["--json", "set", "p.n.k", "2", "--busy-timeout-ms", "300"]).fails(4));
    assert_eq!((&error["kind"], &error["retryable"]), (&"busy".into(), &true.into()), "{error}");
    drop(holder);
    s.run(["scan", "p.n"]).prints("k=1\n");
}

#[test]
fn reads_work_while_somebody_else_holds_the_lock() {
    let s = sandbox_with([("p.n.k", "1")]);
    let holder = LockHolder::of(&s);
    let start = Instant::now();
    s.run(["get", "p.n.k"]).prints("1\n");
    s.run(["exists", "p.n.k"]).prints("");
    s.run(["keys"]).prints("p.n.k\n");
    s.run(["scan", "p.n"]).prints("k=1\n");
    s.run(["ttl", "p.n.k"]).prints("never\n");
    s.run(["nss"]).prints("p.n\n");
    s.run(["get", "p.n.missing"]).fails(2);
    assert!(start.elapsed() < Duration::from_secs(4), "reads do not wait for writers");
    drop(holder);
}

#[test]
fn reads_that_would_write_answer_while_somebody_else_holds_the_lock() {
    let s = sandbox();
    s.run(["create-cache", "p.lru", "timeout=90;max_items=5;policy=lru"]).prints("");
    s.run(["create-cache", "p.evict", "timeout=90;evict_on_read=1"]).prints("");
    s.run(["set", "p.lru.k", "v"]).prints("");
    s.run(["set", "p.evict.k", "v", "--ttl", "1ms"]).prints("");
    let holder = LockHolder::of(&s);
    s.run(["get", "p.lru.k", "--busy-timeout-ms", "300"]).prints("v\n");
    s.run(["get", "p.evict.k", "--busy-timeout-ms", "300"]).fails(2).stdout_is("");
    drop(holder);
}

#[test]
fn writers_wait_for_a_lock_that_is_given_back_in_time() {
    let s = sandbox_with([("p.n.k", "1")]);
    let holder = LockHolder::of(&s);
    let writers: Vec<_> = (0..4).map(|_| s.spawn(["incr", "p.n.k"])).collect();
    std::thread::sleep(Duration::from_millis(200));
    drop(holder);
    for writer in writers {
        writer.wait().succeeds();
    }
    s.run(["get", "p.n.k"]).prints("5\n");
}

#[test]
fn a_timeout_of_nothing_gives_up_at_once() {
    let s = sandbox_with([("p.n.k", "1")]);
    let holder = LockHolder::of(&s);
    let start = Instant::now();
    refuses(&s, s.run(["set", "p.n.k", "2", "--busy-timeout-ms", "0"]), 4);
    assert!(start.elapsed() < Duration::from_secs(3));
    drop(holder);
}

#[test]
fn what_a_killed_program_left_behind_does_not_matter() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut holder = LockHolder::of(&s);
    holder.0.kill().unwrap();
    holder.0.wait().unwrap();
    s.run(["set", "p.n.k", "2"]).prints("");
    s.run(["get", "p.n.k"]).prints("2\n");
    assert_eq!(databases(&s).len(), 1);
}

#[test]
fn a_database_whose_first_page_was_torn_is_made_anew() {
    let s = sandbox_with([("p.n.k", "1")]);
    let file = database_file(&s, "main");
    let page = fs::read(&file).unwrap()[..4096].to_vec();
    for kept in [0, 1, 16, 40, 99] {
        fold_log(&s, &file);
        fs::write(&file, [&page[..kept], &vec![0; 4096 - kept]].concat()).unwrap();
        s.run(["get", "p.n.k"]).fails(2);
        s.run(["set", "p.n.k", "2"]).prints("");
        s.run(["get", "p.n.k"]).prints("2\n");
        assert_whole(&s, &file);
    }
}

#[test]
fn an_answer_that_cannot_be_written_says_that_the_change_is_made() {
    let s = sandbox_with([("p.n.n", "1")]);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let step = r#"{"then":[{"incr":"p.n.n","by":1}]}"#;
    for args in [
        &["incr", "p.n.n"][..],
        &["txn"],
        &["set", "p.n.m", "1", "--return", "version"],
        &["queue", "push", "p.q", "x"],
    ] {
        let call = s.run(args.iter().copied()).stdin(step).stdout_to(full());
        call.fails(1)
            .stderr_has("the change is made; cannot write standard output")
            .stderr_has("before you run it again");
    }
    s.run(["get", "p.n.n"]).prints("3\n");
    s.run(["get", "p.n.m"]).prints("1\n");
    for nothing in [r#"{"if":[{"k":"p.n.n","absent":true}],"then":[]}"#, r#"{"then":[{"get":"p.n.n"}]}"#] {
        s.run(["txn"]).stdin(nothing).stdout_to(full()).fails(1).stderr_lacks("is made");
    }
}
