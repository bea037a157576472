//! The commands: one a file, folders for the groups that users type.
//!
//! A new command is its file, a `mod` line and a line in the table below.

mod admin;
mod allow;
mod append;
mod auth;
mod backup;
mod blame;
mod completions;
mod config;
mod context;
mod copy;
mod cursor;
mod del;
mod deny;
mod doctor;
mod exists;
mod export;
mod export_fs;
mod get;
mod history;
mod import;
mod import_fs;
mod incr;
mod install;
pub mod list;
pub mod lock;
mod log;
mod man;
#[cfg(feature = "mcp")]
mod mcp;
mod namespaces;
mod nss;
mod prime;
mod projects;
mod proto;
pub mod queue;
mod rename;
mod restore;
mod run;
mod set;
mod stream;
mod sync;
mod touch;
mod ttl;
mod txn;
mod undo;
mod uninstall;
mod update;
mod version;
mod wait;
mod watch;

use std::ffi::OsString;

use clap::{Args, FromArgMatches};

use crate::args::Globals;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::{examples, explain, help};

/// Which of the flags that make addresses a command heeds; the others would do nothing, and are refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// All: it works on entries.
    Entries,
    /// `-p` and `-n`: it works on a namespace.
    Namespace,
    /// `-p`: it works on a project.
    Project,
    /// None.
    Nothing,
}

/// What a command does with its arguments.
pub trait Run: Args {
    /// Which flags it heeds.
    const ADDRESSING: Addressing = Addressing::Entries;

    /// Whether it takes --op-id: what it does is one transaction, whose answer is kept.
    const ONCE: bool = false;

    /// Whether it changes entries, so that there can be a reason for it.
    const CHANGES_ENTRIES: bool = false;

    /// Whether it heeds --fence: it changes what is in a database.
    const IS_FENCED: bool = Self::ONCE || Self::CHANGES_ENTRIES;

    /// What it is given; commands that must work with a broken configuration ask for less.
    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::new(globals)
    }

    /// Runs it.
    fn run(self, cx: &mut Context) -> Result<Code, Failure>;
}

/// A command: its words, and functions that know its arguments.
pub struct Command {
    /// The words that name it.
    pub name: &'static str,
    define: fn(clap::Command) -> clap::Command,
    addressing: Addressing,
    is_once: bool,
    changes_entries: bool,
    is_fenced: bool,
    run: fn(&clap::ArgMatches, Globals, bool) -> Result<Code, Failure>,
}

const fn command<C: Run>(name: &'static str) -> Command {
    Command {
        name,
        define: C::augment_args,
        addressing: C::ADDRESSING,
        is_once: C::ONCE,
        changes_entries: C::CHANGES_ENTRIES,
        is_fenced: C::IS_FENCED,
        run: run::<C>,
    }
}

fn run<C: Run>(matches: &clap::ArgMatches, globals: Globals, has_dashes: bool) -> Result<Code, Failure> {
    let arguments = C::from_arg_matches(matches).map_err(|error| help::usage_error(&error))?;
    C::ADDRESSING.check(&globals)?;
    if globals.op_id.is_some() && !C::ONCE {
        return Err(Failure::usage("--op-id means nothing to this command"));
    }
    if globals.reason.is_some() && !C::CHANGES_ENTRIES {
        return Err(Failure::usage("--reason means nothing to this command"));
    }
    if globals.fence.is_some() && !C::IS_FENCED {
        return Err(Failure::usage("--fence means nothing to this command"));
    }
    let mut cx = C::context(globals)?;
    if C::CHANGES_ENTRIES {
        cx.find_reason()?;
    }
    if cx.globals.explain {
        explain::tell(&cx);
    }
    cx.has_dashes = has_dashes;
    arguments.run(&mut cx)
}

