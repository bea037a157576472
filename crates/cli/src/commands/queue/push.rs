use std::ffi::OsString;
use std::path::PathBuf;

use prontodb_core::store::{DEFAULT_PRIORITY, DEFAULT_TRIES, PushOptions};

use crate::commands::{Addressing, Run, set};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::waiting;

/// Put an item into a queue, and print its id
///
/// A queue is a namespace, and an item an entry of it under its id: get shows it, and del takes it out of the queue again. The value is the
/// second argument, `-` for standard input, or a file; without any of them it is what is piped in. Items are handed out by
/// priority, and the older of two first.
#[derive(clap::Args)]
pub struct Push {
    /// The queue, then the value; with -p or -n only that
    #[arg(value_names = ["PROJECT.NAMESPACE", "VALUE"], num_args = 0..=2)]
    words: Vec<OsString>,

    /// Take the value from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// From 0 to 255; those of a higher one are handed out first
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PRIORITY)]
    priority: u8,

    /// How long nobody gets it: seconds, or 1m30s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    delay: Option<String>,

    /// How often it may be claimed before it is dead
    #[arg(long, value_name = "N", default_value_t = DEFAULT_TRIES)]
    tries: u32,
}

impl Run for Push {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.tries == 0 {
            return Err(Failure::usage("--tries has to be 1 or more"));
        }
        let (queue, rest) = cx.take_namespace(&self.words)?;
        let word = match rest {
            [] => None,
            [word] => Some(word.clone()),
            _ => return Err(Failure::usage("one value is wanted")),
        };
        let delay = waiting::span_of("--delay", self.delay.as_deref())?;
        let value = set::bytes(cx, word, self.file.as_deref())?;
        let options = PushOptions { priority: self.priority, delay, tries: self.tries };
        let id = cx.open_to_write()?.push(&queue, &value, &options);
        let id = id.map_err(|error| cx.with_hint(error.into()))?;
        if cx.json() {
            Object::begin(cx.out.buffer()).text("id", &id).end();
            cx.out.push(b"\n");
        } else {
            cx.out.line(&id);
        }
        cx.out.flush_done()?;
        Ok(Code::Done)
    }
}
