use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::engines::{self, Access, Report};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::report::{self, Value};

/// Give room in the file back that nothing needs any more
///
/// The file is written anew beside itself, so the disk needs room for another one meanwhile. Others can read; whoever writes
/// waits within its own busy_timeout_ms, and has exit code 4 after that. Room that is not given back is used by the next
/// entries: this is worth while after much has been removed.
#[derive(clap::Args)]
pub struct Vacuum {
    /// Change nothing; tell what there is to be won
    #[arg(long)]
    dry_run: bool,
}

impl Run for Vacuum {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let explain = |error: prontodb_core::Error| cx.with_hint(error.into());
        let store = cx.open_existing()?;
        store.require_admin().map_err(explain)?;
        if !cx.place()?.exists() {
            return Ok(Code::Done);
        }
        let before = report_of(cx)?;
        if self.dry_run {
            store.revision().map_err(explain)?;
            let lines = [
                ("bytes", Value::Number(bytes(&before))),
                ("unused_bytes", Value::Number(before.unused_bytes)),
            ];
            report::print(&mut cx.out, cx.globals.json, &lines)?;
            return Ok(Code::Done);
        }
        let is_done = store.vacuum().map_err(explain)?;
        if !is_done {
            output::warn(
                "others still read what was there before; the room is given back by a write after that",
            );
        }
        let after = report_of(cx)?;
        let lines =
            [("bytes_before", Value::Number(bytes(&before))), ("bytes_after", Value::Number(bytes(&after)))];
        report::print(&mut cx.out, cx.globals.json, &lines)?;
        Ok(Code::Done)
    }
}

fn report_of(cx: &Context) -> Result<Report, Failure> {
    let path = cx.place()?;
    engines::report(&cx.open_options(path, Access::Read)).map_err(|error| cx.with_hint(error.into()))
}

fn bytes(report: &Report) -> u64 {
    report.database_bytes + report.log_bytes
}
