//! No text makes the reader of this format panic, and what it reads comes back from what is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prontodb_core::transfer::Format;

fuzz_target!(|text: &[u8]| prontodb_fuzz::check(Format::Json, text));
