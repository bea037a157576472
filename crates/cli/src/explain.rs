//! Where a command works, and what decided that: `context` and `--explain`.

use crate::args::Globals;
use crate::context::{Context, Defaults};
use crate::exit::Failure;
use crate::output;
use crate::output::json::Object;
use crate::selection::{self, Selection};

/// All that was decided before the command had its turn.
pub struct Explanation {
    selection: Selection,
    is_there: bool,
    /// Name, value if there is one, and what gave it.
    rest: Vec<(&'static str, Option<String>, String)>,
    /// What weaker choices would have named, or why they could not, and what would have chosen.
    overruled: Vec<(String, String)>,
}

/// Writes the explanation of a command to stderr.
pub fn tell(globals: &Globals) -> Result<(), Failure> {
    let cx = Context::new(globals.clone())?;
    let explanation = Explanation::of(&cx)?;
    let mut text = Vec::new();
    explanation.push(&mut text, cx.json());
    output::lines(&text);
    Ok(())
}

impl Explanation {
    /// What was decided for `cx`.
    pub fn of(cx: &Context) -> Result<Self, Failure> {
        let selection = cx.select()?;
        let Defaults { project, namespace } = Defaults::of(&cx.globals, &cx.settings, Some(&selection));
        let writer = cx.writer();
        let delimiter = &cx.settings.ns_delim;
        let rest = vec![
            ("project", Some(project.value), project.source.to_string()),
            ("namespace", Some(namespace.value), namespace.source.to_string()),
            ("delimiter", Some(delimiter.value.to_string()), delimiter.source.to_string()),
            ("user", cx.user.value.clone(), cx.user.source.to_string()),
            ("writer", writer.value, writer.source.to_string()),
        ];
        let overruled = selection::overruled(cx.surroundings()).into_iter().map(|choice| match choice {
            Ok(selection) => (selection.path.display().to_string(), selection.by.to_string()),
            Err(failure) => (failure.message, "failure".to_owned()),
        });
        Ok(Self { is_there: selection.path.exists(), overruled: overruled.collect(), selection, rest })
    }

    /// Adds it to `out`, as lines or as one line of JSON.
    pub fn push(&self, out: &mut Vec<u8>, as_json: bool) {
        match as_json {
            true => self.push_json(out),
            false => self.push_lines(out),
        }
        out.push(b'\n');
    }

    fn push_lines(&self, out: &mut Vec<u8>) {
        let mut lines = vec![
            format!("database: {} ({})", self.selection.path.display(), self.selection.by),
            format!("exists: {}", if self.is_there { "yes" } else { "no" }),
        ];
        for (name, value, source) in &self.rest {
            lines.push(format!("{name}: {} ({source})", value.as_deref().unwrap_or("-")));
        }
        for (value, source) in &self.overruled {
            lines.push(format!("overruled: {value} ({source})"));
        }
        out.extend_from_slice(lines.join("\n").as_bytes());
    }

    fn push_json(&self, out: &mut Vec<u8>) {
        let path = self.selection.path.display().to_string();
        let mut object = Object::begin(out);
        object.raw("database", &setting(Some(&path), &self.selection.by.to_string()));
        object.raw("exists", if self.is_there { "true" } else { "false" });
        for (name, value, source) in &self.rest {
            object.raw(name, &setting(value.as_deref(), source));
        }
        let overruled: Vec<_> =
            self.overruled.iter().map(|(value, source)| setting(Some(value), source)).collect();
        object.raw("overruled", &format!("[{}]", overruled.join(",")));
        object.end();
    }
}

/// `{"value":…,"source":…}`.
fn setting(value: Option<&str>, source: &str) -> String {
    let mut text = Vec::new();
    Object::begin(&mut text).text_or_null("value", value).text("source", source).end();
    String::from_utf8_lossy(&text).into_owned()
}
