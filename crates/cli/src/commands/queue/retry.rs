use std::ffi::OsString;

use crate::commands::{Addressing, Run};
use crate::context::{Context, text};
use crate::exit::{Code, Failure};

/// Make an item ready again that is dead or was handed to somebody, as if it had never been claimed
///
/// Where there is no such item of this id the exit code is 2.
#[derive(clap::Args)]
pub struct Retry {
    /// The queue, then the id; with -p or -n only that
    #[arg(value_names = ["PROJECT.NAMESPACE", "ID"], num_args = 0..=2)]
    words: Vec<OsString>,
}

impl Run for Retry {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (queue, [id]) = cx.take_namespace(&self.words)? else {
            return Err(Failure::usage("the id is missing"));
        };
        let id = text(id)?;
        let revived = cx.open_to_change()?.revive(&queue, id).map_err(|error| cx.with_hint(error.into()))?;
        if revived {
            return Ok(Code::Done);
        }
        let what = format!(
            "{} has no item {} that is dead or handed to somebody",
            queue.display(cx.notation.delimiter),
            id.escape_debug()
        );
        Err(Failure::new(Code::Missing, "not_found", what))
    }
}
