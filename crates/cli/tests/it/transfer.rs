//! `export` and `import`: files that bring back what was there, and nothing of those that are wrong.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{contents, database_file, sandbox, sandbox_with};

const FORMATS: [&str; 5] = ["tsv", "json", "jsonl", "csv", "stream"];

/// A sandbox with awkward entries in `p.n`.
fn furnished() -> Sandbox {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b__eu", "two, \"2\";\nlines"), ("p.n.empty", "")]);
    s.run(["set", "p.n.bytes"]).stdin(b"\xff\x00\r\n").prints("");
    s
}

#[test]
fn every_format_brings_back_every_byte() {
    let s = furnished();
    let entries = s.run(["export", "p.n"]).succeeds().stdout();
    for format in FORMATS {
        let file = format!("out.{format}");
        let printed = s.run(["export", "p.n", "--format", format]).succeeds().stdout();
        s.run(["export", "p.n", "--output", &file]).prints("").stderr_is("");
        assert_eq!(fs::read_to_string(s.path(&file)).unwrap(), printed, "{format}");
        let other = sandbox();
        other
            .run(["import", "p.n", "--format", format])
            .stdin(printed)
            .prints("")
            .stderr_is("prontodb: imported 4 entries\n");
        other.run(["export", "p.n"]).prints(entries.clone());
        other.run(["import", "p.n", &s.path(&file).display().to_string()]).succeeds();
        other.run(["export", "p.n"]).prints(entries.clone());
    }
}

#[test]
fn a_prefix_and_flags_choose_what_is_exported() {
    let s = furnished();
    s.run(["export", "p.n", "b"]).prints("b__eu\tdHdvLCAiMiI7CmxpbmVz\nbytes\t/wANCg==\n");
    s.run(["export", "-p", "p", "-n", "n", "a"]).prints("a\tMQ==\n");
    s.run(["export", "p.n", "nothing"]).prints("").stderr_has("there is nothing to export");
    s.run(["export", "p.n", "nothing", "--format", "json"]).prints("[]\n");
    s.run(["export", "no.where", "--format", "csv"]).prints("key,value,encoding\n");
    for words in [&["export"][..], &["export", "p"], &["export", "p.n.a"], &["import"], &["import", "p"]] {
        s.run(words).fails_with_one_of(&[1, 64]);
    }
    s.run(["export", "p.n", "a.b"]).fails(1).stderr_has("holds the delimiter");
    s.run(["export", "p.n", "--format", "xml"]).fails(64).stderr_has("tsv, json, jsonl, csv and stream are");
}

#[test]
fn meta_goes_along_where_it_is_asked_for() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "1h"]).prints("");
    s.run(["set", "p.c.k", "v", "--ttl", "2h", "--user", "ada", "-d", "x.prdb"]).fails(2);
    s.run(["set", "p.c.k", "v", "--ttl", "2h"]).env("USER", "ada").prints("");
    let meta = s.run(["get", "p.c.k", "--meta"]).succeeds().stdout();
    let without_version =
        |meta: &str| meta.lines().filter(|line| !line.starts_with("version")).collect::<Vec<_>>().join("\n");
    for format in ["tsv", "json", "jsonl", "csv"] {
        let printed = s.run(["export", "p.c", "--with-meta", "--format", format]).succeeds().stdout();
        s.run(["set", "p.c.k", "another"]).prints("");
        s.run(["import", "p.c", "--with-meta", "--format", format]).stdin(printed.clone()).succeeds();
        let again = s.run(["get", "p.c.k", "--meta"]).succeeds().stdout();
        assert_eq!(without_version(&again), without_version(&meta), "{format}");
        s.run(["import", "p.c", "--format", format]).stdin(printed.clone()).succeeds();
        assert!(
            (3500..=3600)
                .contains(&s.run(["ttl", "p.c.k"]).succeeds().stdout().trim().parse::<u64>().unwrap())
        );
        s.run(["import", "p.c", "--with-meta", "--format", format]).stdin(printed.clone()).succeeds();
        s.run(["import", "p.n", "--with-meta", "--format", format])
            .stdin(printed)
            .fails(2)
            .stderr_has("create-cache p.n");
    }
    s.run(["keys", "p.n"]).prints("");
    s.run(["export", "p.c", "--with-meta", "--format", "stream"]).fails(64);
}

