//! Formats: whatever is written down is read back byte for byte, and what is no such format is refused with its line.

use std::io::{self, Read};

use prontodb_core::store::{Change, Life, Place};
use prontodb_core::transfer::{self, Format, ReadOptions, Writer, tree};
use prontodb_core::{Coding, Delimiter, EntryName, ErrorKind, Head, Metakeys, Millis, Namespace, Version};
use prontodb_testkit::properties;
use proptest::prelude::*;

/// Name, value, and times where they are read.
type Seen = (String, Vec<u8>, Life);

fn namespace() -> Namespace {
    Namespace::new("p", "n").unwrap()
}

fn options(format: Format, with_meta: bool) -> ReadOptions {
    let (namespace, delimiter) = (namespace(), Delimiter::default());
    ReadOptions { format, with_meta, namespace, delimiter, max_line_bytes: 1 << 20 }
}

fn read(text: &[u8], options: &ReadOptions) -> prontodb_core::Result<Vec<Seen>> {
    let mut seen = Vec::new();
    transfer::read(text, options, &mut |_, name, change| {
        match change {
            Change::Set { value, life } => seen.push((name.as_str().to_owned(), value.to_vec(), life)),
            Change::Delete => panic!("{name} is removed"),
        }
        Ok(())
    })?;
    Ok(seen)
}

fn names(text: &str, format: Format) -> Vec<String> {
    let seen =
        read(text.as_bytes(), &options(format, false)).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    seen.into_iter().map(|(name, value, _)| format!("{name}={}", String::from_utf8(value).unwrap())).collect()
}

fn refusal(text: &[u8], format: Format, with_meta: bool) -> String {
    match read(text, &ReadOptions { max_line_bytes: 200, ..options(format, with_meta) }) {
        Err(error) => error.to_string(),
        Ok(seen) => panic!("{:?} is read as {seen:?}", String::from_utf8_lossy(text)),
    }
}

fn hostile_name() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "=", ";", "\"", "'", ",", "#", " ", "meta:", "b64:", ".", "/", "%", "\u{a0}", "\u{feff}", "k", "-",
        "@", "{", "}",
    ];
    let piece = prop_oneof![prop::sample::select(PIECES).prop_map(str::to_owned), "\\PC"];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn hostile_value() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"",
        b"\r",
        b"\n",
        b"\r\n",
        b"\"",
        b",",
        b"\t",
        b"\\",
        b"\0",
        b"\xff",
        b";",
        b"b64:",
        b"true",
        b"\xef\xbb\xbf",
        b" ",
        b"x",
    ];
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..6).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces, prop::collection::vec(any::<u8>(), 0..30)]
}

fn moment() -> impl Strategy<Value = Millis> {
    (0..253_402_300_799_999_i64).prop_map(Millis)
}

#[test]
fn what_is_written_down_is_read_back() {
    let writer = prop::option::of("[a-z,\" ]{1,8}");
    let metakey = ("[a-z\",;\\\\ äß🗝]{1,4}", "[a-z\",;=\\\\ {}🗝]{0,8}");
    let metakeys = prop::collection::vec(metakey, 0..3).prop_map(|pairs| {
        pairs.iter().fold(None, |all: Option<Metakeys>, (name, value)| {
            Some(Metakeys::with(all.as_ref(), name, value).unwrap())
        })
    });
    let head = (moment(), moment(), prop::option::of(moment()), writer, metakeys);
    let entries = prop::collection::vec((hostile_name(), hostile_value(), head), 0..8);
    properties::check(400, &(entries, any::<bool>()), |(entries, with_meta)| {
        let entries: Vec<_> =
            entries.into_iter().filter(|(name, ..)| EntryName::parse(name).is_ok()).collect();
        for format in Format::ALL {
            let with_meta = with_meta && format != Format::Stream;
            let (mut writer, mut text) =
                (Writer::new(format, with_meta, namespace(), Delimiter::default()), Vec::new());
            let mut wanted = Vec::new();
            writer.begin(&mut text);
            for (name, value, (created, updated, expires, by, metakeys)) in &entries {
                let expires = expires.filter(|_| format != Format::Stream);
                let (version, size) = (Version(1), value.len() as u64);
                let head = Head {
                    version,
                    created: *created,
                    updated: *updated,
                    expires,
                    writer: by.clone(),
                    rank: None,
                    size,
                    coding: Coding::PLAIN,
                    metakeys: metakeys.clone(),
                };
                writer.entry(&mut text, name, value, &head, Millis(0));
                let (created, updated, writer, metakeys) = (*created, *updated, by.clone(), metakeys.clone());
                let kept = Life::Kept { created, updated, expires, writer, metakeys };
                wanted.push((name.clone(), value.clone(), if with_meta { kept } else { Life::Default }));
            }
            writer.end(&mut text);
            let shown = String::from_utf8_lossy(&text).into_owned();
            let seen = read(&text, &options(format, with_meta));
            prop_assert_eq!(seen.map_err(|error| error.to_string()), Ok(wanted), "{:?}\n{}", format, shown);
        }
        Ok(())
    });
}

