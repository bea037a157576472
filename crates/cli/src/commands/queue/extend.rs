use std::ffi::OsString;

use super::only_queue;
use crate::commands::lock::{lasts, token};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Keep a claimed item for longer
///
/// The claim lasts for --ttl from now, or as long as it would anyway if that is longer. The token of the claim comes with --fence or
/// PRONTO_FENCE; a claim that has ended cannot be extended: exit code 3.
#[derive(clap::Args)]
pub struct Extend {
    /// The queue; nothing with -p or -n
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    /// How long the claim lasts from now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: String,
}

impl Run for Extend {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (queue, fence, ttl) = (only_queue(cx, &self.words)?, token(cx)?, lasts(&self.ttl)?);
        let extended = cx.open_to_change()?.extend(&queue, fence, ttl);
        extended.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