#[test]
fn what_is_there_is_replaced_kept_or_stops_all() {
    let s = sandbox_with([("p.n.a", "1")]);
    let import = |flags: &[&str]| s.run(["import", "p.n"]).args(flags).stdin("a\tMg==\nz\tMg==\n");
    import(&["--on-conflict", "fail"])
        .fails(3)
        .stderr_has("line 1: the key `a` is there already; nothing was written");
    s.run(["scan", "p.n"]).prints("a=1\n");
    for (what, said) in [
        ("replace", "would import 2 entries, 1 in place of others"),
        ("skip", "would import 1 entry, 1 skipped"),
    ] {
        import(&["--dry-run", "--on-conflict", what]).prints("").stderr_is(&format!("prontodb: {said}\n"));
    }
    import(&["--dry-run", "--on-conflict", "fail"]).fails(3);
    s.run(["scan", "p.n"]).prints("a=1\n");
    import(&["--on-conflict", "skip"]).succeeds().stderr_is("prontodb: imported 1 entry, 1 skipped\n");
    s.run(["scan", "p.n"]).prints("a=1\nz=2\n");
    import(&[]).succeeds();
    s.run(["scan", "p.n"]).prints("a=2\nz=2\n");
    import(&["--on-conflict", "ask"]).fails(64);
}

#[test]
fn a_bad_line_anywhere_stops_all() {
    let s = sandbox();
    for (format, text, wanted) in [
        ("tsv", "a\tMQ==\nb\tM", "line 2: the value is no base64"),
        ("tsv", "a\tMQ==\nb", "line 2: there is no tab"),
        ("tsv", "a\tMQ==\nb\tMQ==\na\tMg==\n", "the key `a` is there twice, in lines 1 and 3"),
        ("tsv", "a\tMQ==\nb.c\tMQ==\nb__\tMQ==", "line 3: the context is empty"),
        ("jsonl", "{\"k\":\"a\",\"v\":\"1\"}\n{\"k\":\"b\",\"v\":1}", "line 2: invalid type"),
        ("json", "[{\"k\":\"a\",\"v\":\"1\"},{\"k\":\"b\"}]", "line 1: one of v and v64"),
        ("csv", "key,value\na,1\nb", "line 3: "),
        ("stream", "a=1;b", "line 1, column 5: a token without `=`"),
    ] {
        let outcome = s.run(["import", "p.n", "--format", format]).stdin(text).fails(1);
        outcome.stdout_is("").stderr_has(wanted);
        s.run(["import", "p.n", "--format", format, "--dry-run"]).stdin(text).fails(1).stderr_has(wanted);
        assert!(contents(&s).is_empty(), "{format} {text:?}");
    }
    let limited = s.run(["import", "p.n"]).stdin("a\tMTIzNDU2\n").env("PRONTO_MAX_VALUE_BYTES", "5");
    limited.fails(6).stderr_has("prontodb: line 1: the value is 6 bytes long");
    s.run(["import", "p.n", "missing.tsv"]).fails(1).stderr_has("cannot read missing.tsv");
    s.run(["import", "p.n"]).stdin("").succeeds().stderr_is("prontodb: imported 0 entries\n");
    assert!(contents(&s).is_empty());
}

#[test]
fn a_file_that_cannot_be_written_whole_is_not_left_behind() {
    let s = furnished();
    fs::write(s.path("kept.tsv"), "before").unwrap();
    s.run(["export", "p.n", "--output", "missing/x.tsv"]).fails(1).stderr_has("cannot write missing/x.tsv");
    s.run(["export", "p.n", "--output", "/dev/full"]).fails(1).stderr_has("cannot write /dev/full");
    s.run(["export", "p.n"]).stdout_to(File::options().write(true).open("/dev/full").unwrap()).fails(1);
    s.run(["export", "p", "--output", "kept.tsv"]).fails(1);
    assert_eq!(fs::read_to_string(s.path("kept.tsv")).unwrap(), "before");
    s.run(["export", "p.n", "--output", "kept.tsv"]).succeeds();
    assert!(fs::read_to_string(s.path("kept.tsv")).unwrap().starts_with("a\tMQ=="));
    s.run_other("sh", ["-c", "\"$0\" export p.n | head -c 1", &s.program().display().to_string()])
        .prints("a");
}

#[test]
fn a_database_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let s = sandbox_with([("p.n.a", "1")]);
    fs::write(s.path("other.prdb"), vec![7; 8192]).unwrap();
    s.run(["import", "p.n", "--dry-run", "-d", "other.prdb"]).stdin("a\tMQ==").fails_with_one_of(&[1, 7]);
    s.run(["sync", "main", "./other.prdb", "--dry-run"]).fails_with_one_of(&[1, 7]).stdout_is("");
}

