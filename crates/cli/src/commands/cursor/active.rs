use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::cursors::Cursor;
use crate::exit::{Code, Failure};
use crate::output;
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
        let cursor = match cx.cursors()?.active()? {
            Some(cursor) => cursor,
            None => nothing_selected(cx)?,
        };
        match cx.json() {
            true => cx.out.push(&cursor.to_json()?),
            false => cursor.fields().into_iter().for_each(|(name, value)| {
                cx.out.line(&format!("{name}: {}", value.as_deref().unwrap_or("-")));
            }),
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

/// What is used without a selection.
fn nothing_selected(cx: &Context) -> Result<Cursor, Failure> {
    let user = cx.user.value.clone();
    let database = cx.roots().database_file(user.as_deref().unwrap_or(DEFAULT_DATABASE))?;
    output::note("nothing is selected yet; this is what the first write selects");
    Ok(Cursor::new(database, user))
}
