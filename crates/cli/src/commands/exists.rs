use std::ffi::OsString;

use super::Run;
use super::get::missing;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Tell by the exit code whether entries are there
///
/// Exits with 0 when all are there, else with 2. Prints nothing on standard output.
#[derive(clap::Args)]
pub struct Exists {
    /// What to look for
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<OsString>,
}

impl Run for Exists {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let addresses = cx.take_addresses(&self.addresses)?;
        let store = cx.open_existing()?;
        for address in &addresses {
            if store.head(address).map_err(|error| cx.with_hint(error.into()))?.is_none() {
                return Err(missing(cx, std::slice::from_ref(address)));
            }
        }
        Ok(Code::Done)
    }
}