impl Addressing {
    /// The flags that it refuses, by their names in [`Globals`].
    fn refused(self) -> &'static [&'static str] {
        match self {
            Self::Entries => &[],
            Self::Namespace => &["key", "context"],
            Self::Project => &["namespace", "key", "context"],
            Self::Nothing => &["project", "namespace", "key", "context"],
        }
    }

    fn hide_refused(self, definition: clap::Command) -> clap::Command {
        self.refused()
            .iter()
            .fold(definition, |definition, flag| definition.mut_arg(flag, |arg| arg.hide(true)))
    }

    fn check(self, globals: &Globals) -> Result<(), Failure> {
        let is_given = |flag: &str| match flag {
            "project" => globals.project.is_some(),
            "namespace" => globals.namespace.is_some(),
            "key" => globals.key.is_some(),
            _ => globals.context.is_some(),
        };
        match self.refused().iter().find(|flag| is_given(flag)) {
            Some(flag) => Err(Failure::usage(format!("--{flag} means nothing to this command"))),
            None => Ok(()),
        }
    }
}

/// What the flag --op-id is called in [`Globals`].
const OP_ID: &str = "op_id";
/// And --reason.
const REASON: &str = "reason";
/// And --fence.
const FENCE: &str = "fence";

/// All commands, in the order in which help shows them.
static COMMANDS: &[Command] = &[
    command::<set::Set>("set"),
    command::<get::Get>("get"),
    command::<del::Del>("del"),
    command::<exists::Exists>("exists"),
    command::<incr::Incr>("incr"),
    command::<append::Append>("append"),
    command::<update::Update>("update"),
    command::<touch::Touch>("touch"),
    command::<ttl::Ttl>("ttl"),
    command::<rename::Rename>("rename"),
    command::<copy::Copy>("copy"),
    command::<list::Keys>("keys"),
    command::<list::Keys>("ls"),
    command::<list::Scan>("scan"),
    command::<stream::Stream>("stream"),
    command::<txn::Txn>("txn"),
    command::<watch::Watch>("watch"),
    command::<wait::Wait>("wait"),
    command::<history::History>("history"),
    command::<blame::Blame>("blame"),
    command::<log::Log>("log"),
    command::<undo::Undo>("undo"),
    command::<lock::acquire::Acquire>("lock acquire"),
    command::<lock::renew::Renew>("lock renew"),
    command::<lock::release::Release>("lock release"),
    command::<lock::list::List>("lock list"),
    command::<lock::run::Under>("lock run"),
    command::<queue::push::Push>("queue push"),
    command::<queue::claim::Claim>("queue claim"),
    command::<queue::ack::Ack>("queue ack"),
    command::<queue::nack::Nack>("queue nack"),
    command::<queue::extend::Extend>("queue extend"),
    command::<queue::handoff::Handoff>("queue handoff"),
    command::<queue::retry::Retry>("queue retry"),
    command::<queue::list::List>("queue list"),
    command::<run::WithEnvironment>("run"),
    command::<prime::Prime>("prime"),
    #[cfg(feature = "mcp")]
    command::<mcp::Mcp>("mcp"),
    command::<export::Export>("export"),
    command::<import::Import>("import"),
    command::<export_fs::ExportFs>("export-fs"),
    command::<import_fs::ImportFs>("import-fs"),
    command::<sync::Sync>("sync"),
    command::<backup::Backup>("backup"),
    command::<restore::Restore>("restore"),
    command::<projects::Projects>("projects"),
    command::<namespaces::Namespaces>("namespaces"),
    command::<nss::Nss>("nss"),
    command::<admin::create_cache::CreateCache>("create-cache"),
    command::<admin::create_cache::CreateCache>("admin create-cache"),
    command::<admin::set_cache::SetCache>("admin set-cache"),
    command::<admin::drop_cache::DropCache>("admin drop-cache"),
    command::<admin::gc::Gc>("admin gc"),
    command::<admin::status::Status>("admin status"),
    command::<admin::check::Check>("admin check"),
    command::<admin::migrate::Migrate>("admin migrate"),
    command::<admin::vacuum::Vacuum>("admin vacuum"),
    command::<admin::database::create::Create>("admin database create"),
    command::<admin::database::list::List>("admin database list"),
    command::<admin::database::describe::Describe>("admin database describe"),
    command::<admin::database::switch::Switch>("admin database switch"),
    command::<admin::database::rename::Rename>("admin database rename"),
    command::<admin::database::delete::Delete>("admin database delete"),
    command::<admin::database::create::Create>("admin create-db"),
    command::<admin::database::list::List>("admin list-dbs"),
    command::<admin::database::describe::Describe>("admin describe-db"),
    command::<admin::database::switch::Switch>("admin switch-db"),
    command::<admin::database::rename::Rename>("admin rename-db"),
    command::<admin::database::delete::Delete>("admin delete-db"),
    command::<admin::project::create::Create>("admin create-project"),
    command::<projects::Projects>("admin list-projects"),
    command::<admin::project::describe::Describe>("admin describe-project"),
    command::<admin::project::drop::Drop>("admin drop-project"),
    command::<admin::namespace::create::Create>("admin create-namespace"),
    command::<admin::namespace::list::List>("admin list-namespaces"),
    command::<admin::namespace::describe::Describe>("admin describe-namespace"),
    command::<admin::namespace::relocate::Move>("admin move-namespace"),
    command::<admin::namespace::drop::Drop>("admin drop-namespace"),
    command::<admin::table::create::Create>("admin create-table"),
    command::<admin::table::list::List>("admin list-tables"),
    command::<admin::table::describe::Describe>("admin describe-table"),
    command::<admin::table::drop::Drop>("admin drop-table"),
    command::<admin::project::create::Create>("admin project create"),
    command::<projects::Projects>("admin project list"),
    command::<admin::project::describe::Describe>("admin project describe"),
    command::<admin::project::drop::Drop>("admin project drop"),
    command::<admin::namespace::create::Create>("admin namespace create"),
    command::<admin::namespace::list::List>("admin namespace list"),
    command::<admin::namespace::describe::Describe>("admin namespace describe"),
    command::<admin::namespace::set::Set>("admin namespace set"),
    command::<admin::namespace::rotate::Rotate>("admin namespace rotate"),
    command::<admin::namespace::rewrap::Rewrap>("admin namespace rewrap"),
    command::<admin::namespace::relocate::Move>("admin namespace move"),
    command::<admin::namespace::drop::Drop>("admin namespace drop"),
    command::<admin::table::create::Create>("admin table create"),
    command::<admin::table::list::List>("admin table list"),
    command::<admin::table::describe::Describe>("admin table describe"),
    command::<admin::table::drop::Drop>("admin table drop"),
    command::<admin::user::add::Add>("admin user add"),
    command::<admin::user::list::List>("admin user list"),
    command::<admin::user::passwd::Passwd>("admin user passwd"),
    command::<admin::user::role::SetRole>("admin user role"),
    command::<admin::user::del::Del>("admin user del"),
    command::<admin::key::create::Create>("admin key create"),
    command::<admin::key::list::List>("admin key list"),
    command::<admin::key::revoke::Revoke>("admin key revoke"),
    command::<admin::create_key::CreateKey>("admin create-key"),
    command::<admin::list_keys::ListKeys>("admin list-keys"),
    command::<admin::key::describe::Describe>("admin describe-key"),
    command::<admin::key::describe::Describe>("admin key describe"),
    command::<admin::key::drop::Drop>("admin drop-key"),
    command::<admin::key::drop::Drop>("admin key drop"),
    command::<admin::key::rename::Rename>("admin rename-key"),
    command::<admin::key::rename::Rename>("admin key rename"),
    command::<admin::metakey::set::Set>("admin set-metakey"),
    command::<admin::metakey::set::Set>("admin metakey set"),
    command::<admin::metakey::get::Get>("admin get-metakey"),
    command::<admin::metakey::get::Get>("admin metakey get"),
    command::<admin::metakey::del::Del>("admin del-metakey"),
    command::<admin::metakey::del::Del>("admin metakey del"),
    command::<admin::metakey::list::List>("admin list-metakeys"),
    command::<admin::metakey::list::List>("admin metakey list"),
    command::<admin::grant::Grant>("admin grant"),
    command::<admin::grants::Grants>("admin grants"),
    command::<admin::revoke::Revoke>("admin revoke"),
    command::<admin::audit::Audit>("admin audit"),
    command::<auth::login::Login>("auth login"),
    command::<auth::logout::Logout>("auth logout"),
    command::<auth::whoami::Whoami>("auth whoami"),
    command::<proto::Auth>("proto auth"),
    command::<cursor::set::Set>("cursor set"),
    command::<cursor::select::Select>("cursor NAME"),
    command::<cursor::list::List>("cursor list"),
    command::<cursor::active::Active>("cursor active"),
    command::<cursor::rename::Rename>("cursor rename"),
    command::<cursor::delete::Delete>("cursor delete"),
    command::<cursor::clear::Clear>("cursor clear"),
    command::<config::get::Get>("config get"),
    command::<config::set::Set>("config set"),
    command::<config::list::List>("config list"),
    command::<config::path::Path>("config path"),
    command::<context::Current>("context"),
    command::<allow::Allow>("allow"),
    command::<deny::Deny>("deny"),
    command::<doctor::Doctor>("doctor"),
    command::<install::Install>("install"),
    command::<uninstall::Uninstall>("uninstall"),
    command::<completions::Completions>("completions"),
    command::<man::Man>("man"),
    command::<version::Version>("version"),
];

