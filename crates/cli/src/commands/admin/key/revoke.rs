use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// End an API key, and its grants
#[derive(clap::Args)]
pub struct Revoke {
    /// Its id or name
    #[arg(value_name = "KEY")]
    id_or_name: String,
}

impl Run for Revoke {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let revoked = cx.open_to_write()?.revoke_api_key(&self.id_or_name);
        revoked.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
