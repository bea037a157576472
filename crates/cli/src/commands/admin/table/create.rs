use super::parse;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Make a table, for namespaces to lie in
///
/// Names of tables are letters, digits, `_` and `-`. Namespaces that are put in no other lie in `shared`, which is always
/// there. admin namespace create and admin namespace move put them elsewhere.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    #[arg(value_name = "TABLE")]
    name: String,
}

impl Run for Create {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        parse(&self.name)?;
        let created = cx.open_to_write()?.create_table(&self.name);
        created.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
