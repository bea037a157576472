use std::ffi::OsString;

use super::only_queue;
use crate::commands::lock::token;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Give a claimed item to somebody else, in one step
///
/// That user gets it with their next claim, before all other items, and nobody else does; queue retry makes it ready for everybody. A user is
/// who --user, PRONTO_USER or else the system's environment says. The token of the claim comes with --fence or PRONTO_FENCE.
#[derive(clap::Args)]
pub struct Handoff {
    /// The queue; nothing with -p or -n
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    /// Who gets it
    #[arg(long, value_name = "USER")]
    to: String,

    /// What they are told with it
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    note: String,
}

impl Run for Handoff {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (queue, fence) = (only_queue(cx, &self.words)?, token(cx)?);
        let handed = cx.open_to_change()?.hand_on(&queue, fence, &self.to, &self.note);
        handed.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
