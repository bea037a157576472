use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;

/// Select nothing: commands work on main again, or on the database of the user
#[derive(clap::Args)]
pub struct Clear {}

impl Run for Clear {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let cursors = cx.cursors()?;
        if cursors.has_active()? {
            cursors.turn(cx.patience())?.clear()?;
        } else {
            output::note("nothing is selected");
        }
        Ok(Code::Done)
    }
}
