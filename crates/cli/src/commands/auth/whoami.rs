use prontodb_core::auth::Role;

use super::show_who;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;

/// Print who PRONTO_SESSION or PRONTO_API_KEY proves you to be, and the role that holds everywhere
///
/// PRONTO_SESSION goes before PRONTO_API_KEY. Without either it is the owner of the file, who may do everything, unless
/// security.local asks for proof (exit code 5). Where it does not, streams alone act for whom the two prove.
#[derive(clap::Args)]
pub struct Whoami {}

impl Run for Whoami {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let Some(credentials) = cx.credentials()? else {
            show_who(cx, "owner", Some(Role::Admin))?;
            return Ok(Code::Done);
        };
        let identity = cx.identify(&cx.open_for_login()?, &credentials)?;
        if !cx.settings.security_local.value {
            output::note(&format!(
                "streams act for {}; other commands act for the owner of the file, as security.local is false",
                identity.name
            ));
        }
        show_who(cx, &identity.name, identity.role)?;
        Ok(Code::Done)
    }
}
