use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use prontodb_core::store::{Load, LoadOptions, Loaded, OnConflict};
use prontodb_core::transfer::{self, ReadOptions};
use prontodb_core::{Namespace, Store};

use super::{Addressing, Run, export};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::counted;
use crate::output::progress::Progress;
use crate::output::report::{self, Value};

/// Write the entries of a file into a namespace
///
/// What export writes, from a file or from standard input. All of it is checked before anything is written, and written in
/// one transaction; stderr says how much that was. Without --with-meta entries are written as set writes them: in a cache
/// they get its time to live.
#[derive(clap::Args)]
pub struct Import {
    /// The namespace, then the file; - and nothing are standard input. With -p or -n the file alone
    #[arg(value_names = ["PROJECT.NAMESPACE", "FILE"], num_args = 0..=2)]
    words: Vec<OsString>,

    /// tsv, json, jsonl, csv or stream; what the file's name ends in, else tsv
    #[arg(long, value_name = "FORMAT", value_parser = export::FORMATS, hide_possible_values = true)]
    format: Option<String>,

    /// What becomes of keys that are there
    #[arg(long, value_name = "WHAT", default_value = "replace")]
    on_conflict: Conflict,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Take over when entries were made, when they end, who wrote them, and metakeys
    #[arg(long)]
    with_meta: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Conflict {
    /// They get the new value
    Replace,
    /// They stay as they are
    Skip,
    /// Nothing is written
    Fail,
}

impl Run for Import {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        cx.refuse_op_of_dry_run(self.dry_run)?;
        let (namespace, file) = place(cx, &self.words)?;
        let format = export::format(self.format.as_deref(), file.as_deref(), self.with_meta)?;
        let options = ReadOptions {
            format,
            with_meta: self.with_meta,
            namespace: namespace.clone(),
            delimiter: cx.notation.delimiter,
            max_line_bytes: format.longest_entry(cx.settings.max_value_bytes.value),
        };
        let mut load = Load::new(LoadOptions {
            spill_folder: Some(cx.spill_folder()?),
            on_conflict: self.on_conflict.into(),
            unique: true,
            max_value_bytes: cx.settings.max_value_bytes.value,
            ..LoadOptions::default()
        });
        let mut progress = Progress::begin();
        let read = transfer::read(source(file.as_deref())?, &options, &mut |at, name, change| {
            if load.len().is_multiple_of(1000) {
                progress.show("read", load.len());
            }
            load.push(at, &namespace, name, change)
        });
        let done = read.map_err(Failure::from).and_then(|()| finish(cx, load, self.dry_run, &mut progress));
        drop(progress);
        let loaded = done.map_err(|failure| explain(cx, &namespace, failure))?;
        cx.tell_done(&summary(self.dry_run, &loaded), &fields(self.dry_run, &loaded))?;
        Ok(Code::Done)
    }
}

/// Writes what has been read, or finds out what that would do.
pub fn finish(
    cx: &Context,
    mut load: Load,
    is_dry_run: bool,
    progress: &mut Progress,
) -> Result<Loaded, Failure> {
    if is_dry_run {
        let store = cx.open_to_look()?;
        return Ok(load.preview(&store)?);
    }
    if !cx.place()?.exists() {
        // What cannot be written does not make a database either.
        load.check(&Store::in_memory())?;
    }
    if load.is_empty() {
        return Ok(Loaded::default());
    }
    let store = cx.open_to_write()?;
    Ok(load.commit_telling(&store, &mut |count| progress.show("wrote", count))?)
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Replace => Self::Replace,
            Conflict::Skip => Self::Skip,
            Conflict::Fail => Self::Fail,
        }
    }
}

/// What was written, or would be, in a line.
pub fn summary(is_dry_run: bool, loaded: &Loaded) -> String {
    let verb = if is_dry_run { "would import" } else { "imported" };
    let mut text = format!("{verb} {}", counted(loaded.set, "entry", "entries"));
    for (count, what) in
        [(loaded.replaced, "in place of others"), (loaded.deleted, "removed"), (loaded.skipped, "skipped")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// The same as fields.
fn fields(is_dry_run: bool, loaded: &Loaded) -> [report::Line; 4] {
    [
        ("imported", Value::Truth(!is_dry_run)),
        ("set", Value::Number(loaded.set)),
        ("removed", Value::Number(loaded.deleted)),
        ("skipped", Value::Number(loaded.skipped)),
    ]
}

/// The namespace and the file of the arguments.
fn place(cx: &Context, words: &[OsString]) -> Result<(Namespace, Option<PathBuf>), Failure> {
    match cx.take_namespace(words)? {
        (namespace, []) => Ok((namespace, None)),
        (namespace, [file]) => {
            Ok((namespace, Some(PathBuf::from(file)).filter(|file| file != Path::new("-"))))
        }
        _ => Err(Failure::usage("one file is wanted")),
    }
}

fn source(file: Option<&Path>) -> Result<Box<dyn Read>, Failure> {
    let Some(path) = file else { return Ok(Box::new(io::stdin().lock())) };
    let opened =
        File::open(path).map_err(|error| Failure::io(format_args!("cannot read {}", path.display()), &error));
    opened.map(|file| Box::new(file) as Box<dyn Read>)
}

/// Adds to a failure what helps with it.
pub fn explain(cx: &Context, namespace: &Namespace, failure: Failure) -> Failure {
    match failure.kind {
        "no_ttl" => {
            let shown = namespace.display(cx.notation.delimiter);
            failure.hint(format!(
                "prontodb create-cache {shown} SECONDS makes it a cache; without --with-meta nothing expires"
            ))
        }
        _ => cx.with_hint(failure),
    }
}
