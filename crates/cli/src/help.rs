//! Help, the version, and what clap says of a command line that makes no sense.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use prontodb_core::auth::shown;

use crate::commands::{self, Command, Found, GROUPS, Group};
use crate::exit::{Code, Failure};
use crate::output::Out;

/// The longest word in which one slip is all that is taken for one.
const LONG_WORD: usize = 6;

/// The shortest command that a longer word is taken for, as `delete` is for `del`.
const SHORTEST_STEM: usize = 3;

/// The longest line of prose, in characters.
const WIDTH: usize = 100;

/// The room for names in a list of commands; longer ones take more.
const NAMES: usize = 13;

/// What the program is, in a line.
pub const ABOUT: &str =
    "A key-value store for people, scripts and fleets of agents that share state on a machine";

/// What everyday work takes, behind the list of commands.
const BASICS: &str = "
Addresses are project.namespace.key__context; parts that are left out come from the defaults.
What starts with `-` and is no flag goes behind `--`. A key called help goes by its full address.

  prontodb set shop.prices.apple 120      prontodb get shop.prices.apple
  prontodb keys shop.prices               prontodb scan shop.prices --json

Exit codes: 0 done, 1 error, 2 missing or expired (or a TTL where none is kept), 3 condition not met,
4 waited too long, 5 not allowed, 6 over a limit, 7 damaged data, 64 wrong command line.
The database is that of -d, --database, --cursor or --select, else of --user, PRONTO_DB, an allowed
.prontodb, the selected cursor, else main; `prontodb context` tells which, and why.
";

/// Gives a definition the looks of this program.
pub fn style(definition: clap::Command, name: &'static str) -> clap::Command {
    // What stands for a word of the user's own is among the arguments.
    let path = name.trim_end_matches(|c: char| c.is_ascii_uppercase()).trim_end();
    definition.bin_name(format!("prontodb {path}")).disable_help_flag(true).disable_version_flag(true)
}

/// Prints the help of a command.
pub fn print_command(command: &Command) -> Result<Code, Failure> {
    let definition = command.definition();
    let about =
        definition.get_long_about().or(definition.get_about()).map(StyledStr::to_string).unwrap_or_default();
    let text = definition.about(wrap(&about)).render_help().to_string();
    print(&format!("{}\n", text.trim_end()))
}

/// Breaks paragraphs into lines that fit a terminal.
fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    for (number, line) in text.lines().enumerate() {
        let mut width = 0;
        if number > 0 {
            wrapped.push('\n');
        }
        for word in line.split(' ') {
            let length = word.chars().count();
            if width > 0 && width + 1 + length > WIDTH {
                wrapped.push('\n');
                width = 0;
            } else if width > 0 {
                wrapped.push(' ');
                width += 1;
            }
            wrapped.push_str(word);
            width += length;
        }
    }
    wrapped
}

/// Prints the commands of a group; those of all for the empty one.
pub fn print_group(group: &str) -> Result<Code, Failure> {
    print(&overview(group))
}

/// Prints the help on the command or group that `words` name.
pub fn print_topic(words: &[String]) -> Result<Code, Failure> {
    match commands::find(words)? {
        Found::Command(command) => print_command(command),
        Found::Group(group) => print_group(group),
        Found::Help(_) => print_group(""),
    }
}

/// A command line without a command: the commands there are.
pub fn missing_command(group: &str, flags: &[OsString]) -> Failure {
    let what = match (group, flags.first()) {
        ("", None) => "a command is missing".to_owned(),
        ("", Some(flag)) => format!("a command is missing beside {}", shown(&flag.to_string_lossy())),
        _ => format!("{group} needs a command"),
    };
    let mut names: Vec<_> = within(group).map(last_word).collect();
    if group.is_empty() {
        names.push("help");
    }
    names.extend(groups_within(group).map(|(word, _)| word));
    let hint = if group.is_empty() {
        "prontodb help tells more".to_owned()
    } else {
        format!("prontodb help {group} tells more")
    };
    Failure::usage(format!("{what}; there are {}", names.join(", "))).hint(hint)
}

/// A word that names no command.
pub fn unknown_command(name: &str) -> Failure {
    let words = name.split(' ').map(shown).collect::<Vec<_>>().join(" ");
    let (group, word) = words.rsplit_once(' ').unwrap_or(("", &words));
    let is_group = GROUPS.iter().any(|known| known.name == group);
    let similar = within(group).map(last_word).chain(groups_within(group).map(|(known, _)| known));
    let similar = similar.filter(|known| words == name && is_slip(word, known));
    let similar = similar.min_by_key(|known| strsim::osa_distance(word, known));
    let path = if is_group { format!("{group} ") } else { String::new() };
    let hint = match similar {
        Some(similar) => format!("did you mean `prontodb {path}{similar}`?"),
        None => format!("prontodb help {path}lists the commands"),
    };
    Failure::usage(format!("there is no command `{words}`")).hint(hint)
}

