use std::ffi::OsString;

use super::{explained, only_namespace};
use crate::commands::admin::dropping::Dropping;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Remove a namespace, and all it holds
///
/// It is gone at once. Its entries are removed from disk in steps, so that others can write meanwhile; what is interrupted is
/// left to admin gc. A namespace that is made under the same name is a new one.
#[derive(clap::Args)]
pub struct Drop {
    /// The namespace
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    #[command(flatten)]
    dropping: Dropping,
}

impl Run for Drop {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = only_namespace(cx, &self.words)?;
        let mut store = cx.open_existing()?;
        let described = store.describe_namespace(&namespace);
        let info = described.map_err(|error| explained(cx, &namespace, error))?.info;
        let what = format!("the namespace {}", namespace.display(cx.notation.delimiter));
        self.dropping.run(cx, &mut store, &what, &[info], |store| store.drop_namespace(&namespace))
    }
}
