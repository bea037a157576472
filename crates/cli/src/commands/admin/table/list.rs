use crate::commands::nss::shown_moment;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// List tables
#[derive(clap::Args)]
pub struct List {
    /// Number of namespaces and when it was made in front, tabs between
    #[arg(long)]
    long: bool,
}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let tables = cx.open_existing()?.tables().map_err(|error| cx.with_hint(error.into()))?;
        let is_json = cx.json();
        cx.out.list(is_json, &tables, |out, table| {
            let namespaces = table.namespaces.len() as u64;
            if is_json {
                let mut object = Object::begin(out.buffer());
                object
                    .text("table", &table.name)
                    .number("namespaces", namespaces)
                    .moment("created", table.created)
                    .end();
            } else if self.long {
                out.line(&format!("{namespaces}\t{}\t{}", shown_moment(table.created), table.name));
            } else {
                out.line(&table.name);
            }
        });
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
