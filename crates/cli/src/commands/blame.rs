use std::ffi::OsString;

use prontodb_core::store::BlamedLine;

use super::Run;
use super::get::missing;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::{Out, printable};

/// Tell who wrote which line of a value, when
///
/// A line each: the version that it came with, when that was, who wrote it, and the line; tabs between. With `^` in front of the
/// version the line may be older: what was before is not kept. A value that is no text is one line.
#[derive(clap::Args)]
pub struct Blame {
    /// Whose value
    address: Option<OsString>,
}

impl Run for Blame {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let address = cx.take_only_address(self.address.as_slice())?;
        let blamed = cx.open_existing()?.blame(&address).map_err(|error| cx.with_hint(error.into()))?;
        let Some(lines) = blamed else { return Err(missing(cx, &[address])) };
        let is_json = cx.json();
        cx.out.list(is_json, &lines, |out, line| match is_json {
            true => push_json(out.buffer(), line),
            false => push_line(out, line),
        });
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

/// A line without its newline.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

fn push_line(out: &mut Out, BlamedLine { line, past, or_before }: &BlamedLine) {
    let mark = if *or_before { "^" } else { "" };
    let writer = printable(past.head.writer.as_deref().unwrap_or("-"));
    out.push(format!("{mark}{}\t{}\t{writer}\t", past.head.version, past.head.updated).as_bytes());
    match std::str::from_utf8(line) {
        Ok(_) => out.push(bare(line)),
        Err(_) => out.push(format!("({} bytes)", line.len()).as_bytes()),
    }
    out.push(b"\n");
}

fn push_json(out: &mut Vec<u8>, BlamedLine { line, past, or_before }: &BlamedLine) {
    Object::begin(out)
        .number("version", past.head.version.0)
        .raw("or_before", if *or_before { "true" } else { "false" })
        .moment("at", Some(past.head.updated))
        .text_or_null("writer", past.head.writer.as_deref())
        .text_or_null("reason", past.reason.as_deref())
        .value(if std::str::from_utf8(line).is_ok() { bare(line) } else { line })
        .end();
}
