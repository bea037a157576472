//! `admin metakey`: named attributes of keys.

pub mod del;
pub mod get;
pub mod list;
pub mod set;

use std::ffi::OsString;

use prontodb_core::{Address, Metakeys};

use crate::commands::get::missing;
use crate::commands::set::explain;
use crate::context::{Context, text};
use crate::exit::{Code, Failure};

/// The metakeys of a key that has to be there.
fn metakeys_of(cx: &Context, address: &Address) -> Result<Option<Metakeys>, Failure> {
    let found = cx.open_existing()?.metakeys(address).map_err(|error| cx.with_hint(error.into()))?;
    found.ok_or_else(|| missing(cx, std::slice::from_ref(address)))
}

/// Takes the key from the front of the words, and names of metakeys from the rest.
fn key_and_names<'w>(cx: &Context, words: &'w [OsString]) -> Result<(Address, Vec<&'w str>), Failure> {
    let (address, rest) = cx.take_address(words)?;
    let names: Vec<_> = rest.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(Failure::usage("the name of the metakey is missing"));
    }
    for name in &names {
        prontodb_core::metakeys::check_name(name).map_err(|error| explain(cx, &address, error))?;
    }
    Ok((address, names))
}

/// The failure of metakeys that a key does not have.
fn without(cx: &Context, address: &Address, names: &[impl AsRef<str>]) -> Failure {
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    let message = format!("{} has no metakey {}", cx.show(address), names.join(", nor "));
    Failure::new(Code::Missing, "not_found", message)
}
