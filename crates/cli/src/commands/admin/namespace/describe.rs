use std::ffi::OsString;

use prontodb_core::engine::{Cache, Sealing};
use prontodb_core::store::NamespaceDetails;

use super::{explained, only_namespace};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::sheet::Sheet;

/// Tell all about a namespace
///
/// What it is, in which table it lies, what it holds, how many entries have expired and are still on disk, how many
/// versions of each its history has, and whether and for whom its values are encrypted.
#[derive(clap::Args)]
pub struct Describe {
    /// The namespace
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,
}

impl Run for Describe {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = only_namespace(cx, &self.words)?;
        let described = cx.open_existing()?.describe_namespace(&namespace);
        let details = described.map_err(|error| explained(cx, &namespace, error))?;
        let mut sheet = Sheet::default();
        sheet.text("namespace", namespace.display(cx.notation.delimiter));
        fill(&mut sheet, &details);
        let is_json = cx.json();
        sheet.push(&mut cx.out, is_json);
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

fn fill(sheet: &mut Sheet, details: &NamespaceDetails) {
    let NamespaceDetails { info, expired, readers, moving_to, history_age } = details;
    sheet.number("id", info.space.id).moment("created", Some(info.space.created)).text("table", &info.table);
    if let Some(table) = moving_to {
        sheet.text("moving_to", table);
    }
    sheet.text("kind", if info.space.cache.is_some() { "ttl" } else { "std" });
    if let Some(cache) = &info.space.cache {
        fill_cache(sheet, cache);
    }
    sheet
        .number("keys", info.totals.keys)
        .number("bytes", info.totals.bytes)
        .moment("last_write", info.totals.last_write)
        .number("expired", *expired)
        .text("encryption", encryption(info.space.sealing));
    if let Some(versions) = info.space.history {
        let age = history_age.map_or(0, |age| age.millis().unsigned_abs());
        sheet.number("history", versions).number("history_age_ms", age);
    }
    match readers {
        Some(readers) if readers.is_empty() => sheet.truth("passphrase", true),
        Some(readers) => sheet.list("recipients", readers.iter().cloned()),
        None => sheet,
    };
}

fn fill_cache(sheet: &mut Sheet, cache: &Cache) {
    sheet
        .number("timeout_ms", cache.timeout.millis().unsigned_abs())
        .truth("evict_on_read", cache.evict_on_read)
        .number("max_items", cache.max_items.unwrap_or(0))
        .number("max_bytes", cache.max_bytes.unwrap_or(0))
        .text("policy", cache.policy.name());
}

/// Halfway is what a change of the encryption leaves that was interrupted.
fn encryption(sealing: Sealing) -> &'static str {
    match sealing {
        Sealing::Never => "off",
        Sealing::Ended => "halfway off",
        Sealing::Turning(_) => "halfway on",
        Sealing::Under(_) => "on",
    }
}
