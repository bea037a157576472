//! Generated entries with hostile keys and values, on every way out of a database and back: byte for byte the same.
//!
//! `PRONTODB_TEST_ENTRIES` says how many, for `just round-trips`.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prontodb_core::Metakeys;
use prontodb_testkit::sandbox::{Call, Sandbox};

use crate::common::{identity_file, sandbox};

/// What keys are made of: what some format or file system gives a meaning of its own, and letters of one to four bytes.
const OF_KEYS: &[&str] = &[
    "=", ";", "\"", "'", ",", "#", " ", "meta:", "b64:", ".", "/", "..", "%", "%2F", "\\", ":", "*", "|",
    "~", "{", "}", "__", "_", "\u{a0}", "\u{feff}", "\u{2028}", "con", "NUL", ".json", "-", "@", "k", "K",
    "ä", "ключ", "鍵", "🔑",
];
/// What values are made of, besides all bytes there are.
const OF_VALUES: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\"",
    b",",
    b"\t",
    b"\\",
    b"\\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b";",
    b"b64:",
    b"true",
    b"null",
    b"\xef\xbb\xbf",
    b" ",
    b"=",
    b"x",
    b"{\"k\":1}",
    b"\x7f",
    b"\x1b[0m",
];

/// For as many entries as anybody asks for.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Numbers that are the same on every run (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn entries(count: usize) -> BTreeMap<String, Vec<u8>> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut entries = BTreeMap::new();
    while entries.len() < count {
        let pieces = [1, 2, 5, 40][dice.below(4)];
        let key: String = (0..=dice.below(pieces)).map(|_| dice.pick(OF_KEYS)).collect();
        if key.len() <= 512 && prontodb_core::EntryName::parse(&key).is_ok() {
            entries.insert(key, value(&mut dice));
        }
    }
    entries
}

fn value(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => Vec::new(),
        1 => (0..dice.below(2000)).map(|_| dice.below(256) as u8).collect(),
        // Long enough to be compressed, or to lie apart.
        2 if dice.below(10) == 0 => dice.pick(OF_VALUES).repeat(5000),
        _ => (0..=dice.below(12)).flat_map(|_| dice.pick(OF_VALUES).to_vec()).collect(),
    }
}

fn as_tsv(entries: &BTreeMap<String, Vec<u8>>) -> String {
    entries.iter().map(|(key, value)| format!("{key}\t{}\n", STANDARD.encode(value))).collect()
}

/// An export with meta, in which some of the entries have got metakeys.
fn with_metakeys(export: &[u8]) -> Vec<u8> {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut text = String::new();
    for line in std::str::from_utf8(export).unwrap().lines() {
        text.push_str(line);
        if let Some(metakeys) = metakeys(&mut dice) {
            text.push_str(&metakeys.to_json());
        }
        text.push('\n');
    }
    assert!(text.contains("\t{"), "no entry has got a metakey");
    text.into_bytes()
}

fn metakeys(dice: &mut Dice) -> Option<Metakeys> {
    let mut all = None;
    for _ in 0..dice.below(4) {
        let mut text = || (0..=dice.below(6)).map(|_| dice.pick(OF_KEYS)).collect::<String>();
        // Some of these are no names.
        if let Ok(more) = Metakeys::with(all.as_ref(), &text(), &text()) {
            all = Some(more);
        }
    }
    all
}

fn run(s: &Sandbox, line: &str) -> Call {
    let call = s.run(line.split(' ')).within(TIME_LIMIT);
    call.env("PRONTO_SECURITY", "false").env("PRONTO_AGE_IDENTITY", identity_file(s))
}

fn output(s: &Sandbox, line: &str) -> Vec<u8> {
    run(s, line).succeeds().stdout_bytes().to_vec()
}

/// Expects that a database gives out exactly this.
#[track_caller]
fn holds(s: &Sandbox, line: &str, wanted: &[u8]) {
    // Compared here and not shown: it may be megabytes.
    assert!(output(s, line) == wanted, "{line} prints something else than what came in");
}