#[test]
fn meta_may_lack_metakeys_and_bad_ones_are_refused_with_their_line() {
    const TIMES: &str = "1970-01-01T00:00:00.000Z";
    let tsv = |metakeys: &str| format!("a\tMQ==\t{TIMES}\t{TIMES}\t\t{metakeys}");
    let csv = |name: &str, metakeys: &str| {
        format!("key,value,created,updated{name}\na,1,{TIMES},{TIMES}{metakeys}")
    };
    let jsonl = |metakeys: &str| {
        format!("{{\"k\":\"a\",\"v\":\"1\",\"created\":\"{TIMES}\",\"updated\":\"{TIMES}\"{metakeys}}}")
    };
    let owner = |text: &str, format| {
        let (_, _, life) = read(text.as_bytes(), &options(format, true)).unwrap().remove(0);
        let Life::Kept { metakeys, .. } = life else { panic!("no meta in {text}") };
        metakeys.and_then(|all| all.get("owner").map(str::to_owned))
    };
    for (text, format) in [
        (tsv(""), Format::Tsv),
        (tsv("\t"), Format::Tsv),
        (tsv("\t{}"), Format::Tsv),
        (csv("", ""), Format::Csv),
        (csv(",metakeys", ","), Format::Csv),
        (jsonl(""), Format::JsonLines),
        (jsonl(",\"metakeys\":null"), Format::JsonLines),
        (jsonl(",\"metakeys\":{}"), Format::JsonLines),
    ] {
        assert_eq!(owner(&text, format), None, "{text}");
    }
    let object = "{\"owner\":\"alice\"}";
    let quoted = format!(",\"{}\"", object.replace('"', "\"\""));
    for (text, format) in [
        (tsv(&format!("\t{object}")), Format::Tsv),
        (csv(",metakeys", &quoted), Format::Csv),
        (jsonl(&format!(",\"metakeys\":{object}")), Format::JsonLines),
    ] {
        assert_eq!(owner(&text, format).as_deref(), Some("alice"), "{text}");
        assert!(matches!(read(text.as_bytes(), &options(format, false)).unwrap()[0].2, Life::Default));
    }
    for (text, format, wanted) in [
        (tsv("\tx"), Format::Tsv, "line 1: metakeys are no JSON object of texts"),
        (tsv("\t{\"a=\":\"\"}"), Format::Tsv, "line 1: `a=` is no name of a metakey"),
        (csv(",metakeys", ",1"), Format::Csv, "line 2: metakeys are no JSON object of texts"),
        (jsonl(",\"metakeys\":{\"a\":1}"), Format::JsonLines, "line 1: invalid type"),
        (
            jsonl(",\"metakeys\":{\"a\":\"\\n\"}"),
            Format::JsonLines,
            "line 1: the metakey `a` holds a control",
        ),
        (
            jsonl(",\"metakeys\":{\"a\":\"\",\"a\":\"\"}"),
            Format::JsonLines,
            "line 1: a metakey is there twice",
        ),
    ] {
        let message = refusal(text.as_bytes(), format, true);
        assert!(message.starts_with(wanted), "{text}: {message}");
    }
}

