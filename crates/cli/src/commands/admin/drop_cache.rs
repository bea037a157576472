use std::ffi::OsString;

use prontodb_core::address::Short;
use prontodb_core::{Error, ErrorKind};

use super::{dropping, explain, namespace_and_settings};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Make a cache an ordinary namespace
///
/// Entries that have not expired stay, and expire no more; --discard removes them too.
#[derive(clap::Args)]
pub struct DropCache {
    /// The namespace
    #[arg(value_name = "PROJECT.NAMESPACE")]
    cache: Option<OsString>,

    /// Remove what is in it
    #[arg(long)]
    discard: bool,

    /// Print what would go with --discard, as keys, bytes and namespace with tabs between, and change nothing
    #[arg(long, requires = "discard")]
    dry_run: bool,
}

impl Run for DropCache {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if cx.notation.short == Short::Keys && self.cache.is_some() {
            return Err(Failure::usage("-p or -n and a namespace exclude each other"));
        }
        let (namespace, _) = namespace_and_settings(cx, self.cache.as_slice())?;
        if self.dry_run {
            let described = cx.open_existing()?.describe_namespace(&namespace);
            let info = described.map_err(|error| explain(cx, &namespace, error))?.info;
            if info.space.cache.is_none() {
                return Err(explain(cx, &namespace, Error::new(ErrorKind::Invalid, "it is no cache")));
            }
            return dropping::tell(cx, "its entries", &[info]);
        }
        let dropped = cx.open_existing()?.drop_cache(&namespace, self.discard);
        dropped.map_err(|error| explain(cx, &namespace, error))?;
        Ok(Code::Done)
    }
}
