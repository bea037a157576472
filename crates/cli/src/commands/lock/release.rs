use super::token;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Give a lock back
///
/// Whoever waits for it gets it. A lock that is not held under this token, or not any more, is none to give back: exit code 3.
#[derive(clap::Args)]
pub struct Release {
    /// The lock
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Release {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let fence = token(cx)?;
        let released = cx.open_to_change()?.release_lock(&self.name, fence);
        released.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
