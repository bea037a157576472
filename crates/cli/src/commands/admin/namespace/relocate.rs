use std::ffi::OsString;

use super::{explained, only_namespace};
use crate::commands::admin::table;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::sheet::Sheet;

/// Move a namespace to another table, while others read and write it
///
/// `own` makes a table for it alone, which goes when the namespace leaves it; `shared` is the one of namespaces that were put
/// in no other. A move that was interrupted goes on where it stopped when it is said again; to the table where the namespace
/// lies, it is undone.
#[derive(clap::Args)]
pub struct Move {
    /// The namespace
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    /// The table it is to lie in
    #[arg(long, value_name = "TABLE", required = true)]
    table: String,
}

impl Run for Move {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = only_namespace(cx, &self.words)?;
        let target = table::parse(&self.table)?;
        let moved = cx.open_existing()?.move_namespace(&namespace, &target);
        let moved = moved.map_err(|error| explained(cx, &namespace, error))?;
        let shown = namespace.display(cx.notation.delimiter);
        if cx.json() {
            let mut sheet = Sheet::default();
            sheet.text("namespace", shown).text("table", self.table).truth("moved", moved);
            sheet.push(&mut cx.out, true);
            cx.out.flush()?;
        } else {
            let place = if moved { "lies in the table" } else { "lay already in the table" };
            output::note(&format!("{shown} {place} {}", self.table));
        }
        Ok(Code::Done)
    }
}
