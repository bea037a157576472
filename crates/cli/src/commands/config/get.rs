use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::config;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Show the value of a key, wherever it comes from
///
/// With --json, its source too.
#[derive(clap::Args)]
#[command(after_help = config::help())]
pub struct Get {
    /// The key
    #[arg(value_name = "KEY", value_parser = config::NAMES, hide_possible_values = true)]
    name: String,
}

impl Run for Get {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::of_configuration(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let entries = cx.settings.entries();
        let entry = entries.iter().find(|entry| entry.key.name == self.name);
        let entry = entry.ok_or_else(|| config::unknown_key(&self.name))?;
        match cx.globals.json {
            true => super::push_entry(cx.out.buffer(), entry),
            false => cx.out.push(entry.value.to_string().as_bytes()),
        }
        cx.out.push(b"\n");
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
