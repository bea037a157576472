//! `--dry-run` of commands that end or remove something: what would go is told as a report.

use prontodb_core::auth::Ending;

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::report::{self, Line, Value};

// No doc comment: clap would take it for what a command is about.
#[derive(clap::Args)]
pub struct DryRun {
    /// Tell what would go, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Tells what would go.
///
/// # Errors
/// Those of writing standard output.
pub fn tell(cx: &mut Context, lines: &[Line]) -> Result<Code, Failure> {
    report::print(&mut cx.out, cx.globals.json, lines)?;
    output::note("nothing was changed");
    Ok(Code::Done)
}

/// Tells what would end.
///
/// # Errors
/// Those of writing standard output.
pub fn tell_ending(cx: &mut Context, what: &'static str, ending: Ending) -> Result<Code, Failure> {
    let delimiter = cx.notation.delimiter;
    let grants = ending.grants.iter();
    let grants = grants.map(|grant| format!("{} {}", grant.role, grant.pattern.display(delimiter))).collect();
    let sessions = ending.sessions.map(|count| ("sessions", Value::Number(count)));
    let lines = [Some((what, Value::Text(ending.who))), sessions, Some(("grants", Value::Items(grants)))];
    tell(cx, &lines.into_iter().flatten().collect::<Vec<_>>())
}