#[test]
fn generated_entries_come_back_on_every_way() {
    let count = env::var("PRONTODB_TEST_ENTRIES").map_or(300, |count| count.parse().unwrap());
    let wanted = as_tsv(&entries(count)).into_bytes();
    let s = sandbox();
    run(&s, "import p.n").stdin(wanted.clone()).succeeds();
    holds(&s, "export p.n", &wanted);
    for format in ["tsv", "json", "jsonl", "csv", "stream"] {
        let copy = sandbox();
        let text = output(&s, &format!("export p.n --format {format}"));
        run(&copy, &format!("import p.n --format {format}")).stdin(text).succeeds();
        holds(&copy, "export p.n", &wanted);
    }
    let with_meta = with_metakeys(&output(&s, "export p.n --with-meta"));
    run(&s, "import p.n --with-meta").stdin(with_meta.clone()).succeeds();
    holds(&s, "export p.n --with-meta", &with_meta);
    for format in ["tsv", "json", "jsonl", "csv"] {
        let copy = sandbox();
        let text = output(&s, &format!("export p.n --with-meta --format {format}"));
        run(&copy, &format!("import p.n --with-meta --format {format}")).stdin(text).succeeds();
        holds(&copy, "export p.n --with-meta", &with_meta);
    }
    for listing in ["scan", "keys"] {
        let copy = sandbox();
        run(&copy, "stream").stdin(output(&s, &format!("{listing} p.n --stream"))).succeeds();
        holds(&copy, "export p.n", &wanted);
    }
    run(&s, "sync main ./copy.prdb").succeeds();
    holds(&s, "export p.n --with-meta -d copy.prdb", &with_meta);
    run(&s, "export-fs --root tree --ns p.n --with-meta").succeeds();
    run(&s, "import-fs --root tree --ns p.n --with-meta -d of-files.prdb").succeeds();
    holds(&s, "export p.n --with-meta -d of-files.prdb", &with_meta);
    into_a_cache_and_encrypted(&s, &wanted);
}

fn into_a_cache_and_encrypted(s: &Sandbox, wanted: &[u8]) {
    run(s, "create-cache p.cache 1d").succeeds();
    run(s, "import p.cache").stdin(wanted.to_vec()).succeeds();
    let with_meta = output(s, "export p.cache --with-meta");
    run(s, "create-cache p.cache 1h -d cache.prdb").succeeds();
    run(s, "import p.cache --with-meta -d cache.prdb").stdin(with_meta.clone()).succeeds();
    holds(s, "export p.cache --with-meta -d cache.prdb", &with_meta);
    run(s, "admin namespace set p.secret encrypt=on").succeeds();
    run(s, "import p.secret").stdin(wanted.to_vec()).succeeds();
    holds(s, "export p.secret", wanted);
    run(s, "admin namespace rotate p.secret").succeeds();
    holds(s, "export p.secret", wanted);
}

#[test]
fn values_that_get_longer_when_they_are_written_down_come_back_at_the_limit() {
    const LIMIT: usize = 300_000;
    let s = sandbox();
    let limited = |line: &str| run(&s, line).env("PRONTO_MAX_VALUE_BYTES", LIMIT.to_string());
    for (key, byte) in [("quotes", b'"'), ("controls", 1), ("bytes", 0xff), ("backslashes", b'\\')] {
        limited(&format!("set p.n.{key}")).stdin(vec![byte; LIMIT]).succeeds();
    }
    let wanted = output(&s, "export p.n");
    for format in ["tsv", "json", "jsonl", "csv", "stream"] {
        limited(&format!("export p.n --format {format} --output x")).succeeds();
        limited(&format!("import p.n x --format {format} -d {format}.prdb")).succeeds();
        holds(&s, &format!("export p.n -d {format}.prdb"), &wanted);
    }
    for (listing, format) in [("--stream", "text"), ("--jsonl", "jsonl")] {
        let listed = output(&s, &format!("scan {listing}"));
        limited(&format!("stream --format {format} -d of{listing}.prdb")).stdin(listed).succeeds();
        holds(&s, &format!("export p.n -d of{listing}.prdb"), &wanted);
    }
    limited("export-fs --root tree --ns p.n").succeeds();
    limited("export-fs --root tree --ns p.n").succeeds().stderr_has("4 as they should be");
    limited("import-fs --root tree --ns p.n -d of-files.prdb").succeeds();
    holds(&s, "export p.n -d of-files.prdb", &wanted);
}
