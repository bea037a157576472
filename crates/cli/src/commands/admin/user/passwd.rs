use std::path::PathBuf;

use prontodb_core::auth::shown;

use super::{explained, warn_of_known_password};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::secret;

/// Change a user's password
///
/// Their sessions end with it. The password comes from --pass-file, from PRONTO_PASS, or is asked for, twice.
#[derive(clap::Args)]
pub struct Passwd {
    /// The user
    name: String,

    /// A file that holds the new password; - is standard input
    #[arg(long, value_name = "FILE")]
    pass_file: Option<PathBuf>,
}

impl Run for Passwd {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let question = format!("new password of {}", shown(&self.name));
        let password = secret::new_password(self.pass_file.as_deref(), &question)?;
        let store = cx.open_to_write()?;
        explained(cx, store.set_password(&self.name, &password))?;
        warn_of_known_password(&store)?;
        Ok(Code::Done)
    }
}
