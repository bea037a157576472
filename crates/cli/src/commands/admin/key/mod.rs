//! `admin key`: tokens for programs, and keys of namespaces.

pub mod create;
pub mod describe;
pub mod drop;
pub mod list;
pub mod rename;
pub mod revoke;
