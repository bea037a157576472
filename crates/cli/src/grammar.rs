//! All commands as one definition, for completions and manual pages. To run a command, only its own is built.

use clap::{Arg, ArgAction, Args as _};

use crate::args::Globals;
use crate::commands::Command;
use crate::help;

/// Where the flags of every command stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// At the program, at its groups, and at each command that heeds them: so they are completed.
    Everywhere,
    /// At the program alone: so they are described.
    Once,
}

/// The program with all its groups and commands.
pub fn whole(shared: Shared) -> clap::Command {
    let version = Arg::new("version").short('V').visible_short_alias('v').long("version");
    let version = version.action(ArgAction::SetTrue).help("Show the version");
    let program = clap::Command::new("prontodb").about(help::ABOUT).subcommand_value_name("COMMAND");
    let program = help::style(Globals::augment_args(program), "").bin_name("prontodb").arg(version);
    with_commands(program, "", shared)
}

fn with_commands(mut definition: clap::Command, group: &str, shared: Shared) -> clap::Command {
    for command in help::within(group) {
        definition = match stands_for_a_word(command) {
            // Its argument is a word of the group.
            true => definition.args(command.bare_definition().get_arguments().cloned()),
            false => definition.subcommand(part(command, shared)),
        };
    }
    for (word, group) in help::groups_within(group) {
        let within = clap::Command::new(word).about(group.about).subcommand_value_name("COMMAND");
        let within =
            help::style(within, group.name).disable_help_subcommand(true).args(flags(group.name, shared));
        definition = definition.subcommand(with_commands(within, group.name, shared));
    }
    definition
}

/// A command under the last of its words.
fn part(command: &Command, shared: Shared) -> clap::Command {
    let definition = command.with_examples(command.bare_definition().name(help::last_word(command)));
    match shared {
        Shared::Everywhere => definition.args(command.heeded()),
        // Flags of commands exclude this one, which has to be there for that.
        Shared::Once => definition.arg(Arg::new("json").long("json").action(ArgAction::SetTrue).hide(true)),
    }
}

/// The flags that may stand between the words of a group, and at the command that it is by itself.
fn flags(group: &str, shared: Shared) -> Vec<Arg> {
    let own = help::within(group).find(|command| stands_for_a_word(command));
    match (shared, own) {
        (Shared::Once, _) => Vec::new(),
        (Shared::Everywhere, Some(command)) => command.heeded(),
        (Shared::Everywhere, None) => {
            Globals::augment_args(clap::Command::new("")).get_arguments().cloned().collect()
        }
    }
}

/// Whether a command is called by a word of the user's own, as `cursor NAME` is.
fn stands_for_a_word(command: &Command) -> bool {
    help::last_word(command).chars().all(|c| c.is_ascii_uppercase())
}

/// Every word of the command line that names a command, for those who have to write more than a generator does.
pub fn paths(definition: &clap::Command) -> Vec<(Vec<&str>, &clap::Command)> {
    let mut paths = Vec::new();
    for part in definition.get_subcommands().filter(|part| part.get_name() != "help") {
        paths.push((vec![part.get_name()], part));
        let below = paths_below(part);
        paths.extend(below);
    }
    paths
}

fn paths_below(part: &clap::Command) -> Vec<(Vec<&str>, &clap::Command)> {
    let below = paths(part).into_iter();
    below.map(|(words, definition)| ([&[part.get_name()][..], &words].concat(), definition)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{self, GROUPS};

    #[test]
    fn the_whole_does_not_contradict_itself() {
        whole(Shared::Everywhere).debug_assert();
        whole(Shared::Once).debug_assert();
    }

    #[test]
    fn every_command_and_every_group_is_a_part() {
        let whole = whole(Shared::Once);
        let parts: Vec<_> = paths(&whole).into_iter().map(|(words, _)| words.join(" ")).collect();
        for command in commands::all().filter(|command| !stands_for_a_word(command)) {
            assert!(parts.contains(&command.name.to_owned()), "{}", command.name);
        }
        assert!(GROUPS.iter().all(|group| parts.contains(&group.name.to_owned())));
        assert_eq!(parts.len(), commands::all().count() - 1 + GROUPS.len());
    }

    #[test]
    fn flags_that_a_command_refuses_are_not_offered() {
        let whole = whole(Shared::Everywhere);
        let flags = |path: &str| -> Vec<String> {
            let parts = paths(&whole);
            let (_, part) = parts.iter().find(|(words, _)| words.join(" ") == path).unwrap();
            part.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
        };
        assert!(flags("get").contains(&"project".to_owned()) && flags("get").contains(&"json".to_owned()));
        assert!(!flags("admin gc").contains(&"project".to_owned()));
        assert!(flags("cursor").contains(&"user".to_owned()) && !flags("cursor").contains(&"key".to_owned()));
    }
}
