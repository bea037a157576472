use std::ffi::OsString;

use crate::commands::admin::project::project_of;
use crate::commands::{Addressing, Run, nss};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// List the namespaces of a project
#[derive(clap::Args)]
pub struct List {
    /// The project
    #[arg(value_name = "PROJECT")]
    name: Option<OsString>,

    #[command(flatten)]
    arguments: nss::Arguments,
}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Project;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let project = project_of(cx, self.name.as_deref())?;
        nss::list(cx, Some(&project), &self.arguments, &|info| info.space.namespace.namespace().to_owned())
    }
}
