use std::ffi::OsString;

use prontodb_core::coding::Recipients;
use prontodb_core::engine::Sealing;
use prontodb_core::store::HistorySettings;
use prontodb_core::{ErrorKind, Namespace, Ttl};

use super::{Readers, explained, own_recipients, tell};
use crate::commands::{Addressing, Run};
use crate::context::{Context, Session, text};
use crate::exit::{Code, Failure};
use crate::output::report::{self, Value};
use crate::{dry_run, output, secret};

/// Encrypt the values of a namespace, have it keep its history, or end that
///
/// With history=N the last N versions of each entry are kept, the present one included, each with who made it, when and why;
/// history_age=D removes them so long after their end (30d unless set, 0 never), and history=0 all of them.
///
/// With encrypt=on its values, those that are there and those to come, can be read only by whoever has an age identity or knows
/// the passphrase. That is --recipient or --new-pass-file, else the identity of age_identity, else the passphrase of
/// PRONTO_PASSPHRASE, PRONTO_PASSPHRASE_FILE or whoever sits there. Keys, times and sizes stay readable. What was
/// interrupted goes on where it stopped when it is said again.
#[derive(clap::Args)]
pub struct Set {
    /// The namespace, then encrypt=on or encrypt=off, or history=N, history_age=D; with -p and -n the settings alone
    #[arg(value_names = ["PROJECT.NAMESPACE", "SETTING"])]
    words: Vec<OsString>,

    #[command(flatten)]
    readers: Readers,

    /// With history: tell how many versions would go, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Run for Set {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (namespace, settings) = cx.take_namespace(&self.words)?;
        match setting(settings)? {
            Setting::Encrypt(_) if self.dry_run => {
                return Err(Failure::usage("--dry-run goes with history; encrypt removes nothing"));
            }
            Setting::History(settings) if self.dry_run => return self.foretell(cx, &namespace, &settings),
            Setting::Encrypt(true) => self.encrypt(cx, &namespace)?,
            Setting::Encrypt(false) => self.decrypt(cx, &namespace)?,
            Setting::History(settings) => self.keep_history(cx, &namespace, &settings)?,
        }
        Ok(Code::Done)
    }
}

/// What is to be set.
enum Setting {
    Encrypt(bool),
    History(HistorySettings),
}

impl Set {
    fn foretell(
        &self,
        cx: &mut Context,
        namespace: &Namespace,
        settings: &HistorySettings,
    ) -> Result<Code, Failure> {
        let versions = cx.open_existing()?.would_forget(namespace, settings);
        let versions = versions.map_err(|error| explained(cx, namespace, error))?;
        dry_run::tell(cx, &[("versions", Value::Number(versions))])
    }

    fn keep_history(
        &self,
        cx: &mut Context,
        namespace: &Namespace,
        settings: &HistorySettings,
    ) -> Result<(), Failure> {
        if self.readers.named()?.is_some() {
            return Err(Failure::usage("--recipient and --new-pass-file go with encrypt=on"));
        }
        let store = if settings.versions.is_some_and(|versions| versions > 0) {
            cx.open_to_write()?
        } else {
            cx.open_existing()?
        };
        let changed = store.set_history(namespace, settings);
        let changed = changed.map_err(|error| explained(cx, namespace, error))?;
        let shown = namespace.display(cx.notation.delimiter);
        let fields = [
            ("namespace", report::text(&*shown)),
            ("history", Value::Number(changed.versions.unwrap_or_default())),
            ("history_age", changed.age.map_or(Value::Nothing("none"), |age| report::text(age.to_string()))),
        ];
        let shown = if changed.is_new { format!("{shown} is new, and") } else { shown };
        let Some(versions) = changed.versions else {
            return cx.tell_done(&format!("{shown} keeps no history"), &fields);
        };
        let versions = output::counted(versions, "version", "versions");
        let until = changed
            .age
            .map_or_else(|| "for good".to_owned(), |age| format!("until {} after its end", days(age)));
        cx.tell_done(&format!("{shown} keeps {versions} of each entry, each {until}"), &fields)
    }

    fn encrypt(&self, cx: &mut Context, namespace: &Namespace) -> Result<(), Failure> {
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
        tell(cx, namespace, if done.is_new { "is new, and encrypted" } else { "is encrypted" }, true, done)
    }

    fn decrypt(&self, cx: &mut Context, namespace: &Namespace) -> Result<(), Failure> {
        if self.readers.named()?.is_some() {
            return Err(Failure::usage("--recipient and --new-pass-file go with encrypt=on"));
        }
        let store = cx.open_existing()?;
        if sealing(cx, &store, namespace)? == Sealing::Never {
            let shown = namespace.display(cx.notation.delimiter);
            let told = format!("{shown} was not encrypted");
            let fields = [("namespace", report::text(shown)), ("encrypted", Value::Truth(false))];
            return cx.tell_done(&told, &fields);
        }
        let done = store.decrypt(namespace).map_err(|error| cx.with_hint(error.into()))?;
        tell(cx, namespace, "is not encrypted any more", false, done)
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

/// A span of days as people say it.
fn days(span: Ttl) -> String {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    match span.millis() {
        millis if millis % DAY == 0 => output::counted((millis / DAY).unsigned_abs(), "day", "days"),
        _ => span.to_string(),
    }
}

/// Reads `encrypt=on` or `encrypt=off`, or what is to be kept of the past.
fn setting(words: &[OsString]) -> Result<Setting, Failure> {
    const KNOWN: &str = "encrypt=on, encrypt=off, history=N and history_age=D";
    let words: Vec<_> = words.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
    match words[..] {
        ["encrypt=on" | "encrypt=on;"] => Ok(Setting::Encrypt(true)),
        ["encrypt=off" | "encrypt=off;"] => Ok(Setting::Encrypt(false)),
        [] => Err(Failure::usage("the setting is missing").hint(format!("{KNOWN} are settings"))),
        _ if words.iter().all(|word| word.starts_with("history")) => {
            Ok(Setting::History(HistorySettings::parse(&words.join(" "))?))
        }
        _ => {
            let given = words.join(" ");
            let what = format!("`{}` is no setting of a namespace", given.escape_debug());
            Err(Failure::usage(what).hint(format!("{KNOWN} are; encrypt stands alone")))
        }
    }
}