#[test]
fn what_others_write_is_read_too() {
    for (format, text, wanted) in [
        (Format::Tsv, "", vec![]),
        (Format::Tsv, "\n \r\na\tMQ==\r\n\nb__c\t\n", vec!["a=1", "b__c="]),
        (Format::Tsv, "a\tMQ==\t\t\t\t", vec!["a=1"]),
        (Format::Tsv, " \t\n", vec![" ="]),
        (
            Format::JsonLines,
            "\n{\"k\":\"a\",\"v\":\"1\"}\r\n\n{ \"v64\" : \"MQ==\", \"k\" : \"b\" }",
            vec!["a=1", "b=1"],
        ),
        (
            Format::JsonLines,
            "{\"k\":\"a\",\"v\":\"1\",\"version\":3,\"size\":1,\"writer\":null}",
            vec!["a=1"],
        ),
        (Format::Json, " [ ] ", vec![]),
        (
            Format::Json,
            "[{\"k\":\"a\",\"v\":\"\\u00e4\"},\n\n{\"k\":\"b\",\"v\":\"2\"}]\n",
            vec!["a=ä", "b=2"],
        ),
        (Format::Csv, "", vec![]),
        (Format::Csv, "key,value\r\na,1\r\n\"b\",\"2\n\"\r\n", vec!["a=1", "b=2\n"]),
        (Format::Csv, "writer,value,key,encoding\nx,MQ==,a,base64\n", vec!["a=1"]),
        (Format::Stream, "# all\na=1; meta:path=p.n; b=2", vec!["a=1", "b=2"]),
    ] {
        assert_eq!(names(text, format), wanted, "{text:?}");
    }
}

/// A source that gives a byte at a time.
struct Bytewise<'t>(&'t [u8]);

