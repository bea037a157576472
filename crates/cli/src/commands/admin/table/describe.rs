use super::{explained, parse};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::sheet::Sheet;

/// Tell what is in a table
///
/// Its namespaces, how many keys they have and the bytes of these and their values. `arriving` are namespaces that are on
/// their way to it, `leftovers` those that have left and whose entries are still to be removed from disk, which
/// admin gc does.
#[derive(clap::Args)]
pub struct Describe {
    /// Its name
    #[arg(value_name = "TABLE")]
    name: String,
}

impl Run for Describe {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        parse(&self.name)?;
        let described = cx.open_existing()?.describe_table(&self.name);
        let (table, namespaces) = described.map_err(|error| explained(cx.with_hint(error.into())))?;
        let delimiter = cx.notation.delimiter;
        let mut sheet = Sheet::default();
        sheet
            .text("table", table.name)
            .moment("created", table.created)
            .number("keys", namespaces.iter().map(|info| info.totals.keys).sum())
            .number("bytes", namespaces.iter().map(|info| info.totals.bytes).sum())
            .moment("last_write", namespaces.iter().filter_map(|info| info.totals.last_write).max())
            .number("leftovers", table.leftovers)
            .list("namespaces", table.namespaces.iter().map(|namespace| namespace.display(delimiter)))
            .list("arriving", table.arriving.iter().map(|namespace| namespace.display(delimiter)));
        let is_json = cx.json();
        sheet.push(&mut cx.out, is_json);
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
