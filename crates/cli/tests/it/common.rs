//! What the tests of several subjects share.

use std::collections::BTreeMap;
use std::fs;
use std::io::{PipeReader, PipeWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Call, Outcome, Running, Sandbox};
use serde_json::Value;

/// An empty sandbox for the program.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_prontodb"))
}

/// A sandbox with these entries.
pub(crate) fn sandbox_with<const N: usize>(entries: [(&str, &str); N]) -> Sandbox {
    let sandbox = sandbox();
    for (address, value) in entries {
        sandbox.run(["set", address, "--", value]).prints("");
    }
    sandbox
}

/// The folder of all databases.
pub(crate) fn data_folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".local/data/odx/prontodb")
}

/// The file of the database `name`.
pub(crate) fn database_file(sandbox: &Sandbox, name: &str) -> PathBuf {
    data_folder(sandbox).join(name).join(format!("pronto.{name}.prdb"))
}

/// Expects that a command is refused, as text and as JSON: with this code and kind, one clear line, and nothing written.
///
/// Returns the outcome of the command without `--json`.
#[track_caller]
pub(crate) fn refused(sandbox: &Sandbox, args: &[&str], code: i32, kind: &str) -> Outcome {
    let with_json = [&["--json"], args].concat();
    let error = error_of(refuses(sandbox, sandbox.run(with_json), code));
    assert_eq!(error["kind"], kind, "the kind of the failure of {args:?}: {error}");
    refuses(sandbox, sandbox.run(args.iter().copied()), code)
}

/// Expects that a command fails with this code, says why in one line, prints nothing and writes nothing.
#[track_caller]
pub(crate) fn refuses(sandbox: &Sandbox, call: Call, code: i32) -> Outcome {
    let before = contents(sandbox);
    let outcome = call.fails(code).stdout_is("");
    let stderr = outcome.stderr();
    let clear = stderr.starts_with("prontodb: ") || stderr.starts_with("{\"error\":");
    outcome.require(clear, "expected a line `prontodb: what; why` on stderr");
    outcome.require(stderr.lines().count() <= 2, "expected one line on stderr, or two with a hint");
    let after = contents(sandbox);
    outcome.require(before == after, "expected that nothing is written");
    outcome
}

/// The object under `error` on stderr, once its form has been checked.
#[track_caller]
pub(crate) fn error_of(outcome: Outcome) -> Value {
    let Ok(report) = serde_json::from_str::<Value>(&outcome.stderr()) else {
        panic!("stderr is not one JSON text: {}", outcome.stderr());
    };
    let error = report["error"].clone();
    let fields: Vec<_> = error.as_object().into_iter().flat_map(|fields| fields.keys()).collect();
    assert_eq!(fields.len(), 5, "fields of {error}");
    assert!(error["code"].is_u64() && error["retryable"].is_boolean(), "code and retryable of {error}");
    assert!(error["kind"].as_str().is_some_and(|kind| !kind.is_empty()), "kind of {error}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "message of {error}");
    assert!(error["hint"].is_null() || error["hint"].is_string(), "hint of {error}");
    error
}

/// What a successful command prints, read as JSON.
#[track_caller]
pub(crate) fn json_of(call: Call) -> Value {
    let outcome = call.succeeds();
    outcome.require(outcome.stdout().ends_with('\n'), "expected a newline at the end");
    serde_json::from_slice(outcome.stdout_bytes()).unwrap_or_else(|error| {
        panic!("stdout is not one JSON text; {error}: {}", outcome.stdout());
    })
}

/// What `ttl` says of an entry that expires.
#[track_caller]
pub(crate) fn seconds_left(sandbox: &Sandbox, address: &str) -> u64 {
    let outcome = sandbox.run(["ttl", address]).succeeds();
    outcome
        .stdout()
        .trim_end()
        .parse()
        .unwrap_or_else(|_| panic!("no number of seconds: {}", outcome.stdout()))
}

/// All that is stored in a sandbox: every database as SQL, every other file as it is. SQLite's side files are left out,
/// for they change without any change to the data.
#[track_caller]
pub(crate) fn contents(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = Vec::new();
    collect_files(&sandbox.home(), &mut files);
    collect_files(&sandbox.path(""), &mut files);
    let is_side_file = |path: &Path| {
        let name = path.as_os_str().to_string_lossy().into_owned();
        files.iter().any(|file| name.starts_with(&format!("{}-", file.display())))
    };
    let main_files = files.iter().filter(|path| !is_side_file(path));
    main_files.map(|path| (path.clone(), content_of(sandbox, path))).collect()
}

/// Expects that a `get` prints exactly this, or finds nothing.
#[track_caller]
pub(crate) fn prints_or_misses(get: Running, stdout: &str) {
    let mut outcome = get.wait();
    let answer = (outcome.code(), outcome.stdout());
    let is_either = answer == (Some(0), stdout.to_owned()) || answer == (Some(2), String::new());
    outcome.require(is_either, "expected the value, or nothing and exit code 2");
}

/// The database files of a sandbox.
pub(crate) fn databases(sandbox: &Sandbox) -> Vec<PathBuf> {
    let is_database = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "prdb");
    contents(sandbox).into_keys().filter(is_database).collect()
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the sandbox") {
        let path = entry.expect("an entry of the folder").path();
        match path.is_dir() {
            true => collect_files(&path, files),
            false => files.push(path),
        }
    }
}

