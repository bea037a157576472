use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use prontodb_core::engine::Wait as Waits;
use prontodb_core::store::{Met, Until};
use prontodb_core::{Address, Version};

use super::Run;
use super::get::{Form, render};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::waiting::{self, Waiting};

/// Wait until an entry is there, or is as it has to be
///
/// Prints the value as get does, and nothing where there is none by then. What has expired is not there. Without --timeout it waits
/// for as long as it takes; with it the exit code is 4 when that was not enough.
#[derive(clap::Args)]
pub struct Wait {
    /// What to wait for
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<OsString>,

    /// Until it has this value
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, conflicts_with_all = ["absent", "changed", "changed_from"])]
    value: Option<OsString>,

    /// Until it is not there
    #[arg(long, conflicts_with_all = ["changed", "changed_from"])]
    absent: bool,

    /// Until somebody writes or removes it, or it expires
    #[arg(long, conflicts_with = "changed_from")]
    changed: bool,

    /// Until it has another version than this; 0 is that of an entry that is not there
    #[arg(long, value_name = "N")]
    changed_from: Option<u64>,

    /// How long to wait: seconds, or 1m30s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    timeout: Option<String>,

    /// The bytes as they are, without a newline
    #[arg(short, long, conflicts_with_all = ["json", "meta"])]
    raw: bool,

    /// Version, times, writer, size and metakeys as well: lines, an empty line, then the value
    #[arg(long)]
    meta: bool,
}

impl Run for Wait {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let address = cx.take_only_address(&self.addresses)?;
        let timeout = self.timeout.as_deref().map(|text| waiting::span("--timeout", text)).transpose()?;
        let waiting = timeout.map(Waiting::begin);
        let until = self.until();
        let left = || waiting.as_ref().map_or(Duration::MAX, Waiting::left);
        let opened = match until {
            // In a database that is not there, nothing is.
            Until::Absent => Some(cx.open_existing()?),
            _ => waiting::database(cx, &left)?,
        };
        let mut store = match opened {
            Some(store) => store,
            None if left().is_zero() => return Err(self.timed_out(cx, &address)),
            None => return Ok(Code::Done),
        };
        let stdout = io::stdout();
        let wait = Waits { at_most: left(), reader: Some(stdout.as_fd()) };
        let met = store.await_entry(&address, &until, wait).map_err(|error| cx.with_hint(error.into()))?;
        match met {
            Met::Met(Some(record)) => cx.out.write(&render(cx, &address, record, self.form())?)?,
            Met::Met(None) if !self.absent => output::note(&format!("{} is not there", cx.show(&address))),
            Met::Met(None) | Met::ReaderGone => {}
            Met::TimedOut => return Err(self.timed_out(cx, &address)),
        }
        Ok(Code::Done)
    }
}

impl Wait {
    fn until(&self) -> Until {
        match (&self.value, self.absent, self.changed, self.changed_from) {
            (Some(value), ..) => Until::Value(value.clone().into_vec()),
            (None, true, ..) => Until::Absent,
            (None, false, true, _) => Until::Changed(None),
            (None, false, false, Some(version)) => Until::Changed(Some(Version(version))),
            (None, false, false, None) => Until::Present,
        }
    }

    fn form(&self) -> Form {
        match (self.raw, self.meta) {
            (true, _) => Form::Bytes,
            (false, true) => Form::Meta,
            (false, false) => Form::Value,
        }
    }

    fn timed_out(&self, cx: &Context, address: &Address) -> Failure {
        let state = match self.until() {
            Until::Present => "is still not there",
            Until::Value(_) => "still has not this value",
            Until::Absent => "is still there",
            Until::Changed(_) => "is still the same",
        };
        let what = format!("{} {state}", cx.show(address));
        Failure { retryable: true, ..Failure::new(Code::TimedOut, "timeout", what) }.hint("wait longer")
    }
}
