//! `list`: what there is, a page at a time.

use serde::Deserialize;

use super::{Answer, Call, page};
use crate::commands::list::Arguments;
use crate::exit::Failure;
use crate::mcp::desk::{Desk, Open};
use crate::output::json::Object;

/// Lists keys, values or namespaces.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    prefix: Option<String>,
    #[serde(default)]
    show: Show,
    limit: Option<u64>,
    after: Option<String>,
    glob: Option<String>,
}

/// What is shown.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Show {
    #[default]
    Keys,
    Values,
    Meta,
    Namespaces,
}

impl Call for List {
    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        let open = desk.reading()?;
        if self.show == Show::Namespaces {
            return self.namespaces(open);
        }
        let Open { cx, scope, store, max_bytes } = open;
        let listing = scope.listing(self.prefix.as_deref())?;
        if let (Some(after), true) = (&self.after, scope.known_parts() < 2) {
            scope.address(after)?;
        }
        let mut arguments = Arguments::page(max_bytes, scope.known_parts());
        arguments.limit = self.limit;
        arguments.after.clone_from(&self.after);
        arguments.glob.clone_from(&self.glob);
        arguments.long = self.show == Show::Meta;
        let filled = arguments.fill(cx, store, &listing, self.show == Show::Values);
        let text = std::mem::take(cx.out.buffer());
        match filled {
            Ok(_) => Ok(Answer::Done(text)),
            Err(failure) if failure.kind == "limit" && self.show == Show::Values => Err(Failure::new(
                failure.code,
                "limit",
                "the first value is too long; list keys, and get it in parts",
            )),
            Err(failure) => Err(failure),
        }
    }
}

impl List {
    fn namespaces(&self, Open { scope, store, max_bytes, .. }: Open<'_>) -> Result<Answer, Failure> {
        if self.prefix.is_some() || self.glob.is_some() {
            return Err(Failure::invalid("prefix and glob are for keys, not for namespaces"));
        }
        let spaces = store.namespaces(scope.only_project())?;
        let spaces = spaces.into_iter().filter(|space| scope.covers(&space.namespace));
        let mut named: Vec<_> = spaces.map(|space| (scope.show_namespace(&space.namespace), space)).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        let named =
            named.into_iter().filter(|(name, _)| self.after.as_ref().is_none_or(|after| name > after));
        page(
            max_bytes,
            self.limit,
            named,
            |(name, _)| name,
            |text, (name, space)| {
                let mut object = Object::begin(text);
                object.text("namespace", name);
                if let Some(cache) = &space.cache {
                    object.text("ttl", &cache.timeout.to_string());
                }
                object.end();
            },
        )
    }
}
