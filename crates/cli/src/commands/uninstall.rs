use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::{Addressing, Run};
use crate::args::Globals;
use crate::confirm::confirm;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::files::metadata;
use crate::output::json::Object;
use crate::output::report::array;
use crate::output::{self, counted};
use crate::replace::DirectoryTurn;
use crate::setup::purge::Plan;
use crate::setup::record::{Known, Record, Removed};
use crate::setup::{self, Part, Places, put};

/// Remove this program, and with --purge its data too
///
/// What install made goes, unless it has been changed since; nothing else is touched. Databases, cursors, backups and the
/// configuration stay. With --purge they go as well: it lists them, and asks. What this program did not make stays, and is
/// named.
#[derive(clap::Args)]
pub struct Uninstall {
    /// Only the binary in this directory, and what belongs to it
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    target: Option<PathBuf>,

    /// Remove databases, cursors, backups and the configuration as well
    #[arg(long)]
    purge: bool,

    /// Remove nothing; tell what would go
    #[arg(long)]
    dry_run: bool,

    /// Do not ask before --purge removes anything, nor look whether others have databases open; and remove the program also
    /// when another build has taken its place
    #[arg(long)]
    force: bool,
}

impl Run for Uninstall {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::of_program(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.dry_run {
            return self.tell_only(cx);
        }
        let plan = self.purge.then(|| self.agreed_plan(cx)).transpose()?;
        let held = plan.as_ref().filter(|_| !self.force).map(Plan::hold).transpose()?;
        let mut done = Done::default();
        let mut remembered = Remembered::read(cx, self.target.as_deref())?;
        let removed = remembered.remove_files(self.force, &mut done);
        let purged = removed.and_then(|()| plan.iter().try_for_each(Plan::remove));
        remembered.end()?;
        purged?;
        drop(held);
        if let Some(plan) = &plan {
            tell_purged(plan, &mut done);
        }
        if done.told.is_empty() {
            done.told.push("nothing of it is installed; nothing was removed".to_owned());
        }
        done.tell(cx)?;
        Ok(Code::Done)
    }
}

impl Uninstall {
    fn tell_only(&self, cx: &mut Context) -> Result<Code, Failure> {
        let remembered = Remembered::read(cx, self.target.as_deref())?;
        let mut lines: Vec<_> =
            remembered.meant().iter().map(|known| format!("{} would go", known.path.display())).collect();
        if self.purge {
            let plan = Plan::of(cx.roots())?;
            require_admin(cx, &plan)?;
            lines.extend(list(&plan));
        }
        let is_json = cx.json();
        cx.out.list(is_json, &lines, |out, line| match is_json {
            true => output::json::push_string(out.buffer(), line),
            false => out.line(&output::printable(line)),
        });
        cx.out.flush()?;
        Ok(Code::Done)
    }

    /// What --purge removes, once that is allowed and meant.
    fn agreed_plan(&self, cx: &Context) -> Result<Plan, Failure> {
        let plan = Plan::of(cx.roots())?;
        require_admin(cx, &plan)?;
        plan.refuse_denied()?;
        if !self.force {
            plan.refuse_open()?;
            if io::stdin().is_terminal() {
                list(&plan).iter().for_each(|line| output::note(line));
            }
            confirm(&question(&plan), false).map_err(|failure| Failure {
                hint: failure.hint.as_ref().map(|hint| format!("--dry-run lists it all; {hint}")),
                ..failure
            })?;
            // Somebody may have come while it was asked, or may not any more.
            require_admin(cx, &plan)?;
            plan.refuse_open()?;
        }
        Ok(plan)
    }
}

/// Where every command has to show who it acts for, only those may remove a database who may administer it.
fn require_admin(cx: &Context, plan: &Plan) -> Result<(), Failure> {
    let judge = Context::undecided(cx.globals.clone())?;
    if !judge.settings.security_local.value {
        return Ok(());
    }
    for database in &plan.databases {
        judge.open_at(database)?.users().map_err(|error| cx.with_hint(error.into()))?;
    }
    Ok(())
}

/// What is to go, a line a thing.
fn list(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<_> =
        plan.databases.iter().map(|path| format!("the database {} would go", path.display())).collect();
    lines.extend(small(plan).iter().map(|files| format!("{files} would go")));
    lines.extend(plan.foreign.iter().map(|path| stays(path)));
    lines
}

/// How much there is of all but databases.
fn small(plan: &Plan) -> Vec<String> {
    let counts = plan.counts;
    let all = [
        (counts.cursors, "cursor or allowed directory", "cursors and allowed directories"),
        (counts.backups, "backup", "backups"),
        (counts.configuration, "configuration file", "configuration files"),
    ];
    let there = all.into_iter().filter(|(number, ..)| *number > 0);
    there.map(|(number, one, many)| counted(number, one, many)).collect()
}

