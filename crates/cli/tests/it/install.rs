//! `install`: what it makes, what it leaves alone, and that it works over a program that runs.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{
    contents, data_folder, json_of, mode_of, refused, refuses, sandbox, silent_pipe, wait_until,
};
use crate::contexts::without_privileges;

/// Something in `~/.local`.
fn local(s: &Sandbox, path: &str) -> PathBuf {
    s.home().join(".local").join(path)
}

fn installed(s: &Sandbox) -> PathBuf {
    local(s, "bin/prontodb")
}

fn config_file(s: &Sandbox) -> PathBuf {
    local(s, "etc/odx/prontodb/pronto.conf")
}

/// A file that is this program, of another build.
fn another_build(place: &Path) {
    let text = "A key-value store for people, scripts and fleets of agents that share state on a machine";
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, format!("\x7fELF of another build: {text}")).unwrap();
}

#[test]
fn everything_is_put_in_place_in_an_empty_home() {
    let s = sandbox();
    let path = installed(&s);
    let outcome = s.run(["install"]).prints(format!("{}\n", path.display()));
    for word in [
        "installed ",
        "completions for bash",
        "manual pages",
        "pronto.conf",
        "default.cursor",
        "not on your PATH",
    ] {
        outcome.require(outcome.stderr().contains(word), word);
    }
    assert!(
        fs::read(&path).unwrap() == fs::read(s.program()).unwrap(),
        "the program is not what was installed"
    );
    assert_eq!(mode_of(&path), 0o755);
    for (file, mode) in [
        ("share/bash-completion/completions/prontodb", 0o644),
        ("share/zsh/site-functions/_prontodb", 0o644),
        ("share/fish/vendor_completions.d/prontodb.fish", 0o644),
        ("share/prontodb/prontodb.ps1", 0o644),
        ("share/man/man1/prontodb.1", 0o644),
        ("share/man/man1/prontodb-admin-gc.1", 0o644),
        ("lib/odx/prontodb", 0o700),
        ("lib/odx/prontodb/installed.json", 0o600),
        ("etc/odx/prontodb", 0o700),
        ("etc/odx/prontodb/pronto.conf", 0o600),
        ("data/odx/prontodb", 0o700),
        ("data/odx/prontodb/cursors", 0o700),
        ("data/odx/prontodb/cursors/default.cursor", 0o600),
    ] {
        assert_eq!(mode_of(&local(&s, file)), mode, "{file}");
    }
    s.run_other(&path, ["version"]).succeeds();
    s.run_other(&path, ["config", "list"]).succeeds().stderr_is("");
}

#[test]
fn the_selection_is_the_one_that_a_first_write_makes() {
    let (installed, written) = (sandbox(), sandbox());
    installed.run(["install"]).succeeds();
    written.run(["set", "k", "v"]).succeeds();
    let cursor = |s: &Sandbox| {
        let text = fs::read_to_string(data_folder(s).join("cursors/default.cursor")).unwrap();
        let mut cursor: serde_json::Value = serde_json::from_str(&text).unwrap();
        cursor["created_at"] = "".into();
        cursor.to_string().replace(s.home().to_str().unwrap(), "")
    };
    assert_eq!(cursor(&installed), cursor(&written));
    installed.run(["get", "k"]).fails(2);
    installed.run(["set", "k", "v"]).prints("");
    installed.run(["get", "k"]).prints("v\n");
}

#[test]
fn a_second_time_nothing_changes() {
    let s = sandbox();
    s.run(["install"]).succeeds();
    let (before, inode) = (contents(&s), fs::metadata(installed(&s)).unwrap().ino());
    s.run(["install"]).succeeds().stderr_has("is there already; nothing was changed");
    assert!(before == contents(&s), "something has changed");
    assert_eq!(fs::metadata(installed(&s)).unwrap().ino(), inode);
    s.run(["install", "--force"]).succeeds().stderr_has("replaced ");
    assert!(before == contents(&s), "something has changed");
    assert_ne!(fs::metadata(installed(&s)).unwrap().ino(), inode);
}

