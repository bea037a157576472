use std::ffi::OsString;

use prontodb_core::{Error, Ttl};

use super::Run;
use super::get::missing;
use super::set::explain;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Start the time of an entry anew
///
/// In a cache the entry lives for --ttl from now, or for the cache's own time. Elsewhere it counts as a write that keeps
/// the value. An entry that is missing exits with 2.
#[derive(clap::Args)]
pub struct Touch {
    /// What to touch
    address: Option<OsString>,

    /// How long it lives from now, in a cache: seconds, or 90s, 15m, 2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: Option<String>,
}

impl Run for Touch {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let address = cx.take_only_address(self.address.as_slice())?;
        let ttl = self.ttl.as_deref().map(Ttl::parse).transpose().map_err(Error::from)?;
        let touched = cx.open_to_change()?.touch(&address, ttl);
        match touched.map_err(|error| explain(cx, &address, error))? {
            Some(_) => Ok(Code::Done),
            None => Err(missing(cx, &[address])),
        }
    }
}
