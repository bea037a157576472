//! Transactions as JSON: no text makes the reader panic, and what it accepts is done as a whole or not at all.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prontodb_core::store::{SetOptions, Transacted};
use prontodb_core::transfer::{read_transaction, show_transacted};
use prontodb_core::{Delimiter, Notation, Store};

fuzz_target!(|text: &[u8]| {
    let notation = Notation::default();
    let Ok(transaction) = read_transaction(text, &notation) else { return };
    let store = Store::in_memory();
    for (at, value) in [("a.b.c", "1"), ("a.b.d", "x")] {
        let address = notation.address(at).expect("an address");
        store.set(&address, value.as_bytes(), &SetOptions::default()).expect("a write");
    }
    let before = store.revision().expect("a revision");
    match store.transaction(&transaction) {
        Ok(done) => {
            let after = store.revision().expect("a revision");
            let made = matches!(done, Transacted::Done { .. });
            assert!(made || before == after, "nothing was to be done");
            let shown = show_transacted(&transaction, &done, Delimiter::default());
            assert!(shown.starts_with('{'));
        }
        Err(_) => assert_eq!(store.revision().expect("a revision"), before),
    }
});