impl Read for Bytewise<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_and_nowhere_else() {
    const MARK: &str = "\u{feff}";
    for (format, text) in [
        (Format::Tsv, "a\tMQ==\n\u{feff}b\tMQ==\n"),
        (Format::Json, "[{\"k\":\"a\",\"v\":\"1\"},{\"k\":\"\u{feff}b\",\"v\":\"1\"}]"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":\"1\"}\n{\"k\":\"\u{feff}b\",\"v\":\"1\"}"),
        (Format::Csv, "key,value\na,1\n\u{feff}b,1\n"),
        (Format::Csv, "\"key\",value\na,1\n\u{feff}b,1\n"),
        (Format::Stream, "a=1;\n\u{feff}b=1"),
        (Format::Stream, "#\na=1;\n\u{feff}b=1"),
    ] {
        let marked = [MARK, text].concat();
        let wanted = ["a=1", "\u{feff}b=1"];
        assert_eq!(names(text, format), wanted, "{text:?}");
        assert_eq!(names(&marked, format), wanted, "{text:?}");
        let mut seen = Vec::new();
        transfer::read(Bytewise(marked.as_bytes()), &options(format, false), &mut |_, name, _| {
            seen.push(name.to_string());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, ["a", "\u{feff}b"], "{text:?}");
    }
    for format in [Format::Tsv, Format::JsonLines, Format::Csv, Format::Stream] {
        assert!(names(MARK, format).is_empty(), "{format:?}");
    }
    // An entry of a tree of files as well, and places are those of the text behind the mark.
    assert!(
        tree::read("\u{feff}{\"k\":\"a\",\"v\":\"1\"}".as_bytes(), &options(Format::Json, false)).is_ok()
    );
    assert!(refusal("\u{feff}a".as_bytes(), Format::Stream, false).starts_with("line 1, column 1: "));
    assert!(refusal(b"\xef\xbb", Format::Stream, false).starts_with("line 1, column 1: "));
}

#[test]
fn a_first_key_that_begins_like_a_byte_order_mark_comes_back() {
    for format in Format::ALL {
        let (mut writer, mut text) =
            (Writer::new(format, false, namespace(), Delimiter::default()), Vec::new());
        let head = Head {
            version: Version(1),
            created: Millis(0),
            updated: Millis(0),
            expires: None,
            writer: None,
            rank: None,
            size: 1,
            coding: Coding::PLAIN,
            metakeys: None,
        };
        writer.begin(&mut text);
        writer.entry(&mut text, "\u{feff}a", b"1", &head, Millis(0));
        writer.entry(&mut text, "\u{feff}b", b"1", &head, Millis(0));
        writer.end(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(names(&text, format), ["\u{feff}a=1", "\u{feff}b=1"], "{text:?}");
    }
}

#[test]
fn what_is_no_such_format_is_refused_with_its_line() {
    let long = "x".repeat(300);
    for (format, text, wanted) in [
        (Format::Tsv, "a\tMQ==\nb", "line 2: there is no tab"),
        (Format::Tsv, "a\tMQ==\tx", "line 1: there are 3 columns"),
        (Format::Tsv, "a\tM", "line 1: the value is no base64"),
        (Format::Tsv, "\n\na\tMQ", "line 3: the value is no base64"),
        (Format::Tsv, "a\tMQ==\r\r\n", "line 1: the value is no base64"),
        (Format::Tsv, "\tMQ==", "line 1: the key is empty"),
        (Format::Tsv, long.as_str(), "line 1: the line is longer than 200 bytes"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":\"1\"}\n{", "line 2: EOF"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":1}", "line 1: invalid type"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":\"1\",\"v\":\"2\"}", "line 1: duplicate field `v`"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":\"1\",\"v64\":\"MQ==\"}", "line 1: one of v and v64"),
        (Format::JsonLines, "{\"k\":\"a\",\"v64\":\"M\"}", "line 1: v64 is no base64"),
        (Format::JsonLines, "{\"v\":\"1\"}", "line 1: missing field `k`"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":\"1\"} x", "line 1: trailing characters"),
        (
            Format::JsonLines,
            "{\"k\":\"a\\u0000\",\"v\":\"1\"}",
            "line 1: the key holds the control character",
        ),
        (Format::Json, "", "line 1: EOF"),
        (Format::Json, "{}", "line 1: invalid type: map, expected an array of entries"),
        (Format::Json, "[{\"k\":\"a\",\"v\":\"1\"},\n{\"k\":\"b\"}]", "line 2: one of v and v64"),
        (Format::Json, "[{\"k\":\"a\",\"v\":\"1\"}\n", "line "),
        (Format::Json, "[]\n[]", "line 2: trailing characters"),
        (Format::Csv, "key\na", "line 1: there is no column value"),
        (Format::Csv, "key,value,colour\na,1,red", "line 1: there is no column colour"),
        (Format::Csv, "key,value,key\na,1,b", "line 1: the column key is there twice"),
        (Format::Csv, "key,value\na,1\nb", "line 3: there are 1 columns, and 2 in the header"),
        (Format::Csv, "key,value,encoding\na,1,rot13", "line 2: the encoding is not known"),
        (Format::Csv, "key,value\n,1", "line 2: the key is empty"),
        (Format::Csv, "key,value\na,1\nb,\"2\nc,3\n", "line 3: a quote is never closed"),
        (Format::Csv, "key,value\na,\"", "line 2: a quote is never closed"),
        (Format::Csv, "key,value\na,5\" disk\nb,2", "line 2: a quote stands where none may"),
        (
            Format::Stream,
            "a=1;meta:op=del;b=",
            "line 1, column 17: entries are imported, and none is removed; prontodb stream does that",
        ),
        (
            Format::Stream,
            "a=1;meta:path=q.n;b=1",
            "line 1, column 19: this entry is for namespace n of project q",
        ),
        (Format::Stream, "meta:sec:session=x;a=1", "credentials are for prontodb stream"),
    ] {
        let message = refusal(text.as_bytes(), format, false);
        assert!(message.starts_with(wanted), "{format:?} {text:?}: {message}");
    }
    for format in [Format::Tsv, Format::JsonLines, Format::Json, Format::Csv] {
        let text: &[u8] = if format == Format::Csv { b"key,value\n\xff,1" } else { b"\xff\tMQ==" };
        let message = refusal(text, format, false);
        assert!(message.starts_with("line "), "{format:?}: {message}");
    }
}

#[test]
fn no_message_repeats_what_may_be_a_value() {
    const SECRETS: [&str; 3] = ["hunter2", "4711", "13.37"];
    let long = format!("{{\"{}{}\":1}}", "\\u001b".repeat(3), "x".repeat(150));
    for (format, text, wanted) in [
        (Format::JsonLines, "{\"k\":\"a\",\"v\":4711}", "line 1: invalid type: integer, expected a string"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":-4711}", "line 1: invalid type: integer, expected a string"),
        (Format::JsonLines, "{\"k\":13.37}", "line 1: invalid type: floating point, expected a string"),
        (
            Format::JsonLines,
            "{\"k\":\"a\",\"v\":[\"hunter2\"]}",
            "line 1: invalid type: sequence, expected a string",
        ),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":hunter2}", "line 1: expected value"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":\"hunter2", "line 1: EOF"),
        (
            Format::JsonLines,
            "\"hunter2, expected ` at line 3\"",
            "line 1: invalid type: string, expected an object",
        ),
        (Format::JsonLines, "[\"a\",\"hunter2\"]", "line 1: invalid type: sequence, expected an object"),
        (
            Format::JsonLines,
            "{\"k\":\"a\",\"colour\":\"hunter2\"}",
            "line 1: unknown field `colour`, expected one of `k`, ",
        ),
        (
            Format::JsonLines,
            "{\"a at line 1, expected `b`\":4711}",
            "line 1: unknown field `a at line 1, expected `b``, expected one of",
        ),
        (Format::JsonLines, &long, "line 1: unknown field `\\u{1b}\\u{1b}\\u{1b}xxx"),
        (Format::Json, "[4711]", "line 1: invalid type: integer, expected an object"),
        (Format::Json, "\"hunter2\"", "line 1: an array of entries is wanted"),
        (Format::Json, "[{\"k\":\"a\",\"v\":4711}]", "line 1: invalid type: integer, expected a string"),
        (Format::Tsv, "a\thunter2!", "line 1: the value is no base64"),
        (Format::Tsv, "a\tMQ==\thunter2\t\t\t", "line 1: created is no moment"),
        (
            Format::Csv,
            "key,value,expires,created,updated\na,,hunter2,2026-11-21T09:30:00.000Z,2026-11-21T09:30:00.000Z",
            "line 2: expires is no moment",
        ),
        (Format::Csv, "key,value,encoding\na,1,hunter2", "line 2: the encoding is not known"),
        (Format::Csv, "key,value\na,hunter2,4711", "line 2: there are 3 columns, and 2 in the header"),
        (Format::Csv, "key,\"va\x1b\nlue\"", "line 1: there is no column va\\u{1b}\\nlue; key"),
    ] {
        let with_meta = text.contains("created") || text.ends_with('\t');
        let message = refusal(text.as_bytes(), format, with_meta);
        assert!(message.starts_with(wanted), "{format:?} {text:?}: {message}");
        assert!(!SECRETS.iter().any(|secret| message.contains(secret)) && message.len() < 200, "{message}");
    }
}

#[test]
fn an_array_is_read_the_same_wherever_it_is_cut() {
    let value = "x\\u00e4\\\"]}".repeat(100_000);
    let text = format!(
        " [\n {{\"k\":\"a\",\n\"v\":\"1\"}} \n,{{\"k\":\"b\",\"v\":\"{value}\"}}, {{\"v\":\"3\",\"k\":\"c\"\n\n}}\n]\n "
    );
    let read = |source: &mut dyn Read| {
        let mut seen = Vec::new();
        let mut visit = |at: Place, name: &EntryName, change: Change<'_>| {
            let Change::Set { value, .. } = change else { panic!("{name} is removed") };
            seen.push((at.line, name.to_string(), value.len()));
            Ok(())
        };
        let options = ReadOptions { max_line_bytes: 1 << 21, ..options(Format::Json, false) };
        transfer::read(source, &options, &mut visit).map(|()| seen).map_err(|error| error.to_string())
    };
    let all = [(2, "a".to_owned(), 1), (4, "b".to_owned(), 600_000), (4, "c".to_owned(), 1)];
    assert_eq!(read(&mut text.as_bytes()), Ok(all.to_vec()));
    assert_eq!(read(&mut Bytewise(text.as_bytes())), Ok(all.to_vec()));
    for (text, wanted) in [
        ("[{\"k\":\"a\",\"v\":\"1\"},]", "line 1: expected value"),
        ("[{\"k\":\"a\",\"v\":\"1\"}\n{", "line 2: expected `,` or `]`"),
        ("[\n{\"k\":\"a\",\n\"v\":\n1}]", "line 4: invalid type: integer"),
        ("[\n{\"k\":\"a\",\n\"v\":\n\"1\"", "line 4: EOF while parsing an object"),
        ("[\n,", "line 2: expected value"),
        ("[\n", "line 2: EOF in the array"),
        ("[]\n]", "line 2: trailing characters"),
        ("[{\"k\":\"a\",\"v\":\"1\"},\n\n", "line 3: EOF in the array"),
    ] {
        let message = read(&mut text.as_bytes()).unwrap_err();
        assert!(message.starts_with(wanted), "{text:?}: {message}");
    }
}

