use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use prontodb_core::auth::shown;
use prontodb_core::engine::{Fields, Row};
use prontodb_core::store::{Query, Sink};
use prontodb_core::{EntryName, Result as CoreResult};

use super::Run;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;

/// How many keys are named that make no variables.
const TOLD: usize = 10;

/// Run a command with the entries of a namespace in its environment
///
/// Each key is a variable of that name, its value what get prints; for the command alone, and as it is now. With --context NAME the
/// entries for that context go before those without one; entries for others are left out, and so are keys that are no names of
/// variables: letters, digits and `_`, no digit first. This process becomes the command. The exit code is 127 when there is no such command, and 126 when it cannot be
/// run. With --json what this command says of itself is JSON.
#[derive(clap::Args)]
pub struct WithEnvironment {
    /// The namespace; nothing with -p or -n
    #[arg(value_name = "PROJECT.NAMESPACE")]
    place: Option<OsString>,

    /// The command, behind --
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,
}

impl Run for WithEnvironment {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let [program, arguments @ ..] = &self.command[..] else {
            return Err(Failure::usage("the command is missing"));
        };
        if cx.globals.key.is_some() {
            return Err(Failure::usage("--key means nothing to this command"));
        }
        let words: Vec<_> = self.place.iter().cloned().collect();
        let (namespace, _) = cx.take_namespace(&words)?;
        let mut variables = Variables { context: cx.globals.context.clone(), ..Variables::default() };
        let query = Query { fields: Fields::All, ..Query::default() };
        let listed = cx.open_existing()?.list_at_once(&namespace, &query, &mut variables);
        listed.map_err(|error| cx.with_hint(error.into()))?;
        variables.tell_left_out();
        if variables.found.is_empty() {
            let place = namespace.display(cx.notation.delimiter);
            output::note(&format!("nothing in {place} makes a variable"));
        }
        let mut command = Command::new(program);
        command.args(arguments);
        for (name, (_, value)) in &variables.found {
            if value.contains(&0) {
                return Err(Failure::invalid(format!(
                    "the value of {name} holds a NUL byte, and no variable can"
                )));
            }
            command.env(name, OsStr::from_bytes(value));
        }
        output::tell_kept();
        let error = command.exec();
        Err(Failure::not_run(program, &error))
    }
}

/// The variables that entries make.
#[derive(Default)]
struct Variables {
    context: Option<String>,
    /// By their names: whether the entry is one for the context, and its value.
    found: BTreeMap<String, (bool, Vec<u8>)>,
    left_out: Vec<String>,
}

impl Sink for Variables {
    fn row(&mut self, row: Row<'_>) {
        let Ok(name) = EntryName::parse(row.name) else { return };
        let is_for_context = name.context().is_some();
        if is_for_context && name.context() != self.context.as_deref() {
            return;
        }
        if !is_variable(name.key()) {
            self.left_out.push(row.name.to_owned());
        } else if is_for_context || !self.found.contains_key(name.key()) {
            self.found.insert(name.key().to_owned(), (is_for_context, row.value.to_vec()));
        }
    }

    fn page(&mut self) -> CoreResult<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

impl Variables {
    fn tell_left_out(&self) {
        if !self.left_out.is_empty() {
            let count = output::counted(self.left_out.len() as u64, "key is", "keys are");
            let mut names: Vec<_> = self.left_out.iter().take(TOLD).map(|name| shown(name)).collect();
            if self.left_out.len() > TOLD {
                names.push("and so on".to_owned());
            }
            let names = names.join(", ");
            output::note(&format!("{count} left out, as no variable can be called like that: {names}"));
        }
    }
}

/// Whether a shell can name a variable so.
fn is_variable(name: &str) -> bool {
    let is_first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    name.bytes().next().is_some_and(is_first) && name.bytes().all(|b| is_first(b) || b.is_ascii_digit())
}
