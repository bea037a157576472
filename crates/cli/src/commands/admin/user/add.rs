use std::path::PathBuf;

use prontodb_core::auth::Role;
use secrecy::SecretString;

use super::{explained, warn_of_known_password};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::secret;

/// Make a user
///
/// Without a role a user may do only what is granted. The password comes from --pass-file, from PRONTO_PASS, or is asked
/// for. Also written as admin user=NAME;pass=PASSWORD; which shows the password to other users of the machine.
#[derive(clap::Args)]
pub struct Add {
    /// The name: letters, digits, `_` and `-`, a letter first, up to 32
    #[arg(required = true, value_name = "NAME")]
    words: Vec<String>,

    /// What they may do everywhere: read, write or admin
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,

    /// A file that holds the password; - is standard input
    #[arg(long, value_name = "FILE")]
    pass_file: Option<PathBuf>,
}

impl Run for Add {
    const ADDRESSING: Addressing = Addressing::Nothing;

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
            let prompt = format!("password of the new user {name}");
            return Ok((name.clone(), secret::password(self.pass_file.as_deref(), &prompt)?));
        }
        match (secret::pairs(&text)?.as_slice(), &self.pass_file) {
            ([("user", name), ("pass", password)], None) => {
                secret::warn_of_command_line();
                Ok(((*name).to_owned(), (*password).into()))
            }
            ([("user", name)], file) => {
                let prompt = format!("password of the new user {name}");
                Ok(((*name).to_owned(), secret::password(file.as_deref(), &prompt)?))
            }
            _ => Err(Failure::usage("user=NAME;pass=PASSWORD; is wanted, or user=NAME; with --pass-file")),
        }
    }
}
