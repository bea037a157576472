//! Where a command works, and what decided that: `context` and `--explain`.

use std::path::absolute;

use crate::config::Setting;
use crate::context::{Context, Defaults};
use crate::exit::Failure;
use crate::output::json::Object;
use crate::output::{self, printable};
use crate::selection::{self, Selection};

/// All that was decided before the command had its turn.
pub struct Explanation {
    /// Name, value if there is one, and what gave it; the first is the database.
    lines: Vec<Line>,
    /// Whether the database is there.
    exists: bool,
    /// What weaker choices would have named, or why they could not.
    overruled: Vec<Line>,
}

struct Line {
    name: &'static str,
    value: Option<String>,
    source: String,
}

/// Writes the explanation of a command to stderr.
pub fn tell(cx: &Context) {
    let explanation = match cx.known_selection().map(|_| Explanation::of(cx)) {
        Some(Ok(explanation)) => explanation,
        _ => return output::note("no database was chosen for this command, so there is nothing to explain"),
    };
    output::say(if cx.json() { explanation.to_json() } else { explanation.to_lines() }.trim_end());
}

impl Explanation {
    /// What was decided for `cx`.
    ///
    /// # Errors
    /// Those of choosing a database.
    pub fn of(cx: &Context) -> Result<Self, Failure> {
        let selection = cx.selection()?;
        let Defaults { project, namespace } = Defaults::of(&cx.globals, &cx.settings, Some(selection));
        let delimiter = &cx.settings.ns_delim;
        let lines = vec![
            Line::of_selection("database", selection),
            Line::of("project", &project, Some(project.value.clone())),
            Line::of("namespace", &namespace, Some(namespace.value.clone())),
            Line::of("delimiter", delimiter, Some(delimiter.value.to_string())),
            Line::of("user", &cx.user, cx.user.value.clone()),
            Line::of("writer", &cx.writer(), cx.writer().value),
        ];
        let overruled = selection::overruled(cx.surroundings()).map(|(chooser, choice)| match choice {
            Ok(selection) => Line::of_selection("overruled", &selection),
            Err(failure) => {
                Line { name: "overruled", value: Some(failure.message), source: chooser.to_owned() }
            }
        });
        Ok(Self { lines, exists: cx.place()?.is_file(), overruled: overruled.collect() })
    }

    /// A line for each.
    pub fn to_lines(&self) -> String {
        let mut text = String::new();
        for (at, line) in self.lines.iter().chain(&self.overruled).enumerate() {
            let value = line.value.as_deref().unwrap_or("-");
            text += &format!("{}\n", printable(&format!("{}: {value} ({})", line.name, line.source)));
            if at == 0 {
                text += if self.exists { "exists: yes\n" } else { "exists: no\n" };
            }
        }
        text
    }

    /// All in one line of JSON.
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        let mut object = Object::begin(&mut text);
        for (at, line) in self.lines.iter().enumerate() {
            object.raw(line.name, &line.to_json());
            if at == 0 {
                object.raw("exists", if self.exists { "true" } else { "false" });
            }
        }
        let overruled: Vec<_> = self.overruled.iter().map(Line::to_json).collect();
        object.raw("overruled", &format!("[{}]", overruled.join(","))).end();
        String::from_utf8_lossy(&text).into_owned() + "\n"
    }
}

impl Line {
    fn of<T>(name: &'static str, setting: &Setting<T>, value: Option<String>) -> Self {
        Self { name, value, source: setting.source.to_string() }
    }

    fn of_selection(name: &'static str, selection: &Selection) -> Self {
        let path = absolute(&selection.path).unwrap_or_else(|_| selection.path.clone());
        Self { name, value: Some(path.display().to_string()), source: selection.by.to_string() }
    }

    /// `{"value":…,"source":…}`.
    fn to_json(&self) -> String {
        let mut text = Vec::new();
        Object::begin(&mut text)
            .text_or_null("value", self.value.as_deref())
            .text("source", &self.source)
            .end();
        String::from_utf8_lossy(&text).into_owned()
    }
}
