//! Secrets on their way in. None of them comes by a flag: other users of the machine can read command lines.

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use prontodb_core::auth::{Credentials, Seed};
use secrecy::SecretString;

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

/// The user there is before anybody has made one.
pub fn seed() -> Seed {
    let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let default = Seed::default();
    Seed {
        user: given("PRONTO_ADMIN_USER").unwrap_or(default.user),
        password: given("PRONTO_ADMIN_PASS").map_or(default.password, SecretString::from),
    }
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
