use super::{lasts, token};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Keep a lock for longer
///
/// Its lease goes on for --ttl from now, or for as long as it would anyway if that is longer. A lease that has ended cannot be renewed: the
/// exit code is 3, also when nobody else has taken the lock.
#[derive(clap::Args)]
pub struct Renew {
    /// The lock
    #[arg(value_name = "NAME")]
    name: String,

    /// How long the lease lasts from now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: String,
}

impl Run for Renew {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (ttl, fence) = (lasts(&self.ttl)?, token(cx)?);
        let renewed = cx.open_to_change()?.renew_lock(&self.name, fence, ttl);
        renewed.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
