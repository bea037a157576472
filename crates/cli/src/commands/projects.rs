use std::collections::BTreeMap;

use prontodb_core::engine::Totals;

use super::nss::{no_matches, shown_moment};
use super::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::bounded::Bounds;
use crate::output::json::Object;

/// List projects
#[derive(clap::Args)]
pub struct Projects {
    /// Namespaces, keys, bytes and last write in front, tabs between
    #[arg(long)]
    long: bool,

    #[command(flatten)]
    bounds: Bounds,
}

/// What a project holds.
#[derive(Default)]
struct Summary {
    namespaces: u64,
    totals: Totals,
}

impl Run for Projects {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let store = cx.open_existing()?;
        let names = store.projects().map_err(|error| cx.with_hint(error.into()))?;
        let mut projects: BTreeMap<_, Summary> =
            names.into_iter().map(|name| (name, Summary::default())).collect();
        if self.long || cx.json() {
            for info in store.describe_namespaces(None).map_err(|error| cx.with_hint(error.into()))? {
                projects.entry(info.space.namespace.project().to_owned()).or_default().add(&info.totals);
            }
        }
        let projects: Vec<_> = projects.into_iter().collect();
        let (is_json, long) = (cx.json(), self.long);
        let is_empty = self.bounds.print(
            &mut cx.out,
            is_json,
            &projects,
            |(name, _)| name,
            |out, (name, summary)| match (is_json, long) {
                (true, _) => push_json(out.buffer(), name, summary),
                (false, true) => out.line(&summary.columns(name)),
                (false, false) => out.line(name),
            },
        )?;
        no_matches(is_empty);
        Ok(Code::Done)
    }
}

impl Summary {
    fn add(&mut self, totals: &Totals) {
        self.namespaces += 1;
        self.totals.keys += totals.keys;
        self.totals.bytes += totals.bytes;
        self.totals.last_write = self.totals.last_write.max(totals.last_write);
    }

    fn columns(&self, name: &str) -> String {
        let Self { namespaces, totals } = self;
        let last_write = shown_moment(totals.last_write);
        format!("{namespaces}\t{}\t{}\t{last_write}\t{name}", totals.keys, totals.bytes)
    }
}

fn push_json(text: &mut Vec<u8>, name: &str, Summary { namespaces, totals }: &Summary) {
    Object::begin(text)
        .text("project", name)
        .number("namespaces", *namespaces)
        .number("keys", totals.keys)
        .number("bytes", totals.bytes)
        .moment("last_write", totals.last_write)
        .end();
}
