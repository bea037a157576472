use std::ffi::OsString;

use super::{Readers, only_namespace, tell};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Encrypt a namespace under a new key
///
/// All its values are written anew, and the old key is removed: whoever has had that can read nothing with it that is in the
/// file from then on. The new key is for those who had the old one, unless others are named: then these alone can read, from
/// the moment it begins. encrypt=on finishes what was interrupted.
#[derive(clap::Args)]
pub struct Rotate {
    /// The namespace
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    #[command(flatten)]
    readers: Readers,
}

impl Run for Rotate {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = only_namespace(cx, &self.words)?;
        let named = self.readers.named()?;
        let rotated = cx.open_existing()?.rotate_key(&namespace, named.as_ref());
        let rotated = rotated.map_err(|error| cx.with_hint(error.into()))?;
        tell(cx, &namespace, "has a new key", true, rotated)?;
        Ok(Code::Done)
    }
}
