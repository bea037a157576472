//! The grammar of streams: what is read, what is refused and where, and that what is printed is read back.

use std::io::{self, Read};

use prontodb_core::auth::Credentials;
use prontodb_core::store::{Change, Life};
use prontodb_core::stream::{self, Item, Options, Parser, Printer, Step, StreamError};
use prontodb_core::{Delimiter, EntryName, Error, ErrorKind, Namespace, Ttl};
use prontodb_testkit::properties;
use proptest::prelude::*;
use secrecy::ExposeSecret;

/// An entry as tests compare it: address, TTL in milliseconds, and value unless it is removed.
type Seen = (String, Option<i64>, Option<Vec<u8>>);

fn seen(item: &Item<'_>) -> Seen {
    match item {
        Item::Credentials(Credentials::Password { user, password }) => {
            (format!("{user} by {}", password.expose_secret()), None, None)
        }
        Item::Credentials(Credentials::ApiKey(key)) => (format!("key {}", key.expose_secret()), None, None),
        Item::Credentials(Credentials::Session(session)) => {
            (format!("session {}", session.expose_secret()), None, None)
        }
        Item::Entry { namespace, name, change, .. } => {
            let address = format!("{}|{}|{name}", namespace.project(), namespace.namespace());
            match change {
                Change::Delete => (address, None, None),
                Change::Set { value, life: Life::Ttl(ttl) } => {
                    (address, Some(ttl.millis()), Some(value.to_vec()))
                }
                Change::Set { value, .. } => (address, None, Some(value.to_vec())),
            }
        }
    }
}

fn parse(text: &[u8], options: Options) -> Result<Vec<Seen>, StreamError> {
    let mut parser = Parser::new(options);
    let (mut rest, mut all) = (text, Vec::new());
    while let Step::Item(item) = parser.next(&mut rest, true)? {
        all.push(seen(&item));
    }
    Ok(all)
}

