//! The flags of `backup --follow`, and what they ask for.

use std::path::{Path, PathBuf, absolute};

use prontodb_core::coding::Recipients;

use super::{Catalog, Generation, Order, follow, span};
use crate::backup::{self, restore::require_admin_of};
use crate::context::Context;
use crate::exit::Code;
use crate::exit::Failure;
use crate::output;
use crate::output::json::Object;

/// How a database is followed.
#[derive(clap::Args)]
pub struct FollowFlags {
    /// Keep a replica in this folder instead, or at s3://BUCKET/PREFIX: every write, as it happens, until it is interrupted;
    /// prontodb restore --at takes any moment from it. With --list, tell which moments there are
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["output", "out", "all", "keep", "new_pass_file", "passphrase", "dry_run", "verify", "restore"]
    )]
    follow: Option<PathBuf>,

    /// With --follow: ship what is there, and end
    #[arg(long, requires = "follow", conflicts_with = "list")]
    once: bool,

    /// With --follow: how often what was written is shipped; 1s unless set
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "follow")]
    interval: Option<String>,

    /// With --follow: how often the whole database is copied, so that a restore has less to read; 24h unless set
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "follow")]
    snapshot_every: Option<String>,

    /// With --follow: let go of a log that becomes longer while the folder cannot be written; 1GiB unless set
    #[arg(long, value_name = "BYTES", requires = "follow")]
    max_log: Option<String>,
}

impl FollowFlags {
    /// The folder, if a database is to be followed.
    pub fn folder(&self) -> Option<&Path> {
        self.follow.as_deref()
    }

    /// Follows the selected database.
    ///
    /// # Errors
    /// Flags that make no sense, whoever may not read all, and those of following.
    pub fn run(
        &self,
        cx: &mut Context,
        folder: &Path,
        recipients: Option<Recipients>,
        keep_days: Option<u64>,
    ) -> Result<Code, Failure> {
        let span_of = |flag, given: &Option<String>, usual| span(flag, given.as_deref().unwrap_or(usual));
        let (interval, snapshot_every) = (
            span_of("--interval", &self.interval, "1s")?,
            span_of("--snapshot-every", &self.snapshot_every, "24h")?,
        );
        let max_log = self.max_log.as_deref().map_or(Ok(1 << 30), bytes)?;
        let selection = cx.selection()?;
        selection.warning.iter().for_each(|warning| output::warn(warning));
        selection.require(cx.surroundings())?;
        let path = absolute(cx.place()?).map_err(|error| Failure::io("no such path", &error))?;
        let store = cx.open_at(&path)?;
        store.note("follow", &folder.display().to_string())?;
        selection.select(cx.surroundings(), cx.patience())?;
        let order = Order {
            database: backup::name_of(cx, &path),
            patience: cx.patience(),
            spill: cx.spill_folder()?,
            path,
            recipients,
            once: self.once,
            interval,
            snapshot_every,
            keep_days,
            max_log,
            is_json: cx.json(),
        };
        let storage = super::make(folder)?;
        follow(&order, store, &*storage, &mut cx.out)
    }
}

/// Tells which moments there are.
///
/// # Errors
/// Those of reading.
pub fn list(cx: &mut Context, folder: &Path) -> Result<Code, Failure> {
    let storage = super::open(folder)?;
    let catalog = Catalog::read(&*storage)?;
    require_admin_of(cx, &catalog.path)?;
    if catalog.generations.is_empty() {
        output::note(&format!("{} holds nothing yet", storage.shown("")));
    }
    let (is_json, database) = (cx.json(), &catalog.database);
    cx.out.list(is_json, &catalog.generations, |out, generation| match is_json {
        true => show_as_json(out.buffer(), database, generation),
        false => {
            let Generation { id, begin, segments } = generation;
            out.line(&format!("{id}\t{database}\t{begin}\t{}\t{}", generation.end(), segments.len()));
        }
    });
    cx.out.flush()?;
    Ok(Code::Done)
}

fn show_as_json(out: &mut Vec<u8>, database: &str, generation: &Generation) {
    Object::begin(out)
        .text("generation", &generation.id)
        .text("database", database)
        .moment("first", Some(generation.begin))
        .moment("last", Some(generation.end()))
        .number("segments", generation.segments.len() as u64)
        .end();
}

/// Reads a number of bytes: `1000`, `64KiB`, `500MiB`, `1GiB`.
fn bytes(text: &str) -> Result<u64, Failure> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number = digits.parse::<u32>().ok().map(|number| u64::from(number) << shift);
    number.ok_or_else(|| {
        Failure::usage(format!(
            "--max-log needs a number of bytes, such as 500MiB or 1GiB, and not `{}`",
            text.escape_debug()
        ))
    })
}
