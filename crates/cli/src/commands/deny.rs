use std::path::PathBuf;

use super::{Addressing, Run};
use crate::args::Globals;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::{directory, output};

/// Pass over the .prontodb of a directory, whatever it holds
#[derive(clap::Args)]
pub struct Deny {
    /// The file, or its directory; the nearest one here or above when left out
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
}

impl Run for Deny {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let path = directory::find(cx.roots(), self.path.as_deref())?;
        directory::deny(cx.roots(), &path)?;
        output::note(&format!("{} is passed over from now on", path.display()));
        Ok(Code::Done)
    }
}