fn content_of(sandbox: &Sandbox, path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("a file of the sandbox");
    if !bytes.starts_with(b"SQLite format 3\0") {
        return bytes;
    }
    dump(sandbox, path).unwrap_or(bytes)
}

/// The database as SQL, made from a copy, so that looking changes nothing; `None` if it is damaged.
fn dump(sandbox: &Sandbox, path: &Path) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir_in(sandbox.tmp()).expect("a temporary directory");
    let copy = folder.path().join("copy");
    fs::copy(path, &copy).expect("a copy of the database");
    let log = side_file(path, "-wal");
    if log.exists() {
        fs::copy(log, side_file(&copy, "-wal")).expect("a copy of its log");
    }
    let output = Command::new("sqlite3").arg(&copy).arg(".dump").output().expect("the program sqlite3");
    output.status.success().then_some(output.stdout)
}

/// `<path><suffix>`.
pub(crate) fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Runs SQL on a database with the `sqlite3` program, which knows nothing of ours.
#[track_caller]
pub(crate) fn sql(sandbox: &Sandbox, file: &Path, statements: &str) -> String {
    let args = [file.as_os_str(), statements.as_ref()];
    sandbox.run_other("sqlite3", args).succeeds().stdout().trim_end().to_owned()
}

/// Expects that SQLite finds nothing wrong with a database.
#[track_caller]
pub(crate) fn assert_whole(sandbox: &Sandbox, file: &Path) {
    assert_eq!(sql(sandbox, file, "PRAGMA integrity_check"), "ok", "{}", file.display());
}

/// Moves the log into the database file and removes it, so that the file alone is the database.
#[track_caller]
pub(crate) fn fold_log(sandbox: &Sandbox, file: &Path) {
    sql(sandbox, file, "PRAGMA wal_checkpoint(TRUNCATE)");
    for suffix in ["-wal", "-shm"] {
        let side = side_file(file, suffix);
        if side.exists() {
            fs::remove_file(side).expect("a side file to remove");
        }
    }
}

/// A pipe that stays open and empty for as long as the writer lives.
pub(crate) fn silent_pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().expect("a pipe")
}

/// Asks until the answer is yes; fails the test after ten seconds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited ten seconds until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The permission bits of a file or folder.
pub(crate) fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("a file to look at").permissions().mode() & 0o777
}

#[test]
fn contents_notice_every_write_and_nothing_else() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut before = contents(&s);
    for args in [
        &["set", "p.n.k", "1"][..],
        &["touch", "p.n.k"],
        &["create-cache", "p.c", "5"],
        &["config", "set", "busy_timeout_ms", "4000"],
        &["-d", "x.prdb", "set", "k", "v"],
        &["get", "p.n.k", "--output", "file"],
    ] {
        s.run(args).succeeds();
        let after = contents(&s);
        assert!(before != after, "{args:?} is not noticed");
        assert!(after == contents(&s), "looking changes what is seen");
        before = after;
    }
}

/// Another program that holds the database's lock until it is dropped.
pub(crate) struct LockHolder(pub(crate) Child);