#[test]
fn records_end_as_lines_do_and_blank_lines_are_free() {
    for text in [
        "key,value\na,1\nb,\"2\n\"\n",
        "\r\n\nkey,value\r\n\r\na,1\r\n\n\n\"b\",\"2\n\"",
        "key,value\ra,1\rb,\"2\n\"\r\r",
        "\"value\",\"key\"\n1,a\n\"2\n\",b",
    ] {
        assert_eq!(names(text, Format::Csv), ["a=1", "b=2\n"], "{text:?}");
    }
    // Found by fuzzing: a byte order mark is none behind blank lines, in whatever pieces it comes.
    for text in ["\r\r\u{feff}\r\r", "\u{feff}\r\r\u{feff}\r\r", "\n\u{feff}key,value\na,1"] {
        assert!(
            refusal(text.as_bytes(), Format::Csv, false).contains("there is no column \u{feff}"),
            "{text:?}"
        );
    }
    let blank = "\n".repeat(1_000_000);
    let message = refusal(format!("{blank}key,value{blank}b").as_bytes(), Format::Csv, false);
    assert_eq!(message, "line 2000001: there are 1 columns, and 2 in the header");
    // A quote that nothing closes would take the rest.
    let message = refusal(b"key,value\na,\"1\"\"2\nb,3", Format::Csv, false);
    assert!(message.starts_with("line 2: a quote is never closed"), "{message}");
    for misplaced in ["a,\"1\"x", "a,\"\"1\"\"", "a,x\"y\"", "a,x\"", "a,\"1\" ", "a, \"1\"", "\"a\"b,1"] {
        let message = refusal(format!("key,value\nb,\"2\"\n{misplaced}\n").as_bytes(), Format::Csv, false);
        assert!(message.starts_with("line 3: a quote stands where none may"), "{misplaced}: {message}");
    }
    for (field, value) in
        [("\"\"", ""), ("\"\"\"\"", "\""), ("\"1\"\"2,\"\"\n\"", "1\"2,\"\n"), ("' '", "' '")]
    {
        assert_eq!(names(&format!("key,value\na,{field}\n"), Format::Csv), [format!("a={value}")]);
    }
    const ALL: &str = "key,value,encoding,created,updated,expires,writer,metakeys";
    for (text, wanted) in [
        ("key,value\n\"a\n\n\",1".into(), "line 2: the key holds the control character"),
        ("key,value\na,\"1\n2\"\n\nb".into(), "line 5: there are 1 columns"),
        (format!("{ALL}\na,1,,,,,,,"), "line 2: there are 9 columns, and 8 in the header"),
        (format!("{ALL}\na,1,,,,,,,,"), "line 2: there are more than 8 columns"),
        (format!("{ALL},{ALL}\n"), "line 1: there are more than 8 columns"),
    ] {
        let message = refusal(text.as_bytes(), Format::Csv, false);
        assert!(message.starts_with(wanted), "{text:?}: {message}");
    }
    // Text that would be UTF-8 without the comma is none.
    let message = refusal(b"key,value\n\na\xc3,\xa4", Format::Csv, false);
    assert_eq!(message, "line 3: the line is not UTF-8");
}

