//! `doctor`: the state of things.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::common::{
    PASSWORD, contents, data_folder, database_file, json_of, refused, sandbox, sandbox_with, sql,
};

#[test]
fn in_an_empty_home_all_is_well_and_nothing_is_created() {
    let s = sandbox();
    let outcome = s.run(["doctor"]).succeeds();
    outcome.require(!outcome.stdout().is_empty(), "expected a report");
    assert!(contents(&s).is_empty());
}

#[test]
fn a_database_in_order_is_a_success_and_left_alone() {
    let s = sandbox_with([("p.n.k", "v")]);
    let before = contents(&s);
    s.run(["doctor"]).succeeds().stdout_has("pronto.main.prdb");
    assert!(json_of(s.run(["doctor", "--json"])).is_object());
    assert_eq!(before, contents(&s));
}

#[test]
fn a_damaged_database_is_no_success() {
    let s = sandbox();
    std::fs::write(s.path("x.prdb"), "this is no database\n".repeat(50)).unwrap();
    s.run(["-d", "x.prdb", "doctor"]).fails_with_one_of(&[1, 7]);
}

#[test]
fn a_database_of_a_later_version_has_one_state() {
    let s = sandbox_with([("p.n.k", "v")]);
    sql(&s, &database_file(&s, "main"), "PRAGMA user_version = 99");
    let report = s.run(["doctor", "--json"]).fails(1).stdout();
    assert_eq!(report.matches("\"state\":").count(), 1, "{report}");
    assert!(report.contains("\"state\":\"bad: "), "{report}");
}

#[test]
fn superfluous_arguments_are_refused() {
    refused(&sandbox(), &["doctor", "x"], 64, "usage");
}

#[test]
fn how_much_is_written_is_not_told_to_those_who_may_nothing() {
    let s = sandbox_with([("p.n.k", "v")]);
    for user in ["ann", "sam"] {
        s.run(["admin", "user", "add", user]).env("PRONTO_PASS", PASSWORD).succeeds();
    }
    s.run(["admin", "user", "role", "sam", "read"]).succeeds();
    for (user, is_told) in [("ann", false), ("sam", true)] {
        let login = s.run(["auth", "login", user]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
        let call = s.run(["doctor", "--json"]).env("PRONTO_SECURITY_LOCAL", "true");
        let told = json_of(call.env("PRONTO_SESSION", login.trim_end()));
        assert_eq!(told["revision"].is_u64(), is_told, "{user}: {told}");
    }
}

#[test]
fn files_that_others_get_at_are_told_with_what_to_do() {
    let s = sandbox_with([("p.n.k", "v")]);
    assert_eq!(json_of(s.run(["doctor", "--json"]))["advice"], serde_json::json!([]));
    s.run(["doctor"]).succeeds().stdout_has("advice: none\n");
    let (data, file) = (data_folder(&s), database_file(&s, "main"));
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let told = s.run(["doctor"]).succeeds().stdout();
    for advice in [format!("chmod 700 {}\n", data.display()), format!("chmod 600 {}\n", file.display())] {
        assert!(told.contains(&advice), "{advice} is not in {told}");
    }
}

#[test]
fn a_limit_that_stops_writes_is_told() {
    let limited = ["sh", "-c", "ulimit -f 1000; exec \"$@\"", "sh"];
    sandbox().run(["doctor"]).under(limited).succeeds().stdout_has("advice: files may grow to");
}

#[test]
fn a_program_that_is_not_the_one_that_is_installed_is_told() {
    let s = sandbox();
    let folder = s.home().join(".local/bin");
    fs::create_dir_all(&folder).unwrap();
    let installed = folder.join("prontodb");
    fs::copy(s.program(), &installed).unwrap();
    let path = |folders: &str| format!("{folders}:/usr/bin:/bin");
    let in_front = path(folder.to_str().unwrap());
    s.run(["doctor"]).env("PATH", &in_front).succeeds().stdout_has("advice: none\n");
    s.run(["doctor"]).env("PATH", path("/nowhere")).succeeds().stdout_has("to PATH");
    let other = s.path("prontodb");
    fs::write(&other, "#!/bin/sh\n").unwrap();
    let hidden = path(&format!("{}:{}", s.path("").display(), folder.display()));
    s.run(["doctor"]).env("PATH", hidden).succeeds().stdout_has("in front in PATH");
    fs::write(&installed, "#!/bin/sh\n").unwrap();
    s.run(["doctor"]).env("PATH", &in_front).succeeds().stdout_has("another one is installed");
}
