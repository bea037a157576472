use crate::args::Globals;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::cursors::Cursor;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::{self, Out, printable};

/// List cursors
///
/// Their names, sorted. With --json an array of all that they hold.
#[derive(clap::Args)]
pub struct List {
    /// In front: `*` for the active one, project, namespace, time of saving and database, tabs between
    #[arg(long)]
    long: bool,
}

/// A cursor that is shown.
struct Line {
    name: String,
    cursor: Cursor,
    is_active: bool,
}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::without_database(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let cursors = cx.cursors()?;
        let active = cursors.active_name()?;
        let (mut lines, mut bad) = (Vec::new(), None);
        for named in cursors.all()? {
            let is_active = active.as_ref() == Some(&named.name);
            match named.cursor {
                Ok(cursor) => lines.push(Line { name: named.name, cursor, is_active }),
                Err(failure) => bad = bad.or(Some(failure)),
            }
        }
        match cx.json() {
            true => push_json(&mut cx.out, &lines),
            false => lines.iter().for_each(|line| cx.out.line(&line.text(self.long))),
        }
        cx.out.flush()?;
        if let Some(failure) = bad {
            return Err(failure);
        }
        if lines.is_empty() {
            output::note("there are no cursors; prontodb cursor set NAME PATH makes one");
        }
        Ok(Code::Done)
    }
}

impl Line {
    fn text(&self, long: bool) -> String {
        if !long {
            return self.name.clone();
        }
        let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let Cursor { database, project, namespace, created, .. } = &self.cursor;
        let (mark, database) = (if self.is_active { "*" } else { "-" }, database.display());
        let (project, namespace) = (or_none(project), or_none(namespace));
        let database = printable(&database.to_string());
        format!("{mark}\t{project}\t{namespace}\t{created}\t{database}\t{}", self.name)
    }
}

fn push_json(out: &mut Out, lines: &[Line]) {
    out.push(b"[");
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            out.push(b",");
        }
        let mut object = Object::begin(out.buffer());
        object.text("name", &line.name);
        for (name, value) in line.cursor.fields() {
            object.text_or_null(name, value.as_deref());
        }
        object.raw("active", if line.is_active { "true" } else { "false" }).end();
    }
    out.push(b"]\n");
}
