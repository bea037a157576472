use std::ffi::OsString;

use prontodb_core::Version;
use prontodb_core::store::Undone;

use super::Run;
use super::log::require_history;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::Object;

/// Take the last change of an entry back, or the last changes of a user
///
/// Brings back value, metakeys and expiry of before, as a new write, so that an undo of an undo does it again. What was
/// created goes, what was deleted comes back; nothing comes back that has expired by now. With --by the last changes of a user
/// are taken back, each of one entry, in all that the argument covers, as with keys: all of them, or none. Where somebody
/// else has changed one of these entries since, it exits with 3. Prints address, versions taken back, and the version that
/// the entry is like from now on, or `-`; tabs between. The reason is `undo` unless another is given. Where there is no change to
/// take back, or what was before is not kept or has expired, it exits with 2.
#[derive(clap::Args)]
pub struct Undo {
    /// Which entry; with --by, what keys or addresses start with
    address: Option<OsString>,

    /// Whose changes
    #[arg(long, value_name = "USER")]
    by: Option<String>,

    /// How many of them, up to 10000
    #[arg(long, value_name = "N", requires = "by", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=10000))]
    last: u32,

    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Run for Undo {
    const CHANGES_ENTRIES: bool = true;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        cx.refuse_op_of_dry_run(self.dry_run)?;
        let undone = match &self.by {
            Some(by) => self.undo_last(cx, by)?,
            None => vec![self.undo(cx)?],
        };
        print(cx, &undone, self.dry_run)?;
        if self.dry_run {
            let entries = output::counted(undone.len() as u64, "entry", "entries");
            output::note(&format!("nothing was changed; {entries} would be"));
        }
        Ok(Code::Done)
    }
}

impl Undo {
    fn undo(&self, cx: &Context) -> Result<Undone, Failure> {
        let address = cx.take_only_address(self.address.as_slice())?;
        let undone = cx.open_to_change()?.undo(&address, self.dry_run);
        undone.map_err(|error| cx.with_hint(error.into()))
    }

    fn undo_last(&self, cx: &Context, by: &str) -> Result<Vec<Undone>, Failure> {
        let scope = cx.scope(self.address.as_deref())?;
        let store = cx.open_to_change()?;
        require_history(cx, &store, &scope)?;
        let undone = store.undo_last(&scope, by, self.last as usize, self.dry_run);
        undone.map_err(|error| cx.with_hint(error.into()))
    }
}

fn print(cx: &mut Context, undone: &[Undone], is_dry_run: bool) -> Result<(), Failure> {
    let (is_json, delimiter) = (cx.json(), cx.notation.delimiter);
    cx.out.list(is_json, undone, |out, Undone { address, versions, like }| {
        let shown = address.display(delimiter);
        let versions: Vec<_> = versions.iter().map(Version::to_string).collect();
        if is_json {
            Object::begin(out.buffer())
                .text("k", &shown)
                .raw("undone", &format!("[{}]", versions.join(",")))
                .number_or_null("like", like.map(|version| version.0))
                .end();
        } else {
            let like = like.map_or_else(|| "-".to_owned(), |version| version.to_string());
            out.line(&format!("{shown}\t{}\t{like}", versions.join(",")));
        }
    });
    if is_dry_run { cx.out.flush() } else { cx.out.flush_done() }
}
