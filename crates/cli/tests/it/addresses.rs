//! Where an entry lives: `project.namespace.key__context`, and the flags that say the same.

use crate::common::{databases, refused, refuses, sandbox, sandbox_with};

#[test]
fn one_part_is_a_key_of_the_defaults() {
    let s = sandbox_with([("k", "v")]);
    s.run(["get", "default.default.k"]).prints("v\n");
}

#[test]
fn two_parts_are_namespace_and_key_of_the_default_project() {
    let s = sandbox_with([("n.k", "v")]);
    s.run(["get", "default.n.k"]).prints("v\n");
    s.run(["get", "k"]).fails(2);
}

#[test]
fn three_parts_are_taken_as_written() {
    let s = sandbox_with([("p.n.k", "v")]);
    s.run(["get", "p.n.k"]).prints("v\n");
    s.run(["get", "n.k"]).fails(2);
}

#[test]
fn a_fourth_part_is_refused_with_what_to_do() {
    let s = sandbox_with([("a.b.c", "v")]);
    for command in ["get", "del", "exists", "ttl", "touch", "incr"] {
        refused(&s, &[command, "a.b.c.d"], 1, "invalid")
            .stderr_has("a.b.c.d")
            .stderr_has("--ns-delim")
            .stderr_has("_");
    }
    for command in ["set", "append"] {
        refused(&s, &[command, "a.b.c.d", "1"], 1, "invalid").stderr_has("a.b.c.d");
    }
    for command in ["keys", "ls", "scan"] {
        refused(&s, &[command, "a.b.c.d"], 1, "invalid")
            .stderr_has("a.b.c.d")
            .stderr_has("--ns-delim")
            .stderr_has("_");
    }
    for args in [["rename", "a.b.c", "a.b.c.d"], ["copy", "a.b.c", "a.b.c.d"], ["copy", "a.b.c.d", "a.b.e"]] {
        refused(&s, &args, 1, "invalid").stderr_has("a.b.c.d");
    }
}

#[test]
fn empty_parts_are_refused() {
    let s = sandbox_with([("a.b.c", "v")]);
    for address in ["", ".", "..", "a.", ".a", "a..c", ".b.c", "a.b."] {
        refused(&s, &["set", address, "1"], 1, "invalid").stderr_has("empty");
        refused(&s, &["get", address], 1, "invalid").stderr_has("empty");
    }
    for start in ["", ".", "a.", ".a", "a..c", "a.b."] {
        refused(&s, &["keys", start], 1, "invalid").stderr_has("empty");
    }
}

#[test]
fn flags_and_dots_reach_the_same_entry() {
    let s = sandbox();
    s.run(["set", "-p", "p", "-n", "n", "k", "short"]).prints("");
    s.run(["get", "p.n.k"]).prints("short\n");
    s.run(["set", "--project", "p", "--namespace", "n", "--key", "k", "long"]).prints("");
    s.run(["get", "p.n.k"]).prints("long\n");
    s.run(["set", "p.n.k", "dots"]).prints("");
    s.run(["get", "--key=k", "--namespace=n", "--project=p"]).prints("dots\n");
    s.run(["get", "-pp", "-nn", "k"]).prints("dots\n");
    s.run(["keys", "-p", "p", "-n", "n"]).prints("k\n");
    s.run(["del", "-n", "n", "--key", "k", "-p", "p"]).prints("");
    s.run(["exists", "p.n.k"]).fails(2);
}

#[test]
fn a_project_alone_keeps_the_default_namespace() {
    let s = sandbox();
    s.run(["set", "-p", "p", "k", "v"]).prints("");
    s.run(["get", "p.default.k"]).prints("v\n");
}

#[test]
fn a_namespace_alone_keeps_the_default_project() {
    let s = sandbox();
    s.run(["set", "-n", "n", "k", "v"]).prints("");
    s.run(["get", "default.n.k"]).prints("v\n");
}

#[test]
fn with_flags_the_argument_is_the_key_alone() {
    let s = sandbox_with([("p.n.k", "v")]);
    for flags in [&["-p", "p"][..], &["-n", "n"], &["-p", "p", "-n", "n"]] {
        for key in ["n.k", "p.n.k", ".k", "k."] {
            refused(&s, &[flags, &["set", key, "1"]].concat(), 1, "invalid").stderr_has(key);
            refused(&s, &[flags, &["get", key]].concat(), 1, "invalid").stderr_has(key);
            refused(&s, &[flags, &["keys", key]].concat(), 1, "invalid").stderr_has(key);
        }
    }
    refused(&s, &["-p", "p", "set", "--key", "n.k", "1"], 1, "invalid").stderr_has("n.k");
}

