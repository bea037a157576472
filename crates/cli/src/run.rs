//! From the command line to an exit code.

use std::ffi::OsString;
use std::panic::PanicHookInfo;

use crate::args::{self, Invocation};
use crate::commands::{self, Found};
use crate::exit::{Code, Failure};
use crate::{help, output};

/// Tells a bug of this program the way other failures are told; nothing half-done is committed.
pub fn report_panic(panic: &PanicHookInfo<'_>) -> Code {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let failure = Failure::new(Code::Error, "bug", format!("this is a bug of prontodb, at {place}"));
    output::tell(&failure.hint("please report it with the command that led here"), false);
    Code::Error
}

/// Runs the command that `words` ask for, and says how that went.
pub fn run(words: Vec<OsString>) -> Code {
    let wants_json = args::wants_json(&words);
    if wants_json {
        output::speak_json();
    }
    match dispatch(words) {
        Ok(code) => {
            output::tell_kept();
            code
        }
        Err(failure) => {
            output::tell(&failure, wants_json);
            failure.code
        }
    }
}

fn dispatch(words: Vec<OsString>) -> Result<Code, Failure> {
    let invocation = args::split(words)?.with_flags_as_commands();
    let Invocation { command, rest } = &invocation;
    match commands::find(command)? {
        Found::Command(command) if invocation.asks_for_help() => help::print_command(command),
        Found::Command(command) => command.run(rest),
        Found::Group(group) if invocation.asks_for_help() => help::print_group(group),
        Found::Group(group) => Err(help::missing_command(group, rest)),
        Found::Help(topic) => {
            invocation.refuse_flags_besides_help()?;
            help::print_topic(topic)
        }
    }
}