#[test]
fn meta_that_is_wanted_has_to_be_there() {
    for (format, text, wanted) in [
        (Format::Tsv, "a\tMQ==", "line 1: created is missing"),
        (Format::Tsv, "a\tMQ==\tyesterday\t\t\t", "line 1: created is no moment as in 2026-11-21"),
        (Format::Tsv, "a\tMQ==\t2026-11-21T09:30:00.000Z\t\t\t", "line 1: updated is missing"),
        (Format::JsonLines, "{\"k\":\"a\",\"v\":\"1\"}", "line 1: created is missing"),
        (Format::Json, "[{\"k\":\"a\",\"v\":\"1\",\"created\":\"x\"}]", "line 1: created is no moment"),
        (Format::Csv, "key,value\na,1", "line 2: created is missing"),
    ] {
        let message = refusal(text.as_bytes(), format, true);
        assert!(message.starts_with(wanted), "{format:?} {text:?}: {message}");
    }
}

#[test]
fn formats_are_known_by_name_and_by_file() {
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
        assert_eq!(Format::of_file(format!("x.{}", format.name().to_uppercase()).as_ref()), Some(format));
    }
    assert_eq!("xml".parse::<Format>().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(Format::of_file("tsv".as_ref()), None);
}

#[test]
fn an_entry_that_goes_on_for_too_long_ends_before_it_fills_memory() {
    /// A source without an end, which counts what it gave.
    struct Endless<'c>(&'static [u8], u64, &'c std::cell::Cell<u64>);
    impl std::io::Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            for byte in buffer.iter_mut() {
                *byte = self.0.get(usize::try_from(self.1).unwrap()).copied().unwrap_or(b'x');
                self.1 += 1;
            }
            self.2.set(self.1);
            Ok(buffer.len())
        }
    }
    for (format, start) in [
        (Format::Tsv, &b"a\tMQ==\nb\t"[..]),
        (Format::Json, b"[{\"k\":\"a\",\"v\":\"1\"},\n{\"k\":\""),
        (Format::JsonLines, b"{\"k\":\"a\",\"v\":\"1\"}\n{\"k\":\""),
        (Format::Csv, b"key,value\na,1\nb,\""),
        (Format::Stream, b"a=1;b=\""),
    ] {
        let given = std::cell::Cell::new(0);
        let options = ReadOptions { max_line_bytes: 1000, ..options(format, false) };
        let error = transfer::read(Endless(start, 0, &given), &options, &mut |_, _, _| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{format:?}: {error}");
        assert!(given.get() < 2_000_000, "{format:?} has read {} bytes", given.get());
    }
}