#[test]
fn an_address_and_a_key_contradict_each_other() {
    let s = sandbox_with([("p.n.k", "v")]);
    refused(&s, &["get", "p.n.k", "--key", "k"], 64, "usage");
    refused(&s, &["exists", "p.n.k", "--key", "other"], 64, "usage");
}

#[test]
fn names_in_flags_hold_no_delimiter() {
    let s = sandbox();
    refused(&s, &["-p", "a.b", "set", "k", "1"], 1, "invalid").stderr_has("a.b");
    refused(&s, &["-n", "a.b", "set", "k", "1"], 1, "invalid").stderr_has("a.b");
    refused(&s, &["-p", "a.b", "keys"], 1, "invalid").stderr_has("a.b");
}

#[test]
fn names_in_flags_are_not_empty() {
    let s = sandbox();
    for flag in ["-p", "-n", "--context"] {
        refuses(&s, s.run([flag, "", "set", "k", "v"]), 1).stderr_has("empty");
    }
    refuses(&s, s.run(["--key", "", "set", "v"]), 1).stderr_has("empty");
}

#[test]
fn the_last_mark_starts_the_context() {
    let s = sandbox_with([("p.n.k__a__b", "v")]);
    s.run(["get", "p.n.k__a", "--context", "b"]).prints("v\n");
    s.run(["get", "p.n.k", "--context", "b"]).fails(2);
    s.run(["keys", "p.n", "--context", "b"]).prints("k__a__b\n");
    s.run(["keys", "p.n", "--context", "a"]).prints("");
}

#[test]
fn a_key_and_the_key_with_context_are_two_entries() {
    let s = sandbox_with([("p.n.k", "plain"), ("p.n.k__c", "context")]);
    s.run(["get", "p.n.k"]).prints("plain\n");
    s.run(["get", "p.n.k__c"]).prints("context\n");
    s.run(["del", "p.n.k"]).prints("");
    s.run(["get", "p.n.k__c"]).prints("context\n");
}

#[test]
fn context_flag_and_context_in_the_key_reach_the_same_entry() {
    let s = sandbox();
    s.run(["set", "p.n.k", "v", "--context", "c"]).prints("");
    s.run(["get", "p.n.k__c"]).prints("v\n");
    s.run(["get", "-p", "p", "-n", "n", "k__c"]).prints("v\n");
    s.run(["--context", "c", "exists", "p.n.k"]).succeeds();
    s.run(["exists", "p.n.k"]).fails(2);
}

#[test]
fn marks_outside_of_the_key_are_letters_like_others() {
    let s = sandbox_with([("a__b.c.d", "v")]);
    s.run(["get", "-p", "a__b", "-n", "c", "d"]).prints("v\n");
    s.run(["projects"]).prints("a__b\n");
}

#[test]
fn empty_contexts_and_keys_are_refused() {
    let s = sandbox();
    for address in ["k__", "p.n.k__", "__c", "p.n.__c", "p.n.__"] {
        refused(&s, &["set", address, "1"], 1, "invalid").stderr_has("empty");
        refused(&s, &["get", address], 1, "invalid").stderr_has("empty");
    }
}

#[test]
fn contexts_that_would_read_differently_are_refused() {
    let s = sandbox();
    for context in ["a__b", "_a", "a.b"] {
        refused(&s, &["set", "k", "1", "--context", context], 1, "invalid").stderr_has(context);
    }
}

#[test]
fn the_delimiter_is_notation_only() {
    let s = sandbox_with([("x.y.z", "v")]);
    s.run(["get", "x|y|z", "--ns-delim", "|"]).prints("v\n");
    s.run(["--ns-delim", "/", "get", "x/y/z"]).prints("v\n");
    s.run(["--ns-delim=→", "get", "x→y→z"]).prints("v\n");
    s.run(["get", "x:y:z"]).env("PRONTO_NS_DELIM", ":").prints("v\n");
    s.run(["keys", "--ns-delim", "|"]).prints("x|y|z\n");
    s.run(["nss", "--ns-delim", "|"]).prints("x|y\n");
}

#[test]
fn the_delimiter_flag_wins_over_the_environment() {
    let s = sandbox_with([("x.y.z", "v")]);
    s.run(["--ns-delim", "|", "get", "x|y|z"]).env("PRONTO_NS_DELIM", ":").prints("v\n");
}

