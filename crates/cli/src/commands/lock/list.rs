use super::push_json;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::printable;

/// List the locks that are held
///
/// A line each: name, token, milliseconds left, when it was granted, and who holds it, tabs between.
#[derive(clap::Args)]
pub struct List {}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let locks = cx.open_existing()?.locks().map_err(|error| cx.with_hint(error.into()))?;
        let is_json = cx.json();
        cx.out.list(is_json, &locks, |out, lock| match is_json {
            true => push_json(out.buffer(), lock),
            false => out.line(&format!(
                "{}\t{}\t{}\t{}\t{}",
                printable(&lock.name),
                lock.fence.0,
                lock.left.as_millis(),
                lock.granted,
                printable(lock.owner.as_deref().unwrap_or("-"))
            )),
        });
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