/// What names are made of that file systems may object to.
const PIECES: [&str; 18] =
    ["a", "A", "b", ".", "..", "/", "\\", "%", "%2E", "~", ":", " ", "é", "json", ".json", "__", "_", "con"];

#[test]
fn no_two_names_share_a_file_and_none_leads_elsewhere() {
    let piece = || proptest::sample::select(PIECES.as_slice());
    let name = || proptest::collection::vec(piece(), 1..12).prop_map(|pieces| pieces.concat());
    let long = || (name(), 0..120_usize).prop_map(|(name, times)| name.repeat(times / name.len() + 1));
    properties::check(4000, &(prop_oneof![name(), long()], prop_oneof![name(), long()]), |(a, b)| {
        let (Ok(a), Ok(b)) = (EntryName::parse(&a), EntryName::parse(&b)) else { return Ok(()) };
        for (folder, file) in [tree::place_of(&a), tree::place_of(&b)] {
            for part in folder.iter().chain([&file]) {
                prop_assert!(
                    !part.is_empty() && part.len() <= 255 && !part.contains(['/', '\\']),
                    "{}",
                    part
                );
                prop_assert!(!part.starts_with('.'), "{}", part);
            }
            prop_assert!(tree::is_entry(&file));
            prop_assert!(folder.is_none_or(|folder| !folder.to_lowercase().ends_with(".json")));
        }
        prop_assert_eq!(a == b, tree::place_of(&a) == tree::place_of(&b));
        Ok(())
    });
    let dots = Namespace::new("..", "a/b").unwrap();
    assert_eq!(tree::folders_of(&dots), ["%2E%2E", "a%2Fb"]);
}
