use std::ffi::OsString;

use super::only_queue;
use crate::commands::lock::token;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Remove a claimed item, which is done
///
/// The token of the claim comes with --fence or PRONTO_FENCE. A claim that has ended is none: exit code 3, and somebody else has the
/// item or had it.
#[derive(clap::Args)]
pub struct Ack {
    /// The queue; nothing with -p or -n
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,
}

impl Run for Ack {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (queue, fence) = (only_queue(cx, &self.words)?, token(cx)?);
        let done = cx.open_to_change()?.ack(&queue, fence);
        done.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
