use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};
use crate::output::report::Value;

/// Remove a cursor; its database stays
#[derive(clap::Args)]
pub struct Delete {
    /// The name of the cursor
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    dry: DryRun,
}

impl Run for Delete {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let cursors = cx.cursors()?;
        cursors.require(&self.name)?;
        if self.dry.dry_run {
            let file = cursors.removable(&self.name)?.display().to_string();
            return dry_run::tell(cx, &[("file", Value::Text(file))]);
        }
        cursors.turn(cx.patience())?.delete(&self.name)?;
        Ok(Code::Done)
    }
}
