//! The command line: which word is the command, and the flags that every command takes.
//!
//! Flags may stand before or after the command, so the command is found first, knowing only which flags take a value.
//! Then clap reads the rest with the definition of that one command: building all of them would cost a millisecond.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use prontodb_core::auth::shown;

use crate::exit::Failure;
use crate::{commands, help};

/// Flags that take a value, of all commands; a test compares the list with the definitions.
const VALUE_FLAGS: &[&str] = &[
    "after",
    "age-identity",
    "age-recipient",
    "at",
    "busy-timeout-ms",
    "by",
    "changed-from",
    "chunk",
    "config",
    "context",
    "cursor",
    "database",
    "delay",
    "expect",
    "fence",
    "file",
    "follow",
    "format",
    "from",
    "glob",
    "if-value",
    "if-version",
    #[cfg(feature = "mcp")]
    "import",
    "interval",
    "keep",
    "keep-days",
    "key",
    "last",
    "limit",
    "max-bytes",
    "max-log",
    "namespace",
    "new-pass-file",
    "note",
    "ns",
    "ns-delim",
    "on-conflict",
    "on-lost",
    "op-id",
    "out",
    "output",
    "pass-file",
    "priority",
    "project",
    "reason",
    "recipient",
    "restore",
    "return",
    "role",
    "root",
    "select",
    "snapshot-every",
    "table",
    "target",
    "timeout",
    "to",
    "tries",
    "ttl",
    "user",
    "value",
    "verify",
    "version",
    "wait",
    "where",
];
/// Those of them that are flags without a value in other commands: what follows one of these is its value unless it is a flag.
const PARTLY: &[&str] = &["verify"];
/// The same for flags of one letter.
const VALUE_LETTERS: &[u8] = b"dnp";

// Flags that every command takes. No doc comment: clap would take it for what the command is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Flags of every command")]
pub struct Globals {
    /// The project; the address is then the key alone
    #[arg(short, long, value_name = "NAME")]
    pub project: Option<String>,

    /// The namespace; the address is then the key alone
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,

    /// The key, in place of the address; in listings, what keys start with
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub key: Option<String>,

    /// The context of the key; with --fallback several, as in `eu,prod`
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// The character between the parts of an address
    #[arg(long, value_name = "C")]
    pub ns_delim: Option<String>,

    /// The database, by name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["cursor", "select"])]
    pub database: Option<OsString>,

    /// The database, by file
    #[arg(short = 'd', value_name = "FILE", conflicts_with_all = ["database", "cursor", "select"])]
    pub database_file: Option<PathBuf>,

    /// The database of a cursor, for this command
    #[arg(long, value_name = "NAME", conflicts_with = "select")]
    pub cursor: Option<String>,

    /// A cursor, or a database by name or file, from now on
    #[arg(long, value_name = "NAME|FILE")]
    pub select: Option<OsString>,

    /// Who this is: cursors, and unless they say otherwise a database, of one's own
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// The configuration file, in place of the usual one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Milliseconds to wait while others write
    #[arg(long, value_name = "N")]
    pub busy_timeout_ms: Option<String>,

    /// Writes that survive a power cut once they are acknowledged
    #[arg(long)]
    pub durable: bool,

    /// Write nothing unless the lease stands that this token is of; see prontodb lock acquire
    #[arg(long, value_name = "TOKEN", help_heading = "Leases")]
    pub fence: Option<String>,

    /// The id of this operation: another try under it changes nothing and gets the same answer
    #[arg(long, value_name = "ID", allow_hyphen_values = true, help_heading = "Retries")]
    pub op_id: Option<String>,

    /// Why this is done; the history of what it changes has it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub reason: Option<String>,

    /// Answers and errors as JSON
    #[arg(long)]
    pub json: bool,

    /// Tell first, on stderr, where this works and what decided that
    #[arg(long)]
    pub explain: bool,

    /// Show this help
    #[arg(short, long)]
    pub help: bool,
}

/// Takes a word as it is, and tells completions which ones there are. What is wrong with others is the command's to say.
#[derive(Clone, Copy)]
pub struct Words(pub &'static [&'static str]);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().copied().map(PossibleValue::new)))
    }
}

