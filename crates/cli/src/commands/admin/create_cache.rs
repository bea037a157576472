use std::ffi::OsString;

use super::{explain, namespace_and_settings, tell_evicted};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};
use crate::output::report::Value;

/// Make a namespace a cache, in which entries expire
///
/// The settings are the timeout alone, or pairs with blanks or `;` between them: timeout (seconds, or 90s, 15m, 2h),
/// evict_on_read=0|1 (a read that meets an expired entry removes it), max_items=N and max_bytes=N (0 for no limit), and
/// policy=fifo|lru|ttl (what goes first when it is full). Doing it again changes the settings. Keys that are there stay, and
/// do not expire until they are set again or touched; a limit drives out what is over it at once.
#[derive(clap::Args)]
pub struct CreateCache {
    /// The namespace, then its timeout and other settings; with -p and -n the settings alone
    #[arg(value_names = ["PROJECT.NAMESPACE", "SETTINGS"], allow_negative_numbers = true)]
    words: Vec<OsString>,

    #[command(flatten)]
    dry: DryRun,
}

impl Run for CreateCache {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (namespace, settings) = namespace_and_settings(cx, &self.words)?;
        if settings.timeout.is_none() {
            let shown = namespace.display(cx.notation.delimiter);
            let failure = Failure::invalid(format!("the cache {shown} needs a timeout"));
            return Err(failure.hint(format!("prontodb create-cache {shown} SECONDS")));
        }
        if self.dry.dry_run {
            let evicted = cx.open_existing()?.would_create_cache(&namespace, &settings);
            let evicted = evicted.map_err(|error| explain(cx, &namespace, error))?;
            return dry_run::tell(cx, &[("evicted", Value::Number(evicted))]);
        }
        let created = cx.open_to_write()?.create_cache(&namespace, &settings);
        tell_evicted(created.map_err(|error| explain(cx, &namespace, error))?);
        Ok(Code::Done)
    }
}
