use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::config::{self, Key};
use crate::context::{Context, variable};
use crate::exit::{Code, Failure};
use crate::output;
use crate::paths;

/// Set a key in the configuration file
///
/// The rest of the file stays as it is, comments included. The usual file is made if it is not there.
#[derive(clap::Args)]
#[command(after_help = config::help())]
pub struct Set {
    /// The key
    #[arg(value_name = "KEY", value_parser = config::NAMES, hide_possible_values = true)]
    name: String,

    /// Its value from now on
    #[arg(value_name = "VALUE")]
    value: String,
}

impl Run for Set {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::unconfigured(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let key = Key::named(&self.name)?;
        config::set(&cx.flags(), cx.roots(), key, &self.value)?;
        if paths::variable(&variable, key.variable).is_some() {
            output::note(&format!("{} goes before the file for as long as it is set", key.variable));
        }
        Ok(Code::Done)
    }
}
