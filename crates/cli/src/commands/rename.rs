use std::ffi::OsString;

use prontodb_core::store::CopyOptions;

use super::{Run, copy};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Move an entry to another address
///
/// The same as copy --move: in one step, so that nobody ever sees both or neither.
#[derive(clap::Args)]
pub struct Rename {
    /// What to move
    source: OsString,

    /// Where to
    target: OsString,

    /// Only where there is no entry yet; else exit with 3
    #[arg(long)]
    if_absent: bool,
}

impl Run for Rename {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let options = CopyOptions { move_source: true, if_absent: self.if_absent };
        copy::transfer(cx, &self.source, &self.target, options)
    }
}
