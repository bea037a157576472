use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// List API keys
///
/// Id, name, role that holds everywhere or `-`, and when it ends or `-`.
#[derive(clap::Args)]
pub struct List {}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let keys = cx.open_existing()?.api_keys().map_err(|error| cx.with_hint(error.into()))?;
        let is_json = cx.json();
        cx.out.list(is_json, &keys, |out, key| {
            let role = key.role.map(|role| role.to_string());
            if is_json {
                let mut object = Object::begin(out.buffer());
                object
                    .text("id", &key.id)
                    .text("name", &key.name)
                    .text_or_null("role", role.as_deref())
                    .moment("created", Some(key.created))
                    .moment("expires", key.expires)
                    .end();
                return;
            }
            let expires = key.expires.map_or_else(|| "-".to_owned(), |at| at.to_string());
            out.line(&format!("{}\t{}\t{}\t{expires}", key.id, key.name, role.as_deref().unwrap_or("-")));
        });
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
