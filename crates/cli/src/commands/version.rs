use super::{Addressing, Run};
use crate::context::Context;
use crate::engines::library_version;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// Show the version
///
/// Of this program, and of the SQLite in it. The same as -v, -V and --version.
#[derive(clap::Args)]
pub struct Version {}

impl Run for Version {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: crate::args::Globals) -> Result<Context, Failure> {
        Context::unconfigured(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (own, sqlite) = (env!("CARGO_PKG_VERSION"), library_version());
        if cx.json() {
            Object::begin(cx.out.buffer()).text("prontodb", own).text("sqlite", sqlite).end();
            cx.out.push(b"\n");
        } else {
            cx.out.line(&format!("prontodb {own}\nSQLite {sqlite}"));
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