#[test]
fn an_output_takes_the_place_of_a_file_as_it_was() {
    let s = furnished();
    fs::write(s.path("kept.tsv"), "before").unwrap();
    fs::set_permissions(s.path("kept.tsv"), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("kept.tsv", s.path("link.tsv")).unwrap();
    s.run(["export", "p.n", "--output", "link.tsv"]).succeeds();
    assert!(fs::symlink_metadata(s.path("link.tsv")).unwrap().is_symlink());
    assert!(fs::read_to_string(s.path("kept.tsv")).unwrap().starts_with("a\tMQ=="));
    assert_eq!(fs::metadata(s.path("kept.tsv")).unwrap().permissions().mode() & 0o777, 0o600);
    s.run(["export", "p.n", "a", "--output", "-"]).prints("a\tMQ==\n");
    let names = fs::read_dir(s.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.count(), 2, "nothing else is left");
}

#[test]
fn a_name_that_is_misspelt_costs_no_file_that_was_exported() {
    let s = furnished();
    s.run(["export", "p.n", "--output", "kept.tsv"]).succeeds();
    let kept = fs::read(s.path("kept.tsv")).unwrap();
    for words in [&["export", "p.m"][..], &["export", "q.n", "a"], &["export", "p.n", "-d", "none.prdb"]] {
        for file in ["kept.tsv", "new.tsv"] {
            s.run(words).args(["--output", file]).fails(2).stderr_has("no file was written");
        }
    }
    assert_eq!(fs::read(s.path("kept.tsv")).unwrap(), kept);
    assert!(!s.path("new.tsv").exists());
    // A namespace that is there may well have nothing of what is wanted.
    s.run(["export", "p.n", "nothing", "--output", "kept.tsv"]).succeeds();
    assert_eq!(fs::read(s.path("kept.tsv")).unwrap(), b"");
}

#[test]
fn no_output_goes_over_a_database() {
    let s = sandbox_with([("p.n.a", "1")]);
    s.run(["set", "p.n.a", "1", "-d", "other.prdb"]).prints("");
    std::os::unix::fs::symlink("other.prdb", s.path("link")).unwrap();
    let main = database_file(&s, "main").display().to_string();
    for path in [main.as_str(), &format!("{main}-wal"), "other.prdb", "other.prdb-turn", "link"] {
        for words in [["export", "p.n", "--output"], ["get", "p.n.a", "--output"]] {
            s.run(words).args([path]).fails(1).stderr_has("is a database, or belongs to one");
        }
    }
    s.run(["get", "p.n.a"]).prints("1\n");
    s.run(["get", "p.n.a", "-d", "other.prdb"]).prints("1\n");
}

#[test]
fn hostile_lines_are_refused_and_take_little_memory() {
    let s = sandbox();
    let columns = |count: usize, of: &str| of.repeat(count);
    for (format, text, wanted) in [
        (
            "tsv",
            columns(30_000_000, "\t"),
            "line 1: there are more than 7 columns; 2 are wanted, or 7 with meta",
        ),
        ("csv", columns(30_000_000, ","), "line 1: there are more than 8 columns"),
        ("csv", format!("key,value\n{}", columns(30_000_000, ",")), "line 2: there are more than 8 columns"),
        ("json", columns(1_000_000, "["), "line 1: invalid type: sequence, expected an object"),
        (
            "json",
            format!("[{}", columns(1_000_000, "{\"k\":")),
            "line 1: invalid type: map, expected a string",
        ),
        ("json", format!("[{{\"version\":{}", columns(10_000_000, "[")), "line 1: EOF while parsing"),
        ("jsonl", columns(1_000_000, "["), "line 1: invalid type: sequence, expected an object"),
        ("jsonl", columns(1_000_000, "{\"v\":"), "line 1: invalid type: map, expected a string"),
        ("jsonl", format!("{{\"size\":{}", columns(10_000_000, "[")), "line 1: EOF while parsing"),
    ] {
        let call = s.run(["import", "p.n", "--format", format]).stdin(text);
        let outcome = call.under(["sh", "-c", "ulimit -v 300000; exec \"$@\"", "sh"]).fails(1);
        outcome.stdout_is("").stderr_has(&format!("prontodb: {wanted}"));
    }
    assert!(contents(&s).is_empty());
}
