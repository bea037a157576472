use super::{explained, warn_of_known_password};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};

/// Remove a user, with their sessions and grants
///
/// The last one who may administer stays.
#[derive(clap::Args)]
pub struct Del {
    /// The user
    name: String,

    #[command(flatten)]
    dry: DryRun,
}

impl Run for Del {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.dry.dry_run {
            let ending = explained(cx, cx.open_existing()?.would_remove_user(&self.name))?;
            return dry_run::tell_ending(cx, "user", ending);
        }
        let store = cx.open_to_write()?;
        explained(cx, store.remove_user(&self.name))?;
        warn_of_known_password(&store)?;
        Ok(Code::Done)
    }
}
