use prontodb_core::auth::Role;

use super::explained;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Change what a user may do everywhere
///
/// It holds at once, for their sessions too. What is granted to them stays. The last user who may administer keeps that role
/// (exit code 3).
#[derive(clap::Args)]
pub struct SetRole {
    /// The user
    name: String,

    /// read, write or admin; none takes the role away
    #[arg(value_parser = super::ROLES_AND_NONE, hide_possible_values = true)]
    role: String,
}

impl Run for SetRole {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let role = match self.role.as_str() {
            "none" => None,
            name => Some(name.parse::<Role>()?),
        };
        let store = cx.open_to_write()?;
        explained(cx, store.set_role(&self.name, role))?;
        Ok(Code::Done)
    }
}
