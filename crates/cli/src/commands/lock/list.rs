use prontodb_core::store::Lock;

use super::push_json;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::bounded::Bounds;
use crate::output::{Out, printable};

/// List the locks that are held
///
/// A line each: name, token, milliseconds left, when it was granted, and who holds it, tabs between.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    bounds: Bounds,
}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let locks = cx.open_existing()?.locks().map_err(|error| cx.with_hint(error.into()))?;
        let is_json = cx.json();
        let show = |out: &mut Out, lock: &Lock| match is_json {
            true => push_json(out.buffer(), lock),
            false => out.line(&format!(
                "{}\t{}\t{}\t{}\t{}",
                printable(&lock.name),
                lock.fence.0,
                lock.left.as_millis(),
                lock.granted,
                printable(lock.owner.as_deref().unwrap_or("-"))
            )),
        };
        self.bounds.print(&mut cx.out, is_json, &locks, |lock| &lock.name, show)?;
        Ok(Code::Done)
    }
}
