use std::ffi::OsString;

use super::{Run, set};
use crate::context::{Context, text};
use crate::exit::{Code, Failure};

/// Add to a number, and print the sum
///
/// An entry that is not there counts as 0. A value that is no 64-bit integer, or a sum beyond one, is an error. An entry
/// keeps the time it has left.
#[derive(clap::Args)]
pub struct Incr {
    /// Which number; with --key this is what to add
    #[arg(allow_negative_numbers = true)]
    address: Option<OsString>,

    /// What to add; 1 unless given
    #[arg(value_name = "N", allow_negative_numbers = true)]
    by: Option<OsString>,
}

impl Run for Incr {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (address, by) = cx.address_and_word(self.address, self.by)?;
        let by = by.map_or(Ok(1), |word| parse(text(&word)?))?;
        let sum = cx.open_to_write()?.increment(&address, by);
        cx.out.line(&sum.map_err(|error| set::explain(cx, &address, error))?.to_string());
        cx.out.flush_done()?;
        Ok(Code::Done)
    }
}

fn parse(word: &str) -> Result<i64, Failure> {
    word.parse().map_err(|_| Failure::invalid(format!("`{}` is no 64-bit integer", word.escape_debug())))
}
