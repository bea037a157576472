//! What all commands that drop something have in common: they ask, or tell what would go.

use prontodb_core::Store;
use prontodb_core::store::{Dropped, NamespaceInfo};

use crate::confirm::confirm;
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::Object;

/// How something is dropped.
#[derive(clap::Args)]
pub struct Dropping {
    /// Do not ask
    #[arg(long)]
    pub force: bool,

    /// Print what would go, as keys, bytes and namespace with tabs between, and drop nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Dropping {
    /// Has `drop` drop `what`, which takes `doomed` with it, once that is confirmed.
    pub fn run(
        &self,
        cx: &mut Context,
        store: &mut Session,
        what: &str,
        doomed: &[NamespaceInfo],
        drop: impl FnOnce(&Store) -> prontodb_core::Result<Dropped>,
    ) -> Result<Code, Failure> {
        let keys = doomed.iter().map(|info| info.totals.keys).sum();
        let entries = output::counted(keys, "entry", "entries");
        if self.dry_run {
            return tell(cx, what, doomed);
        }
        let is_empty = !doomed.iter().any(holds_data);
        confirm(&format!("Drop {what}, and {entries}?"), self.force || is_empty)?;
        // An answer may have taken long.
        store.renew_identity().and_then(|()| drop(store)).map_err(|error| cx.with_hint(error.into()))?;
        if cx.json() {
            print(cx, doomed, true)?;
        } else {
            output::note(&format!("dropped {what}, and {entries}"));
        }
        Ok(Code::Done)
    }
}

/// Whether something is lost with a namespace: entries, or what their history keeps.
fn holds_data(info: &NamespaceInfo) -> bool {
    info.totals.keys > 0 || info.totals.bytes > 0 || info.space.history.is_some()
}

/// Tells what would go.
pub fn tell(cx: &mut Context, what: &str, doomed: &[NamespaceInfo]) -> Result<Code, Failure> {
    print(cx, doomed, false)?;
    let keys = doomed.iter().map(|info| info.totals.keys).sum();
    let entries = output::counted(keys, "entry", "entries");
    output::note(&format!("nothing was dropped; {what} would go, and {entries}"));
    Ok(Code::Done)
}

fn print(cx: &mut Context, doomed: &[NamespaceInfo], is_dropped: bool) -> Result<(), Failure> {
    let (is_json, delimiter) = (cx.json(), cx.notation.delimiter);
    if is_json {
        cx.out.push(format!("{{\"dropped\":{is_dropped},\"namespaces\":").as_bytes());
    }
    cx.out.list(is_json, doomed, |out, info| {
        let name = info.space.namespace.display(delimiter);
        if is_json {
            let mut object = Object::begin(out.buffer());
            object
                .text("name", &name)
                .number("keys", info.totals.keys)
                .number("bytes", info.totals.bytes)
                .end();
        } else {
            out.line(&format!("{}\t{}\t{name}", info.totals.keys, info.totals.bytes));
        }
    });
    if is_json {
        // In place of the line's end that a list has.
        cx.out.buffer().pop();
        cx.out.push(b"}\n");
    }
    cx.out.flush()
}
