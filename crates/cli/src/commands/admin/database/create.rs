use super::taken;
use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Make an empty database
///
/// A write to one that is not there makes it too; this one is an error when it is there already. It is not selected by that.
#[derive(clap::Args)]
pub struct Create {
    /// The name of the database
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Create {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let path = cx.roots().database_file(&self.name)?;
        if path.symlink_metadata().is_ok_and(|there| !there.is_file() || there.len() > 0) {
            return Err(taken(&self.name));
        }
        cx.require_admin_at(&path)?;
        cx.make_at(&path)?;
        Ok(Code::Done)
    }
}
