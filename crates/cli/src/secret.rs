//! Secrets on their way in. None of them comes by a flag: other users of the machine can read command lines.

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use prontodb_core::auth::{Credentials, Seed};
use prontodb_core::coding::{Lock, Secret};
use prontodb_core::store::Unlock;
use prontodb_core::{Error, ErrorKind};
use secrecy::{ExposeSecret, SecretString};

use crate::exit::Failure;
use crate::output;
use crate::stdin;

/// Longer ones are no passwords.
const MAX_BYTES: u64 = 64 * 1024;

/// A password: from the file that is named, `-` for standard input, else from PRONTO_PASS, else from whoever sits there.
pub fn password(file: Option<&Path>, prompt: &str) -> Result<SecretString, Failure> {
    match (file, env::var("PRONTO_PASS")) {
        (Some(file), _) if file == Path::new("-") => line(stdin::read(MAX_BYTES)?),
        (Some(file), _) => line(stdin::read_file(file, MAX_BYTES)?),
        (None, Ok(password)) => Ok(password.into()),
        (None, Err(_)) if io::stdin().is_terminal() => ask(prompt),
        (None, Err(_)) => Err(Failure::usage("the password is missing")
            .hint("name a file that holds it with --pass-file, - for standard input, or set PRONTO_PASS")),
    }
}

fn ask(prompt: &str) -> Result<SecretString, Failure> {
    let asked = rpassword::prompt_password(format!("{prompt}: "));
    asked.map(SecretString::from).map_err(|error| Failure::io("cannot read the password", &error))
}

/// The text without the newline that editors and `echo` put behind it.
fn line(bytes: Vec<u8>) -> Result<SecretString, Failure> {
    let text = String::from_utf8(bytes).map_err(|_| Failure::invalid("the password is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).into())
}

/// What the environment proves: a session, else an API key.
pub fn from_environment() -> Option<Credentials> {
    let token = |name: &str| env::var(name).ok().filter(|token| !token.is_empty()).map(SecretString::from);
    token("PRONTO_SESSION")
        .map(Credentials::Session)
        .or_else(|| token("PRONTO_API_KEY").map(Credentials::ApiKey))
}

/// What unlocks encrypted namespaces: the identity of this file, or the passphrase of PRONTO_PASSPHRASE,
/// PRONTO_PASSPHRASE_FILE or whoever sits there.
pub fn unlock(identity: String) -> Unlock {
    Box::new(move |lock| {
        let found = match lock {
            Lock::Identity => identities(&identity).map(Secret::Identities),
            Lock::Passphrase => passphrase().map(Secret::Passphrase),
        };
        found.map_err(|failure| Error::new(ErrorKind::Denied, failure.message))
    })
}

/// The text of the identity file that the configuration names.
pub fn identities(path: &str) -> Result<SecretString, Failure> {
    if path.is_empty() {
        return Err(Failure::usage(
            "an age identity is needed, and neither age_identity nor PRONTO_AGE_IDENTITY names its file",
        ));
    }
    line(stdin::read_file(Path::new(path), MAX_BYTES)?)
}

/// The passphrase that unlocks: from PRONTO_PASSPHRASE, else from the file that PRONTO_PASSPHRASE_FILE names, else from
/// whoever sits there.
fn passphrase() -> Result<SecretString, Failure> {
    match given_passphrase()? {
        Some(given) => Ok(given),
        None if io::stdin().is_terminal() => ask("passphrase"),
        None => Err(Failure::usage(
            "a passphrase is needed, and neither PRONTO_PASSPHRASE nor PRONTO_PASSPHRASE_FILE gives one",
        )),
    }
}

fn given_passphrase() -> Result<Option<SecretString>, Failure> {
    let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    match (env::var("PRONTO_PASSPHRASE"), given("PRONTO_PASSPHRASE_FILE")) {
        (Ok(passphrase), _) if !passphrase.is_empty() => Ok(Some(passphrase.into())),
        (_, Some(file)) => line(stdin::read_file(Path::new(&file), MAX_BYTES)?).map(Some),
        _ => Ok(None),
    }
}

/// The passphrase that will unlock: as above, but whoever sits there says it twice.
pub fn new_passphrase() -> Result<SecretString, Failure> {
    match given_passphrase()? {
        Some(given) => not_empty(given),
        None => asked_passphrase(),
    }
}

/// The passphrase of a file, `-` for standard input.
pub fn passphrase_of(file: &Path) -> Result<SecretString, Failure> {
    not_empty(password(Some(file), "")?)
}

/// A passphrase from whoever sits there, twice: values under one with a slip in it would be lost.
pub fn asked_passphrase() -> Result<SecretString, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("it is not said who is to read the values").hint(
            "name them with --recipient, a passphrase with --new-pass-file, or an identity with age_identity",
        ));
    }
    let (first, second) = (ask("new passphrase")?, ask("the same once more")?);
    match first.expose_secret() == second.expose_secret() {
        true => not_empty(first),
        false => Err(Failure::invalid("these were two different passphrases")),
    }
}

fn not_empty(passphrase: SecretString) -> Result<SecretString, Failure> {
    match passphrase.expose_secret().is_empty() {
        true => Err(Failure::invalid("the passphrase is empty")),
        false => Ok(passphrase),
    }
}

/// The user there is before anybody has made one.
pub fn seed() -> Result<Seed, Error> {
    let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let default = Seed::default();
    Ok(Seed {
        user: given("PRONTO_ADMIN_USER").unwrap_or(default.user),
        password: given("PRONTO_ADMIN_PASS").map_or(default.password, SecretString::from),
    })
}

/// Says that a secret was put where others can see it.
pub fn warn_of_command_line() {
    output::warn(
        "other users of this machine can see command lines; --pass-file, PRONTO_PASS and the prompt keep secrets",
    );
}

/// Says that anybody may log in as a user.
pub fn warn_of_known_password(user: &str) {
    output::warn(&format!(
        "{user} still has the password that everybody knows; prontodb admin user passwd {user} changes it"
    ));
}

/// Pairs `name=value` apart by `;`, as the stream writes credentials.
pub fn pairs(text: &str) -> Result<Vec<(&str, &str)>, Failure> {
    let tokens = text.split(';').map(str::trim).filter(|token| !token.is_empty());
    tokens
        .map(|token| {
            token.split_once('=').ok_or_else(|| Failure::usage("pairs are wanted, as in pass=…; user=…;"))
        })
        .collect()
}
