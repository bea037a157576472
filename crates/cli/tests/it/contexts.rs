//! What the tests of cursors, users and the choice of a database share.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use prontodb_testkit::sandbox::{Outcome, Sandbox};
use serde_json::{Value, json};

use crate::common::{data_folder, error_of, refuses, sandbox};

/// The file of a cursor: `staging`, `alice.staging`, and `default` or `alice` for active selections.
pub(crate) fn cursor_file(s: &Sandbox, name: &str) -> PathBuf {
    data_folder(s).join("cursors").join(format!("{name}.cursor"))
}

/// What a cursor's file holds, read without the program.
#[track_caller]
pub(crate) fn saved(s: &Sandbox, name: &str) -> Value {
    let file = cursor_file(s, name);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {}: {text}", file.display()))
}

/// Puts a file where a cursor is kept, whatever it holds.
pub(crate) fn plant(s: &Sandbox, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let file = cursor_file(s, name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    file
}

/// The fields of a cursor in good order, of nobody in particular.
pub(crate) fn good_cursor(s: &Sandbox) -> Value {
    json!({
        "database_path": work(s).join("a.prdb"),
        "default_project": null,
        "default_namespace": null,
        "created_at": "2026-11-24T09:30:00Z",
        "user": "default",
        "cursor": null,
    })
}

/// The working directory, as the program sees it.
pub(crate) fn work(s: &Sandbox) -> PathBuf {
    s.path("").canonicalize().unwrap()
}

/// A sandbox with the databases `a.prdb` and `b.prdb`, whose entry `p.n.k` says which one it is.
pub(crate) fn two_files() -> Sandbox {
    let s = sandbox();
    for name in ["a", "b"] {
        s.run(["-d", &format!("{name}.prdb"), "set", "p.n.k", name]).prints("");
    }
    s
}

/// Runs commands, a line each, and expects that they succeed without a word on stdout.
#[track_caller]
pub(crate) fn follow(s: &Sandbox, lines: &[&str]) {
    for line in lines {
        s.run(line.split(' ')).prints("");
    }
}

/// Expects that a command is refused, as text and as JSON, for a reason whose kind is left open.
#[track_caller]
pub(crate) fn stopped(s: &Sandbox, args: &[&str], code: i32) -> Outcome {
    let error = error_of(refuses(s, s.run([&["--json"], args].concat()), code));
    assert_eq!(error["code"], code, "{error}");
    refuses(s, s.run(args.iter().copied()), code)
}

/// Whether nothing at all stands beneath the home.
pub(crate) fn home_is_empty(s: &Sandbox) -> bool {
    fs::read_dir(s.home()).unwrap().next().is_none()
}

/// What makes the program heed permissions also when the tests run as root.
pub(crate) fn without_privileges() -> Vec<OsString> {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let wrapper = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    wrapper.into_iter().filter(|_| is_root).map(OsString::from).collect()
}

/// Runs the program with so little memory that it cannot hold a gigantic file.
pub(crate) const LITTLE_MEMORY: [&str; 4] = ["sh", "-c", "ulimit -v 1000000; exec \"$@\"", "sh"];

/// Makes a file of a tebibyte, which takes no room on the disk.
pub(crate) fn gigantic_file(path: &Path) {
    fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
}

/// Writes `.prontodb` in a directory of the sandbox, which is made if need be.
pub(crate) fn directory_file(s: &Sandbox, directory: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let directory = s.path(directory);
    fs::create_dir_all(&directory).unwrap();
    let file = directory.canonicalize().unwrap().join(".prontodb");
    fs::write(&file, text).unwrap();
    file
}
