use prontodb_core::auth::Role;

use crate::commands::auth::{holds_for, show_token};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Make an API key, and print it
///
/// It is printed this once; what is kept does not bring it back. Programs show it in PRONTO_API_KEY, streams as
/// meta:sec:apikey.
#[derive(clap::Args)]
pub struct Create {
    /// A name for it, as users have them; grants are to this name
    name: String,

    /// What it may do everywhere: read, write or admin
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,

    /// How long it holds: seconds, or 90s, 15m, 2h; for ever unless set
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
}

impl Run for Create {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let role = self.role.as_deref().map(str::parse::<Role>).transpose()?;
        let ttl = holds_for(self.ttl.as_deref())?;
        let created = cx.open_to_write()?.create_api_key(&self.name, role, ttl);
        let token = created.map_err(|error| cx.with_hint(error.into()))?;
        show_token(cx, &token, &self.name)?;
        Ok(Code::Done)
    }
}
