use super::existing;
use crate::args::Globals;
use crate::commands::cursor::note_stronger;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;

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
        output::note(&format!("{} is selected: {}", self.name, path.display()));
        note_stronger(cx)?;
        Ok(Code::Done)
    }
}
