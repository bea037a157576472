use std::fs;
use std::path::Path;

use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::engines::{self, Access};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::report::{self, Value, text};

/// Bring the database up to date with this program
///
/// Any write does that too; reads leave a file as it is. First a copy is kept beside the file, as FILE.schema-N, to go back to
/// with an earlier version of the program. A file of a later version is refused.
#[derive(clap::Args)]
pub struct Migrate {
    /// Change nothing; tell what there is to do
    #[arg(long)]
    check: bool,
}

impl Run for Migrate {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let explain = |error: prontodb_core::Error| cx.with_hint(error.into());
        let store = cx.open_existing()?;
        store.require_admin().map_err(explain)?;
        store.revision().map_err(explain)?;
        let path = cx.place()?;
        if !path.exists() {
            return Ok(Code::Done);
        }
        let from = schema(cx, &path)?;
        let latest = from.1;
        if from.0 < latest && !self.check {
            cx.open_to_write()?.migrate().map_err(explain)?;
        }
        let to = schema(cx, &path)?.0;
        if from.0 == latest {
            output::note(&format!("schema {latest} is the latest; there is nothing to do"));
        }
        let mut lines = vec![
            ("database", text(path.display().to_string())),
            ("from", Value::Number(from.0)),
            ("to", Value::Number(latest)),
            ("migrated", Value::Truth(to > from.0)),
        ];
        if to > from.0 {
            // It lies beside the file that links lead to.
            let file = fs::canonicalize(&path).unwrap_or(path);
            lines.push(("copy", text(format!("{}.schema-{}", file.display(), from.0))));
        }
        report::print(&mut cx.out, cx.globals.json, &lines)?;
        Ok(Code::Done)
    }
}

/// The schema that the file has, and the one that it would get.
fn schema(cx: &Context, path: &Path) -> Result<(u64, u64), Failure> {
    let report = engines::report(&cx.open_options(path.to_owned(), Access::Read));
    let report = report.map_err(|error| cx.with_hint(error.into()))?;
    Ok((report.schema, report.latest_schema))
}
