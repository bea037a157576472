use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::config::{self, Entry};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::output::json::Object;

/// Show all keys with their values
///
/// With --json, where each value comes from too.
#[derive(clap::Args)]
#[command(after_help = config::help())]
pub struct List {}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::of_configuration(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let entries = cx.settings.entries();
        match cx.globals.json {
            true => push_json(&mut cx.out, &entries),
            false => {
                for entry in &entries {
                    cx.out.line(&format!("{}={}", entry.key.name, entry.value));
                }
            }
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

fn push_json(out: &mut Out, entries: &[Entry<'_>]) {
    let mut object = Object::begin(out.buffer());
    for entry in entries {
        let mut inner = Vec::new();
        super::push_entry(&mut inner, entry);
        object.raw(entry.key.name, &String::from_utf8_lossy(&inner));
    }
    object.end();
    out.push(b"\n");
}
