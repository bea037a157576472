//! `admin namespace`: namespaces as a whole.

pub mod create;
pub mod describe;
pub mod drop;
pub mod list;
pub mod relocate;
pub mod rewrap;
pub mod rotate;
pub mod set;

use std::ffi::OsString;
use std::path::PathBuf;

use prontodb_core::Namespace;
use prontodb_core::coding::{self, Recipients};
use prontodb_core::store::Recoded;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::report::{self, Value};
use crate::{output, secret};

/// Whom the key of an encrypted namespace is wrapped for.
#[derive(clap::Args)]
pub struct Readers {
    /// Who can read the values, as age-keygen -y prints it: age1…; may be repeated
    #[arg(long, value_name = "AGE1…")]
    recipient: Vec<String>,

    /// A file that holds the passphrase which is to unlock them; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    new_pass_file: Option<PathBuf>,
}

impl Readers {
    /// Those that the flags name.
    fn named(&self) -> Result<Option<Recipients>, Failure> {
        if !self.recipient.is_empty() {
            return Ok(Some(Recipients::Age(self.recipient.clone())));
        }
        let file = self.new_pass_file.as_deref();
        file.map(|file| secret::passphrase_of(file).map(Recipients::Passphrase)).transpose()
    }
}

/// Those who have the identity of the configuration, if it names one.
fn own_recipients(cx: &Context) -> Result<Option<Recipients>, Failure> {
    let identity = &cx.settings.age_identity.value;
    if identity.is_empty() {
        return Ok(None);
    }
    let recipients = coding::recipients_of(&secret::identities(identity)?)?;
    Ok(Some(Recipients::Age(recipients)))
}

/// Takes a namespace and nothing else.
fn only_namespace(cx: &Context, words: &[OsString]) -> Result<Namespace, Failure> {
    match cx.take_namespace(words)? {
        (namespace, []) => Ok(namespace),
        _ => Err(Failure::usage("one namespace is wanted")),
    }
}

/// Adds what to do about a namespace or table that is not there, or is already.
fn explained(cx: &Context, namespace: &Namespace, error: prontodb_core::Error) -> Failure {
    let failure = super::table::explained(cx.with_hint(error.into()));
    if failure.hint.is_none() && failure.message.contains("there is no namespace") {
        let delimiter = cx.notation.delimiter;
        // What the store calls it, as this command's user writes it.
        let message = format!("there is no namespace {}", namespace.display(delimiter));
        return Failure { message, ..failure }.hint("prontodb nss lists the namespaces");
    }
    failure
}

/// Tells what a change of the encryption has done.
fn tell(
    cx: &mut Context,
    namespace: &Namespace,
    done: &str,
    encrypted: bool,
    recoded: Recoded,
) -> Result<(), Failure> {
    let namespace = namespace.display(cx.notation.delimiter);
    let values = output::counted(recoded.values, "value was", "values were");
    let told = format!("{namespace} {done}; {values} written anew");
    let fields = [
        ("namespace", report::text(namespace)),
        ("encrypted", Value::Truth(encrypted)),
        ("written", Value::Number(recoded.values)),
    ];
    cx.tell_done(&told, &fields)?;
    if !recoded.is_scrubbed {
        output::warn(
            "others are still reading what was there before, so it stays in the file; say the same again when they are done",
        );
    }
    Ok(())
}
