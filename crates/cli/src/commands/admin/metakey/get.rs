use std::ffi::OsString;

use super::{key_and_names, metakeys_of, without};
use crate::commands::Run;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::push_string;

/// Print the value of a metakey
///
/// A key or a metakey that is missing exits with 2.
#[derive(clap::Args)]
pub struct Get {
    /// The key, unless --key names it; the name of the metakey
    #[arg(value_names = ["ADDRESS", "NAME"], num_args = 0..=2)]
    words: Vec<OsString>,
}

impl Run for Get {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (address, names) = key_and_names(cx, &self.words)?;
        let [name] = names[..] else { return Err(Failure::usage("one name is wanted")) };
        let metakeys = metakeys_of(cx, &address)?;
        let value = metakeys.as_ref().and_then(|metakeys| metakeys.get(name));
        let value = value.ok_or_else(|| without(cx, &address, &[name]))?;
        if cx.json() {
            push_string(cx.out.buffer(), value);
            cx.out.push(b"\n");
        } else {
            cx.out.line(value);
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
