use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf, absolute};
use std::{env, fs};

use prontodb_core::auth::Action;

use super::{Addressing, Run};
use crate::args::Globals;
use crate::config;
use crate::context::{Context, variable};
use crate::engines::{self, Access, Durability, Report, library_version};
use crate::exit::{Code, Failure};
use crate::output::report::{self, Line, Value, number, text};
use crate::renamed::Renamed;
use crate::selection::Selection;

/// Tell how things stand: versions, the database, what it lies on, sizes
///
/// A database that cannot be used is an error with the exit code of its cause. In `advice` stands what is wrong around the
/// program, and what to do about it: another one is installed or found first, or others than the owner get at files.
#[derive(clap::Args)]
pub struct Doctor {}

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
        let looked = selection.and_then(|_| look_into(cx, &cx.place()?, &mut lines));
        if let Err(failure) = &looked {
            lines.retain(|(name, _)| *name != "state");
            lines.push(("state", Value::Text(format!("bad: {}", failure.message))));
        }
        lines.push(("advice", Value::List(advice(cx))));
        report::print(&mut cx.out, cx.globals.json, &lines)?;
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
    let store = cx.open_existing()?;
    let revision = store.revision().map_err(|error| cx.with_hint(error.into()))?;
    // How much is written is not for everybody.
    if store.is_allowed(Action::Read) {
        lines.push(("revision", Value::Number(revision.0)));
    }
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
        ("journal_mode", text(report.journal_mode.as_str())),
        ("schema", Value::Number(report.schema)),
        ("database_bytes", Value::Number(report.database_bytes)),
        ("log_bytes", Value::Number(report.log_bytes)),
        ("free_bytes", number(report.free_bytes)),
    ]
}

/// A path, or why there is none.
fn place(path: Result<PathBuf, Failure>) -> Value {
    Value::Text(path.map_or_else(|failure| failure.message, |path| path.display().to_string()))
}

/// What is not as it should be around the program, each with what to do about it.
fn advice(cx: &Context) -> Vec<String> {
    let mut advice = about_binary(cx);
    advice.extend(about_limits());
    let roots = cx.roots();
    let data = roots.data_dir().ok();
    let configuration = config::path_in_use(&cx.flags(), roots).ok();
    advice.extend(data.iter().filter_map(|folder| about_mode(folder, 0o700)));
    advice.extend(configuration.iter().filter_map(|file| about_mode(file.parent()?, 0o700)));
    advice.extend(configuration.iter().filter_map(|file| about_mode(file, 0o600)));
    let databases = roots.databases().unwrap_or_default();
    advice.extend(databases.hidden().map(|failure| failure.message));
    for (_, database) in databases.found {
        advice.extend(
            Renamed::to(roots, &database).map(|renamed| format!("{}; {}", renamed.message(), renamed.hint())),
        );
        advice.extend(database.parent().and_then(|folder| about_mode(folder, 0o700)));
        advice.extend(about_mode(&database, 0o600));
    }
    advice
}

/// Whether the program that is found by its name is this one.
fn about_binary(cx: &Context) -> Vec<String> {
    let (Ok(folder), Ok(here)) = (cx.roots().bin_dir(), env::current_exe()) else { return Vec::new() };
    let installed = folder.join("prontodb");
    if !installed.is_file() {
        return Vec::new();
    }
    let mut advice = Vec::new();
    if !is_same(&installed, &here) {
        advice.push(format!(
            "this program is {}, and another one is installed at {}; call that, or install this one",
            here.display(),
            installed.display()
        ));
    }
    let path = variable("PATH").unwrap_or_default();
    let first = env::split_paths(&path).map(|folder| folder.join("prontodb")).find(|file| file.is_file());
    match first {
        Some(first) if is_same(&first, &installed) => {}
        Some(first) => advice.push(format!(
            "PATH finds {} before {}; put {} in front in PATH",
            first.display(),
            installed.display(),
            folder.display()
        )),
        None => advice.push(format!(
            "PATH does not find {}; add {} to PATH",
            installed.display(),
            folder.display()
        )),
    }
    advice
}

/// Limits of the shell that keep a database from growing, where the system tells of them.
fn about_limits() -> Option<String> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file size"))?;
    let bytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(format!(
        "files may grow to {bytes} bytes here, and writes beyond fail; ulimit -f shows and raises that"
    ))
}

/// Whether two files are one, or hold the same.
fn is_same(one: &Path, other: &Path) -> bool {
    let (Ok(a), Ok(b)) = (fs::metadata(one), fs::metadata(other)) else { return false };
    let is_one = (a.dev(), a.ino()) == (b.dev(), b.ino());
    is_one
        || (a.len() == b.len()
            && fs::read(one).is_ok_and(|bytes| fs::read(other).is_ok_and(|more| bytes == more)))
}

/// Whether others may do more with a file or folder than its owner meant.
fn about_mode(path: &Path, wanted: u32) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let is_open = mode & !wanted & 0o077 != 0;
    is_open.then(|| {
        let path = path.display();
        format!("{path} has mode {mode:o}, so others than its owner get at it; chmod {wanted:o} {path}")
    })
}
