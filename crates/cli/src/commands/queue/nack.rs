use std::ffi::OsString;

use prontodb_core::store::QueuePlace;

use super::only_queue;
use crate::commands::lock::token;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::waiting;

/// Give a claimed item back
///
/// Somebody else gets it, or it is dead when it has been claimed as often as it may be: queue list shows it then, and queue retry makes it
/// ready again. The token of the claim comes with --fence or PRONTO_FENCE.
#[derive(clap::Args)]
pub struct Nack {
    /// The queue; nothing with -p or -n
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    /// How long nobody gets it: seconds, or 1m30s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    delay: Option<String>,
}

impl Run for Nack {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (queue, fence) = (only_queue(cx, &self.words)?, token(cx)?);
        let delay = waiting::span_of("--delay", self.delay.as_deref())?;
        let place = cx.open_to_change()?.nack(&queue, fence, delay);
        if place.map_err(|error| cx.with_hint(error.into()))? == QueuePlace::Dead {
            output::note("the item is dead now: it has been claimed as often as it may be");
        }
        Ok(Code::Done)
    }
}
