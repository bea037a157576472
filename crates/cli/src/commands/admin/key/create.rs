use std::ffi::OsString;

use prontodb_core::auth::Role;
use prontodb_core::{Error, ErrorKind};

use crate::commands::auth::{holds_for, show_token};
use crate::commands::set::Set;
use crate::commands::{Addressing, Run};
use crate::context::{Context, text};
use crate::exit::{Code, Failure};

/// Make an API key, and print it; with an address and a value, make an entry
///
/// The key is printed this once; what is kept does not bring it back. Programs show it in PRONTO_API_KEY, streams as
/// meta:sec:apikey.
///
/// One word, and --role and --ttl, are about API keys. Two words are the address and the value of an entry that must not be
/// there yet; admin create-key does the same, and takes the value in other ways, too.
#[derive(clap::Args)]
pub struct Create {
    /// A name for the API key, as users have them; grants are to this name. Or the address of an entry
    #[arg(value_name = "NAME|ADDRESS")]
    name: OsString,

    /// The value of the entry
    value: Option<OsString>,

    /// What the API key may do everywhere: read, write or admin
    #[arg(long, value_name = "ROLE", value_parser = super::super::user::ROLES, hide_possible_values = true)]
    role: Option<String>,

    /// How long the API key holds: seconds, or 90s, 15m, 2h; for ever unless set
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: Option<String>,
}

impl Run for Create {
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.value.is_some() && (self.role.is_some() || self.ttl.is_some()) {
            return Err(Failure::usage("--role and --ttl are for API keys, which take one word"));
        }
        if self.value.is_some() {
            return Set::of_new(Some(self.name), self.value, None, None).run(cx);
        }
        Addressing::Nothing.check(&cx.globals)?;
        let name = text(&self.name)?;
        let role = self.role.as_deref().map(str::parse::<Role>).transpose()?;
        let ttl = holds_for(self.ttl.as_deref())?;
        let created = cx.open_to_write()?.create_api_key(name, role, ttl);
        let token = created.map_err(|error| explain(cx, error))?;
        show_token(cx, &token, name)?;
        Ok(Code::Done)
    }
}

/// Whoever meant an entry has left out its value.
fn explain(cx: &Context, error: Error) -> Failure {
    let is_no_name = error.kind() == ErrorKind::Invalid;
    let failure = cx.with_hint(error.into());
    if is_no_name { failure.hint("an entry takes a value behind its address") } else { failure }
}
