use super::{note_stronger, tell_selected};
use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::selection;

/// Select a cursor, or a database by name or file, from now on
///
/// A name is that of a cursor, else of a database. The same as --select.
#[derive(clap::Args)]
pub struct Select {
    /// What to select
    #[arg(value_name = "NAME|FILE")]
    word: String,
}

impl Run for Select {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let selection = selection::find(cx.surroundings(), self.word.as_ref())?;
        selection.require(cx.surroundings())?;
        selection.select(cx.surroundings(), cx.patience())?;
        tell_selected(cx, &self.word, &selection.path)?;
        note_stronger(cx)?;
        Ok(Code::Done)
    }
}
