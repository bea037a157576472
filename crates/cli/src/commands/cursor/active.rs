use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::cursors::{Cursor, Selected};
use crate::exit::{Code, Failure};
use crate::output::{self, printable};
use crate::paths::DEFAULT_DATABASE;

/// Show what is selected; changes nothing
///
/// `prontodb context` tells what decides here and now, which may be something stronger.
#[derive(clap::Args)]
pub struct Active {}

impl Run for Active {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let active = match cx.cursors()?.active()? {
            Some(active) => active,
            None => nothing_selected(cx)?,
        };
        match cx.json() {
            true => cx.out.push(&active.to_json()?),
            false => active.fields().into_iter().for_each(|(name, value)| {
                cx.out.line(&printable(&format!("{name}: {}", value.as_deref().unwrap_or("-"))));
            }),
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

/// What is used without a selection.
fn nothing_selected(cx: &Context) -> Result<Selected, Failure> {
    let user = cx.user.value.as_deref();
    let database = cx.roots().database_file(user.unwrap_or(DEFAULT_DATABASE))?;
    output::note("nothing is selected yet; this is what the first write selects");
    Ok(Selected { name: None, cursor: Cursor::new(database, user) })
}
