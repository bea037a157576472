use super::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::explain::Explanation;

/// Tell where commands work here: database, project, namespace, delimiter, user, and what decided each
///
/// Behind each value stands what gave it: a flag, a variable, a file, or `default`. Lines `overruled` show what else had
/// something to say about the database. With --explain any command tells the same on stderr before it runs.
#[derive(clap::Args)]
pub struct Where {}

impl Run for Where {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let json = cx.json();
        Explanation::of(cx)?.push(cx.out.buffer(), json);
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
