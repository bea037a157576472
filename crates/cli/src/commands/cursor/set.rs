use std::path::PathBuf;

use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::cursors::Cursor;
use crate::exit::{Code, Failure};
use crate::selection;

/// Save a database under a name, with -p and -n also the project and namespace to work in
///
/// The file need not be there yet; the first write makes it. A cursor of that name is replaced.
#[derive(clap::Args)]
pub struct Set {
    /// The name of the cursor
    #[arg(value_name = "NAME")]
    name: String,

    /// The file of the database; a relative path counts from here
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

impl Run for Set {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let cursors = cx.cursors()?;
        cursors.named_file(&self.name)?;
        let cursor = Cursor {
            project: cx.globals.project.clone(),
            namespace: cx.globals.namespace.clone(),
            ..Cursor::new(selection::absolute(&self.path)?, cx.user.value.clone())
        };
        cursors.turn()?.set(&self.name, &cursor)?;
        Ok(Code::Done)
    }
}
