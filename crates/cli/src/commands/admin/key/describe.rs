use std::ffi::OsString;

use prontodb_core::store::EntryInfo;
use prontodb_core::{Address, Coding, Metakeys};

use crate::commands::Run;
use crate::commands::get::missing;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// Tell all that is known of an entry but its value
///
/// The parts of its address, version, times, writer and size, how the value is kept (compressed, encrypted, or plain), in which
/// table, and metakeys. An entry that is missing exits with 2.
#[derive(clap::Args)]
pub struct Describe {
    /// What to look at
    address: Option<OsString>,
}

impl Run for Describe {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let address = cx.take_only_address(self.address.as_slice())?;
        let info = cx.open_existing()?.describe(&address).map_err(|error| cx.with_hint(error.into()))?;
        let Some(info) = info else { return Err(missing(cx, &[address])) };
        let shown = cx.show(&address);
        if cx.json() {
            push_object(cx.out.buffer(), &shown, &address, &info);
            cx.out.push(b"\n");
        } else {
            cx.out.push(lines(&shown, &address, &info).as_bytes());
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

fn push_object(out: &mut Vec<u8>, shown: &str, address: &Address, EntryInfo { head, table, .. }: &EntryInfo) {
    let truth = |is_so| if is_so { "true" } else { "false" };
    let mut object = Object::begin(out);
    object
        .text("k", shown)
        .text("project", address.namespace.project())
        .text("namespace", address.namespace.namespace())
        .text("key", address.name.key())
        .text_or_null("context", address.name.context())
        .head(head);
    if head.metakeys.is_none() {
        object.raw("metakeys", "{}");
    }
    object
        .raw("compressed", truth(head.coding.is_compressed()))
        .raw("encrypted", truth(head.coding.key().is_some()))
        .text("table", table)
        .end();
}

fn lines(shown: &str, address: &Address, EntryInfo { head, table, .. }: &EntryInfo) -> String {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let lines = [
        ("address", shown.to_owned()),
        ("project", address.namespace.project().to_owned()),
        ("namespace", address.namespace.namespace().to_owned()),
        ("key", address.name.key().to_owned()),
        ("context", or_dash(address.name.context())),
        ("version", head.version.to_string()),
        ("created", head.created.to_string()),
        ("updated", head.updated.to_string()),
        ("expires", head.expires.map_or_else(|| "never".to_owned(), |at| at.to_string())),
        ("writer", or_dash(head.writer.as_deref())),
        ("size", head.size.to_string()),
        ("coding", words_for(head.coding).to_owned()),
        ("table", table.clone()),
        ("metakeys", or_dash(head.metakeys.as_ref().map(Metakeys::to_json).as_deref())),
    ];
    lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

fn words_for(coding: Coding) -> &'static str {
    match (coding.is_compressed(), coding.key().is_some()) {
        (false, false) => "plain",
        (true, false) => "compressed",
        (false, true) => "encrypted",
        (true, true) => "compressed and encrypted",
    }
}