/// Whether `word` may have been meant to be `known`: it has a letter too many, too few, another one or two that changed places,
/// or in long words two such; or it is a longer word for the same.
fn is_slip(word: &str, known: &str) -> bool {
    let most = if word.chars().count() > LONG_WORD { 2 } else { 1 };
    let is_longer = known.len() >= SHORTEST_STEM && word.starts_with(known);
    is_longer || strsim::osa_distance(word, known) <= most
}

/// What clap found wrong, in one line.
pub fn usage_error(error: &clap::Error) -> Failure {
    let context = |kind| error.get(kind).map(plain).unwrap_or_default();
    let argument = context(ContextKind::InvalidArg);
    let value = context(ContextKind::InvalidValue);
    let message = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("there is no flag {} here", shown(&argument))
        }
        ErrorKind::TooManyValues if argument.starts_with('-') => format!("{argument} takes no value"),
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => one_too_many(&context(ContextKind::Usage)),
        ErrorKind::MissingRequiredArgument => format!("{argument} is missing"),
        ErrorKind::ArgumentConflict if argument == context(ContextKind::PriorArg) => {
            format!("{argument} is given twice")
        }
        ErrorKind::ArgumentConflict => {
            format!("{argument} and {} exclude each other", context(ContextKind::PriorArg))
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("{argument} needs a value"),
        ErrorKind::InvalidValue => {
            let possible = context(ContextKind::ValidValue);
            format!("{argument} cannot be `{}`; {possible} are possible", shown(&value))
        }
        ErrorKind::InvalidUtf8 => "a flag or address is not UTF-8".to_owned(),
        _ if shown(&value) != value => format!("{argument} cannot be `{}`", shown(&value)),
        _ => first_line(&error.to_string()),
    };
    let hint = match context(ContextKind::SuggestedArg) {
        suggested if !suggested.is_empty() => format!("did you mean {suggested}?"),
        _ if argument.starts_with('-') && error.kind() == ErrorKind::UnknownArgument => {
            "what starts with `-` and is no flag goes behind `--`".to_owned()
        }
        _ => return Failure::usage(message),
    };
    Failure::usage(message).hint(hint)
}

/// Names the command that has been given more than it takes. What was too much might be a secret, and is not repeated.
fn one_too_many(usage: &str) -> String {
    let usage = first_line(usage);
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    let (command, takes) = usage.split_once(" [OPTIONS]").unwrap_or((usage, ""));
    match takes.trim() {
        "" => format!("one argument too many behind {command}, which takes none"),
        takes => format!("one argument too many behind {command}; it takes {takes}"),
    }
}

fn plain(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(values) => values.join(", "),
        ContextValue::StyledStrs(values) => {
            values.iter().map(StyledStr::to_string).collect::<Vec<_>>().join(", ")
        }
        ContextValue::None => String::new(),
        other => other.to_string(),
    }
}

/// The gist of clap's own message.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The commands right within a group.
pub fn within(group: &str) -> impl Iterator<Item = &'static Command> {
    commands::all().filter(move |command| parent(command.name) == group)
}

/// The groups right within a group, each as its last word.
pub fn groups_within(group: &str) -> impl Iterator<Item = (&'static str, &'static Group)> {
    GROUPS
        .iter()
        .filter(move |within| parent(within.name) == group)
        .map(|within| (within.name.rsplit(' ').next().unwrap_or(within.name), within))
}

/// All words of a name but the last.
fn parent(name: &str) -> &str {
    name.rsplit_once(' ').map_or("", |(parent, _)| parent)
}

/// The last of the words that name a command.
pub fn last_word(command: &Command) -> &'static str {
    command.name.rsplit(' ').next().unwrap_or(command.name)
}

fn overview(group: &str) -> String {
    let mut text = match GROUPS.iter().find(|known| known.name == group) {
        Some(Group { name, about, .. }) => {
            format!("{about}\n\nUsage: prontodb {name} COMMAND [ARGUMENTS]\n\nCommands:\n")
        }
        None => {
            format!("{ABOUT}\n\nUsage: prontodb COMMAND [ARGUMENTS]\n\nCommands:\n")
        }
    };
    let width = within(group).map(|command| last_word(command).len()).max().unwrap_or(0).max(NAMES);
    let mut line = |name: &str, about: &str| text.push_str(&format!("  {name:<width$} {about}\n"));
    for command in within(group) {
        line(last_word(command), &about(command));
    }
    for (word, Group { about, .. }) in groups_within(group) {
        line(word, &format!("{about} (a group of commands)"));
    }
    if group.is_empty() {
        line("help", "Show this, or the help of a command");
        text.push_str(BASICS);
    }
    let path = if group.is_empty() { String::new() } else { format!("{group} ") };
    text.push_str(&format!("\n`prontodb help {path}COMMAND` tells all of one command.\n"));
    text
}

fn about(command: &Command) -> String {
    command.definition().get_about().map(StyledStr::to_string).unwrap_or_default()
}

fn print(text: &str) -> Result<Code, Failure> {
    let mut out = Out::stdout();
    out.push(text.as_bytes());
    out.flush()?;
    Ok(Code::Done)
}
