use std::path::{Path, PathBuf};

use super::{bytes_of, names, own, remove_empty_folder, told};
use crate::args::Globals;
use crate::backup::partial;
use crate::commands::{Addressing, Run};
use crate::confirm::confirm;
use crate::context::Context;
use crate::cursors::Lead;
use crate::engines;
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::report::{self, Value};
use crate::paths::DEFAULT_DATABASE;
use crate::renamed::finish_in_turn;

/// Remove a database and all that is in it
///
/// Asks first, on a terminal. Backups stay, and so do cursors, which a write would make it anew by; what they are called is
/// told. Where it was selected, main is from then on; of a user, the database of that user. Others that have it open are
/// waited for, and after busy_timeout_ms the exit code is 4 and nothing has changed.
#[derive(clap::Args)]
pub struct Delete {
    /// The name of the database
    #[arg(value_name = "NAME")]
    name: String,

    /// Do not ask
    #[arg(long)]
    force: bool,

    /// Remove nothing; tell which files would go
    #[arg(long)]
    dry_run: bool,
}

impl Run for Delete {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let path = own(cx, &self.name)?;
        cx.require_admin_at(&path)?;
        if self.dry_run {
            return tell_files(cx, &path);
        }
        let question =
            format!("Remove the database {}, {} bytes in {}?", self.name, bytes_of(&path), path.display());
        confirm(&question, self.force)?;
        // An answer may have taken long.
        cx.require_admin_at(&path)?;
        let cursors = cx.cursors()?;
        let turn = cursors.turn(cx.patience())?;
        finish_in_turn(cx, &turn, &path)?;
        let leads = cursors.leading_to(&path)?;
        let alone = cx.hold_to_remove(&path)?;
        let selections: Vec<_> = leads.iter().filter(|lead| lead.is_selection()).collect();
        let named: Vec<_> = leads.iter().filter(|lead| !lead.is_selection()).cloned().collect();
        // First, so that whoever is stopped in between can say it again.
        let main = cx.roots().database_file(DEFAULT_DATABASE)?;
        selections.iter().try_for_each(|lead| turn.fall_back(lead, &main))?;
        alone.remove().map_err(|error| cx.with_hint(error.into()))?;
        // What a restore has left that was killed is the database, too.
        path.parent().into_iter().for_each(partial::remove_dead);
        remove_empty_folder(&path);
        let (gone, named) = (format!("{} is gone", self.name), names(&named));
        let fields = [("gone", report::text(&*self.name)), ("cursors", Value::List(named.clone()))];
        cx.tell_done(&told(&gone, &named, "these cursors lead to nothing now"), &fields)?;
        selections.iter().for_each(|lead| tell_fallen_back(lead));
        Ok(Code::Done)
    }
}

fn tell_files(cx: &mut Context, path: &Path) -> Result<Code, Failure> {
    let files: Vec<PathBuf> = engines::files_of(path).into_iter().filter(|file| file.exists()).collect();
    let files = files.iter().map(|file| file.display().to_string()).collect();
    let lines = [("bytes", Value::Number(bytes_of(path))), ("file", Value::List(files))];
    report::print(&mut cx.out, cx.globals.json, &lines)?;
    Ok(Code::Done)
}

fn tell_fallen_back(lead: &Lead) {
    let told = match lead.owner() {
        Some(user) => format!("nothing is selected for {user} now, so the database {user} is used"),
        None => format!("{DEFAULT_DATABASE} is selected now"),
    };
    output::note(&told);
}
