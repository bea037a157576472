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

    /// Kind, default TTL, keys, bytes, table and last write in front, tabs between
    #[arg(long)]
    long: bool,
}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Project;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let project = project_of(cx, self.name.as_deref())?;
        nss::list(cx, Some(&project), self.long, &|info| info.space.namespace.namespace().to_owned())
    }
}
