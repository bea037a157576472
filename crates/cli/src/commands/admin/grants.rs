use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::Object;

/// List what has been granted: who, role, namespaces
#[derive(clap::Args)]
pub struct Grants {}

impl Run for Grants {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let grants = cx.open_existing()?.grants().map_err(|error| cx.with_hint(error.into()))?;
        let (is_json, delimiter) = (cx.json(), cx.notation.delimiter);
        cx.out.list(is_json, &grants, |out, grant| {
            let (role, pattern) = (grant.role.to_string(), grant.pattern.display(delimiter));
            if is_json {
                let mut object = Object::begin(out.buffer());
                object.text("who", &grant.who).text("role", &role).text("pattern", &pattern).end();
            } else {
                out.line(&format!("{}\t{role}\t{pattern}", grant.who));
            }
        });
        cx.out.flush()?;
        if grants.is_empty() {
            output::note("nothing is granted");
        }
        Ok(Code::Done)
    }
}
