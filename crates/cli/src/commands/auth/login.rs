use std::path::PathBuf;

use prontodb_core::auth::{Credentials, shown};

use super::{holds_for, log_in};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::secret;

/// Log in, and print the token of the session
///
/// Programs show it in PRONTO_SESSION, streams as meta:sec:session. The password comes from --pass-file, from PRONTO_PASS, or
/// is asked for. A user here is one of admin user; --user chooses cursors and proves nothing.
#[derive(clap::Args)]
pub struct Login {
    /// The user
    name: String,

    /// A file that holds the password; - is standard input
    #[arg(long, value_name = "FILE")]
    pass_file: Option<PathBuf>,

    /// How long the session holds: seconds, or 90s, 15m, 2h; 12 hours unless set
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: Option<String>,
}

impl Run for Login {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let ttl = holds_for(self.ttl.as_deref())?;
        let question = format!("password of {}", shown(&self.name));
        let password = secret::password(self.pass_file.as_deref(), &question)?;
        log_in(cx, &Credentials::Password { user: self.name, password }, ttl)?;
        Ok(Code::Done)
    }
}
