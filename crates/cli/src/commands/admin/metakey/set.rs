use std::ffi::OsString;

use crate::commands::Run;
use crate::commands::get::missing;
use crate::commands::set::explain;
use crate::context::{Context, text};
use crate::exit::{Code, Failure};

/// Set a metakey of a key, in place of the one of this name
///
/// That is a write of the entry: its version, its time and its writer change; its value and the time it has left do not. A key
/// that is missing exits with 2. A name has 1 to 64 bytes, no `=` and no control character, a value up to 1,024 bytes and no
/// control character; a key has at most 32 metakeys of 4,096 bytes together. More exits with 6.
#[derive(clap::Args)]
pub struct Set {
    /// The key, unless --key names it; the name of the metakey; its value
    #[arg(value_names = ["ADDRESS", "NAME", "VALUE"], num_args = 0..=3)]
    words: Vec<OsString>,
}

impl Run for Set {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (address, rest) = cx.take_address(&self.words)?;
        let [name, value] = rest else {
            return Err(Failure::usage("a name and a value are wanted behind the key"));
        };
        let (name, value) = (text(name)?, text(value)?);
        let set = cx.open_to_change()?.set_metakey(&address, name, value);
        match set.map_err(|error| explain(cx, &address, error))? {
            Some(_) => Ok(Code::Done),
            None => Err(missing(cx, &[address])),
        }
    }
}
