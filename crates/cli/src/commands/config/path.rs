use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::config;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// Show which configuration file is in use, whether it is there or not
#[derive(clap::Args)]
pub struct Path {}

impl Run for Path {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::unconfigured(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let path = config::path_in_use(&cx.flags(), cx.roots())?;
        let path = std::path::absolute(&path)
            .map_err(|error| Failure::io(format_args!("cannot tell where {} is", path.display()), &error))?;
        match cx.globals.json {
            true => Object::begin(cx.out.buffer()).text("path", &path.to_string_lossy()).end(),
            false => cx.out.push(path.as_os_str().as_encoded_bytes()),
        }
        cx.out.push(b"\n");
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
