//! What the library promises to those who build on it.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod alone;
mod auth;
mod care;
mod embedding;
mod following;
mod invariants;
mod memory;
mod snapshots;
mod sqlite;
mod store;
mod stream;
mod transfer;
