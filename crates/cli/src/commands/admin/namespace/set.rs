use std::ffi::OsString;

use prontodb_core::coding::Recipients;
use prontodb_core::engine::Sealing;
use prontodb_core::{ErrorKind, Namespace};

use super::{Readers, own_recipients, tell};
use crate::commands::{Addressing, Run};
use crate::context::{Context, Session, text};
use crate::exit::{Code, Failure};
use crate::{output, secret};

/// Encrypt the values of a namespace, or end that
///
/// With encrypt=on its values, those that are there and those to come, can be read only by whoever has an age identity or knows
/// the passphrase. That is --recipient or --new-pass-file, else the identity of age_identity, else the passphrase of
/// PRONTO_PASSPHRASE, PRONTO_PASSPHRASE_FILE or whoever sits there. Keys, times and sizes stay readable. What was
/// interrupted goes on where it stopped when it is said again.
#[derive(clap::Args)]
pub struct Set {
    /// The namespace, then encrypt=on or encrypt=off; with -p and -n the setting alone
    #[arg(value_names = ["PROJECT.NAMESPACE", "SETTING"])]
    words: Vec<OsString>,

    #[command(flatten)]
    readers: Readers,
}

impl Run for Set {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (namespace, settings) = cx.take_namespace(&self.words)?;
        match setting(settings)? {
            true => self.encrypt(cx, &namespace)?,
            false => self.decrypt(cx, &namespace)?,
        }
        Ok(Code::Done)
    }
}

impl Set {
    fn encrypt(&self, cx: &Context, namespace: &Namespace) -> Result<(), Failure> {
        let store = cx.open_to_write()?;
        let done = match (sealing(cx, &store, namespace)?.key(), self.readers.named()?) {
            (Some(_), None) => store.resume_encryption(namespace),
            (_, named) => store.encrypt(namespace, &recipients(cx, named)?),
        };
        let done = done.map_err(|error| match error.kind() {
            ErrorKind::Conflict => Failure::from(error).hint(
                "prontodb admin namespace rewrap changes who can read it; encrypt=on alone finishes what was interrupted",
            ),
            _ => cx.with_hint(error.into()),
        })?;
        tell(cx, namespace, if done.is_new { "is new, and encrypted" } else { "is encrypted" }, done);
        Ok(())
    }

    fn decrypt(&self, cx: &Context, namespace: &Namespace) -> Result<(), Failure> {
        if self.readers.named()?.is_some() {
            return Err(Failure::usage("--recipient and --new-pass-file go with encrypt=on"));
        }
        let store = cx.open_existing()?;
        if sealing(cx, &store, namespace)? == Sealing::Never {
            output::note(&format!("{} was not encrypted", namespace.display(cx.notation.delimiter)));
            return Ok(());
        }
        let done = store.decrypt(namespace).map_err(|error| cx.with_hint(error.into()))?;
        tell(cx, namespace, "is not encrypted any more", done);
        Ok(())
    }
}

fn sealing(cx: &Context, store: &Session, namespace: &Namespace) -> Result<Sealing, Failure> {
    store.sealing(namespace).map_err(|error| cx.with_hint(error.into()))
}

/// Those who are named, else those who have the user's own identity, else whoever knows the user's passphrase.
fn recipients(cx: &Context, named: Option<Recipients>) -> Result<Recipients, Failure> {
    match named {
        Some(named) => Ok(named),
        None => match own_recipients(cx)? {
            Some(own) => Ok(own),
            None => secret::new_passphrase().map(Recipients::Passphrase),
        },
    }
}

/// Reads `encrypt=on` or `encrypt=off`.
fn setting(words: &[OsString]) -> Result<bool, Failure> {
    let words: Vec<_> = words.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
    match words[..] {
        ["encrypt=on" | "encrypt=on;"] => Ok(true),
        ["encrypt=off" | "encrypt=off;"] => Ok(false),
        [] => Err(Failure::usage("the setting is missing").hint("encrypt=on and encrypt=off are settings")),
        _ => {
            let given = words.join(" ");
            let what = format!("`{}` is no setting of a namespace", given.escape_debug());
            Err(Failure::usage(what).hint("encrypt=on and encrypt=off are"))
        }
    }
}
