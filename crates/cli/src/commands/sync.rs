use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use prontodb_core::store::{Difference, LoadOptions, Loaded};
use prontodb_core::{Address, Delimiter, EntryName, Namespace, Result as CoreResult};

use super::{Addressing, Run};
use crate::args::Globals;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::counted;
use crate::output::report::Value;
use crate::tree::differences::{Differences, Form};
use crate::{paths, selection};

/// Make one database like another
///
/// B gets the entries of A, with their times, writers and metakeys, and the caches of A; what A does not have is removed from
/// B. What is encrypted in A is encrypted in B for the same readers. All entries change in one transaction. With --dry-run nothing is
/// written, and differences are printed: `+` for what B gets, `~` for what changes, `-` for what is removed, `*` for a
/// namespace that becomes another cache or none, is to be encrypted, or is made without entries.
#[derive(clap::Args)]
pub struct Sync {
    /// The database to read: a cursor, a name, or a file with a `/` in it
    #[arg(value_name = "A")]
    source: OsString,

    /// The database to change; it is made if need be
    #[arg(value_name = "B")]
    target: OsString,

    /// Print the differences, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Run for Sync {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const CHANGES_ENTRIES: bool = true;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (source, target) = (place(cx, &self.source)?, place(cx, &self.target)?);
        if are_one(&source, &target) {
            return Err(Failure::usage(format!("{} is both; two databases are wanted", source.display())));
        }
        let source = cx.open_at(&source)?;
        if self.dry_run {
            let target = cx.open_at_or_empty(&target)?;
            let delimiter = cx.settings.ns_delim.value;
            let form = if cx.globals.json { Form::Array } else { Form::Text };
            let mut told = Differences::new(&mut cx.out, form, "address");
            target.differences(&source, &mut |namespace, difference| {
                let (mark, what) = shown(namespace, difference, delimiter)?;
                told.tell(mark, &what);
                Ok(())
            })?;
            told.end()?;
            return Ok(Code::Done);
        }
        let options = LoadOptions {
            spill_folder: Some(paths::folder_near(&target)),
            max_value_bytes: u64::MAX,
            ..LoadOptions::default()
        };
        // What cannot be read does not make a database either.
        let namespaces: Vec<_> = source.namespaces(None)?.into_iter().map(|space| space.namespace).collect();
        source.require_values(&namespaces).map_err(|error| cx.with_hint(error.into()))?;
        let loaded = cx.make_at(&target)?.sync_from(&source, options);
        let Loaded { set, deleted, .. } = loaded.map_err(|error| cx.with_hint(error.into()))?;
        let told = format!("set {}, removed {deleted}", counted(set, "entry", "entries"));
        cx.tell_done(&told, &[("set", Value::Number(set)), ("removed", Value::Number(deleted))])?;
        Ok(Code::Done)
    }
}

/// Where a database lies, as `--select` finds it.
fn place(cx: &Context, word: &OsStr) -> Result<PathBuf, Failure> {
    Ok(selection::find(cx.surroundings(), word)?.path)
}

/// Whether two paths lead to one file.
fn are_one(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn shown(
    namespace: &Namespace,
    difference: Difference<'_>,
    delimiter: Delimiter,
) -> CoreResult<(char, String)> {
    let (mark, name) = match difference {
        Difference::Added(name) => ('+', name),
        Difference::Changed(name) => ('~', name),
        Difference::Removed(name) => ('-', name),
        Difference::Settings => return Ok(('*', namespace.display(delimiter))),
    };
    let address = Address { namespace: namespace.clone(), name: EntryName::parse(name)? };
    Ok((mark, address.display(delimiter)))
}
