use std::ffi::OsString;
use std::path::PathBuf;

use crate::commands::Run;
use crate::commands::set::Set;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Make an entry that must not be there yet
///
/// The same as set --if-absent: an entry that is there exits with 3, and nothing is written.
#[derive(clap::Args)]
pub struct CreateKey {
    /// Where to; with --key this is the value
    address: Option<OsString>,

    /// What to write; `-` for standard input, and what is piped in without it
    value: Option<OsString>,

    /// Take the value from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// How long it lives, in a cache: seconds, or 90s, 15m, 2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: Option<String>,
}

impl Run for CreateKey {
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let Self { address, value, file, ttl } = self;
        Set::of_new(address, value, file, ttl).run(cx)
    }
}