/// The entries of a stream whose values are text, as `project|namespace|key=value`.
fn entries(text: &str) -> Vec<String> {
    let all = parse(text.as_bytes(), Options::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    all.into_iter()
        .map(|(address, ttl, value)| {
            let ttl = ttl.map_or_else(String::new, |ttl| format!(" for {ttl}"));
            match value {
                Some(value) => format!("{address}={}{ttl}", String::from_utf8(value).unwrap()),
                None => format!("{address} gone"),
            }
        })
        .collect()
}

fn refusal(text: &str) -> String {
    match parse(text.as_bytes(), Options { max_token_bytes: 100, ..Options::default() }) {
        Err(error) => error.to_string(),
        Ok(seen) => panic!("{text:?} is read as {seen:?}"),
    }
}

#[test]
fn tokens_stand_between_semicolons() {
    for (text, wanted) in [
        ("", vec![]),
        (" \n\t ;;; ; \r\n", vec![]),
        ("a=1", vec!["default|default|a=1"]),
        ("a=1;", vec!["default|default|a=1"]),
        ("a=1;b=2", vec!["default|default|a=1", "default|default|b=2"]),
        (" a = 1 2 ;\n b=\n", vec!["default|default|a=1 2", "default|default|b="]),
        ("a==b=c;", vec!["default|default|a==b=c"]),
        ("a=1\nb=2;", vec!["default|default|a=1\nb=2"]),
        ("k__ctx=v;ключ=значение", vec!["default|default|k__ctx=v", "default|default|ключ=значение"]),
        ("a b=1", vec!["default|default|a b=1"]),
    ] {
        assert_eq!(entries(text), wanted, "{text:?}");
    }
}

#[test]
fn comments_begin_where_a_token_may() {
    for (text, wanted) in [
        ("# nothing", vec![]),
        ("# nothing; a=1\n", vec![]),
        ("#\n#;\na=1;#b=2", vec!["default|default|a=1"]),
        ("a=1; # one\nb=2 # no comment;", vec!["default|default|a=1", "default|default|b=2 # no comment"]),
        ("a=#1;", vec!["default|default|a=#1"]),
    ] {
        assert_eq!(entries(text), wanted, "{text:?}");
    }
}

#[test]
fn values_are_bare_quoted_or_base64() {
    for (text, wanted) in [
        (r#"a=" ;#=b64: ""#, " ;#=b64: "),
        (r#"a="""#, ""),
        (r#"a = "x" "#, "x"),
        (r#"a="\"\\\n\t\r\x41\x0a";"#, "\"\\\n\t\rA\n"),
        ("a=\"two\nlines\"", "two\nlines"),
        (r#"a=1"2"#, r#"1"2"#),
        (r"a=C:\new", r"C:\new"),
        ("a=b64:aGk=", "hi"),
        ("a=b64:", ""),
        ("a= b64:aGk= ;", "hi"),
        (r#"a="b64:aGk=""#, "b64:aGk="),
        ("a=B64:x", "B64:x"),
    ] {
        assert_eq!(entries(text), [format!("default|default|a={wanted}")], "{text:?}");
    }
    let bytes = parse(br#"a="\xff\x00"; b=b64:/wA=; c="#, Options::default()).unwrap();
    let values: Vec<_> = bytes.into_iter().map(|(_, _, value)| value.unwrap()).collect();
    assert_eq!(values, [vec![0xff, 0], vec![0xff, 0], vec![]]);
    assert_eq!(parse(b"a=\xff\xfe", Options::default()).unwrap()[0].2.as_deref(), Some(&b"\xff\xfe"[..]));
}

#[test]
fn keys_may_be_quoted() {
    for (text, name) in [
        (r#""a=b;c"=v"#, "a=b;c"),
        (r##""#x" = v"##, "#x"),
        (r#""meta:path"=v"#, "meta:path"),
        (r#"" a "=v"#, " a "),
        (r#""\"\x41"=v"#, "\"A"),
    ] {
        assert_eq!(entries(text), [format!("default|default|{name}=v")], "{text:?}");
    }
}

#[test]
fn directives_act_from_where_they_stand() {
    for (text, wanted) in [
        ("meta:path=p.n; a=1; meta:ns=q.m; a=2", vec!["p|n|a=1", "q|m|a=2"]),
        ("meta:project=p; a=1; meta:namespace=n; a=2", vec!["p|default|a=1", "p|n|a=2"]),
        ("meta:namespace=n; a=1; meta:project=p; a=2", vec!["default|n|a=1", "p|default|a=2"]),
        ("meta:delim=|; meta:path=p|n; a.b=1", vec!["p|n|a.b=1"]),
        (
            "meta:ttl=90; a=1; meta:ttl=1500ms; b=2; meta:ttl=; c=3",
            vec!["default|default|a=1 for 90000", "default|default|b=2 for 1500", "default|default|c=3"],
        ),
        (
            "meta:op=del; a=; b=\"\"; meta:op=set; c=",
            vec!["default|default|a gone", "default|default|b gone", "default|default|c="],
        ),
        ("meta:path=\"my project.n\"; a=1", vec!["my project|n|a=1"]),
    ] {
        assert_eq!(entries(text), wanted, "{text:?}");
    }
}

#[test]
fn defaults_stand_until_a_directive() {
    let options = Options {
        namespace: Namespace::new("p", "n").unwrap(),
        delimiter: "/".parse().unwrap(),
        ..Options::default()
    };
    let seen = parse(b"a.b=1; meta:project=q; a=2; meta:path=r/m; a=3", options).unwrap();
    let places: Vec<_> = seen.into_iter().map(|(address, ..)| address).collect();
    assert_eq!(places, ["p|n|a.b", "q|n|a", "r|m|a"]);
}

#[test]
fn what_is_no_stream_is_refused_with_its_place() {
    for (text, wanted) in [
        ("a", "line 1, column 1: a token without `=`"),
        ("a=1;\n  b;", "line 2, column 3: a token without `=`"),
        ("a=1;meta:path", "line 1, column 5: a token without `=`"),
        ("\"a\";", "line 1, column 1: a token without `=`"),
        ("a=\"x", "line 1, column 3: the quote that begins here is never closed"),
        ("a=\"x\\\"", "line 1, column 3: the quote that begins here is never closed"),
        ("a=\"x\\", "line 1, column 3: the quote that begins here is never closed"),
        ("\n\"a=1;", "line 2, column 1: the quote that begins here is never closed"),
        ("a=\"x\" y;", "line 1, column 7: text behind the closing quote"),
        ("a=\"x\ny\"\nz;", "line 3, column 1: text behind the closing quote"),
        ("\"a\"b=1", "line 1, column 4: text behind the closing quote"),
        ("a=1\0;", "line 1, column 4: a zero byte"),
        ("a=\"\0\";", "line 1, column 4: a zero byte"),
        ("a=\"x\\q\"", "line 1, column 5: an escape that is none of"),
        ("a=\"\n\\x4\"", "line 2, column 1: an escape that is none of"),
        ("a=\"\\xgg\"", "line 1, column 4: an escape that is none of"),
        ("a=b64:a", "line 1, column 3: no base64"),
        ("a=b64:aGk= x", "line 1, column 3: no base64"),
        ("=1", "line 1, column 1: the key is empty"),
        ("a.b=1", "line 1, column 1: the key `a.b` holds the delimiter `.`"),
        ("a\nb=1;", "line 1, column 1: the key holds the control character U+000A"),
        ("a__=1", "line 1, column 1: the context is empty"),
        ("meta:colour=red", "line 1, column 1: there is no meta:colour"),
        ("meta:sec:pas=x", "line 1, column 1: there is no meta:sec:pas;"),
        ("meta:=x", "line 1, column 1: there is no meta:;"),
        ("meta:path=a", "line 1, column 11: `a` is no namespace"),
        ("meta:path=a.b.c", "line 1, column 11: `a.b.c` is no namespace"),
        ("meta:path=.b", "line 1, column 11: the namespace"),
        ("meta:project=a.b", "line 1, column 14: the project `a.b` holds the delimiter"),
        ("meta:namespace=", "line 1, column 16: the namespace is empty"),
        ("meta:ttl=60\nk=v", "line 1, column 10: a directive that goes on to another `=`; is a `;` missing?"),
        ("meta:delim=ab", "line 1, column 12: `ab` cannot be the delimiter"),
        ("meta:ttl=0", "line 1, column 10: "),
        ("meta:ttl=soon", "line 1, column 10: "),
        ("meta:op=get", "line 1, column 9: meta:op is set or del"),
        ("meta:op=del;a=1", "line 1, column 15: meta:op=del takes keys without a value"),
        ("meta:path=b64:/w==", "line 1, column 11: a directive that is not UTF-8"),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(wanted), "{text:?}: {message}");
    }
}

#[test]
fn a_token_has_an_end() {
    let long = "x".repeat(100);
    for text in [format!("a={long}"), format!("a=1;\nb=\"{long}"), format!("{long}=1"), format!("\"{long}")] {
        let error =
            parse(text.as_bytes(), Options { max_token_bytes: 100, ..Options::default() }).unwrap_err();
        assert!(error.to_string().contains("a token of more than 100 bytes"), "{error}");
        assert_eq!(Error::from(error).kind(), ErrorKind::Limit);
    }
}

#[test]
fn a_key_that_is_not_text_is_refused() {
    for text in [&b"\xff=1"[..], b"\"\\xff\"=1"] {
        let error = parse(text, Options::default()).unwrap_err().to_string();
        assert!(error.ends_with("a key that is not UTF-8"), "{error}");
    }
    let error = parse(b"meta:\xff=1", Options::default()).unwrap_err().to_string();
    assert!(error.ends_with("a directive that is not UTF-8"), "{error}");
}

#[test]
fn credentials_come_first_and_in_order() {
    for (text, wanted) in [
        ("meta:sec:pass=a b;meta:sec:user=U;k=v", "U by a b"),
        ("# who\n;meta:sec:apikey=\"K\";", "key K"),
        ("meta:sec:session=S", "session S"),
    ] {
        for needs_credentials in [true, false] {
            let seen = parse(text.as_bytes(), Options { needs_credentials, ..Options::default() }).unwrap();
            assert_eq!(seen[0].0, wanted);
        }
    }
    for (text, wanted) in [
        ("", "line 1, column 1: the credentials are missing"),
        ("\n a=1", "line 2, column 2: the credentials are missing"),
        ("meta:path=a.b", "line 1, column 1: the credentials are missing"),
        ("meta:sec:user=U;meta:sec:pass=P", "line 1, column 1: meta:sec:pass comes first"),
        ("meta:sec:pass=P", "line 1, column 1: meta:sec:pass comes first"),
        ("meta:sec:pass=P;k=v", "line 1, column 17: meta:sec:pass comes first"),
        ("meta:sec:pass=P;meta:sec:pass=P", "line 1, column 17: meta:sec:pass comes first"),
        ("meta:sec:pass=P;meta:sec:session=S", "line 1, column 17: meta:sec:pass comes first"),
        ("meta:sec:apikey=K;meta:sec:apikey=K", "line 1, column 19: credentials come first, and once"),
        ("meta:sec:apikey=K;k=v;meta:sec:session=S", "line 1, column 23: credentials come first, and once"),
    ] {
        let error =
            parse(text.as_bytes(), Options { needs_credentials: true, ..Options::default() }).unwrap_err();
        assert!(error.to_string().starts_with(wanted), "{text:?}: {error}");
        assert_eq!(Error::from(error).kind(), ErrorKind::Denied, "{text:?}");
    }
    let late = parse(b"k=v;meta:sec:session=S", Options::default()).unwrap_err();
    assert!(late.to_string().contains("credentials come first, and once"), "{late}");
}

#[test]
fn no_message_repeats_a_secret() {
    for text in [
        "meta:sec:pass hunter2",
        "meta:sec:pass=\"hunter2",
        "meta:sec:pass=\"hunter2\"x",
        "meta:sec:pass=b64:hunter2!",
        "meta:sec:pas=hunter2",
        "meta:sec:user=hunter2",
        "k=1;meta:sec:apikey=hunter2",
        "meta:sec:pass=\"hunter2\\q\";",
        "meta:path=p.n\nk=hunter2",
        "meta:path=p.n k=hunter2.x",
        "meta:project=p k=hunter2.x",
        "meta:delim=|\nk=hunter2",
        "meta:ttl=60\nk=hunter2",
    ] {
        let error = parse(text.as_bytes(), Options::default()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{text:?}: {error}");
    }
    let mut text: &[u8] = b"meta:sec:session=hunter2";
    let mut parser = Parser::new(Options::default());
    let step = parser.next(&mut text, true).unwrap();
    assert!(!format!("{step:?}").contains("hunter2"));
}

/// Text as people and fuzzers write it: made of what the grammar knows.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b";",
        b"=",
        b"\"",
        b"\\",
        b"#",
        b"\n",
        b" ",
        b"a",
        b"b__c",
        b"meta:",
        b"meta:path=a.b;",
        b"meta:op=del;",
        b"meta:ttl=5;",
        b"b64:",
        b"aGk=",
        b"\\x41",
        b"\\n",
        b"\xff",
        b"\0",
        b"meta:sec:pass=p;",
        b"meta:sec:user=u;",
        b"k=v;",
        b"k=\"q\";",
        b"\xd0\xb4",
        b"\r\n",
        b"\t",
        b".",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

/// Gives out its text in pieces of the sizes that it is told, over and over.
struct Pieces<'t> {
    text: &'t [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().unwrap().min(self.text.len()).min(buffer.len());
        let (piece, rest) = self.text.split_at(size);
        buffer[..size].copy_from_slice(piece);
        self.text = rest;
        Ok(size)
    }
}

#[test]
fn pieces_are_read_like_the_whole() {
    let strategy = (noise(), prop::collection::vec(1..7_usize, 1..5), any::<bool>());
    properties::check(3000, &strategy, |(text, sizes, needs_credentials)| {
        let options = Options { needs_credentials, max_token_bytes: 40, ..Options::default() };
        let whole = parse(&text, options.clone()).map_err(|error| Error::from(error).to_string());
        let mut pieces = Vec::new();
        let sizes = sizes.into_iter().collect::<Vec<_>>().into_iter().cycle();
        let read = stream::read(Pieces { text: &text, sizes }, options, |item| {
            pieces.push(seen(&item));
            Ok(())
        });
        prop_assert_eq!(read.map(|()| pieces).map_err(|error: Error| error.to_string()), whole);
        Ok(())
    });
}

fn hostile_text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(
            &["=", ";", "\"", "\\", "#", " ", "meta:", "b64:", ".", "|", "_", "\u{a0}", "'"][..]
        )
        .prop_map(str::to_owned),
        "\\PC",
    ];
    prop::collection::vec(piece, length).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let text = (hostile_text(0..6), "[\\x00-\\x7f]{0,4}").prop_map(|(a, b)| (a + &b).into_bytes());
    prop_oneof![text, prop::collection::vec(any::<u8>(), 0..12)]
}

#[test]
fn what_is_printed_is_read_back() {
    let names = (hostile_text(1..4), hostile_text(1..4), hostile_text(1..5));
    let entry = (names, value(), prop::option::of(1..100_000_i64));
    let delimiter = prop::sample::select(&['.', '|', '/'][..]);
    let strategy = (prop::collection::vec(entry, 0..6), delimiter.clone(), delimiter);
    properties::check(2000, &strategy, |(entries, printed_by, read_by)| {
        let mut wanted = Vec::new();
        let mut text = Vec::new();
        let mut printer = Printer::new(printed_by.to_string().parse().unwrap());
        for ((project, namespace, name), value, ttl) in entries {
            let (Ok(space), Ok(name)) = (Namespace::new(project, namespace), EntryName::parse(&name)) else {
                continue;
            };
            let ttl = ttl.map(|millis| Ttl::from_millis(millis.unsigned_abs()).unwrap());
            printer.entry(&mut text, &space, name.as_str(), ttl, &value);
            let address = format!("{}|{}|{name}", space.project(), space.namespace());
            wanted.push((address, ttl.map(Ttl::millis), Some(value)));
        }
        // A reader with another delimiter understands, unless only the usual one was used and so none was told.
        let read_by: Delimiter = read_by.to_string().parse().unwrap();
        let told = text.starts_with(b"meta:delim") || read_by == Delimiter::default();
        if told {
            let options = Options { delimiter: read_by, ..Options::default() };
            prop_assert_eq!(parse(&text, options).unwrap(), wanted, "{}", String::from_utf8_lossy(&text));
        }
        prop_assert_eq!(text.iter().filter(|byte| **byte == 0).count(), 0);
        Ok(())
    });
}

#[test]
fn what_is_printed_is_plain_where_it_can_be() {
    let mut printer = Printer::new(Delimiter::default());
    let mut text = Vec::new();
    let (prices, dotted) =
        (Namespace::new("shop", "prices").unwrap(), Namespace::new("shop", "a.b").unwrap());
    let hour = Ttl::from_millis(3_600_000).unwrap();
    for (space, name, ttl, value) in [
        (&prices, "apple", None, &b"120"[..]),
        (&prices, "pear__eu", None, b"two words"),
        (&prices, "note", None, b"say \"hi\";\n"),
        (&prices, "bytes", None, b"\xff\xfe"),
        (&prices, "dot.ted", None, b"1"),
        (&prices, "short", Some(hour), b"1"),
        (&dotted, "k", None, b""),
        (&prices, "=", None, b" x"),
    ] {
        printer.entry(&mut text, space, name, ttl, value);
    }
    let wanted = "meta:delim=.;\nmeta:path=shop.prices;\napple=120;\npear__eu=two words;\nnote=\"say \\\"hi\\\";\\n\";\nbytes=b64://4=;\n\
        meta:delim=!;\ndot.ted=1;\nmeta:ttl=3600s;\nshort=1;\nmeta:path=shop!a.b;\nmeta:ttl=;\nk=;\n\
        meta:path=shop!prices;\n\"=\"=\" x\";\n";
    assert_eq!(String::from_utf8(text).unwrap(), wanted);
}

#[test]
fn a_source_that_fails_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("it broke"))
        }
    }
    let error: Error = stream::read(Broken, Options::default(), |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.to_string(), "cannot read the stream");
}
