use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use prontodb_core::Millis;
use prontodb_core::store::Census;

use crate::backup::{self, list::names_in};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::engines::{self, Access, LockHolder, Report, library_version};
use crate::exit::{Code, Failure};
use crate::output::report::{self, Line, Value, number, text};

/// With less room than this, writes may fail soon.
const LITTLE_ROOM: u64 = 64 * 1024 * 1024;

/// Tell how the database is: health, sizes, counts, versions, locks, the last backup
///
/// Entries are counted by pages: a million takes some 60 ms. `turn` is who writes or is the next to, `write_lock` who holds the lock of
/// SQLite itself; both tell how long the process has been running, which is the longest that it can have had the lock. In
/// `concerns` stands what is not as it should be.
#[derive(clap::Args)]
pub struct Status {}

impl Run for Status {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let census = cx.open_existing()?.census().map_err(|error| cx.with_hint(error.into()))?;
        let path = cx.place()?;
        let mut lines = vec![
            ("prontodb", text(env!("CARGO_PKG_VERSION"))),
            ("sqlite", text(library_version())),
            ("database", text(path.display().to_string())),
        ];
        if !path.exists() {
            lines.push(("state", text("not there yet; the first write makes it")));
            report::print(&mut cx.out, cx.globals.json, &lines)?;
            return Ok(Code::Done);
        }
        let file = engines::report(&cx.open_options(path.clone(), Access::Read));
        let file = file.map_err(|error| cx.with_hint(error.into()))?;
        let concerns = concerns(&file);
        lines.push(("state", text(if concerns.is_empty() { "good" } else { "good, with concerns" })));
        lines.push(("concerns", Value::List(concerns)));
        lines.extend(about_file(&file));
        lines.extend(about_entries(&census));
        lines.push(("turn", held_by(file.turn_holder.as_ref())));
        lines.push(("write_lock", held_by(file.write_lock_holder.as_ref())));
        lines.extend(about_backup(cx, &path));
        report::print(&mut cx.out, cx.globals.json, &lines)?;
        Ok(Code::Done)
    }
}

fn concerns(file: &Report) -> Vec<String> {
    let mut concerns = Vec::new();
    if file.schema < file.latest_schema {
        concerns.push(format!(
            "schema {} is old; the next write, or prontodb admin migrate, makes it {}",
            file.schema, file.latest_schema
        ));
    }
    if file.journal_mode != "wal" {
        concerns.push("the file is not in WAL mode; the next write changes that".to_owned());
    }
    if file.free_bytes.is_some_and(|free| free < LITTLE_ROOM) {
        concerns.push("the disk is nearly full; writes may fail soon".to_owned());
    }
    if file.unused_bytes > file.database_bytes / 2 && file.unused_bytes > LITTLE_ROOM {
        concerns
            .push("more than half of the file holds nothing; prontodb admin vacuum gives it back".to_owned());
    }
    concerns
}

fn about_file(file: &Report) -> Vec<Line> {
    vec![
        ("file_system", text(file.file_system.map_or("unknown", |kind| kind.name))),
        ("schema", Value::Number(file.schema)),
        ("database_bytes", Value::Number(file.database_bytes)),
        ("log_bytes", Value::Number(file.log_bytes)),
        ("log_frames", number(file.log_frames)),
        ("log_frames_pending", number(file.log_frames_pending)),
        ("unused_bytes", Value::Number(file.unused_bytes)),
        ("free_bytes", number(file.free_bytes)),
    ]
}

fn about_entries(census: &Census) -> Vec<Line> {
    [
        ("revision", census.revision),
        ("namespaces", census.namespaces),
        ("caches", census.caches),
        ("encrypted", census.encrypted),
        ("histories", census.histories),
        ("entries", census.entries),
        ("expired", census.expired),
        ("users", census.users),
        ("api_keys", census.api_keys),
    ]
    .map(|(name, count)| (name, Value::Number(count)))
    .into()
}

fn held_by(holder: Option<&LockHolder>) -> Value {
    let Some(LockHolder { process, name, running }) = holder else { return Value::Nothing("free") };
    let name = if name.is_empty() { "unknown" } else { name };
    let running = running.map_or_else(String::new, |time| format!(", running for {} ms", time.as_millis()));
    text(format!("process {process} ({name}{running})"))
}

/// The newest archive that carries the name of the database.
fn about_backup(cx: &Context, path: &Path) -> Vec<Line> {
    let found = newest_backup(cx, path);
    let (file, moment) = match found {
        Some((file, moment)) => (text(file.display().to_string()), text(moment.to_string())),
        None => (Value::Nothing("none"), Value::Nothing("never")),
    };
    vec![("last_backup", file), ("last_backup_at", moment)]
}

fn newest_backup(cx: &Context, path: &Path) -> Option<(PathBuf, Millis)> {
    let (folder, database) = (backup::default_folder(cx).ok()?, backup::name_of(cx, path));
    let names = names_in(&folder).ok()?.into_iter().filter(|name| name.database == database);
    let path = folder.join(names.max_by_key(|name| name.at)?.to_string());
    let meta = path.metadata().ok()?;
    Some((path, Millis(meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000)))
}