#[test]
fn what_is_yours_is_never_overwritten() {
    let s = sandbox();
    s.run(["config", "set", "busy_timeout_ms", "77"]).succeeds();
    s.run(["--select", "mine", "set", "k", "v"]).succeeds();
    let (config, cursor) = (config_file(&s), data_folder(&s).join("cursors/default.cursor"));
    let before = (fs::read(&config).unwrap(), fs::read(&cursor).unwrap());
    s.run(["install"]).succeeds().stderr_lacks("pronto.conf");
    s.run(["install", "--force"]).succeeds();
    assert!(before == (fs::read(&config).unwrap(), fs::read(&cursor).unwrap()));
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn another_build_stays_until_it_is_meant() {
    let s = sandbox();
    another_build(&installed(&s));
    let before = contents(&s);
    s.run(["install"])
        .succeeds()
        .stderr_has("from another build; nothing was changed, and --force replaces it");
    assert!(before == contents(&s), "something has changed");
    s.run(["install", "--force"]).succeeds();
    s.run_other(installed(&s), ["version"]).succeeds();
}

#[test]
fn what_is_not_this_program_is_refused() {
    let s = sandbox();
    fs::create_dir_all(local(&s, "bin")).unwrap();
    fs::write(installed(&s), "#!/bin/sh\n").unwrap();
    refused(&s, &["install"], 1, "foreign").stderr_has("is not prontodb");
    assert!(!data_folder(&s).exists());
    fs::remove_file(installed(&s)).unwrap();
    symlink("/bin/true", installed(&s)).unwrap();
    refused(&s, &["install"], 1, "foreign").stderr_has("is a link to /bin/true");
    s.run(["install", "--force"]).succeeds();
    assert!(!installed(&s).is_symlink() && Path::new("/bin/true").exists());
    fs::remove_file(installed(&s)).unwrap();
    fs::create_dir(installed(&s)).unwrap();
    refused(&s, &["install"], 1, "invalid").stderr_has("is a directory");
    refused(&s, &["install", "--force"], 1, "invalid").stderr_has("is a directory");
}

#[test]
fn a_link_to_this_very_program_is_this_program() {
    let s = sandbox();
    fs::create_dir_all(local(&s, "bin")).unwrap();
    symlink(s.program(), installed(&s)).unwrap();
    s.run(["install"]).succeeds().stderr_lacks("replaced");
    assert!(installed(&s).is_symlink());
}

#[test]
fn a_program_that_runs_goes_on_with_what_it_was() {
    let s = sandbox();
    s.run(["install"]).succeeds();
    let (input, mut keys) = silent_pipe();
    let stream = s.run_other(installed(&s), ["stream", "-p", "p", "-n", "n"]).env("PRONTO_SECURITY", "false");
    let running = stream.stdin_from(input).spawn();
    let process = PathBuf::from(format!("/proc/{}/exe", running.id()));
    wait_until("it runs", || fs::read_link(&process).is_ok_and(|path| path == installed(&s)));
    s.run(["install", "--force"]).succeeds();
    let old = fs::read_link(&process).unwrap();
    assert!(old.to_str().unwrap().ends_with("(deleted)"), "{}", old.display());
    keys.write_all(b"k=v;").unwrap();
    drop(keys);
    running.wait().succeeds();
    s.run_other(installed(&s), ["get", "p.n.k"]).prints("v\n");
}

#[test]
fn a_program_without_a_name_can_be_installed() {
    let s = sandbox();
    let copy = s.path("copy");
    fs::copy(s.program(), &copy).unwrap();
    s.run_other("sh", ["-c", "exec 3<copy; rm copy; exec /proc/self/fd/3 install"]).succeeds();
    assert!(fs::read(installed(&s)).unwrap() == fs::read(s.program()).unwrap());
}

#[test]
fn the_directory_can_be_named() {
    let s = sandbox();
    s.run(["install", "--target", "tools"])
        .prints(format!("{}\n", s.path("tools/prontodb").canonicalize_or_self()));
    assert!(local(&s, "share/man/man1/prontodb.1").exists());
    s.run(["install", "--target", "pre/bin"]).succeeds();
    assert!(s.path("pre/share/man/man1/prontodb.1").exists() && s.path("pre/bin/prontodb").exists());
    assert!(!installed(&s).exists());
    refused(&s, &["install", "--target", ""], 64, "usage");
    let elsewhere = s.path("x");
    s.run(["install"]).env("XDG_HOME", &elsewhere).succeeds();
    for file in
        ["bin/prontodb", "share/man/man1/prontodb.1", "etc/odx/prontodb/pronto.conf", "data/odx/prontodb"]
    {
        assert!(elsewhere.join(file).exists(), "{file}");
    }
}

trait CanonicalizeOrSelf {
    fn canonicalize_or_self(&self) -> String;
}

impl CanonicalizeOrSelf for PathBuf {
    fn canonicalize_or_self(&self) -> String {
        self.canonicalize().unwrap_or_else(|_| self.clone()).display().to_string()
    }
}

#[test]
fn quiet_says_nothing_and_json_says_it_to_programs() {
    let s = sandbox();
    s.run(["install", "--quiet"]).prints("").stderr_is("");
    let told = json_of(s.run(["install", "--json"]));
    assert_eq!(told["path"], installed(&s).to_str().unwrap());
    assert_eq!(told["done"].as_array().map(Vec::len), Some(1));
    let path = format!("{}:/usr/bin", local(&s, "bin").display());
    s.run(["install"]).env("PATH", path).succeeds().stderr_lacks("PATH");
}

#[test]
fn without_permission_it_says_where_else() {
    let s = sandbox();
    fs::create_dir_all(local(&s, "bin")).unwrap();
    fs::set_permissions(local(&s, "bin"), Permissions::from_mode(0o555)).unwrap();
    let call = s.run(["install"]).under(without_privileges());
    call.fails(5).stdout_is("").stderr_has("hint: --target DIR");
    assert!(!installed(&s).exists());
    fs::create_dir(s.path("closed")).unwrap();
    fs::set_permissions(s.path("closed"), Permissions::from_mode(0o555)).unwrap();
    let call = s.run(["install", "--target", "closed/bin"]).under(without_privileges());
    call.fails(5).stderr_has("--target DIR");
}

#[test]
fn bad_surroundings_are_refused() {
    let s = sandbox();
    refuses(&s, s.run(["install"]).env_remove("HOME"), 1).stderr_has("HOME is not set");
    refuses(&s, s.run(["install"]).env("XDG_HOME", "relative"), 1).stderr_has("XDG_HOME");
    refused(&s, &["install", "elsewhere"], 64, "usage");
    let broken = config_file(&s);
    fs::create_dir_all(broken.parent().unwrap()).unwrap();
    fs::write(&broken, "this is = no [ TOML").unwrap();
    s.run(["install"]).succeeds();
    assert_eq!(fs::read_to_string(&broken).unwrap(), "this is = no [ TOML");
}

#[test]
fn it_says_which_user_may_administer_and_no_password() {
    let s = sandbox();
    s.run(["install"]).succeeds().stderr_has("prontodb admin user passwd admin").stderr_lacks("pronto!");
    let other = sandbox();
    let call =
        other.run(["install"]).env("PRONTO_ADMIN_USER", "root").env("PRONTO_ADMIN_PASS", "deep secret");
    call.succeeds().stderr_has("the user root").stderr_has("PRONTO_ADMIN_PASS").stderr_lacks("deep secret");
}

#[test]
fn many_install_at_once() {
    let s = sandbox();
    let running: Vec<_> =
        (0..4).map(|_| s.run(["install", "--force", "--busy-timeout-ms", "60000"]).spawn()).collect();
    running.into_iter().for_each(|one| drop(one.wait().succeeds()));
    assert!(fs::read(installed(&s)).unwrap() == fs::read(s.program()).unwrap());
    let names: Vec<_> =
        fs::read_dir(local(&s, "bin")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["prontodb"]);
}
