use std::path::PathBuf;

use super::{Addressing, Run};
use crate::args::Globals;
use crate::context::Context;
use crate::directory::{self, DirectoryFile};
use crate::exit::{Code, Failure};
use crate::output;

/// Let the .prontodb of a directory choose the database there
///
/// Such a file holds `database = "NAME"` or `file = "PATH"` (relative to its directory), and if wanted `project = "NAME"`
/// and `namespace = "NAME"`. It counts in its directory and below. When it changes, it has to be allowed again.
#[derive(clap::Args)]
pub struct Allow {
    /// The file, or its directory; the nearest one here or above when left out
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
}

impl Run for Allow {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let file = DirectoryFile::read(directory::find(cx.roots(), self.path.as_deref())?)?;
        let wish = file.wish(cx.roots())?;
        cx.check_defaults(wish.project.as_deref(), wish.namespace.as_deref())?;
        directory::allow(cx.roots(), &file)?;
        let (path, database) = (file.path.display(), wish.database.display());
        output::note(&format!("{path} is allowed, and chooses {database}"));
        Ok(Code::Done)
    }
}
