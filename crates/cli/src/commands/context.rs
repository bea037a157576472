use super::{Addressing, Run};
use crate::args::Globals;
use crate::context::{Context, refuse_select};
use crate::exit::{Code, Failure};
use crate::explain::Explanation;

/// Tell where commands work here: database, project, namespace, delimiter, user, and what decided each
///
/// Behind each value stands what gave it: a flag, a variable, a file, or `default`. Lines `overruled` show what else had
/// something to say about the database. With --explain any command tells the same on stderr before it runs.
#[derive(clap::Args)]
pub struct Current {}

impl Run for Current {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn context(globals: Globals) -> Result<Context, Failure> {
        refuse_select(&globals)?;
        Context::new(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let explanation = Explanation::of(cx)?;
        let text = if cx.json() { explanation.to_json() } else { explanation.to_lines() };
        cx.out.write(text.as_bytes())?;
        Ok(Code::Done)
    }
}
