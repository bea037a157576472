use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};

/// End an API key, and its grants
#[derive(clap::Args)]
pub struct Revoke {
    /// Its id or name
    #[arg(value_name = "KEY")]
    id_or_name: String,

    #[command(flatten)]
    dry: DryRun,
}

impl Run for Revoke {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.dry.dry_run {
            let ending = cx.open_existing()?.would_revoke_api_key(&self.id_or_name);
            return dry_run::tell_ending(cx, "key", ending.map_err(|error| cx.with_hint(error.into()))?);
        }
        let revoked = cx.open_to_write()?.revoke_api_key(&self.id_or_name);
        revoked.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
