use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Remove a cursor; its database stays
#[derive(clap::Args)]
pub struct Delete {
    /// The name of the cursor
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Delete {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let cursors = cx.cursors()?;
        cursors.require(&self.name)?;
        cursors.turn(cx.patience())?.delete(&self.name)?;
        Ok(Code::Done)
    }
}
