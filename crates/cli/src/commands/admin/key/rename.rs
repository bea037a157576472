use std::ffi::OsString;

use prontodb_core::store::CopyOptions;

use crate::commands::{Run, copy};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Move an entry to an address where none is
///
/// The same as rename --if-absent: a source that is missing exits with 2, a target that is there with 3.
#[derive(clap::Args)]
pub struct Rename {
    /// What to move
    source: OsString,

    /// Where to
    target: OsString,
}

impl Run for Rename {
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let options = CopyOptions { move_source: true, if_absent: true };
        copy::transfer(cx, &self.source, &self.target, options)
    }
}
