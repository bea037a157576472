use std::path::PathBuf;

use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::cursors::{Cursor, check_name};
use crate::exit::{Code, Failure};
use crate::paths::{database_path, working_directory};

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
        check_name(&self.name)?;
        let (project, namespace) = (cx.globals.project.clone(), cx.globals.namespace.clone());
        cx.check_defaults(project.as_deref(), namespace.as_deref())?;
        let path = database_path(&working_directory()?, &self.path)?;
        let cursor = Cursor { project, namespace, ..Cursor::new(path, cx.user.value.as_deref()) };
        cx.cursors()?.turn(cx.patience())?.set(&self.name, &cursor)?;
        Ok(Code::Done)
    }
}
