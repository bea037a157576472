//! Completions: scripts by which shells complete the command line, made from the definitions of all commands.

use clap::{Arg, ValueEnum};
use clap_complete::aot::{Bash, Fish, PowerShell, Zsh, generate};

use crate::grammar::{self, Shared};

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash; its package bash-completion is not needed
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
}

impl Shell {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bash, Self::Zsh, Self::Fish, Self::Powershell];

    /// Where the shell looks for the script, in a directory such as `/usr/share`. PowerShell looks nowhere, and has to be
    /// told.
    pub fn place(self) -> &'static str {
        match self {
            Self::Bash => "bash-completion/completions/prontodb",
            Self::Zsh => "zsh/site-functions/_prontodb",
            Self::Fish => "fish/vendor_completions.d/prontodb.fish",
            Self::Powershell => "prontodb/prontodb.ps1",
        }
    }

    /// The script.
    pub fn script(self) -> Vec<u8> {
        let mut definition = grammar::whole(Shared::Everywhere);
        let mut script = Vec::new();
        match self {
            Self::Bash => generate(Bash, &mut definition, "prontodb", &mut script),
            Self::Zsh => generate(Zsh, &mut definition, "prontodb", &mut script),
            Self::Fish => generate(Fish, &mut definition, "prontodb", &mut script),
            Self::Powershell => generate(PowerShell, &mut definition, "prontodb", &mut script),
        }
        if self == Self::Fish {
            script.extend(more_for_fish(&definition).into_bytes());
        }
        script
    }
}

/// What the generator leaves out for fish: topics of help, arguments that are words of a list, and all of commands of three
/// words.
fn more_for_fish(definition: &clap::Command) -> String {
    let topics: Vec<_> = definition.get_subcommands().map(clap::Command::get_name).collect();
    let topics = topics.join(" ");
    let mut script =
        format!("complete -c prontodb -n \"{}\" -f -a \"{topics}\"\n", fish_condition(&["help"]));
    for (words, part) in grammar::paths(definition) {
        let condition = fish_condition(&words);
        if words.len() > 2 {
            part.get_arguments().filter(|arg| !arg.is_positional()).for_each(|flag| {
                script.push_str(&fish_flag(&condition, flag));
            });
        }
        for value in part.get_positionals().flat_map(Arg::get_possible_values) {
            script.push_str(&format!("complete -c prontodb -n \"{condition}\" -f -a {}\n", value.get_name()));
        }
    }
    script
}

fn fish_condition(words: &[&str]) -> String {
    let mut condition = format!("__fish_prontodb_using_subcommand {}", words[0]);
    for word in &words[1..] {
        condition.push_str(&format!("; and __fish_seen_subcommand_from {word}"));
    }
    condition
}

fn fish_flag(condition: &str, flag: &Arg) -> String {
    let mut line = format!("complete -c prontodb -n \"{condition}\"");
    for letter in flag.get_short_and_visible_aliases().unwrap_or_default() {
        line.push_str(&format!(" -s {letter}"));
    }
    for name in flag.get_long_and_visible_aliases().unwrap_or_default() {
        line.push_str(&format!(" -l {name}"));
    }
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    line.push_str(&format!(" -d '{}'", help.replace('\\', "\\\\").replace('\'', "\\'")));
    if flag.get_action().takes_values() {
        line.push_str(" -r");
        let values: Vec<_> =
            flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if !values.is_empty() {
            line.push_str(&format!(" -f -a \"{}\"", values.join(" ")));
        }
    }
    line.push('\n');
    line
}
