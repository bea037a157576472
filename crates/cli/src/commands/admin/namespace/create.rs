use std::ffi::OsString;

use prontodb_core::store::Table;

use crate::commands::admin::{namespace_and_settings, table};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Make an empty namespace
///
/// There is no need to: the first write to a namespace makes it, too. With settings it is a cache; create-cache tells which
/// there are. --table says in which table it is to lie; `own` makes one for it alone.
#[derive(clap::Args)]
pub struct Create {
    /// The namespace, then the settings of a cache; with -p and -n the settings alone
    #[arg(value_names = ["PROJECT.NAMESPACE", "SETTINGS"], allow_negative_numbers = true)]
    words: Vec<OsString>,

    /// The table it is to lie in
    #[arg(long, value_name = "TABLE", default_value = "shared")]
    table: String,
}

impl Run for Create {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (_, words) = cx.take_namespace(&self.words)?;
        let is_cache = !words.is_empty();
        let (namespace, settings) = namespace_and_settings(cx, &self.words)?;
        let table: Table = table::parse(&self.table)?;
        let created = cx.open_to_write()?.create_namespace(&namespace, &table, is_cache.then_some(&settings));
        created.map_err(|error| super::explained(cx, &namespace, error))?;
        Ok(Code::Done)
    }
}
