use prontodb_core::store::Garbage;

use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::Object;
use crate::output::report::Value;

/// Remove from disk what has expired
///
/// Writes to a cache do that too, a little at a time; nobody ever sees an expired entry, removed or not. What an interrupted
/// admin namespace drop or move has left behind goes, too, and what histories have kept for long enough. With --json the counts are printed on standard output.
/// With --dry-run left_behind counts places, and not what is in them.
#[derive(clap::Args)]
pub struct Gc {
    #[command(flatten)]
    dry: DryRun,
}

impl Run for Gc {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.dry.dry_run {
            let Garbage { entries, caches, versions, left_behind } =
                cx.open_existing()?.garbage().map_err(|error| cx.with_hint(error.into()))?;
            let counts = [entries, caches, versions, left_behind].map(Value::Number);
            let names = ["entries", "caches", "versions", "left_behind"];
            return dry_run::tell(cx, &names.into_iter().zip(counts).collect::<Vec<_>>());
        }
        let removed = cx.open_existing()?.collect_garbage().map_err(|error| cx.with_hint(error.into()))?;
        if cx.json() {
            Object::begin(cx.out.buffer())
                .number("entries", removed.entries)
                .number("caches", removed.caches)
                .number("leftovers", removed.leftovers)
                .number("versions", removed.versions)
                .end();
            cx.out.push(b"\n");
            cx.out.flush()?;
        } else {
            let entries = output::counted(removed.entries, "expired entry", "expired entries");
            let caches = output::counted(removed.caches, "cache", "caches");
            let leftovers = match removed.leftovers {
                0 => String::new(),
                left => format!(", and {left} of namespaces that are no more or elsewhere"),
            };
            let versions = match removed.versions {
                0 => String::new(),
                old => format!(", and {} from histories", output::counted(old, "version", "versions")),
            };
            output::note(&format!("removed {entries} from {caches}{leftovers}{versions}"));
        }
        Ok(Code::Done)
    }
}
