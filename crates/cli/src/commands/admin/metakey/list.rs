use std::ffi::OsString;

use prontodb_core::Metakeys;

use super::metakeys_of;
use crate::commands::Run;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;

/// List the metakeys of a key, as name=value
///
/// In the byte order of names; with --json as one object. A key that is missing exits with 2.
#[derive(clap::Args)]
pub struct List {
    /// The key
    address: Option<OsString>,
}

impl Run for List {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let address = cx.take_only_address(self.address.as_slice())?;
        let metakeys = metakeys_of(cx, &address)?;
        if cx.json() {
            let json = metakeys.as_ref().map_or_else(|| "{}".to_owned(), Metakeys::to_json);
            cx.out.line(&json);
        } else {
            for (name, value) in metakeys.iter().flat_map(Metakeys::iter) {
                cx.out.line(&format!("{name}={value}"));
            }
        }
        cx.out.flush()?;
        if metakeys.is_none() && !cx.json() {
            output::note(&format!("{} has no metakeys", cx.show(&address)));
        }
        Ok(Code::Done)
    }
}
