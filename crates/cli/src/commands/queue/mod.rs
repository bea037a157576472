//! `queue`: entries of a namespace that are handed to one worker at a time.

pub mod ack;
pub mod claim;
pub mod extend;
pub mod handoff;
pub mod list;
pub mod nack;
pub mod push;
pub mod retry;

use std::ffi::OsString;

use prontodb_core::Namespace;

use crate::context::Context;
use crate::exit::Failure;

/// The queue of a command that takes nothing else.
fn only_queue(cx: &Context, words: &[OsString]) -> Result<Namespace, Failure> {
    match cx.take_namespace(words)? {
        (queue, []) => Ok(queue),
        _ => Err(Failure::usage("a queue is a namespace: project.namespace, and nothing else is wanted")),
    }
}