#[test]
fn only_single_special_characters_are_delimiters() {
    let s = sandbox_with([("x.y.z", "v")]);
    for bad in ["", "ab", "..", "a", "Z", "é", "7", "_", "-", "=", ";", "'", "\"", " ", "\t", "\n"] {
        let flag = format!("--ns-delim={bad}");
        refused(&s, &["get", "x.y.z", &flag], 1, "invalid").stderr_has("delim");
        refused(&s, &[&flag, "set", "k", "1"], 1, "invalid").stderr_has("delim");
    }
    for bad in ["ab", "a", "7", "_", "-", "=", ";"] {
        refuses(&s, s.run(["get", "x.y.z"]).env("PRONTO_NS_DELIM", bad), 1).stderr_has("PRONTO_NS_DELIM");
    }
}

#[test]
fn only_the_active_delimiter_is_barred_from_keys() {
    let s = sandbox();
    s.run(["set", "--ns-delim", "|", "x|y|a.b", "v"]).prints("");
    s.run(["get", "--ns-delim", "|", "x|y|a.b"]).prints("v\n");
    s.run(["keys", "x.y"]).prints("a.b\n");
    s.run(["get", "--ns-delim", "|", "-p", "x", "-n", "y", "a.b"]).prints("v\n");
    refused(&s, &["-p", "x", "-n", "y", "set", "a.b", "1"], 1, "invalid").stderr_has("a.b");
    refused(&s, &["--ns-delim", "|", "-p", "x", "-n", "y", "set", "a|b", "1"], 1, "invalid")
        .stderr_has("a|b");
}

#[test]
fn control_characters_are_refused_in_every_part() {
    let s = sandbox();
    for control in ["\n", "\t", "\r", "\u{1b}", "\u{7f}", "\u{85}"] {
        for address in [
            format!("p{control}.n.k"),
            format!("p.n{control}.k"),
            format!("p.n.k{control}"),
            format!("p.n.{control}k"),
            format!("p.n.k__c{control}"),
        ] {
            refused(&s, &["set", &address, "1"], 1, "invalid").stderr_has("control character");
        }
    }
}

#[test]
fn messages_show_no_control_characters_of_the_input() {
    let s = sandbox();
    for command in ["get", "keys", "nonsense"] {
        s.run([command, "a\u{1b}[31m.b.c.d"]).fails_with_one_of(&[1, 64]).stderr_lacks("\u{1b}");
    }
}

#[test]
fn ordinary_characters_are_ordinary() {
    let names = [
        "a b",
        " a",
        "it's",
        "\"quoted\"",
        "`date`",
        "$HOME",
        "a/b",
        "../../etc/passwd",
        "..",
        "x'; DROP TABLE entries; --",
        "%",
        "_",
        "*?[a]",
        "a=b",
        "a;b",
        "#",
        "{}",
        "ключ",
        "鍵",
        "🗝",
        "e\u{301}",
        "\\",
        "NULL",
        "~",
    ];
    let s = sandbox();
    for name in names {
        let address = format!("{name}|{name}|{name}");
        s.run(["--ns-delim", "|", "set", &address, name]).prints("");
    }
    for name in names {
        let address = format!("{name}|{name}|{name}");
        s.run(["--ns-delim", "|", "get", &address]).prints(format!("{name}\n"));
        s.run(["--ns-delim", "|", "keys", &format!("{name}|{name}")]).prints(format!("{name}\n"));
    }
    s.run(["keys", "--count"]).prints(format!("{}\n", names.len()));
    assert_eq!(databases(&s).len(), 1, "names of users are never paths");
}

#[test]
fn different_names_never_meet() {
    let names =
        ["x_y.z.k", "x.y_z.k", "x.y.z_k", "x_y.z.k__c", "X_y.z.k", "x.y_z.K", "é.n.k", "e\u{301}.n.k"];
    let s = sandbox();
    for name in names {
        s.run(["set", name, name]).prints("");
    }
    for name in names {
        s.run(["get", name]).prints(format!("{name}\n"));
    }
    s.run(["keys", "--count"]).prints(format!("{}\n", names.len()));
}

#[test]
fn a_full_address_is_never_changed_by_defaults() {
    let s = sandbox();
    let with_defaults = |args: &[&str]| {
        s.run(args).env("PRONTO_DEFAULT_PROJECT", "acme").env("PRONTO_DEFAULT_NAMESPACE", "shop")
    };
    with_defaults(&["set", "p.n.k", "three"]).prints("");
    with_defaults(&["set", "n.k", "two"]).prints("");
    with_defaults(&["set", "k", "one"]).prints("");
    s.run(["keys"]).prints("acme.n.k\nacme.shop.k\np.n.k\n");
    with_defaults(&["get", "-p", "p", "-n", "n", "k"]).prints("three\n");
}
