use std::ffi::OsString;

use prontodb_core::coding::Recipients;

use super::{Readers, only_namespace, own_recipients};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::{output, secret};

/// Change who can read an encrypted namespace, or its passphrase
///
/// Nothing but the wrapped key is written, so it takes no time. It does not help against somebody who could read the namespace
/// and has kept the file: rotate does. Without flags, it is for the identity of age_identity, else for a passphrase that
/// is asked for.
#[derive(clap::Args)]
pub struct Rewrap {
    /// The namespace
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    #[command(flatten)]
    readers: Readers,
}

impl Run for Rewrap {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = only_namespace(cx, &self.words)?;
        let readers = match self.readers.named()? {
            Some(named) => named,
            None => match own_recipients(cx)? {
                Some(own) => own,
                None => Recipients::Passphrase(secret::asked_passphrase()?),
            },
        };
        let rewrapped = cx.open_existing()?.rewrap_key(&namespace, &readers);
        rewrapped.map_err(|error| cx.with_hint(error.into()))?;
        let shown = namespace.display(cx.notation.delimiter);
        output::note(&format!("{shown} is for {}", named(&readers)));
        warn_of_own_loss(cx, &shown, &readers)?;
        Ok(Code::Done)
    }
}

/// Those who can read, as a message names them.
fn named(readers: &Recipients) -> String {
    match readers {
        Recipients::Age(recipients) => recipients.join(", "),
        Recipients::Passphrase(_) => "whoever knows the passphrase".to_owned(),
    }
}

/// Says that whoever did it has given away what they could read.
fn warn_of_own_loss(cx: &Context, namespace: &str, readers: &Recipients) -> Result<(), Failure> {
    if let (Recipients::Age(readers), Some(Recipients::Age(own))) = (readers, own_recipients(cx)?)
        && !own.iter().any(|own| readers.contains(own))
    {
        output::warn(&format!("the identity of age_identity can no longer read {namespace}"));
    }
    Ok(())
}