/// Where the value of a flag goes.
enum Slot<'g> {
    Text(&'g mut Option<String>),
    Word(&'g mut Option<OsString>),
    Path(&'g mut Option<PathBuf>),
    Truth(&'g mut bool),
}

impl Globals {
    /// Takes the flags of every command out of the words behind it; `None` where one is written in a way that only the
    /// whole definition understands, or refuses: twice, with letters in one word, with a value that looks like a flag.
    pub fn take(words: &[OsString]) -> Option<(Self, Vec<OsString>)> {
        let (mut globals, mut own) = (Self::default(), Vec::with_capacity(words.len()));
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                own.push(word.clone());
                own.extend(words.cloned());
                break;
            }
            let (flag, value) = halves(word);
            let Some(slot) = globals.slot(flag) else {
                if holds_letter_with_value(word) {
                    return None;
                }
                own.push(word.clone());
                let is_followed = is_flag(word) && takes_next_word(word, words.as_slice());
                own.extend(words.by_ref().take(usize::from(is_followed)).cloned());
                continue;
            };
            slot.fill(value, &mut words)?;
        }
        globals.selects_once().then_some((globals, own))
    }

    fn slot(&mut self, flag: &str) -> Option<Slot<'_>> {
        Some(match flag {
            "-p" | "--project" => Slot::Text(&mut self.project),
            "-n" | "--namespace" => Slot::Text(&mut self.namespace),
            "--key" => Slot::Text(&mut self.key),
            "--context" => Slot::Text(&mut self.context),
            "--ns-delim" => Slot::Text(&mut self.ns_delim),
            "--database" => Slot::Word(&mut self.database),
            "-d" => Slot::Path(&mut self.database_file),
            "--cursor" => Slot::Text(&mut self.cursor),
            "--select" => Slot::Word(&mut self.select),
            "--user" => Slot::Text(&mut self.user),
            "--config" => Slot::Path(&mut self.config),
            "--busy-timeout-ms" => Slot::Text(&mut self.busy_timeout_ms),
            "--durable" => Slot::Truth(&mut self.durable),
            "--fence" => Slot::Text(&mut self.fence),
            "--op-id" => Slot::Text(&mut self.op_id),
            "--reason" => Slot::Text(&mut self.reason),
            "--explain" => Slot::Truth(&mut self.explain),
            _ => return None,
        })
    }

    fn selects_once(&self) -> bool {
        let Self { database, database_file, cursor, select, .. } = self;
        let given = [database.is_some(), database_file.is_some(), cursor.is_some(), select.is_some()];
        given.iter().filter(|is_given| **is_given).count() <= 1
    }
}

impl Slot<'_> {
    /// Fills it with the value behind `=`, else with the next word.
    fn fill<'w>(self, value: Option<&str>, words: &mut impl Iterator<Item = &'w OsString>) -> Option<()> {
        if let Self::Truth(truth) = self {
            return (value.is_none() && !std::mem::replace(truth, true)).then_some(());
        }
        let value = match value {
            Some(value) => OsString::from(value),
            None => words.next().filter(|word| !is_flag(word)).cloned()?,
        };
        if value.is_empty() {
            return None;
        }
        match self {
            Self::Text(text) => text.replace(value.into_string().ok()?).is_none(),
            Self::Word(word) => word.replace(value).is_none(),
            Self::Path(path) => path.replace(value.into()).is_none(),
            Self::Truth(_) => false,
        }
        .then_some(())
    }
}

/// The flag and the value behind its `=`, of a long one.
fn halves(word: &OsStr) -> (&str, Option<&str>) {
    let text = word.to_str().unwrap_or_default();
    match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (flag, Some(value)),
        _ => (text, None),
    }
}

/// Whether a word of letters, such as `-rp` or `-pa`, has one among them that takes a value.
fn holds_letter_with_value(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    is_flag(word) && bytes[1] != b'-' && bytes[1..].iter().any(|letter| VALUE_LETTERS.contains(letter))
}

/// A command line whose command has been found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The words that name the command; empty when there is none.
    pub command: Vec<String>,
    /// All that is not the command, in order.
    pub rest: Vec<OsString>,
}

impl Invocation {
    /// `CMD --help`, `CMD -h`, and `CMD help` with nothing else.
    pub fn asks_for_help(&self) -> bool {
        self.rest == ["help"] || self.has_flag(&["-h", "--help"])
    }

    /// Takes `-v`, `-V` and `--version` without a command for the command `version`, and `--explain` for `context`.
    #[must_use]
    pub fn with_flags_as_commands(mut self) -> Self {
        for (command, spellings) in [("version", &["-v", "-V", "--version"][..]), ("context", &["--explain"])]
        {
            if self.command.is_empty() && self.has_flag(spellings) {
                self.command.push(command.to_owned());
                self.rest.retain(|word| !spellings.iter().any(|spelling| word == spelling));
            }
        }
        self
    }

    /// Help takes no flags but those that ask for it once more.
    pub fn refuse_flags_besides_help(&self) -> Result<(), Failure> {
        let harmless = ["-h", "--help", "--json"];
        match self.rest.iter().find(|word| !harmless.iter().any(|flag| word == flag)) {
            Some(word) if is_flag(word) => {
                let word = shown(&word.to_string_lossy());
                Err(Failure::usage(format!("{word} means nothing to help")))
            }
            Some(_) => Err(Failure::usage("an argument behind `--` means nothing to help")),
            None => Ok(()),
        }
    }

