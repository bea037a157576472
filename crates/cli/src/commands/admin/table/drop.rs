use super::{explained, parse};
use crate::commands::admin::dropping::Dropping;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Remove a table
///
/// One that namespaces lie in is refused; with --force they go too, and all they hold.
#[derive(clap::Args)]
pub struct Drop {
    /// Its name
    #[arg(value_name = "TABLE")]
    name: String,

    #[command(flatten)]
    dropping: Dropping,
}

impl Run for Drop {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        parse(&self.name)?;
        let mut store = cx.open_existing()?;
        let Self { name, dropping } = self;
        if !dropping.force && !dropping.dry_run {
            store.drop_table(&name, false).map_err(|error| refused(cx.with_hint(error.into())))?;
            return Ok(Code::Done);
        }
        let (_, doomed) =
            store.describe_table(&name).map_err(|error| explained(cx.with_hint(error.into())))?;
        // Without --force it is refused.
        let force = if dropping.force || doomed.is_empty() { "" } else { "with --force " };
        let what = format!("{force}the table {name}");
        dropping.run(cx, &mut store, &what, &doomed, |store| store.drop_table(&name, true))
    }
}

fn refused(failure: Failure) -> Failure {
    if failure.message.contains("nothing was dropped") {
        return failure.hint("prontodb admin namespace move P.N --table shared takes a namespace elsewhere");
    }
    explained(failure)
}
