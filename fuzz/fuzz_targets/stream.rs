//! Streams: no text makes the parser panic, pieces are read like the whole, a byte order mark in front changes nothing, and
//! what is read comes back from what is printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prontodb_core::store::{Change, Life};
use prontodb_core::stream::{Item, Options, Parser, Printer, Step};
use prontodb_core::{Delimiter, Namespace, Ttl};
use prontodb_fuzz::BYTE_ORDER_MARK;

/// Namespace, name, TTL, and value unless the entry is removed.
type Seen = (Namespace, String, Option<Ttl>, Option<Vec<u8>>);

fn parse(text: &[u8], piece: usize) -> Result<Vec<Seen>, String> {
    let mut parser = Parser::new(Options { max_token_bytes: 1000, ..Options::default() });
    let (mut seen, mut taken, mut shown) = (Vec::new(), 0, piece.min(text.len()));
    loop {
        let mut rest = &text[taken..shown];
        loop {
            match parser.next(&mut rest, shown == text.len()).map_err(|error| error.to_string())? {
                Step::Item(Item::Credentials(_)) => {}
                Step::Item(Item::Entry { namespace, name, change, .. }) => {
                    let (ttl, value) = match change {
                        Change::Delete => (None, None),
                        Change::Set { value, life: Life::Ttl(ttl) } => (Some(ttl), Some(value.to_vec())),
                        Change::Set { value, .. } => (None, Some(value.to_vec())),
                    };
                    seen.push((namespace.clone(), name.to_string(), ttl, value));
                }
                Step::NeedsMore => break,
                Step::End => return Ok(seen),
            }
        }
        taken = shown - rest.len();
        shown = (shown + piece).min(text.len());
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, text) = input;
    let whole = parse(text, text.len());
    assert_eq!(parse(text, usize::from(piece) + 1), whole);
    // A second byte order mark is text.
    if !text.starts_with(BYTE_ORDER_MARK) {
        assert_eq!(parse(&[BYTE_ORDER_MARK, text].concat(), usize::from(piece) + 1), whole);
    }
    let Ok(seen) = whole else { return };
    let kept: Vec<_> = seen.into_iter().filter(|(.., value)| value.is_some()).collect();
    let (mut printer, mut printed) = (Printer::new(Delimiter::default()), Vec::new());
    for (namespace, name, ttl, value) in &kept {
        printer.entry(&mut printed, namespace, name, *ttl, value.as_deref().unwrap_or_default());
    }
    let mut parser = Parser::new(Options::default());
    let (mut rest, mut again) = (printed.as_slice(), 0);
    while let Step::Item(item) = parser.next(&mut rest, true).expect("what is printed is a stream") {
        let Item::Entry { namespace, name, change: Change::Set { value, .. }, .. } = item else { panic!("{item:?}") };
        let (wanted_namespace, wanted_name, _, wanted_value) = &kept[again];
        assert_eq!((namespace, name.as_str(), Some(value)), (wanted_namespace, wanted_name.as_str(), wanted_value.as_deref()));
        again += 1;
    }
    assert_eq!(again, kept.len());
});
