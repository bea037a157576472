//! Addresses: no text makes the parser panic, what is read comes back from what is shown, and two addresses that are shown alike are
//! the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prontodb_core::auth::Pattern;
use prontodb_core::{Delimiter, EntryName, Listing, Namespace, Notation};

fuzz_target!(|input: (char, &str, &str)| {
    let (character, first, second) = input;
    let Ok(delimiter) = character.to_string().parse::<Delimiter>() else { return };
    let notation = Notation { delimiter, ..Notation::default() };
    let _ = Pattern::parse(first, delimiter);
    let read = [first, second].map(|text| notation.address(text).ok());
    for address in read.iter().flatten() {
        assert_eq!(notation.address(&address.display(delimiter)).as_ref(), Ok(address));
        let name = address.name.as_str();
        assert_eq!(EntryName::parse(name).as_ref(), Ok(&address.name));
        let parts = [address.namespace.project(), address.namespace.namespace(), address.name.key()];
        assert!(parts.iter().all(|part| !part.is_empty()));
    }
    if let [Some(first), Some(second)] = &read {
        assert_eq!(first == second, first.display(delimiter) == second.display(delimiter));
    }
    if let Ok(namespace) = Namespace::parse(first, delimiter) {
        assert_eq!(Namespace::parse(&namespace.display(delimiter), delimiter), Ok(namespace));
    }
    if let Ok(Listing::Within { namespace, prefix }) = notation.listing(Some(first)) {
        // Without a prefix there is no delimiter behind the namespace either.
        let between = if prefix.is_empty() { String::new() } else { character.to_string() };
        let shown = format!("{}{between}{prefix}", namespace.display(delimiter));
        assert_eq!(notation.listing(Some(&shown)), Ok(Listing::Within { namespace, prefix }));
    }
});
