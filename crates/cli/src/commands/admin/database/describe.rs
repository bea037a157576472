use super::{existing, names};
use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::engines::{self, Access};
use crate::exit::{Code, Failure};
use crate::output::report::{self, Value, text};

/// Tell all about a database: file, sizes, schema, what is in it, and which cursors lead to it
#[derive(clap::Args)]
pub struct Describe {
    /// The name of the database
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Describe {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let path = existing(cx, &self.name)?;
        let census = cx.open_at(&path)?.census().map_err(|error| cx.with_hint(error.into()))?;
        let file = engines::report(&cx.open_options(path.clone(), Access::Read));
        let file = file.map_err(|error| cx.with_hint(error.into()))?;
        let cursors = names(&cx.cursors()?.leading_to(&path)?);
        let is_selected = cx.place().is_ok_and(|selected| selected == path);
        let lines = [
            ("name", text(self.name)),
            ("path", text(path.display().to_string())),
            ("selected", Value::Truth(is_selected)),
            ("cursors", Value::List(cursors)),
            ("database_bytes", Value::Number(file.database_bytes)),
            ("log_bytes", Value::Number(file.log_bytes)),
            ("unused_bytes", Value::Number(file.unused_bytes)),
            ("schema", Value::Number(file.schema)),
            ("revision", Value::Number(census.revision)),
            ("namespaces", Value::Number(census.namespaces)),
            ("caches", Value::Number(census.caches)),
            ("encrypted", Value::Number(census.encrypted)),
            ("entries", Value::Number(census.entries)),
            ("expired", Value::Number(census.expired)),
        ];
        report::print(&mut cx.out, cx.globals.json, &lines)?;
        Ok(Code::Done)
    }
}
