use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Give a cursor another name
#[derive(clap::Args)]
pub struct Rename {
    /// The name it has
    #[arg(value_name = "OLD")]
    old: String,

    /// The name it gets, which no cursor may have
    #[arg(value_name = "NEW")]
    new: String,
}

impl Run for Rename {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let cursors = cx.cursors()?;
        cursors.require(&self.old)?;
        cursors.turn(cx.patience())?.rename(&self.old, &self.new)?;
        Ok(Code::Done)
    }
}
