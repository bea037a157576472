use std::path::{Path, PathBuf, absolute};

use super::{Addressing, Run};
use crate::args::Globals;
use crate::config;
use crate::context::Context;
use crate::engines::{self, Access, Durability, Report, library_version};
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::selection::Selection;

/// Tell how things stand: versions, the database, what it lies on, sizes
///
/// A database that cannot be used is an error with the exit code of its cause.
#[derive(clap::Args)]
pub struct Doctor {}

/// A line of the report: a name, and what it says.
type Line = (&'static str, Value);

/// What a line says.
enum Value {
    Text(String),
    Number(u64),
}

impl Run for Doctor {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        let cx = Context::undecided(globals)?;
        // What is wrong with it is a line of the report.
        let _ = cx.selection();
        Ok(cx)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let selection = cx.selection();
        let mut lines = about_program(cx, selection.as_ref().ok().copied());
        let looked = selection.and_then(|selection| look_into(cx, &selection.path, &mut lines));
        if let Err(failure) = &looked {
            lines.push(("state", Value::Text(format!("bad: {}", failure.message))));
        }
        print(cx, &lines)?;
        looked.map(|()| Code::Done)
    }
}

fn look_into(cx: &Context, path: &Path, lines: &mut Vec<Line>) -> Result<(), Failure> {
    let is_there = path.try_exists();
    if !is_there.map_err(|error| Failure::io(format_args!("cannot open {}", path.display()), &error))? {
        lines.push(("state", text("not there yet; the first write makes it")));
        return Ok(());
    }
    let report = engines::report(&cx.open_options(path.to_owned(), Access::Read));
    lines.extend(about_file(&report.map_err(|error| cx.with_hint(error.into()))?));
    let revision = cx.open_existing()?.revision().map_err(|error| cx.with_hint(error.into()))?;
    lines.push(("revision", Value::Number(revision.0)));
    Ok(())
}

fn about_program(cx: &Context, selection: Option<&Selection>) -> Vec<Line> {
    let roots = cx.roots();
    let configuration = config::path_in_use(&cx.flags(), roots);
    let durability = match cx.settings.durability.value {
        Durability::Normal => "normal (a power cut may cost the last moments)",
        Durability::Full => "full (a power cut costs nothing)",
    };
    let mut lines = vec![
        ("prontodb", text(env!("CARGO_PKG_VERSION"))),
        ("sqlite", Value::Text(format!("{} (bundled)", library_version()))),
        ("configuration", place(configuration)),
        ("data", place(roots.data_dir().map_err(Failure::from))),
        ("libraries", place(roots.lib_dir().map_err(Failure::from))),
        ("caches", place(roots.cache_dir().map_err(Failure::from))),
        ("durability", text(durability)),
        ("busy_timeout_ms", Value::Number(cx.settings.busy_timeout_ms.value)),
    ];
    if let Some(selection) = selection {
        let path = absolute(&selection.path).unwrap_or_else(|_| selection.path.clone());
        lines.push(("database", Value::Text(path.display().to_string())));
        lines.push(("chosen_by", Value::Text(selection.by.to_string())));
    }
    lines
}

fn about_file(report: &Report) -> Vec<Line> {
    vec![
        ("state", text(if report.journal_mode == "wal" { "good" } else { "not in WAL mode" })),
        ("file_system", text(report.file_system.map_or("unknown", |kind| kind.name))),
        ("journal_mode", text(&report.journal_mode)),
        ("schema", Value::Number(report.schema)),
        ("database_bytes", Value::Number(report.database_bytes)),
        ("log_bytes", Value::Number(report.log_bytes)),
        ("free_bytes", report.free_bytes.map_or_else(|| text("unknown"), Value::Number)),
    ]
}

/// A path, or why there is none.
fn place(path: Result<PathBuf, Failure>) -> Value {
    Value::Text(path.map_or_else(|failure| failure.message, |path| path.display().to_string()))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn print(cx: &mut Context, lines: &[Line]) -> Result<(), Failure> {
    if cx.json() {
        let mut object = Object::begin(cx.out.buffer());
        for (name, value) in lines {
            match value {
                Value::Text(text) => object.text(name, text),
                Value::Number(number) => object.number(name, *number),
            };
        }
        object.end();
        cx.out.push(b"\n");
    } else {
        for (name, value) in lines {
            match value {
                Value::Text(text) => cx.out.line(&format!("{name}: {text}")),
                Value::Number(number) => cx.out.line(&format!("{name}: {number}")),
            }
        }
    }
    cx.out.flush()
}
