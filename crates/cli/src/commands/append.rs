use std::ffi::OsString;

use super::{Run, set};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::stdin;

/// Add to the end of a value
///
/// An entry that is not there counts as empty. Nothing is printed, and an entry keeps the time it has left.
#[derive(clap::Args)]
pub struct Append {
    /// Where to; with --key this is what to add
    address: Option<OsString>,

    /// What to add; `-` for standard input, as without it when something is piped in
    value: Option<OsString>,
}

impl Run for Append {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (address, word) = cx.address_and_word(self.address, self.value)?;
        let max_bytes = cx.settings.max_value_bytes.value;
        let tail = match word {
            Some(word) if word == "-" && !cx.has_dashes => stdin::read(max_bytes)?,
            Some(word) => word.into_encoded_bytes(),
            None => stdin::read_if_given(max_bytes)?,
        };
        let appended = cx.open_to_write()?.append(&address, &tail);
        appended.map_err(|error| set::explain(cx, &address, error))?;
        Ok(Code::Done)
    }
}