/// A word that stands before a command and is none.
pub struct Group {
    /// The word.
    pub name: &'static str,
    /// What its commands are about.
    pub about: &'static str,
    /// The command that takes a word behind it which is none of the group's commands, and which words it takes.
    otherwise: Option<Otherwise>,
}

type Otherwise = (&'static str, fn(&str) -> bool);

const fn group(name: &'static str, about: &'static str, otherwise: Option<Otherwise>) -> Group {
    Group { name, about, otherwise }
}

/// All groups.
pub static GROUPS: &[Group] = &[
    group("cursor", "Save, list and select databases", Some(("cursor NAME", |_| true))),
    group("lock", "Take turns: leases on names, with fencing tokens", None),
    group("queue", "Hand work out: one item, one worker", None),
    group("config", "Read and change the configuration", None),
    group("auth", "Prove who you are", None),
    group("proto", "The same in the words of the stream", None),
    group(
        "admin",
        "Look after caches, users and the database",
        Some(("admin user add", |word| word.starts_with("user="))),
    ),
    group("admin database", "Databases of the data directory, by name", None),
    group("admin project", "Projects as a whole", None),
    group("admin namespace", "Namespaces as a whole, and the encryption and history of what they hold", None),
    group("admin table", "The tables that namespaces lie in", None),
    group("admin user", "Users and their passwords", None),
    group("admin key", "API keys for programs, and keys of namespaces", None),
    group("admin metakey", "Named attributes of keys", None),
];

/// What the words of a command line name.
pub enum Found<'a> {
    /// A command.
    Command(&'static Command),
    /// A group without a command; the empty one when there is no word at all.
    Group(&'static str),
    /// Help on the topic that these words name.
    Help(&'a [String]),
}

impl Command {
    /// The definition that clap reads its arguments by.
    pub fn definition(&self) -> clap::Command {
        let own = (self.define)(clap::Command::new(self.name));
        let definition = self.addressing.hide_refused(help::style(Globals::augment_args(own), self.name));
        let definition = definition.mut_arg(REASON, |arg| arg.hide(!self.changes_entries));
        let definition = definition.mut_arg(FENCE, |arg| arg.hide(!self.is_fenced));
        self.with_examples(definition.mut_arg(OP_ID, |arg| arg.hide(!self.is_once)))
    }

    /// Adds the examples that there are.
    pub fn with_examples(&self, definition: clap::Command) -> clap::Command {
        match examples::of(self.name) {
            Some(examples) => definition.after_help(examples),
            None => definition,
        }
    }

    /// The definition without the flags of every command.
    pub fn bare_definition(&self) -> clap::Command {
        help::style((self.define)(clap::Command::new(self.name)), self.name)
    }

    /// The flags of every command that it heeds.
    pub fn heeded(&self) -> Vec<clap::Arg> {
        let shared = Globals::augment_args(clap::Command::new(self.name));
        let is_heeded = |flag: &&clap::Arg| {
            let name = flag.get_id().as_str();
            !self.addressing.refused().contains(&name)
                && (self.is_once || name != OP_ID)
                && (self.changes_entries || name != REASON)
                && (self.is_fenced || name != FENCE)
        };
        shared.get_arguments().filter(is_heeded).cloned().collect()
    }

    /// Reads the arguments and runs the command.
    ///
    /// Building the definitions of the flags of every command would take an eighth of a `get`. So what is written
    /// plainly is taken first, and the whole definition is for help, for errors and for what is written otherwise.
    pub fn run(&self, arguments: &[OsString]) -> Result<Code, Failure> {
        let has_dashes = arguments.iter().any(|word| word == "--");
        if let Some((globals, own)) = Globals::take(arguments)
            && let Ok(matches) = self.own_definition().try_get_matches_from(self.line(&own))
        {
            let globals = Globals { json: matches.get_flag("json"), ..globals };
            return (self.run)(&matches, globals, has_dashes);
        }
        self.run_in_full(arguments, has_dashes)
    }

    #[cold]
    #[inline(never)]
    fn run_in_full(&self, arguments: &[OsString], has_dashes: bool) -> Result<Code, Failure> {
        let matches = self.definition().try_get_matches_from(self.line(arguments));
        let matches = matches.map_err(|error| help::usage_error(&error))?;
        let globals = Globals::from_arg_matches(&matches).map_err(|error| help::usage_error(&error))?;
        if globals.help {
            return help::print_command(self);
        }
        (self.run)(&matches, globals, has_dashes)
    }

    /// The definition without the flags of every command, but for the one that others exclude.
    fn own_definition(&self) -> clap::Command {
        let json = clap::Arg::new("json").long("json").action(clap::ArgAction::SetTrue);
        self.bare_definition().arg(json)
    }

    fn line<'w>(&self, words: &'w [OsString]) -> impl Iterator<Item = OsString> + use<'w> {
        std::iter::once(OsString::from(self.name)).chain(words.iter().cloned())
    }
}

/// All commands.
pub fn all() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter()
}

