use std::ffi::OsString;

use prontodb_core::store::CopyOptions;

use super::Run;
use super::get::missing;
use super::set::explain;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Copy an entry to another address
///
/// An entry that is there is replaced. The time left goes along where the target is a cache. A source that is missing exits
/// with 2.
#[derive(clap::Args)]
pub struct Copy {
    /// What to copy
    source: OsString,

    /// Where to
    target: OsString,

    /// Remove the source in the same step
    #[arg(long = "move")]
    move_source: bool,

    /// Only where there is no entry yet; else exit with 3
    #[arg(long)]
    if_absent: bool,
}

impl Run for Copy {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let Self { source, target, move_source, if_absent } = self;
        transfer(cx, &source, &target, CopyOptions { move_source, if_absent })
    }
}

/// Copies or moves an entry.
pub fn transfer(
    cx: &Context,
    source: &OsString,
    target: &OsString,
    options: CopyOptions,
) -> Result<Code, Failure> {
    if cx.globals.key.is_some() {
        return Err(Failure::usage("--key names one entry, and this takes two"));
    }
    let (from, to) = (cx.address(source)?, cx.address(target)?);
    let copied = cx.open_to_change()?.copy(&from, &to, options);
    match copied.map_err(|error| explain(cx, &to, error))? {
        Some(_) => Ok(Code::Done),
        None => Err(missing(cx, &[from])),
    }
}
