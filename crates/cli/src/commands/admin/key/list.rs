use std::ffi::OsString;

use crate::commands::admin::list_keys;
use crate::commands::list::Arguments;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::Object;

/// List API keys; with a namespace, the keys of that
///
/// Of API keys: id, name, role that holds everywhere or `-`, and when it ends or `-`.
///
/// Without words, and without -p and -n, API keys are listed, and none of the flags below means anything. With project.namespace
/// it is the same as admin list-keys.
#[derive(clap::Args)]
pub struct List {
    /// The namespace, then what its keys start with; with -p or -n only that
    #[arg(value_names = ["PROJECT.NAMESPACE", "PREFIX"], num_args = 0..=2)]
    words: Vec<OsString>,

    #[command(flatten)]
    arguments: Arguments,
}

impl Run for List {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if !self.words.is_empty() || cx.globals.project.is_some() || cx.globals.namespace.is_some() {
            return list_keys::list(cx, &self.words, self.arguments);
        }
        Addressing::Nothing.check(&cx.globals)?;
        if self.arguments != Arguments::default() {
            return Err(Failure::usage(
                "flags of listings mean nothing to API keys; the namespace is missing",
            )
            .hint("write it as project.namespace"));
        }
        list_api_keys(cx)
    }
}

fn list_api_keys(cx: &mut Context) -> Result<Code, Failure> {
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
    if keys.is_empty() {
        output::note("there are no API keys");
    }
    Ok(Code::Done)
}
