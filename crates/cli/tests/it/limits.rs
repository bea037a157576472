//! Limits: of values, keys and names.

use std::fs;

use crate::common::{data_folder, refused, refuses, sandbox, sandbox_with};

const MIB: usize = 1024 * 1024;

/// `count` bytes that do not repeat in any simple way.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

#[test]
fn sixty_four_mebibytes_are_kept_byte_for_byte_and_one_more_is_refused() {
    let s = sandbox();
    let mut value = noise(64 * MIB);
    fs::write(s.path("value"), &value).unwrap();
    s.run(["set", "p.n.file", "--file", "value"]).prints("");
    s.run(["get", "p.n.file", "--output", "copy"]).prints("");
    assert!(fs::read(s.path("copy")).unwrap() == value, "the value has changed");
    assert!(s.run(["get", "p.n.file", "--raw"]).succeeds().stdout_bytes() == value, "the value has changed");

    s.run(["append", "p.n.file", "x"]).fails(6);
    value.push(b'x');
    fs::write(s.path("value"), &value).unwrap();
    s.run(["set", "p.n.more", "--file", "value"]).fails(6).stderr_has("67108864");
    s.run(["set", "p.n.file"]).stdin(value).fails(6).stderr_has("67108864");
    s.run(["keys", "p.n", "--long"]).succeeds().stdout_has("\t67108864\t");
    s.run(["keys", "p.n"]).prints("file\n");
}

#[test]
fn a_value_over_the_limit_is_refused_by_every_way_in() {
    let s = sandbox_with([("p.n.k", "old")]);
    let value = "1".repeat(101);
    fs::write(s.path("value"), &value).unwrap();
    let limited = |args: &[&str]| s.run(args).env("PRONTO_MAX_VALUE_BYTES", "100");
    refuses(&s, limited(&["set", "p.n.k", &value]), 6).stderr_has("100");
    refuses(&s, limited(&["set", "p.n.k", &value, "--json"]), 6);
    refuses(&s, limited(&["set", "p.n.k", "--file", "value"]), 6).stderr_has("100");
    refuses(&s, limited(&["set", "p.n.k"]).stdin(value.as_str()), 6).stderr_has("100");
    refuses(&s, limited(&["set", "p.n.k", "-"]).stdin(value.as_str()), 6).stderr_has("100");
    refuses(&s, limited(&["append", "p.n.k", &value[..98]]), 6).stderr_has("100");
    limited(&["set", "p.n.k", &value[..100]]).prints("");
    limited(&["get", "p.n.k"]).prints(format!("{}\n", &value[..100]));
}

#[test]
fn an_endless_stdin_is_refused_without_waiting_for_its_end() {
    let s = sandbox();
    let endless = ["sh", "-c", "cat /dev/zero | \"$@\"", "sh"];
    s.run(["set", "k"]).env("PRONTO_MAX_VALUE_BYTES", "1000").under(endless).fails(6);
    s.run(["set", "k", "--file", "/dev/zero"]).env("PRONTO_MAX_VALUE_BYTES", "1000").fails(6);
}

#[test]
fn values_that_were_stored_stay_readable_under_a_lower_limit() {
    let s = sandbox_with([("k", "a value of some length")]);
    s.run(["get", "k"]).env("PRONTO_MAX_VALUE_BYTES", "5").prints("a value of some length\n");
}

#[test]
fn keys_have_512_bytes_at_most() {
    let s = sandbox();
    for longest in ["k".repeat(512), "é".repeat(256), format!("{}🗝", "k".repeat(508))] {
        s.run(["set", &format!("p.n.{longest}"), "v"]).prints("");
        s.run(["get", &format!("p.n.{longest}")]).prints("v\n");
        s.run(["del", "p.n.x", &format!("p.n.{longest}")]).prints("");
    }
    for too_long in ["k".repeat(513), format!("{}é", "k".repeat(511))] {
        let address = format!("p.n.{too_long}");
        refused(&s, &["set", &address, "1"], 1, "invalid").stderr_has("512");
        refused(&s, &["get", &address], 1, "invalid").stderr_has("512");
        refused(&s, &["-p", "p", "-n", "n", "set", &too_long, "1"], 1, "invalid").stderr_has("512");
    }
}

#[test]
fn names_have_64_bytes_at_most() {
    let s = sandbox();
    for longest in ["x".repeat(64), "é".repeat(32)] {
        for address in [format!("{longest}.n.k"), format!("p.{longest}.k"), format!("{longest}.k")] {
            s.run(["set", &address, "v"]).prints("");
            s.run(["get", &address]).prints("v\n");
        }
    }
    for too_long in ["x".repeat(65), format!("{}é", "x".repeat(63))] {
        for address in [format!("{too_long}.n.k"), format!("p.{too_long}.k"), format!("{too_long}.k")] {
            refused(&s, &["set", &address, "1"], 1, "invalid").stderr_has("64");
        }
        refused(&s, &["-p", &too_long, "set", "k", "1"], 1, "invalid").stderr_has("64");
        refused(&s, &["create-cache", &format!("p.{too_long}"), "5"], 1, "invalid").stderr_has("64");
    }
}

#[test]
fn names_of_databases_have_64_characters_at_most() {
    let s = sandbox();
    let longest = "x".repeat(64);
    s.run(["--database", &longest, "set", "k", "v"]).prints("");
    s.run(["--database", &longest, "get", "k"]).prints("v\n");
    refused(&s, &["--database", &"x".repeat(65), "set", "k", "1"], 1, "invalid").stderr_has("64");
    assert!(data_folder(&s).join(longest).is_dir());
}

#[test]
fn advice_is_about_what_stood_in_the_way_whatever_things_are_called() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "60", "max_bytes=20"]).prints("");
    let key = "p.c.max_value_bytes";
    s.run(["set", key, &"v".repeat(50)]).fails(6).stderr_has("max_bytes").stderr_lacks("comes from");
    let long = s.run(["set", "p.n.k", &"v".repeat(50)]).env("PRONTO_MAX_VALUE_BYTES", "10");
    long.fails(6).stderr_has("hint: max_value_bytes comes from PRONTO_MAX_VALUE_BYTES");
    for name in ["a: b", "it keeps no history: x"] {
        let address = format!("p|{name}|k");
        s.run(["set", &address, "v", "--ns-delim", "|"]).prints("");
        let hint = format!("hint: prontodb admin namespace set p|{name} history=20 has it keep one");
        s.run(["history", &address, "--ns-delim", "|"]).fails(1).stderr_has(&hint);
        s.run(["set", &address, "w", "--ns-delim", "|", "--reason", "x"]).fails(1).stderr_has(&hint);
    }
}
