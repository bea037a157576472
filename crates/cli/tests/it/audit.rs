//! `admin audit --verify`: what somebody has changed in the log is found.

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{database_file, json_of, refused, sandbox, sql};

/// A sandbox with a log of three records.
fn with_log() -> Sandbox {
    let s = sandbox();
    for name in ["one", "two", "three"] {
        s.run(["admin", "key", "create", name]).succeeds();
    }
    s
}

fn tamper(s: &Sandbox, statement: &str) {
    sql(s, &database_file(s, "main"), statement);
}

#[test]
fn a_whole_log_is_said_to_be_whole() {
    let s = sandbox();
    s.run(["admin", "audit", "--verify"]).prints("records\t0\n");
    assert_eq!(
        json_of(s.run(["admin", "audit", "--verify", "--json"])),
        serde_json::json!({"records": 0, "unchained": 0, "first": null, "last": null})
    );
    let s = with_log();
    let told = json_of(s.run(["--verify", "--json", "admin", "audit"]));
    let [first, last] = ["first", "last"].map(|name| told[name].as_str().unwrap().to_owned());
    s.run(["admin", "audit", "--verify"]).prints(format!("records\t3\nfirst\t{first}\nlast\t{last}\n"));
    s.run(["admin", "key", "revoke", "one"]).succeeds();
    for hash in [&first, &last] {
        s.run(["admin", "audit", "--verify", "--expect", hash]).succeeds().stdout_has("records\t4\n");
    }
    assert_eq!(s.run(["admin", "audit"]).succeeds().stdout().lines().count(), 4);
}

#[test]
fn what_does_not_fit_is_named() {
    for (statement, says) in [
        ("UPDATE sec_audit SET record = replace(record, 'two', 'six')", "it was changed"),
        ("DELETE FROM sec_audit WHERE record LIKE '%two%'", "a record was removed or inserted"),
        ("DELETE FROM sec_audit WHERE record LIKE '%three%'", "records at its end were removed"),
        (
            "INSERT INTO sec_audit SELECT key || '0', record FROM sec_audit WHERE record LIKE '%two%'",
            "it was changed",
        ),
        (
            "INSERT INTO sec_audit VALUES ('9', '{\"at\":1,\"who\":\"a\",\"origin\":\"b\",\"action\":\"c\",\"target\":\"d\",\"done\":true}')",
            "inserted",
        ),
        ("DELETE FROM sec_audit_head", "records at its end were removed or added"),
        ("DROP TABLE sec_audit", "records at its end were removed"),
    ] {
        let s = with_log();
        tamper(&s, statement);
        refused(&s, &["admin", "audit", "--verify"], 1, "audit_log").stderr_has(says);
    }
}

#[test]
fn a_log_that_was_made_anew_has_not_the_hash_that_was_noted() {
    let s = with_log();
    let noted = json_of(s.run(["admin", "audit", "--verify", "--json"]))["last"].as_str().unwrap().to_owned();
    tamper(&s, "DELETE FROM sec_audit; DELETE FROM sec_audit_head");
    s.run(["admin", "key", "create", "four"]).succeeds();
    s.run(["admin", "audit", "--verify"]).succeeds();
    let outcome = refused(&s, &["admin", "audit", "--verify", "--expect", &noted], 1, "audit_log");
    outcome.stderr_has("no record has the hash");
    refused(&s, &["admin", "audit", "--verify", "--expect", "x"], 1, "invalid")
        .stderr_has("64 hexadecimal digits");
    s.run(["admin", "audit", "--expect", &noted]).fails(64).stderr_has("--verify");
}

#[test]
fn logs_of_earlier_programs_are_said_to_be_in_no_chain() {
    let s = with_log();
    tamper(
        &s,
        "UPDATE sec_audit SET record = json_remove(record, '$.hash', '$.before'); DELETE FROM sec_audit_head",
    );
    s.run(["admin", "audit", "--verify"])
        .prints("records\t0\n")
        .stderr_has("3 records of earlier programs are in no chain");
    s.run(["admin", "key", "create", "four"]).succeeds();
    let told = json_of(s.run(["admin", "audit", "--verify", "--json"]));
    assert_eq!((told["records"].as_u64(), told["unchained"].as_u64()), (Some(1), Some(3)));
    assert_eq!(s.run(["admin", "audit"]).succeeds().stdout().lines().count(), 4);
}

#[test]
fn nothing_is_put_in_front_of_a_chain_or_into_a_record() {
    for statement in [
        "INSERT INTO sec_audit VALUES ('000', '{\"at\":1,\"who\":\"evil\",\"origin\":\"cli\",\"action\":\"x\",\"target\":\"y\",\"done\":true}')",
        "UPDATE sec_audit SET record = json_set(record, '$.extra', 'x') WHERE record LIKE '%two%'",
    ] {
        let s = with_log();
        let noted =
            json_of(s.run(["admin", "audit", "--verify", "--json"]))["last"].as_str().unwrap().to_owned();
        tamper(&s, statement);
        refused(&s, &["admin", "audit", "--verify", "--expect", &noted], 1, "audit_log");
    }
}
