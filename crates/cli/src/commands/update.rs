use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use prontodb_core::auth::shown;
use prontodb_core::store::{Answer, Request, Ruling};
use prontodb_core::{Address, Error, ErrorKind, Version, json};
use serde::{Deserialize, Serialize};

use super::get::push_json;
use super::{Run, set};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};

/// The longest pause before another try.
const PAUSE: Duration = Duration::from_millis(20);

/// Change a value with a command, whatever others do meanwhile
///
/// The command gets the value on standard input as get prints it, and nothing where there is no entry; what it prints is the
/// new value, without the newline at its end. It is not run where nothing may be written. When somebody else has changed the entry by then, nothing is written and the
/// command is run again on what is there now, so it should do nothing but print. When it fails nothing is written either, and
/// its exit code is the one of this command. An entry keeps the time it has left, and its metakeys. Where the value stays the same
/// nothing is written.
#[derive(clap::Args)]
pub struct Update {
    /// Which entry
    address: Option<OsString>,

    /// The bytes as they are, both ways: no newline is added or taken away
    #[arg(short, long, conflicts_with = "json")]
    raw: bool,

    /// How often the command is run before this gives up, with exit code 3
    #[arg(long, value_name = "N", default_value_t = 100)]
    tries: u32,

    /// The command, behind --
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,
}

/// What came of a try.
#[derive(Default, Serialize, Deserialize)]
struct Updated {
    /// Others have changed the entry meanwhile.
    #[serde(skip)]
    others: Option<Error>,
}

impl Answer for Updated {
    fn ruling(&self) -> Ruling {
        if self.others.is_some() { Ruling::Open } else { Ruling::Done }
    }
}

/// What is there before a try.
type Seen = Option<(Version, Vec<u8>)>;

impl Run for Update {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let words: Vec<_> = self.address.iter().cloned().collect();
        let address = cx.take_only_address(&words)?;
        let describe = |request: &mut Request| self.describe(&address, cx.json(), request);
        let (mut store, mut refused) = (cx.open_to_change()?, None);
        let explain = |error| set::explain(cx, &address, error);
        if store.answer_given::<Updated>(&describe).map_err(explain)?.is_some() {
            return Ok(Code::Done);
        }
        for number in 0..self.tries.max(1) {
            store.require_write(&address.namespace).map_err(explain)?;
            let seen = read(cx, &store, &address)?;
            let version = seen.as_ref().map(|(version, _)| *version);
            match refused {
                // It was not for what others have written.
                Some((before, error)) if before == version => return Err(set::explain(cx, &address, error)),
                Some(_) => thread::sleep(Duration::from_millis(number.into()).min(PAUSE)),
                None => {}
            }
            let (status, value) = self.ask(cx, seen.as_ref().map(|(_, value)| value.as_slice()))?;
            // One that is cut off because it prints too much has not failed of itself.
            if !status.success() && value.len() as u64 <= cx.settings.max_value_bytes.value {
                return Ok(Code::of_child(status));
            }
            // The command may have run for long.
            store.renew_identity().map_err(explain)?;
            if seen.as_ref().is_some_and(|(_, old)| *old == value) {
                store.require_write(&address.namespace).map_err(explain)?;
                if cx.op.is_some() {
                    store.write_once(&describe, |_| Ok(Updated::default())).map_err(explain)?;
                }
                return Ok(Code::Done);
            }
            if seen.is_none() {
                // The database itself may not be there yet.
                store = cx.open_to_write()?;
            }
            let updated =
                store.write_once(&describe, |writer| match writer.replace_if(&address, version, &value) {
                    Err(error) if error.kind() == ErrorKind::Conflict => Ok(Updated { others: Some(error) }),
                    written => written.map(|_| Updated::default()),
                });
            match updated.map_err(explain)?.others {
                None => return Ok(Code::Done),
                Some(error) => refused = Some((version, error)),
            }
        }
        let what = format!("{} was changed by others each time; {} tries", cx.show(&address), self.tries);
        let failure =
            Failure::new(Code::Conflict, "conflict", what).hint("try again, or allow more with --tries");
        Err(Failure { retryable: true, ..failure })
    }
}

fn read(cx: &Context, store: &Session, address: &Address) -> Result<Seen, Failure> {
    let found = store.get(address).map_err(|error| cx.with_hint(error.into()))?;
    Ok(found.map(|record| (record.head.version, record.value)))
}

impl Update {
    /// What is asked: the command says it, for what it prints depends on what is there.
    fn describe(&self, address: &Address, is_json: bool, request: &mut Request) {
        request.text("update").changes(address).flag(self.raw).flag(is_json);
        for word in &self.command {
            request.value(word.as_encoded_bytes());
        }
    }

    /// Has the command make a value of another one.
    fn ask(&self, cx: &Context, value: Option<&[u8]>) -> Result<(ExitStatus, Vec<u8>), Failure> {
        let [program, arguments @ ..] = &self.command[..] else {
            return Err(Failure::usage("the command is missing"));
        };
        let input = value.map(|value| self.input(cx, value)).transpose()?.unwrap_or_default();
        let most = cx.settings.max_value_bytes.value;
        let (status, mut output) = pipe(program, arguments, &input, most)?;
        if !self.raw && output.last() == Some(&b'\n') {
            output.pop();
        }
        if cx.json() && status.success() {
            output = json::canonical(&output)?;
        }
        Ok((status, output))
    }

    fn input(&self, cx: &Context, value: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut input = Vec::new();
        match cx.json() {
            true => push_json(&mut input, value)?,
            false => input.extend_from_slice(value),
        }
        if !self.raw {
            input.push(b'\n');
        }
        Ok(input)
    }
}

/// Runs a command on an input; how it ended, and no more of what it printed than a value may have, and a byte and a newline.
fn pipe(
    program: &OsStr,
    arguments: &[OsString],
    input: &[u8],
    most: u64,
) -> Result<(ExitStatus, Vec<u8>), Failure> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Failure::not_run(program, &error))?;
    let (to, from) = (child.stdin.take(), child.stdout.take());
    let mut output = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A command need not read all of it.
            to.map(|mut to| to.write_all(input))
        });
        from.map_or(Ok(0), |from| from.take(most.saturating_add(2)).read_to_end(&mut output))
    })
    .and_then(|_| child.wait())
    .map(|status| (status, output))
    .map_err(|error| {
        Failure::io(format_args!("cannot read what {} prints", shown(&program.to_string_lossy())), &error)
    })
}
