use super::{Addressing, Run};
use crate::args::Globals;
use crate::completions::Shell;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// Print the script by which a shell completes commands, flags and their values
///
/// install puts all of them where shells look. For one shell alone: source <(prontodb completions bash), also for zsh behind
/// its compinit; prontodb completions fish | source; prontodb completions powershell | Out-String | Invoke-Expression.
#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Run for Completions {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::of_program(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let script = self.shell.script();
        if cx.json() {
            Object::begin(cx.out.buffer()).text("script", &String::from_utf8_lossy(&script)).end();
            cx.out.push(b"\n");
        } else {
            cx.out.push(&script);
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
