use std::ffi::OsString;

use super::project_of;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Make a project that is there without a namespace
///
/// There is no need to: the first namespace of a project makes it, too. One that was made so stays when its last namespace
/// goes.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    #[arg(value_name = "PROJECT")]
    name: Option<OsString>,
}

impl Run for Create {
    const ADDRESSING: Addressing = Addressing::Project;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let project = project_of(cx, self.name.as_deref())?;
        let created = cx.open_to_write()?.create_project(&project);
        created.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
