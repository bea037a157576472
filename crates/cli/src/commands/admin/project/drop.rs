use std::ffi::OsString;

use super::project_of;
use crate::commands::admin::dropping::Dropping;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;

/// Remove a project with all its namespaces, and all they hold
///
/// The namespaces are gone at once. Their entries are removed from disk in steps, so that others can write meanwhile; what
/// is interrupted is left to admin gc.
#[derive(clap::Args)]
pub struct Drop {
    /// Its name
    #[arg(value_name = "PROJECT")]
    name: Option<OsString>,

    #[command(flatten)]
    dropping: Dropping,
}

impl Run for Drop {
    const ADDRESSING: Addressing = Addressing::Project;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let name = project_of(cx, self.name.as_deref())?;
        let mut store = cx.open_existing()?;
        let described = store.describe_project(&name).map_err(|error| cx.with_hint(error.into()))?;
        let doomed = described.namespaces;
        let namespaces = output::counted(doomed.len() as u64, "namespace", "namespaces");
        let what = format!("the project {name} with {namespaces}");
        self.dropping.run(cx, &mut store, &what, &doomed, |store| store.drop_project(&name))
    }
}
