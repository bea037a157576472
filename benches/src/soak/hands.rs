//! Those who write: one-shots, a stream and an agent's server that live as long as the run.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use super::Soak;
use crate::Result;
use crate::stats::Dice;

/// How many keys each writes in turn.
const KEYS: u64 = 300;
/// Between two one-shots of a writer.
const PAUSE: Duration = Duration::from_millis(20);
/// How many entries the stream gets at a time, which are a transaction,
const CHUNK: &str = "20";
/// and how long it is until the next ones.
const STREAM_PAUSE: Duration = Duration::from_millis(200);
const AGENT_PAUSE: Duration = Duration::from_millis(100);
const GREETING: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"soak","version":"1"}}}"#;
const GREETED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What a writer was acknowledged.
#[derive(Default)]
pub(super) struct Written {
    /// The last value of each entry.
    pub(super) last: BTreeMap<String, String>,
    /// How often entries were written that are watched,
    pub(super) watched: u64,
    /// and others.
    pub(super) others: u64,
    /// How often one was added to each counter.
    pub(super) added: BTreeMap<String, u64>,
    pub(super) compared: u64,
    pub(super) misread: u64,
}

impl Written {
    pub(super) fn sum(all: &[Self]) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.last.extend(one.last.clone());
            one.added.iter().for_each(|(key, times)| *sum.added.entry(key.clone()).or_default() += times);
            sum.watched += one.watched;
            sum.others += one.others;
            sum.compared += one.compared;
            sum.misread += one.misread;
        }
        sum
    }

    /// How many entries are not what was acknowledged last.
    pub(super) fn wrong(&self, soak: &Soak<'_>) -> Result<u64> {
        count(&self.last, |key, value| Ok(soak.must(&["get", key])?.trim_end() != value))
    }

    pub(super) fn sums_off(&self, soak: &Soak<'_>) -> Result<u64> {
        count(&self.added, |key, times| Ok(soak.must(&["get", key])?.trim() != times.to_string()))
    }

    /// Notes that an entry was written that is watched.
    pub(super) fn note(&mut self, key: String, value: String) {
        self.last.insert(key, value);
        self.watched += 1;
    }
}

fn count<V>(all: &BTreeMap<String, V>, mut is_so: impl FnMut(&str, &V) -> Result<bool>) -> Result<u64> {
    let mut found = 0;
    for (key, value) in all {
        found += u64::from(is_so(key, value)?);
    }
    Ok(found)
}

/// A value that tells how often its entry was written, and is long enough for a listing of all to fill a pipe.
pub(super) fn value(serial: u64) -> String {
    format!("{serial:0200}")
}