    fn has_flag(&self, spellings: &[&str]) -> bool {
        flags(&self.rest).any(|word| spellings.iter().any(|spelling| word == spelling))
    }
}

/// Whether `--json` is among the flags, for errors that come before the flags are read.
pub fn wants_json(words: &[OsString]) -> bool {
    flags(words).any(|flag| flag == "--json")
}

/// The flags of a command line, without their values and what is no flag.
fn flags(words: &[OsString]) -> impl Iterator<Item = &OsString> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut words = words[..end].iter();
    std::iter::from_fn(move || {
        let word = words.find(|word| is_flag(word))?;
        if takes_next_word(word, words.as_slice()) {
            words.next();
        }
        Some(word)
    })
}

/// Takes the words that name the command out of a command line.
pub fn split(words: Vec<OsString>) -> Result<Invocation, Failure> {
    let mut invocation = Invocation::default();
    let mut words = words.into_iter();
    let mut groups_end = false;
    while let Some(word) = words.next() {
        if groups_end || word == "--" {
            invocation.rest.push(word);
            invocation.rest.extend(words);
            break;
        }
        if is_flag(&word) {
            let is_before = invocation.command.is_empty() && is_before_command(&word, words.as_slice());
            let takes_value = !is_before && takes_next_word(&word, words.as_slice());
            invocation.rest.push(word);
            invocation.rest.extend(words.by_ref().take(usize::from(takes_value)));
            continue;
        }
        let named = word.into_string().map_err(|word| help::unknown_command(&word.display().to_string()))?;
        if let Some(command) = commands::otherwise(&invocation.command, &named) {
            invocation.command = command.split(' ').map(str::to_owned).collect();
            invocation.rest.push(named.into());
            groups_end = true;
            continue;
        }
        groups_end = !commands::is_group(&invocation.command, &named);
        invocation.command.push(named);
    }
    Ok(invocation)
}

fn is_flag(word: &OsStr) -> bool {
    word.len() > 1 && word.as_bytes()[0] == b'-'
}

/// Whether the first of the words behind the flag `word` is its value.
fn takes_next_word(word: &OsStr, behind: &[OsString]) -> bool {
    let bytes = word.as_bytes();
    if let Some(long) = bytes.strip_prefix(b"--") {
        let is_among = |flags: &[&str]| flags.iter().any(|flag| flag.as_bytes() == long);
        return is_among(VALUE_FLAGS)
            && !(is_among(PARTLY) && behind.first().is_none_or(|next| is_flag(next)));
    }
    // Of letters in one word, the first that takes a value takes what follows it.
    bytes[1..].iter().position(|letter| VALUE_LETTERS.contains(letter)) == Some(bytes.len() - 2)
}

