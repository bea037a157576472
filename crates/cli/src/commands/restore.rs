use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

use prontodb_core::store::Unlock;
use prontodb_core::{Clock as _, Millis, SystemClock};

use super::{Addressing, Run};
use crate::args::Globals;
use crate::backup::Given;
use crate::backup::restore::{self, Restored, Would};
use crate::context::{Context, text};
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::report::array;
use crate::renamed::{self, refuse_old_name};
use crate::replica;
use crate::{output, secret};

/// Put what a backup holds in its place
///
/// It goes to the selected database, with cursors and configuration, once all of it has been checked: a backup that is not whole
/// changes nothing. What it replaces is kept in a folder beside the backups, which is named on stderr and can be restored in
/// its turn. Others may have the database open; they see the new content with their next command. Versions go on above those
/// that were there. Besides archives, a database file, an unpacked archive and the folder of a replica can be restored,
/// which prontodb backup --follow keeps.
#[derive(clap::Args)]
pub struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Another database, into which the database alone goes; or, with a `/` or when it is there, a new or empty folder for all files
    #[arg(long, value_name = "NAME|DIR")]
    to: Option<OsString>,

    /// The file of the age identity that opens it; else that of age_identity
    #[arg(long, value_name = "FILE")]
    age_identity: Option<PathBuf>,

    /// Of a replica, what was there at this moment: 2026-11-21T09:30:00Z, "2026-11-21 09:30:00" in UTC, or 15m for so long ago;
    /// else the last there is
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    at: Option<String>,

    /// Check all of it, print what would be written or replaced, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Restore {
    /// The same as the flags of another command say it.
    pub fn of(file: PathBuf, to: Option<OsString>, age_identity: Option<PathBuf>, dry_run: bool) -> Self {
        Self { file, to, age_identity, at: None, dry_run }
    }
}

impl Run for Restore {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::undecided(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.to.is_some() {
            refuse_choice(cx, "--to says where to")?;
        }
        cx.require_proof()?;
        let unlock = unlock(cx, self.age_identity.as_deref());
        let given = Given { place: &self.file, until: self.until()?, unlock: &unlock };
        let is_folder = self.to.as_deref().is_some_and(restore::is_folder);
        let target = self.target(cx)?;
        if cx.globals.fence.is_some() && !target.is_file() {
            return Err(Failure::usage("--fence means nothing where no database is replaced"));
        }
        if self.dry_run {
            let would = match is_folder {
                true => restore::would_fill(cx, &given, &target)?,
                false => restore::would(cx, &given, &target, self.to.is_none())?,
            };
            return tell_what_would(cx, &would).map(|()| Code::Done);
        }
        renamed::finish(cx, &target)?;
        let restored = match &self.to {
            Some(_) if is_folder => restore::folder(cx, &given, &target)?,
            Some(_) => restore::database(cx, &given, &target)?,
            None => to_selected(cx, &given, &target)?,
        };
        tell(cx, &restored)?;
        restored.failure.map_or(Ok(Code::Done), Err)
    }
}

impl Restore {
    /// The file or the folder that it goes to.
    fn target(&self, cx: &Context) -> Result<PathBuf, Failure> {
        let path = match &self.to {
            Some(word) if restore::is_folder(word) => PathBuf::from(word),
            Some(word) => {
                let path = cx.roots().database_file(text(word)?)?;
                return refuse_old_name(cx.roots(), &path).map(|()| path);
            }
            None => cx.place()?,
        };
        absolute(path).map_err(|error| Failure::io("no such path", &error))
    }

    /// The moment that is meant, which only a replica has.
    fn until(&self) -> Result<Option<Millis>, Failure> {
        let Some(text) = &self.at else { return Ok(None) };
        if replica::is_replica(&self.file) {
            return replica::moment(text, SystemClock.now()).map(Some);
        }
        let what = format!("{} is no replica, and holds one moment alone", self.file.display());
        Err(Failure::usage(what).hint("--at goes with the folder of prontodb backup --follow"))
    }
}

fn to_selected(cx: &Context, given: &Given<'_>, target: &Path) -> Result<Restored, Failure> {
    let selection = cx.selection()?;
    selection.warning.iter().for_each(|warning| output::warn(warning));
    let restored = restore::all(cx, given, target)?;
    selection.remember(cx.surroundings(), cx.patience())?;
    Ok(restored)
}

/// Refuses flags that choose a database where another thing has been said that does.
pub fn refuse_choice(cx: &Context, what_does: &str) -> Result<(), Failure> {
    let Globals { database, database_file, cursor, select, .. } = &cx.globals;
    if database.is_some() || database_file.is_some() || cursor.is_some() || select.is_some() {
        return Err(Failure::usage(format!("{what_does}, and no flag chooses a database besides")));
    }
    Ok(())
}

/// What opens an encrypted backup: the identity that is named, else that of the configuration, or the passphrase.
pub fn unlock(cx: &Context, identity: Option<&Path>) -> Unlock {
    let identity = identity.map(|path| path.display().to_string());
    secret::unlock(identity.unwrap_or_else(|| cx.settings.age_identity.value.clone()))
}

fn tell_what_would(cx: &mut Context, would: &Would) -> Result<(), Failure> {
    let changed: Vec<_> = would.changed.iter().map(|path| path.display().to_string()).collect();
    if cx.json() {
        Object::begin(cx.out.buffer())
            .text("path", &would.path.display().to_string())
            .number("revision", would.revision)
            .raw("replaces", if would.replaces { "true" } else { "false" })
            .raw("changed", &array(&changed))
            .raw("dry_run", "true")
            .end();
        cx.out.push(b"\n");
        return cx.out.flush();
    }
    let verb = if would.replaces { "replace" } else { "write" };
    cx.out.line(&format!("{verb} {}", would.path.display()));
    changed.iter().for_each(|file| cx.out.line(&format!("write {file}")));
    cx.out.flush()?;
    output::note("nothing was restored; the backup is whole");
    Ok(())
}

fn tell(cx: &mut Context, restored: &Restored) -> Result<(), Failure> {
    let Restored { path, revision, safety, changed, .. } = restored;
    if let Some(safety) = safety {
        output::note(&format!("what there was is kept in {}", safety.display()));
    }
    for file in changed {
        output::note(&format!("{} came back, too", file.display()));
    }
    if cx.json() {
        let changed: Vec<_> = changed.iter().map(|path| path.display().to_string()).collect();
        Object::begin(cx.out.buffer())
            .text("path", &path.display().to_string())
            .number("revision", *revision)
            .text_or_null("kept", safety.as_ref().map(|path| path.display().to_string()).as_deref())
            .raw("changed", &array(&changed))
            .end();
        cx.out.push(b"\n");
    } else {
        cx.out.line(&path.display().to_string());
    }
    cx.out.flush()
}
