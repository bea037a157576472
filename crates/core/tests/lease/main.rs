//! Leases, in every order in which several clients can come to them: locks and items of queues, on the code that everybody runs.
//!
//! A model checker goes through all states that can be reached (docs/design/0026-leases-are-model-checked.md).

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]
#![allow(clippy::print_stdout, reason = "a search says how far it went")]

mod lock;
mod queue;
mod search;
mod world;