/// Whether a flag that has a value in some commands only stands right before the command: no other word can name one.
fn is_before_command(flag: &OsStr, behind: &[OsString]) -> bool {
    let is_partly = flag
        .as_bytes()
        .strip_prefix(b"--")
        .is_some_and(|long| PARTLY.iter().any(|flag| flag.as_bytes() == long));
    let names_command = |word: &OsString| word.to_str().is_some_and(commands::begins_command);
    match behind.split_first() {
        Some((next, others)) if is_partly => names_command(next) && !others.iter().any(names_command),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(line: &str) -> (String, String) {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        let Invocation { command, rest } = split(words).unwrap();
        let rest: Vec<_> = rest.into_iter().map(|word| word.into_string().unwrap()).collect();
        (command.join(" "), rest.join(" "))
    }

    #[test]
    fn the_command_is_found_between_flags() {
        for (line, command, rest) in [
            ("get a.b.c", "get", "a.b.c"),
            ("-p a -n b get c", "get", "-p a -n b c"),
            ("--project=a get c", "get", "--project=a c"),
            ("-pa get c", "get", "-pa c"),
            ("--json get c", "get", "--json c"),
            ("-rp a get c", "get", "-rp a c"),
            ("--ttl 5 set a.b.c v", "set", "--ttl 5 a.b.c v"),
            ("admin --json gc", "admin gc", "--json"),
            ("-d admin admin gc x", "admin gc", "-d admin x"),
            ("admin", "admin", ""),
            ("set -- -k v", "set", "-- -k v"),
            ("-- get", "", "-- get"),
            ("cursor list", "cursor list", ""),
            ("cursor work", "cursor NAME", "work"),
            ("cursor --user a work get", "cursor NAME", "--user a work get"),
            ("cursor NAME", "cursor NAME", "NAME"),
            ("cursor help", "cursor help", ""),
            ("help cursor work", "help cursor work", ""),
            ("backup --verify f --json", "backup", "--verify f --json"),
            ("--verify f backup", "backup", "--verify f"),
            ("--verify admin audit --json", "admin audit", "--verify --json"),
            ("--verify admin backup", "backup", "--verify admin"),
            ("backup --verify admin", "backup", "--verify admin"),
            ("--verify --json admin audit", "admin audit", "--verify --json"),
            ("--help", "", "--help"),
            ("", "", ""),
        ] {
            assert_eq!(invocation(line), (command.to_owned(), rest.to_owned()), "{line}");
        }
    }

    #[test]
    fn definitions_do_not_contradict_themselves() {
        commands::all().for_each(|command| command.definition().debug_assert());
    }

    /// What the whole definition makes of a line.
    fn in_full(words: &[OsString]) -> Option<Globals> {
        use clap::{Args, FromArgMatches};
        let rest = clap::Arg::new("rest").num_args(0..).allow_hyphen_values(false);
        let own = clap::Arg::new("limit").long("limit").action(clap::ArgAction::Set);
        let definition =
            Globals::augment_args(clap::Command::new("x").disable_help_flag(true)).args([rest, own]);
        let matches = definition.no_binary_name(true).try_get_matches_from(words).ok()?;
        Globals::from_arg_matches(&matches).ok()
    }

    #[test]
    fn flags_are_taken_as_the_whole_definition_reads_them() {
        for line in [
            "a.b.c v",
            "-p P a -n N",
            "--project P --namespace=N x",
            "--key k --context eu,us --ns-delim |",
            "--database d a",
            "-d a/b.prdb a",
            "--cursor c --user u",
            "--select=s --explain --durable",
            "--config f --busy-timeout-ms 7 --limit 3",
            "--limit 3 -p P",
            "--config=a=b",
            "-- -p P",
            "--user=u -- --user v",
        ] {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            let taken = Globals::take(&words).map(|(globals, _)| globals);
            assert!(taken.is_some() && taken == in_full(&words), "{line}: {taken:?}");
        }
    }

    #[test]
    fn what_is_not_written_plainly_is_left_to_the_whole_definition() {
        for line in [
            "-p a -p b",
            "--durable --durable",
            "--durable=1",
            "-pa",
            "-rp a",
            "-p=a",
            "--project",
            "--project=",
            "--user --json",
            "--key -x",
            "-d a --database b",
            "--cursor a --select b",
        ] {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            assert_eq!(Globals::take(&words), None, "{line}");
        }
        assert_eq!(Globals::take(&[OsString::from("--user"), OsString::from("")]), None);
    }

    #[test]
    fn what_belongs_to_the_command_is_left_in_place() {
        let words = ["--limit", "-p", "a", "--json", "-p", "P", "-r", "--", "-p", "Q"].map(OsString::from);
        let (globals, own) = Globals::take(&words).unwrap();
        assert_eq!(globals.project.as_deref(), Some("P"));
        assert_eq!(own, ["--limit", "-p", "a", "--json", "-r", "--", "-p", "Q"]);
    }

    #[test]
    fn every_flag_of_every_command_is_taken() {
        use clap::Args;
        for flag in Globals::augment_args(clap::Command::new("x")).get_arguments() {
            let names = flag.get_long().map(|long| format!("--{long}"));
            let letters = flag.get_short().map(|letter| format!("-{letter}"));
            for name in names.into_iter().chain(letters) {
                let is_left = ["--json", "--help", "-h"].contains(&name.as_str());
                assert_ne!(Globals::default().slot(&name).is_some(), is_left, "{name}");
            }
        }
    }

    #[test]
    fn the_flags_with_values_are_those_of_the_definitions() {
        let mut longs = std::collections::BTreeSet::new();
        let mut letters = std::collections::BTreeSet::new();
        for command in commands::all() {
            let definition = command.definition();
            for flag in definition.get_arguments().filter(|arg| !arg.is_positional()) {
                let takes_value = flag.get_action().takes_values();
                longs.extend(flag.get_long().filter(|_| takes_value).map(str::to_owned));
                letters.extend(flag.get_short().filter(|_| takes_value));
                if let (Some(long), false) = (flag.get_long(), takes_value) {
                    let is_known = PARTLY.contains(&long) || !VALUE_FLAGS.contains(&long);
                    assert!(is_known, "--{long} has a value in some commands only");
                }
            }
        }
        assert_eq!(longs.into_iter().collect::<Vec<_>>(), VALUE_FLAGS);
        assert_eq!(letters.into_iter().collect::<String>().as_bytes(), VALUE_LETTERS);
    }
}
