use super::existing;
use crate::args::Globals;
use crate::commands::cursor::{note_stronger, tell_selected};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Select a database from now on
///
/// As cursor NAME does, but a cursor of that name is not looked at.
#[derive(clap::Args)]
pub struct Switch {
    /// The name of the database
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Switch {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let path = existing(cx, &self.name)?;
        cx.cursors()?.turn(cx.patience())?.select_database(&path)?;
        tell_selected(cx, &self.name, &path)?;
        note_stronger(cx)?;
        Ok(Code::Done)
    }
}
