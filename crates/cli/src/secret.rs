//! Secrets on their way in. None of them comes by a flag: other users of the machine can read command lines.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;

use prontodb_core::auth::{Credentials, Seed, check_password, check_user_name};
use prontodb_core::coding::{Lock, Secret};
use prontodb_core::store::{Change, Unlock};
use prontodb_core::stream::{Item, Options, Parser, Step};
use prontodb_core::{Error, ErrorKind};
use secrecy::{ExposeSecret, SecretString};

use crate::exit::{Code, Failure, Interrupted};
use crate::output;
use crate::prompt;
use crate::stdin;

/// Longer ones are no passwords.
const MAX_BYTES: u64 = 64 * 1024;

/// A password: from the file that is named, `-` for standard input, else from PRONTO_PASS, else from whoever sits there.
pub fn password(file: Option<&Path>, question: &str) -> Result<SecretString, Failure> {
    match given_password(file)? {
        Some(given) => Ok(given),
        None => prompt::ask(question),
    }
}

/// The same for one that is to hold from now on: whoever sits there says it twice.
pub fn new_password(file: Option<&Path>, question: &str) -> Result<SecretString, Failure> {
    match given_password(file)? {
        Some(given) => Ok(given),
        None => ask_twice(question, "passwords"),
    }
}

/// A password that somebody need not be asked for; `None` where somebody can be asked.
fn given_password(file: Option<&Path>) -> Result<Option<SecretString>, Failure> {
    if let Some(file) = file {
        return of_file_or_stdin("password", file).map(Some);
    }
    match variable("PRONTO_PASS")? {
        Some(password) => Ok(Some(password.into())),
        None if io::stdin().is_terminal() => Ok(None),
        None => Err(Failure::usage("the password is missing")
            .hint("name a file that holds it with --pass-file, - for standard input, or set PRONTO_PASS")),
    }
}

fn ask_twice(question: &str, what: &str) -> Result<SecretString, Failure> {
    let (first, second) = (prompt::ask(question)?, prompt::ask("the same once more")?);
    match first.expose_secret() == second.expose_secret() {
        true => Ok(first),
        false => Err(Failure::invalid(format!("these were two different {what}"))),
    }
}

/// The pairs of credentials that stand on standard input.
pub fn of_stdin() -> Result<SecretString, Failure> {
    text("text of standard input", stdin::read(MAX_BYTES)?)
}

fn of_file_or_stdin(what: &str, file: &Path) -> Result<SecretString, Failure> {
    match file == Path::new("-") {
        true => text(what, stdin::read(MAX_BYTES)?),
        false => of_file(what, file),
    }
}

fn of_file(what: &str, file: &Path) -> Result<SecretString, Failure> {
    text(what, stdin::read_file(file, MAX_BYTES)?)
}

/// The text without the newline that editors and `echo` put behind it.
fn text(what: &str, bytes: Vec<u8>) -> Result<SecretString, Failure> {
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("the {what} is longer than {MAX_BYTES} bytes");
        return Err(Failure::new(Code::Limit, "limit", message));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::invalid(format!("the {what} is not UTF-8")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).into())
}

/// A variable of the environment, which has to be text.
fn variable(name: &'static str) -> Result<Option<String>, Failure> {
    let value = env::var_os(name).map(OsString::into_string).transpose();
    value.map_err(|_| Failure::invalid(format!("the value of {name} is not UTF-8")))
}

/// The same where an empty one is none.
fn filled(name: &'static str) -> Result<Option<String>, Failure> {
    Ok(variable(name)?.filter(|value| !value.is_empty()))
}

/// What the environment proves: a session, else an API key.
pub fn from_environment() -> Result<Option<Credentials>, Failure> {
    if let Some(token) = filled("PRONTO_SESSION")? {
        return Ok(Some(Credentials::Session(token.into())));
    }
    Ok(filled("PRONTO_API_KEY")?.map(|token| Credentials::ApiKey(token.into())))
}

/// Says how to get other credentials than those that were refused.
pub fn with_hint(failure: Failure, refused: &Credentials) -> Failure {
    let is_about_them =
        ["credentials are wrong", "has expired"].iter().any(|why| failure.message.contains(why));
    match refused {
        _ if !is_about_them || failure.hint.is_some() => failure,
        Credentials::Password { .. } => failure,
        Credentials::ApiKey(_) => {
            failure.hint("prontodb admin key create NAME makes a new key; each belongs to one database")
        }
        Credentials::Session(_) => {
            failure.hint("prontodb auth login USER makes a new session; each belongs to one database")
        }
    }
}

