use prontodb_core::auth::Credentials;

use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::secret;

/// End the session of PRONTO_SESSION
#[derive(clap::Args)]
pub struct Logout {}

impl Run for Logout {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let Some(Credentials::Session(token)) = secret::from_environment()? else {
            return Err(Failure::usage("there is no session to end; PRONTO_SESSION is not set"));
        };
        let ended = cx.open_for_login()?.end_session(&token);
        ended.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
