use prontodb_core::auth::{Pattern, Role};

use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Give a user or an API key a role in some namespaces
///
/// Roles are read, write and admin; each may do what the one before it may. Namespaces are a pattern of project and
/// namespace, such as 'tasks.*', or '*' for all. The same pattern again replaces the role.
#[derive(clap::Args)]
pub struct Grant {
    /// The user, or the name of the API key
    who: String,

    /// The role
    #[arg(value_parser = super::user::ROLES, hide_possible_values = true)]
    role: String,

    /// Where: PROJECT.NAMESPACE, each with `*` and `?` as in --glob
    pattern: String,
}

impl Run for Grant {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let role: Role = self.role.parse()?;
        let pattern = Pattern::parse(&self.pattern, cx.notation.delimiter)?;
        let granted = cx.open_to_write()?.grant(&self.who, role, &pattern);
        granted.map_err(|error| cx.with_hint(error.into()))?;
        Ok(Code::Done)
    }
}
