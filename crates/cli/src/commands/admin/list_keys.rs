use std::ffi::OsString;

use prontodb_core::Listing;

use crate::commands::Run;
use crate::commands::list::Arguments;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// List the keys of a namespace
///
/// The same as keys, for one namespace that has to be named in full.
#[derive(clap::Args)]
pub struct ListKeys {
    /// The namespace, then what its keys start with; with -p or -n only that
    #[arg(value_names = ["PROJECT.NAMESPACE", "PREFIX"], num_args = 0..=2)]
    words: Vec<OsString>,

    #[command(flatten)]
    arguments: Arguments,
}

impl Run for ListKeys {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        list(cx, &self.words, self.arguments)
    }
}

/// Lists the keys of the namespace at the front of the words.
pub fn list(cx: &mut Context, words: &[OsString], arguments: Arguments) -> Result<Code, Failure> {
    let (namespace, rest) = cx.take_namespace(words)?;
    let prefix = match (&cx.globals.key, rest) {
        (Some(_), [_, ..]) => return Err(Failure::usage("--key and a prefix exclude each other")),
        (Some(key), []) => cx.prefix(key.as_ref())?,
        (None, [prefix]) => cx.prefix(prefix)?,
        (None, []) => String::new(),
        (None, _) => return Err(Failure::usage("one prefix is wanted")),
    };
    arguments.run(cx, &Listing::Within { namespace, prefix }, false)
}
