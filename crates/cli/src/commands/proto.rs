use prontodb_core::auth::Credentials;
use secrecy::ExposeSecret;

use super::{Addressing, Run, auth};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::secret;

/// Log in as auth login does, in the words of the stream
///
/// pass=PASSWORD; user=NAME; in this order, which prints the token of a session, or sec=KEY with an API key, which prints
/// whose it is. Values with `;` or outer blanks stand in quotes, as in a stream. As - they are read from standard input; on
/// the command line other users of the machine can see them.
#[derive(clap::Args)]
pub struct Auth {
    /// The pairs, each with `;` behind it
    #[arg(required = true, value_name = "PAIRS")]
    words: Vec<String>,
}

impl Run for Auth {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let text = match self.words.as_slice() {
            [word] if word == "-" => secret::of_stdin()?,
            words => words.join(" ").into(),
        };
        let credentials = credentials(text.expose_secret())?;
        if self.words != ["-"] {
            secret::warn_of_command_line();
        }
        if let Credentials::ApiKey(_) = credentials {
            let identity = cx.identify(&cx.open_for_login()?, &credentials)?;
            match cx.json() {
                true => auth::show_who(cx, &identity.name, identity.role)?,
                false => {
                    cx.out.line(&identity.name);
                    cx.out.flush()?;
                }
            }
        } else {
            auth::log_in(cx, &credentials, None)?;
        }
        Ok(Code::Done)
    }
}

fn credentials(text: &str) -> Result<Credentials, Failure> {
    let pairs = secret::pairs(text)?;
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value)).collect();
    match pairs[..] {
        [("pass", password), ("user", user)] => {
            Ok(Credentials::Password { user: user.expose_secret().to_owned(), password: password.clone() })
        }
        [("sec", key)] => Ok(Credentials::ApiKey(key.clone())),
        _ => Err(Failure::usage("pass=PASSWORD; user=NAME; is wanted, in this order, or sec=KEY;")),
    }
}