/// What unlocks encrypted namespaces: the identity of this file, or the passphrase of PRONTO_PASSPHRASE,
/// PRONTO_PASSPHRASE_FILE or whoever sits there.
pub fn unlock(identity: String) -> Unlock {
    Box::new(move |lock| {
        let found = match lock {
            Lock::Identity => identities(&identity).map(Secret::Identities),
            Lock::Passphrase => passphrase().map(Secret::Passphrase),
        };
        found.map_err(|failure| match failure.code {
            Code::Interrupted => Error::new(ErrorKind::Denied, failure.message).because(Interrupted),
            _ => Error::new(ErrorKind::Denied, failure.message),
        })
    })
}

/// The text of the identity file that the configuration names.
pub fn identities(path: &str) -> Result<SecretString, Failure> {
    if path.is_empty() {
        return Err(Failure::usage(
            "an age identity is needed, and neither age_identity nor PRONTO_AGE_IDENTITY names its file",
        ));
    }
    of_file("age identity", Path::new(path))
}

/// The passphrase that unlocks: from PRONTO_PASSPHRASE, else from the file that PRONTO_PASSPHRASE_FILE names, else from
/// whoever sits there.
fn passphrase() -> Result<SecretString, Failure> {
    match given_passphrase()? {
        Some(given) => Ok(given),
        None if io::stdin().is_terminal() => prompt::ask("passphrase"),
        None => Err(Failure::usage(
            "a passphrase is needed, and neither PRONTO_PASSPHRASE nor PRONTO_PASSPHRASE_FILE gives one",
        )),
    }
}

fn given_passphrase() -> Result<Option<SecretString>, Failure> {
    if let Some(passphrase) = filled("PRONTO_PASSPHRASE")? {
        return Ok(Some(passphrase.into()));
    }
    let file = env::var_os("PRONTO_PASSPHRASE_FILE").filter(|file| !file.is_empty());
    file.map(|file| of_file("passphrase", Path::new(&file))).transpose()
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
    not_empty(of_file_or_stdin("passphrase", file)?)
}

/// A passphrase from whoever sits there, twice: values under one with a slip in it would be lost.
pub fn asked_passphrase() -> Result<SecretString, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("it is not said who is to read the values").hint(
            "name them with --recipient, a passphrase with --new-pass-file, or an identity with age_identity",
        ));
    }
    not_empty(ask_twice("new passphrase", "passphrases")?)
}

fn not_empty(passphrase: SecretString) -> Result<SecretString, Failure> {
    match passphrase.expose_secret().is_empty() {
        true => Err(Failure::invalid("the passphrase is empty")),
        false => Ok(passphrase),
    }
}

/// The user there is before anybody has made one: that of PRONTO_ADMIN_USER and PRONTO_ADMIN_PASS, as far as they are set.
pub fn seed() -> Result<Seed, Error> {
    let given = |name| filled(name).map_err(|failure| Error::new(ErrorKind::Invalid, failure.message));
    let mut seed = Seed::default();
    if let Some(user) = given("PRONTO_ADMIN_USER")? {
        check_user_name(&user).map_err(|error| error.at("PRONTO_ADMIN_USER"))?;
        seed.user = user;
    }
    if let Some(password) = given("PRONTO_ADMIN_PASS")? {
        seed.password = password.into();
        check_password(&seed.password).map_err(|error| error.at("PRONTO_ADMIN_PASS"))?;
    }
    Ok(seed)
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

/// Pairs `name=value` with `;` between them, written as the tokens of a stream: values may be in quotes, with its escapes.
pub fn pairs(text: &str) -> Result<Vec<(String, SecretString)>, Failure> {
    let (mut text, mut pairs) = (text.as_bytes(), Vec::new());
    let mut parser = Parser::new(Options::default());
    loop {
        // What is wrong with them is not told: words of a message could be words of a password.
        match parser.next(&mut text, true).map_err(|_| no_pairs())? {
            Step::Item(Item::Entry { name, change: Change::Set { value, .. }, .. }) => {
                let value = std::str::from_utf8(value).map_err(|_| no_pairs())?;
                pairs.push((name.as_str().to_owned(), value.into()));
            }
            Step::Item(_) => return Err(no_pairs()),
            Step::NeedsMore | Step::End => return Ok(pairs),
        }
    }
}

fn no_pairs() -> Failure {
    Failure::usage("pairs are wanted, as in pass=…; user=…;")
        .hint("a value with `;` or outer blanks stands in quotes, with \\\" for a quote inside")
}