impl LockHolder {
    pub(crate) fn of(s: &Sandbox) -> Self {
        let held = s.path("held");
        let mut child =
            Command::new("sqlite3").arg(database_file(s, "main")).stdin(Stdio::piped()).spawn().unwrap();
        let script =
            format!(".bail on\n.timeout 60000\nBEGIN IMMEDIATE;\n.shell touch '{}'\n", held.display());
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), script.as_bytes()).unwrap();
        wait_until("the lock is held", || held.exists());
        fs::remove_file(held).unwrap();
        Self(child)
    }
}

impl Drop for LockHolder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The password of the user sam.
pub const PASSWORD: &str = "a secret of sam";

/// Makes the user sam, who may administer, the API key ci and a grant, in the database that `flags` name.
pub fn make_people(s: &Sandbox, flags: &[&str]) {
    for line in ["admin user add sam --role admin", "admin key create ci", "admin grant sam read p.*"] {
        let words: Vec<_> = line.split(' ').collect();
        s.run([flags, &words[..]].concat()).env("PRONTO_PASS", PASSWORD).succeeds();
    }
}

/// An identity that age-keygen has made for these tests, and the recipient that belongs to it.
pub const IDENTITY: &str = "AGE-SECRET-KEY-1KXECJF99C4NM09QNET9P6QJ2TSNNTKAD7XU408Y9K6GH4LL0X7LSZZYAG4";
/// See [`IDENTITY`].
pub const RECIPIENT: &str = "age1zf3a20ezw6vfcpaacjyq5h52lsxcmnxk8wlultf07arflsmaxe0q7ae3cx";

/// The path of a file with an age identity.
pub fn identity_file(s: &Sandbox) -> String {
    let path = s.path("identity.txt");
    std::fs::write(&path, format!("# a comment\n{IDENTITY}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A call with all that its command needs besides arguments: people, a password, a session, input.
pub fn made_ready(s: &Sandbox, flags: &[&str], command: &str, call: Call) -> Call {
    let needs_people = ["passwd", "del", "role", "revoke", "grant", "login", "logout", "auth"];
    let is_about_people = ["admin user", "admin key", "admin grant", "admin revoke", "auth", "proto"];
    if is_about_people.iter().any(|words| command.starts_with(words))
        && needs_people.iter().any(|word| command.ends_with(word))
    {
        make_people(s, flags);
    }
    if ["get-metakey", "metakey get", "del-metakey", "metakey del"].iter().any(|end| command.ends_with(end)) {
        let set = ["admin", "metakey", "set", "-p", "p", "-n", "n", "k", "owner", "alice"];
        s.run([flags, &set].concat()).succeeds();
    }
    if ["history", "blame", "log", "undo"].contains(&command) {
        let keep = ["admin", "namespace", "set", "-p", "p", "-n", "n", "history=9"];
        s.run([flags, &keep].concat()).succeeds();
        s.run([flags, &["set", "-p", "p", "-n", "n", "k", "2"]].concat()).succeeds();
    }
    let identity = identity_file(s);
    if ["admin namespace rotate", "admin namespace rewrap"].contains(&command) {
        let encrypt = ["admin", "namespace", "set", "-p", "p", "-n", "n", "encrypt=on"];
        s.run([flags, &encrypt].concat()).env("PRONTO_AGE_IDENTITY", &identity).succeeds();
    }
    if ["admin table drop", "admin drop-table"].contains(&command) {
        s.run([flags, &["admin", "table", "create", "hot"]].concat()).succeeds();
    }
    let call = call.env("PRONTO_AGE_IDENTITY", identity);
    let call = call.env("PRONTO_PASS", PASSWORD).env("PRONTO_SECURITY", "false");
    std::fs::create_dir_all(s.path("files/p/n")).unwrap();
    match command {
        "stream" => call.stdin("k=v;"),
        "import" => call.stdin("k\tMQ==\n"),
        "proto auth" => call.stdin(format!("pass={PASSWORD}; user=sam;")),
        "auth logout" => {
            let login = s.run([flags, &["auth", "login", "sam"]].concat()).env("PRONTO_PASS", PASSWORD);
            call.env("PRONTO_SESSION", login.succeeds().stdout().trim_end())
        }
        _ => call,
    }
}
