use prontodb_core::auth::Pattern;

use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};

/// Take back what was granted
#[derive(clap::Args)]
pub struct Revoke {
    /// The user, or the name of the API key
    who: String,

    /// The pattern, as it was granted
    pattern: String,

    #[command(flatten)]
    dry: DryRun,
}

impl Run for Revoke {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let pattern = Pattern::parse(&self.pattern, cx.notation.delimiter)?;
        if self.dry.dry_run {
            let ending = cx.open_existing()?.would_revoke_grant(&self.who, &pattern);
            return dry_run::tell_ending(cx, "who", ending.map_err(|error| cx.with_hint(error.into()))?);
        }
        let revoked = cx.open_to_write()?.revoke_grant(&self.who, &pattern);
        revoked.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