fn question(plan: &Plan) -> String {
    let mut parts = vec!["Remove the program".to_owned()];
    match plan.databases.len() as u64 {
        0 => {}
        databases => parts.push(counted(databases, "database", "databases")),
    }
    parts.extend(small(plan));
    format!("{}?", parts.join(", "))
}

fn stays(path: &Path) -> String {
    format!("{} stays, for prontodb did not make it", path.display())
}

fn tell_purged(plan: &Plan, done: &mut Done) {
    done.told.extend(plan.databases.iter().map(|path| format!("removed the database {}", path.display())));
    done.told.extend(small(plan).iter().map(|files| format!("removed {files}")));
    if done.told.is_empty() && plan.has_emptied() {
        done.told.push("removed directories that were empty".to_owned());
    }
    done.told.extend(plan.foreign.iter().map(|path| stays(path)));
}

/// What was done, and what was not.
#[derive(Default)]
struct Done {
    removed: u64,
    told: Vec<String>,
}

impl Done {
    fn tell(&self, cx: &mut Context) -> Result<(), Failure> {
        if !cx.json() {
            self.told.iter().for_each(|line| output::note(line));
            return Ok(());
        }
        let list = array(&self.told);
        Object::begin(cx.out.buffer()).number("removed", self.removed).raw("done", &list).end();
        cx.out.push(b"\n");
        cx.out.flush()
    }
}

/// What install remembers, else what lies in the usual places and is what install would put there.
struct Remembered {
    /// Where it is remembered.
    path: Option<PathBuf>,
    record: Record,
    /// The only directory of a program that is meant.
    target: Option<PathBuf>,
    _turn: Option<DirectoryTurn>,
}

impl Remembered {
    fn read(cx: &Context, target: Option<&Path>) -> Result<Self, Failure> {
        let roots = cx.roots();
        let path = Record::path(roots)?;
        if metadata(&path).is_ok_and(|there| there.is_none()) {
            let record = Record { files: usual(&Places::of(roots, target)?)?, ..Record::default() };
            return Ok(Self { path: None, record, target: None, _turn: None });
        }
        let turn = DirectoryTurn::begin(&roots.lib_dir()?, cx.patience())?;
        let record = Record::read(&path)?.unwrap_or_default();
        let target = target.map(|target| Places::of(roots, Some(target))).transpose()?;
        Ok(Self { path: Some(path), record, target: target.map(|places| places.bin), _turn: Some(turn) })
    }

    fn meant(&self) -> Vec<Known> {
        let is_meant = |known: &&Known| self.target.as_ref().is_none_or(|target| known.target == *target);
        self.record.files.iter().filter(is_meant).cloned().collect()
    }

    /// Removes what is meant and unchanged. What cannot be removed is remembered still.
    fn remove_files(&mut self, force: bool, done: &mut Done) -> Result<(), Failure> {
        let mut beside = 0;
        for known in self.meant() {
            let is_shared = self.target.is_some() && self.record.is_shared(&known);
            if !is_shared {
                remove_file(&known, force, done, &mut beside)?;
            }
            self.record.files.retain(|other| *other != known);
        }
        if beside > 0 {
            done.told.push(format!("removed {beside} of its completions and manual pages"));
        }
        Ok(())
    }

    /// Remembers what is left, if anything is, and removes the directories that are empty by now.
    fn end(mut self) -> Result<(), Failure> {
        self.record.remove_empty_directories();
        let Some(path) = &self.path else { return Ok(()) };
        self.record.write(path)?;
        if self.record.files.is_empty() {
            self.record.remove_empty_directories();
        }
        Ok(())
    }
}

fn remove_file(known: &Known, force: bool, done: &mut Done, beside: &mut u64) -> Result<(), Failure> {
    let path = known.path.display();
    let cannot = |error| Failure::io(format_args!("cannot remove {path}"), &error);
    let is_program = known.path.parent() == Some(&known.target);
    let mut removed = known.remove().map_err(cannot)?;
    let is_other = || setup::is_other_build(&known.path);
    if removed == Removed::Changed && force && is_program && is_other().map_err(cannot)? {
        fs::remove_file(&known.path).map_err(cannot)?;
        removed = Removed::Yes;
    }
    match removed {
        Removed::WasNotThere => return Ok(()),
        Removed::Changed => {
            done.told.push(format!("left {path}; it is not what install put there"));
            return Ok(());
        }
        Removed::Yes if is_program => done.told.push(format!("removed {path}")),
        Removed::Yes => *beside += 1,
    }
    done.removed += 1;
    Ok(())
}

/// What install would put into the usual places.
fn usual(places: &Places) -> Result<Vec<Known>, Failure> {
    let program = Part { path: places.program(), bytes: setup::own_bytes()?, mode: put::EXECUTABLE };
    let beside = places.beside().map_err(|error| Failure::io("cannot make the manual", &error))?;
    let known = |part: &Part| Known::new(part.path.clone(), &part.bytes, &places.bin);
    Ok(std::iter::once(&program).chain(&beside).map(known).collect())
}
