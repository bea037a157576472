use std::path::PathBuf;

use super::{bytes_of, names};
use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::engines::{self, Access};
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::report::array;
use crate::output::{self, Out, printable};

/// List the databases of the data directory
///
/// Their names, sorted. Databases elsewhere, which -d, PRONTO_DB, cursors or .prontodb lead to, are not among them.
#[derive(clap::Args)]
pub struct List {
    /// In front: `*` for the selected one, bytes, schema, cursors that lead to it and the file, tabs between
    #[arg(long)]
    long: bool,
}

/// A database that is shown.
struct Database {
    name: String,
    path: PathBuf,
    bytes: u64,
    /// Unknown for a file that cannot be opened.
    schema: Option<u64>,
    is_selected: bool,
    cursors: Vec<String>,
}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let databases = cx.roots().databases()?;
        if databases.is_empty() {
            output::note("there are no databases yet; the first write makes one");
        }
        match self.long || cx.json() {
            true => show(cx, &databases.found)?,
            false => databases.found.iter().for_each(|(name, _)| cx.out.line(name)),
        }
        cx.out.flush()?;
        let mut code = Code::Done;
        for failure in databases.hidden() {
            output::tell(&failure, cx.json());
            code = failure.code;
        }
        Ok(code)
    }
}

/// Shows databases with all that is known of them.
fn show(cx: &mut Context, found: &[(String, PathBuf)]) -> Result<(), Failure> {
    // A selection that cannot be read selects none of them.
    let selected = cx.place().ok();
    let describe = |(name, path): &(String, PathBuf)| {
        let report = engines::report(&cx.open_options(path.clone(), Access::Read));
        Ok(Database {
            name: name.clone(),
            bytes: bytes_of(path),
            schema: report.ok().map(|report| report.schema),
            is_selected: selected.as_ref() == Some(path),
            cursors: names(&cx.cursors()?.leading_to(path)?),
            path: path.clone(),
        })
    };
    let databases: Vec<_> = found.iter().map(describe).collect::<Result<_, Failure>>()?;
    let is_json = cx.json();
    cx.out.list(is_json, &databases, |out, database| match is_json {
        true => database.push_json(out),
        false => out.line(&database.line()),
    });
    Ok(())
}

impl Database {
    fn line(&self) -> String {
        let mark = if self.is_selected { "*" } else { "-" };
        let schema = self.schema.map_or_else(|| "-".to_owned(), |schema| schema.to_string());
        let cursors = if self.cursors.is_empty() { "-".to_owned() } else { self.cursors.join(",") };
        let path = self.path.display().to_string();
        format!("{mark}\t{}\t{schema}\t{cursors}\t{}\t{}", self.bytes, printable(&path), self.name)
    }

    fn push_json(&self, out: &mut Out) {
        Object::begin(out.buffer())
            .text("name", &self.name)
            .text("path", &self.path.display().to_string())
            .number("bytes", self.bytes)
            .number_or_null("schema", self.schema)
            .raw("selected", if self.is_selected { "true" } else { "false" })
            .raw("cursors", &array(&self.cursors))
            .end();
    }
}