/// Whether a command may begin with `word`.
pub fn begins_command(word: &str) -> bool {
    is_group(&[], word) || COMMANDS.iter().any(|command| command.name == word)
}

/// Whether `word` behind the words of `path` is a group, so that the next word belongs to the command too.
pub fn is_group(path: &[String], word: &str) -> bool {
    match path {
        [] => word == "help" || GROUPS.iter().any(|group| group.name == word),
        [first, ..] if first == "help" => true,
        path => GROUPS.iter().any(|group| group.name == format!("{} {word}", path.join(" "))),
    }
}

/// The command for `word` behind the words of `path`, where that is an argument already, and no command of the group.
pub fn otherwise(path: &[String], word: &str) -> Option<&'static str> {
    let [first] = path else { return None };
    let (otherwise, takes) = GROUPS.iter().find(|group| group.name == first)?.otherwise?;
    let name = format!("{first} {word}");
    let is_command = word == "help" || COMMANDS.iter().any(|command| command.name == name);
    ((!is_command || name == otherwise) && takes(word)).then_some(otherwise)
}

/// What the words of a command line name.
pub fn find(words: &[String]) -> Result<Found<'_>, Failure> {
    match words {
        [] => return Ok(Found::Group("")),
        [first, topic @ ..] if first == "help" => return Ok(Found::Help(topic)),
        [topic @ .., last] if last == "help" => return Ok(Found::Help(topic)),
        _ => {}
    }
    let name = words.join(" ");
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        return Ok(Found::Command(command));
    }
    match GROUPS.iter().find(|group| group.name == name) {
        Some(group) => Ok(Found::Group(group.name)),
        None => Err(help::unknown_command(&name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursors;

    #[test]
    fn no_cursor_is_called_like_a_command() {
        for command in all().filter_map(|command| command.name.strip_prefix("cursor ")) {
            assert!(command == "NAME" || cursors::check_name(command).is_err(), "{command}");
        }
    }
}
