use prontodb_core::Millis;
use prontodb_core::engine::Totals;
use prontodb_core::store::NamespaceInfo;

use super::list::{holds_delimiter, warn_of_unwritable};
use super::{Addressing, Run};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::bounded::Bounds;
use crate::output::json::Object;

/// List all namespaces, as project.namespace
#[derive(clap::Args)]
pub struct Nss {
    #[command(flatten)]
    arguments: Arguments,
}

// No doc comment: clap would take it for what a command is about.
#[derive(clap::Args)]
pub struct Arguments {
    /// Kind, default TTL, keys, bytes, table and last write in front, tabs between
    #[arg(long)]
    long: bool,

    #[command(flatten)]
    bounds: Bounds,
}

impl Run for Nss {
    const ADDRESSING: Addressing = Addressing::Project;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let project = cx.globals.project.clone();
        let delimiter = cx.notation.delimiter;
        list(cx, project.as_deref(), &self.arguments, &|info| info.space.namespace.display(delimiter))
    }
}

/// Lists namespaces under the names that `shown` gives them.
pub fn list(
    cx: &mut Context,
    project: Option<&str>,
    Arguments { long, bounds }: &Arguments,
    shown: &dyn Fn(&NamespaceInfo) -> String,
) -> Result<Code, Failure> {
    let store = cx.open_existing()?;
    let (is_json, long) = (cx.json(), *long);
    let infos = if long || is_json { store.describe_namespaces(project) } else { bare(&store, project) };
    let mut infos: Vec<_> = infos
        .map_err(|error| cx.with_hint(error.into()))?
        .into_iter()
        .map(|info| (shown(&info), info))
        .collect();
    infos.sort_by(|(a, _), (b, _)| a.cmp(b));
    let is_empty = bounds.print(
        &mut cx.out,
        is_json,
        &infos,
        |(name, _)| name,
        |out, (name, info)| match (is_json, long) {
            (true, _) => push_object(out.buffer(), name, info),
            (false, true) => out.line(&columns(name, info)),
            (false, false) => out.line(name),
        },
    )?;
    no_matches(is_empty);
    let delimiter = cx.notation.delimiter;
    let unwritable = infos.iter().filter(|(_, info)| holds_delimiter(&info.space.namespace, delimiter));
    warn_of_unwritable(unwritable.count() as u64, delimiter);
    Ok(Code::Done)
}

/// The namespaces without what they hold and where, which takes no time to find.
fn bare(store: &Session, project: Option<&str>) -> prontodb_core::Result<Vec<NamespaceInfo>> {
    let spaces = store.namespaces(project)?;
    let bare = |space| NamespaceInfo { space, table: String::new(), totals: Totals::default() };
    Ok(spaces.into_iter().map(bare).collect())
}

fn kind(info: &NamespaceInfo) -> &'static str {
    if info.space.cache.is_some() { "ttl" } else { "std" }
}

fn columns(name: &str, info: &NamespaceInfo) -> String {
    let NamespaceInfo { space, table, totals } = info;
    let ttl = space.cache.as_ref().map_or_else(|| "-".to_owned(), |cache| cache.timeout.to_string());
    let last_write = shown_moment(totals.last_write);
    format!("{}\t{ttl}\t{}\t{}\t{}\t{last_write}\t{name}", kind(info), totals.keys, totals.bytes, table)
}

fn push_object(text: &mut Vec<u8>, name: &str, info: &NamespaceInfo) {
    let NamespaceInfo { space, table, totals } = info;
    let mut object = Object::begin(text);
    object
        .text("name", name)
        .text("project", space.namespace.project())
        .text("namespace", space.namespace.namespace())
        .text("kind", kind(info));
    if let Some(cache) = &space.cache {
        object
            .number("timeout_ms", cache.timeout.millis().unsigned_abs())
            .raw("evict_on_read", if cache.evict_on_read { "true" } else { "false" })
            .number_or_null("max_items", cache.max_items)
            .number_or_null("max_bytes", cache.max_bytes)
            .text("policy", cache.policy.name());
    }
    if space.sealing.key().is_some() {
        object.raw("encrypted", "true");
    }
    object
        .number("keys", totals.keys)
        .number("bytes", totals.bytes)
        .text("table", table)
        .moment("last_write", totals.last_write)
        .end();
}

/// Says on stderr that there is nothing to list.
pub fn no_matches(is_empty: bool) {
    if is_empty {
        output::note("nothing matches");
    }
}

/// A moment, or `-` for none.
pub fn shown_moment(moment: Option<Millis>) -> String {
    moment.map_or_else(|| "-".to_owned(), |at| at.to_string())
}
