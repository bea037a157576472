use std::ffi::OsString;

use super::project_of;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::sheet::Sheet;

/// Tell what is in a project
///
/// Its namespaces, how many keys they have, the bytes of these and their values, and when the last was written. `created`
/// is known of projects that admin project create has made.
#[derive(clap::Args)]
pub struct Describe {
    /// Its name
    #[arg(value_name = "PROJECT")]
    name: Option<OsString>,
}

impl Run for Describe {
    const ADDRESSING: Addressing = Addressing::Project;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let name = project_of(cx, self.name.as_deref())?;
        let described = cx.open_existing()?.describe_project(&name);
        let project = described.map_err(|error| cx.with_hint(error.into()))?;
        let namespaces = &project.namespaces;
        let mut sheet = Sheet::default();
        sheet
            .text("project", project.name)
            .moment("created", project.created)
            .number("keys", namespaces.iter().map(|info| info.totals.keys).sum())
            .number("bytes", namespaces.iter().map(|info| info.totals.bytes).sum())
            .moment("last_write", namespaces.iter().filter_map(|info| info.totals.last_write).max())
            .list(
                "namespaces",
                namespaces.iter().map(|info| info.space.namespace.display(cx.notation.delimiter)),
            );
        let is_json = cx.json();
        sheet.push(&mut cx.out, is_json);
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
