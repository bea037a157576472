use std::ffi::OsString;

use prontodb_core::Address;
use prontodb_core::store::{Answer, Request, Ruling};
use serde::{Deserialize, Serialize};

use super::{key_and_names, metakeys_of, without};
use crate::commands::Run;
use crate::commands::get::missing;
use crate::context::Context;
use crate::dry_run::{self, DryRun};
use crate::exit::{Code, Failure};
use crate::output::report::Value;

/// Remove metakeys of a key
///
/// All that are named, or none: a key or a metakey that is missing exits with 2. Like setting one, that is a write of the
/// entry.
#[derive(clap::Args)]
pub struct Del {
    /// The key, unless --key names it; the names of the metakeys
    #[arg(value_names = ["ADDRESS", "NAME"])]
    words: Vec<OsString>,

    #[command(flatten)]
    dry: DryRun,
}

/// The names that the key does not have; none where there is no such key.
#[derive(Serialize, Deserialize)]
struct Absent(Option<Vec<String>>);

impl Answer for Absent {
    fn ruling(&self) -> Ruling {
        if self.0.as_ref().is_some_and(|names| !names.is_empty()) { Ruling::Refused } else { Ruling::Done }
    }
}

impl Run for Del {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        cx.refuse_op_of_dry_run(self.dry.dry_run)?;
        let (address, names) = key_and_names(cx, &self.words)?;
        if self.dry.dry_run {
            return foretell(cx, &address, &names);
        }
        let describe = |request: &mut Request| {
            request.text("metakey del").changes(&address);
            for name in &names {
                request.text(name);
            }
        };
        let removed = cx
            .open_to_change()?
            .write_once(&describe, |writer| writer.remove_metakeys(&address, &names).map(Absent));
        match removed.map_err(|error| cx.with_hint(error.into()))? {
            Absent(None) => Err(missing(cx, &[address])),
            Absent(Some(absent)) if absent.is_empty() => Ok(Code::Done),
            Absent(Some(absent)) => Err(without(cx, &address, &absent)),
        }
    }
}

/// Tells which metakeys would go.
fn foretell(cx: &mut Context, address: &Address, names: &[&str]) -> Result<Code, Failure> {
    let there = metakeys_of(cx, address)?;
    let is_there = |name: &str| there.as_ref().is_some_and(|metakeys| metakeys.get(name).is_some());
    let absent: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
    if !absent.is_empty() {
        return Err(without(cx, address, &absent));
    }
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    dry_run::tell(cx, &[("metakey", Value::Items(names))])
}
