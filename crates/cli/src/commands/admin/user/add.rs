use std::path::PathBuf;

use prontodb_core::auth::{Role, shown};
use secrecy::{ExposeSecret, SecretString};

use super::{explained, warn_of_known_password};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::secret;

/// Make a user
///
/// Without a role a user may do only what is granted. The password comes from --pass-file, from PRONTO_PASS, or is asked
/// for, twice. Also written as admin user=NAME;pass=PASSWORD; which shows the password to other users of the machine.
#[derive(clap::Args)]
pub struct Add {
    /// The name: letters, digits, `_` and `-`, a letter first, up to 32
    #[arg(required = true, value_name = "NAME")]
    words: Vec<String>,

    /// What they may do everywhere: read, write or admin
    #[arg(long, value_name = "ROLE", value_parser = super::ROLES, hide_possible_values = true)]
    role: Option<String>,

    /// A file that holds the password; - is standard input
    #[arg(long, value_name = "FILE")]
    pass_file: Option<PathBuf>,
}

impl Run for Add {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let role = self.role.as_deref().map(str::parse::<Role>).transpose()?;
        let (name, password) = self.name_and_password()?;
        let store = cx.open_to_write()?;
        explained(cx, store.add_user(&name, &password, role))?;
        warn_of_known_password(&store)?;
        Ok(Code::Done)
    }
}

impl Add {
    fn name_and_password(&self) -> Result<(String, SecretString), Failure> {
        let text = self.words.join(" ");
        if !text.starts_with("user=") {
            let [name] = self.words.as_slice() else { return Err(Failure::usage("one name is wanted")) };
            let password = self.asked_for(name)?;
            return Ok((name.clone(), password));
        }
        let pairs = secret::pairs(&text)?;
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value)).collect();
        match (&pairs[..], &self.pass_file) {
            ([("user", name), ("pass", password)], None) => {
                secret::warn_of_command_line();
                Ok((name.expose_secret().to_owned(), (*password).clone()))
            }
            ([("user", name)], _) => {
                let name = name.expose_secret();
                Ok((name.to_owned(), self.asked_for(name)?))
            }
            _ => Err(Failure::usage("user=NAME;pass=PASSWORD; is wanted, or user=NAME; with --pass-file")),
        }
    }

    /// The password from where it is to come from.
    fn asked_for(&self, name: &str) -> Result<SecretString, Failure> {
        let question = format!("password of the new user {}", shown(name));
        secret::new_password(self.pass_file.as_deref(), &question)
    }
}
