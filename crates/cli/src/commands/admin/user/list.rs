use super::{explained, warn_of_known_password};
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// List users
///
/// Each with the role that holds everywhere, or `-`.
#[derive(clap::Args)]
pub struct List {}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let store = cx.open_existing()?;
        let users = explained(cx, store.users())?;
        let is_json = cx.json();
        cx.out.list(is_json, &users, |out, user| {
            let role = user.role.map(|role| role.to_string());
            if is_json {
                let mut object = Object::begin(out.buffer());
                object
                    .text("user", &user.name)
                    .text_or_null("role", role.as_deref())
                    .moment("created", user.created)
                    .end();
            } else {
                out.line(&format!("{}\t{}", user.name, role.as_deref().unwrap_or("-")));
            }
        });
        cx.out.flush()?;
        warn_of_known_password(&store)?;
        Ok(Code::Done)
    }
}
