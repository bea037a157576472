use std::ffi::OsString;

use prontodb_core::{Error, ErrorKind};

use super::{key_and_names, without};
use crate::commands::Run;
use crate::commands::get::missing;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Remove metakeys of a key
///
/// All that are named, or none: a key or a metakey that is missing exits with 2. Like setting one, that is a write of the
/// entry.
#[derive(clap::Args)]
pub struct Del {
    /// The key, unless --key names it; the names of the metakeys
    #[arg(value_names = ["ADDRESS", "NAME"])]
    words: Vec<OsString>,
}

impl Run for Del {
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (address, names) = key_and_names(cx, &self.words)?;
        let mut absent = Vec::new();
        let removed = cx.open_existing()?.write(|writer| {
            let found = writer.remove_metakeys(&address, &names)?;
            absent = found.clone().unwrap_or_default();
            // Ends the transaction, so that none is removed.
            let is_whole = absent.is_empty();
            is_whole.then_some(found).ok_or_else(|| Error::new(ErrorKind::Conflict, "a metakey is missing"))
        });
        if !absent.is_empty() {
            return Err(without(cx, &address, &absent));
        }
        match removed.map_err(|error| cx.with_hint(error.into()))? {
            Some(_) => Ok(Code::Done),
            None => Err(missing(cx, &[address])),
        }
    }
}