/// An entry as streams read it.
pub(super) fn line(namespace: &str, key: u64, serial: u64) -> String {
    format!(r#"{{"k":"{namespace}.s{key}","v":"{}"}}"#, value(serial))
}

/// A writer that runs a command for each thing that it does.
pub(super) fn one_shots(soak: &Soak<'_>, writer: u64) -> Result<Written> {
    let (mut dice, mut written, mut serial) = (Dice::new(writer + 1), Written::default(), 0_u64);
    while soak.pause(PAUSE) {
        serial += 1;
        let (key, value) = (dice.below(KEYS), value(serial));
        match dice.below(10) {
            0..4 => {
                let key = format!("soak.kv.w{writer}k{key}");
                soak.must(&["set", &key, &value])?;
                written.note(key, value);
            }
            4 => {
                let key = format!("soak.told.w{writer}k{}", key % 20);
                soak.must(&["set", &key, &value])?;
                written.last.insert(key, value);
                written.others += 1;
            }
            5 => {
                soak.must(&["set", &format!("soak.cache.w{writer}k{serial}"), &value])?;
                written.others += 1;
            }
            6 => drop(soak.say(&["get", &format!("soak.cache.w{writer}k{}", serial.saturating_sub(5))])?),
            7 => add(soak, &mut written, writer, serial, dice.below(2) == 0)?,
            8 => drop(soak.must(&["keys", "soak.kv", "--limit", "20"])?),
            _ => compare(soak, &mut written, &mut dice)?,
        }
    }
    Ok(written)
}

/// Adds one under an id, and may try again as if it had not heard the answer.
fn add(soak: &Soak<'_>, written: &mut Written, writer: u64, serial: u64, again: bool) -> Result {
    let (key, id) = (format!("soak.sums.n{writer}"), format!("{writer}/{serial}"));
    let incr = ["--op-id", &id, "incr", &key, "1"];
    let sum = soak.must(&incr)?;
    if again && soak.must(&incr)? != sum {
        written.misread += 1;
    }
    *written.added.entry(key).or_default() += 1;
    written.others += 1;
    Ok(())
}

/// Reads one of the entries that nobody else writes.
fn compare(soak: &Soak<'_>, written: &mut Written, dice: &mut Dice) -> Result {
    let Some((key, value)) = written.last.iter().nth(dice.below(written.last.len().max(1) as u64) as usize)
    else {
        return Ok(());
    };
    let found = soak.must(&["get", key])?;
    written.misread += u64::from(found.trim_end() != value);
    written.compared += 1;
    Ok(())
}

/// A stream without end. What it has written is acknowledged when it ends.
pub(super) fn stream(soak: &Soak<'_>) -> Result<Written> {
    let mut child = soak.settle("stream", &mut soak.stream(CHUNK))?;
    let mut input = child.stdin.take().ok_or("no pipe to the stream")?;
    let (mut written, mut serial) = (Written::default(), 0);
    let chunk: u64 = CHUNK.parse()?;
    while soak.pause(STREAM_PAUSE) {
        for _ in 0..chunk {
            let key = serial % KEYS;
            writeln!(input, "{}", line("soak.kv", key, serial))?;
            written.note(format!("soak.kv.s{key}"), value(serial));
            serial += 1;
        }
        input.flush()?;
    }
    drop(input);
    if child.wait()?.success() { Ok(written) } else { Err("the stream has failed".into()) }
}

/// Calls the tools of an agent's server, one after the other.
pub(super) fn agent(soak: &Soak<'_>) -> Result<Written> {
    let mut command = soak.command(&["mcp"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Server::new(soak.settle("mcp", &mut command)?)?;
    server.ask(GREETING)?;
    server.tell(GREETED)?;
    let (mut written, mut serial) = (Written::default(), 0);
    while soak.pause(AGENT_PAUSE) {
        serial += 1;
        let (key, value) = (format!("soak.kv.m{}", serial % KEYS), value(serial));
        server.call(serial, "set", &format!(r#"{{"key":"{key}","value":"{value}"}}"#))?;
        if serial % 5 == 0 {
            let answer = server.call(serial, "get", &format!(r#"{{"key":"{key}"}}"#))?;
            written.misread += u64::from(!answer.contains(&value));
            written.compared += 1;
        }
        written.note(key, value);
    }
    server.end()?;
    Ok(written)
}

/// A server on pipes.
struct Server {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Server {
    fn new(mut child: Child) -> Result<Self> {
        let to = child.stdin.take().ok_or("no pipe to the server")?;
        let from = BufReader::new(child.stdout.take().ok_or("no pipe from the server")?);
        Ok(Self { child, to, from })
    }

    fn tell(&mut self, frame: &str) -> Result {
        writeln!(self.to, "{frame}")?;
        Ok(self.to.flush()?)
    }

    fn ask(&mut self, frame: &str) -> Result<String> {
        self.tell(frame)?;
        let mut answer = String::new();
        self.from.read_line(&mut answer)?;
        if answer.contains(r#""result""#) && !answer.contains(r#""isError":true"#) {
            Ok(answer)
        } else {
            Err(format!("the server answers {answer:?} to {frame}").into())
        }
    }

    fn call(&mut self, id: u64, tool: &str, arguments: &str) -> Result<String> {
        self.ask(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        ))
    }

    fn end(mut self) -> Result {
        drop(self.to);
        if self.child.wait()?.success() { Ok(()) } else { Err("the server has failed".into()) }
    }
}
