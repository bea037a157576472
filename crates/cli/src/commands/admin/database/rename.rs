use std::fs;
use std::path::Path;

use super::{names, own, remove_empty_folder, taken, told, unknown};
use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::cursors::{Lead, Turn};
use crate::exit::{Code, Failure};
use crate::output::report::{self, Value};
use crate::renamed::{Renamed, finish_in_turn, mark_beside, mark_of};
use crate::replace::Replacement;

/// Give a database another name; cursors and selections that lead to it follow
///
/// Those of all users do. PRONTO_DB, .prontodb files and scripts that name the file have to be changed by hand: the next
/// write by the old name makes a new, empty database. Others that have the database open are waited for, and after
/// busy_timeout_ms the exit code is 4 and nothing has changed. Said again, it finishes what was interrupted.
#[derive(clap::Args)]
pub struct Rename {
    /// The name it has
    #[arg(value_name = "OLD")]
    old: String,

    /// The name it gets, which no database may have
    #[arg(value_name = "NEW")]
    new: String,
}

impl Run for Rename {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (from, to) = (cx.roots().database_file(&self.old)?, cx.roots().database_file(&self.new)?);
        let is_begun = Renamed::from(cx.roots(), &from).is_some_and(|renamed| renamed.path == to);
        if is_begun {
            return self.finish(cx, &from, &to);
        }
        own(cx, &self.old)?;
        if to.symlink_metadata().is_ok() {
            return Err(taken(&self.new));
        }
        cx.require_admin_at(&from)?;
        let cursors = cx.cursors()?;
        let turn = cursors.turn(cx.patience())?;
        finish_in_turn(cx, &turn, &from)?;
        // Afterwards nothing tells which of them lead there by way of a link.
        let leads = cursors.leading_to(&from)?;
        let alone = cx.hold_alone(&from)?;
        // From here on, whoever says it again is understood.
        let (mark, text) = (mark_beside(&to), mark_of(&self.old, &from).unwrap_or_default());
        Replacement::begin(&mark)?.finish_private(text.as_bytes())?;
        if let Err(error) = alone.rename(&to) {
            let _ = fs::remove_file(&mark);
            remove_empty_folder(&to);
            return Err(cx.with_hint(error.into()));
        }
        // The file has its new name: whatever comes, nothing undoes that, and the rest is done.
        let synced = alone.sync_names(&to);
        follow(&turn, &leads, &from, &to)?;
        let told = self.tell(cx, &names(&leads));
        synced.map_err(|error| unsynced(error.into()))?;
        told
    }
}

fn unsynced(failure: Failure) -> Failure {
    let message = format!("it is renamed, and a power cut may undo that; {}", failure.message);
    Failure { message, retryable: false, ..failure }
        .hint("look at the disk and the permissions of the folder")
}

impl Rename {
    /// The file has its new name; whatever else there was to do is done now.
    fn finish(&self, cx: &mut Context, from: &Path, to: &Path) -> Result<Code, Failure> {
        cx.require_admin_at(to)?;
        let cursors = cx.cursors()?;
        let turn = cursors.turn(cx.patience())?;
        let leads = cursors.leading_to(from)?;
        if from.is_file() {
            // Somebody has made it anew meanwhile.
            return Err(unknown(&self.old));
        }
        follow(&turn, &leads, from, to)?;
        self.tell(cx, &names(&leads))
    }

    fn tell(&self, cx: &mut Context, leads: &[String]) -> Result<Code, Failure> {
        let done = format!("{} is called {} now", self.old, self.new);
        let fields = [
            ("database", report::text(&*self.new)),
            ("was", report::text(&*self.old)),
            ("cursors", Value::List(leads.to_vec())),
        ];
        cx.tell_done(&told(&done, leads, "what led to it follows"), &fields)?;
        Ok(Code::Done)
    }
}

/// Has what led to the old place lead to the new one.
fn follow(turn: &Turn<'_>, leads: &[Lead], from: &Path, to: &Path) -> Result<(), Failure> {
    leads.iter().try_for_each(|lead| turn.redirect(lead, to))?;
    let _ = fs::remove_file(mark_beside(to));
    remove_empty_folder(from);
    Ok(())
}
