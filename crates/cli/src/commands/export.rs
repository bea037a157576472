use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use prontodb_core::engine::{Fields, Row};
use prontodb_core::store::{Query, Sink};
use prontodb_core::transfer::{Format, Writer};
use prontodb_core::{Delimiter, Error, Millis, Namespace, Result as CoreResult, Store};

use super::{Addressing, Run};
use crate::args::Words;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::file::Target;
use crate::output::progress::Progress;
use crate::output::{self, Out};

/// The names of all formats.
pub const FORMATS: Words = Words(&["tsv", "json", "jsonl", "csv", "stream"]);

/// Write the entries of a namespace down, for import
///
/// In the order of their keys, contexts in the keys. Without --output on standard output; a file is put in place when it is
/// whole, and not at all where there is no such namespace. With --with-meta also when entries were made, when they end, who
/// wrote them, and metakeys.
#[derive(clap::Args)]
pub struct Export {
    /// The namespace, then what keys start with; with -p or -n only that
    #[arg(value_names = ["PROJECT.NAMESPACE", "PREFIX"], num_args = 0..=2)]
    words: Vec<OsString>,

    /// tsv, json, jsonl, csv or stream; what the file's name ends in, else tsv; --json is json
    #[arg(long, value_name = "FORMAT", value_parser = FORMATS, hide_possible_values = true)]
    format: Option<String>,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also when entries were made, when they end, who wrote them, and metakeys
    #[arg(long)]
    with_meta: bool,
}

impl Run for Export {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let name = self.format_name(cx)?;
        let format = format(name, self.output.as_deref(), self.with_meta)?;
        let (namespace, prefix) = place(cx, &self.words)?;
        let store = cx.open_existing()?;
        let delimiter = cx.notation.delimiter;
        let mut exporter = Exporter {
            writer: Writer::new(format, self.with_meta, namespace.clone(), delimiter),
            target: Target::open(self.output)?,
            out: &mut cx.out,
            now: store.now(),
            count: 0,
            progress: Progress::begin(),
            failure: None,
        };
        exporter.writer.begin(exporter.out.buffer());
        let query = Query { prefix, fields: Fields::All, ..Query::default() };
        store.list_at_once(&namespace, &query, &mut exporter)?;
        if exporter.is_for_nothing() {
            refuse_missing(&store, &namespace, delimiter)?;
        }
        if exporter.end()? == 0 {
            output::note("there is nothing to export");
        }
        Ok(Code::Done)
    }
}

impl Export {
    /// The format that is asked for, by --json as well.
    fn format_name(&self, cx: &Context) -> Result<Option<&str>, Failure> {
        match self.format.as_deref() {
            Some(name) if cx.json() && name != "json" => {
                Err(Failure::usage(format!("--json and --format {name} exclude each other")))
            }
            None if cx.json() => Ok(Some("json")),
            name => Ok(name),
        }
    }
}

/// The format that is asked for, or that a file's name ends in.
pub fn format(name: Option<&str>, file: Option<&Path>, with_meta: bool) -> Result<Format, Failure> {
    let format = match name {
        Some(name) => name.parse().map_err(|error: Error| Failure::usage(error.to_string()))?,
        None => file.and_then(Format::of_file).unwrap_or_default(),
    };
    if with_meta && format == Format::Stream {
        return Err(Failure::usage(
            "a stream carries values and times to live alone, and nothing with --with-meta",
        )
        .hint("tsv, json, jsonl and csv carry the rest"));
    }
    Ok(format)
}

/// The namespace of the arguments, and what keys start with.
fn place(cx: &Context, words: &[OsString]) -> Result<(Namespace, String), Failure> {
    match cx.take_namespace(words)? {
        (namespace, []) => Ok((namespace, String::new())),
        (namespace, [prefix]) => Ok((namespace, cx.prefix(prefix)?)),
        _ => Err(Failure::usage("one prefix is wanted")),
    }
}

/// Refuses a namespace that is not there: a file may hold what was exported before somebody misspelt a name.
fn refuse_missing(store: &Store, namespace: &Namespace, delimiter: Delimiter) -> Result<(), Failure> {
    let all = store.namespaces(Some(namespace.project()))?;
    if all.iter().any(|space| space.namespace == *namespace) {
        return Ok(());
    }
    let what = format!("there is no namespace {}; no file was written", namespace.display(delimiter));
    Err(Failure::new(Code::Missing, "not_found", what).hint("prontodb namespaces lists those there are"))
}

/// Writes entries a page at a time.
struct Exporter<'a> {
    writer: Writer,
    target: Target,
    out: &'a mut Out,
    now: Millis,
    count: u64,
    progress: Progress,
    failure: Option<Failure>,
}

impl Sink for Exporter<'_> {
    fn row(&mut self, row: Row<'_>) {
        if let Some(head) = row.head {
            self.writer.entry(self.out.buffer(), row.name, row.value, head, self.now);
            self.count += 1;
        }
    }

    fn page(&mut self) -> CoreResult<ControlFlow<()>> {
        self.progress.show("exported", self.count);
        match self.target.flush(self.out) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(failure) => {
                self.failure = Some(failure);
                Ok(ControlFlow::Break(()))
            }
        }
    }
}

impl Exporter<'_> {
    /// Whether a file would be written that has no entry.
    fn is_for_nothing(&self) -> bool {
        self.count == 0 && matches!(self.target, Target::Fresh(_))
    }

    /// Writes what comes last, and says how many entries there were.
    fn end(mut self) -> Result<u64, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.writer.end(self.out.buffer());
        self.target.flush(self.out)?;
        self.target.finish()?;
        Ok(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_formats_are_named() {
        assert_eq!(FORMATS.0, Format::ALL.map(|format| format.name()));
    }
}
