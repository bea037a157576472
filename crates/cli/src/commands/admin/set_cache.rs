use std::ffi::OsString;

use super::{explain, namespace_and_settings, tell_evicted};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};
use crate::output::report::Value;

/// Change settings of a cache
///
/// What is not named stays as it is. Entries keep the time they have left; a lower limit evicts at once.
#[derive(clap::Args)]
pub struct SetCache {
    /// The namespace, then settings as for create-cache; with -p and -n the settings alone
    #[arg(value_names = ["PROJECT.NAMESPACE", "SETTINGS"], allow_negative_numbers = true)]
    words: Vec<OsString>,

    #[command(flatten)]
    dry: DryRun,
}

impl Run for SetCache {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (namespace, settings) = namespace_and_settings(cx, &self.words)?;
        if settings == prontodb_core::store::CacheSettings::default() {
            return Err(Failure::usage("settings are missing").hint("as in timeout=60 or max_items=1000"));
        }
        if self.dry.dry_run {
            let evicted = cx.open_existing()?.would_set_cache(&namespace, &settings);
            let evicted = evicted.map_err(|error| explain(cx, &namespace, error))?;
            return dry_run::tell(cx, &[("evicted", Value::Number(evicted))]);
        }
        let changed = cx.open_existing()?.set_cache(&namespace, &settings);
        tell_evicted(changed.map_err(|error| explain(cx, &namespace, error))?);
        Ok(Code::Done)
    }
}
