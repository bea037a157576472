use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::secret;

/// Print who PRONTO_SESSION or PRONTO_API_KEY proves you to be, and the role that holds everywhere
///
/// Without either it is the owner of the file, who may do everything.
#[derive(clap::Args)]
pub struct Whoami {}

impl Run for Whoami {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let (name, role) = match secret::from_environment() {
            Some(credentials) => {
                let known = cx.open_for_login()?.authenticate(&credentials);
                let identity = known.map_err(|error| cx.with_hint(error.into()))?;
                (identity.name, identity.role.map(|role| role.to_string()))
            }
            None => ("owner".to_owned(), Some("admin".to_owned())),
        };
        if cx.json() {
            let mut object = Object::begin(cx.out.buffer());
            object.text("name", &name).text_or_null("role", role.as_deref()).end();
            cx.out.push(b"\n");
        } else {
            cx.out.line(&format!("{name}\t{}", role.as_deref().unwrap_or("-")));
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
