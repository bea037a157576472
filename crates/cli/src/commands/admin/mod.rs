//! `prontodb admin …`

pub mod audit;
pub mod check;
pub mod create_cache;
pub mod create_key;
pub mod database;
pub mod drop_cache;
pub mod dropping;
pub mod gc;
pub mod grant;
pub mod grants;
pub mod key;
pub mod list_keys;
pub mod metakey;
pub mod migrate;
pub mod namespace;
pub mod project;
pub mod revoke;
pub mod set_cache;
pub mod status;
pub mod table;
pub mod user;
pub mod vacuum;

use std::ffi::OsString;

use prontodb_core::Namespace;
use prontodb_core::store::CacheSettings;

use crate::context::{Context, text};
use crate::exit::Failure;
use crate::output;

/// Reads the namespace of a command about caches, and the settings behind it.
fn namespace_and_settings(cx: &Context, words: &[OsString]) -> Result<(Namespace, CacheSettings), Failure> {
    let (namespace, settings) = cx.take_namespace(words)?;
    let settings: Vec<_> = settings.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
    Ok((namespace, CacheSettings::parse(&settings.join(" "))?))
}

/// Tells of entries that new limits have driven out.
fn tell_evicted(evicted: u64) {
    if evicted > 0 {
        output::note(&format!(
            "{} over the limits, and removed",
            output::counted(evicted, "entry was", "entries were")
        ));
    }
}

/// Names the namespace in an error about a cache.
fn explain(cx: &Context, namespace: &Namespace, error: prontodb_core::Error) -> Failure {
    let is_invalid = error.kind() == prontodb_core::ErrorKind::Invalid;
    let mut failure = cx.with_hint(error.into());
    if is_invalid {
        failure.message = format!("{}: {}", namespace.display(cx.notation.delimiter), failure.message);
    }
    failure
}
