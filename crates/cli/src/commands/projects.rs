use std::collections::BTreeMap;

use prontodb_core::engine::Totals;

use super::nss::{no_matches, shown_moment};
use super::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

/// List projects
#[derive(clap::Args)]
pub struct Projects {
    /// Namespaces, keys, bytes and last write in front, tabs between
    #[arg(long)]
    long: bool,
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
        if !self.long && !cx.json() {
            let projects = store.projects().map_err(|error| cx.with_hint(error.into()))?;
            projects.iter().for_each(|project| cx.out.line(project));
            no_matches(projects.is_empty());
        } else {
            let names = store.projects().map_err(|error| cx.with_hint(error.into()))?;
            let mut projects: BTreeMap<_, Summary> =
                names.into_iter().map(|name| (name, Summary::default())).collect();
            for info in store.describe_namespaces(None).map_err(|error| cx.with_hint(error.into()))? {
                projects.entry(info.space.namespace.project().to_owned()).or_default().add(&info.totals);
            }
            print(cx, &projects);
            no_matches(projects.is_empty());
        }
        cx.out.flush()?;
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
}

fn print(cx: &mut Context, projects: &BTreeMap<String, Summary>) {
    let json = cx.json();
    if json {
        cx.out.push(b"[");
    }
    for (place, (name, Summary { namespaces, totals })) in projects.iter().enumerate() {
        if !json {
            let last_write = shown_moment(totals.last_write);
            cx.out.line(&format!("{namespaces}\t{}\t{}\t{last_write}\t{name}", totals.keys, totals.bytes));
            continue;
        }
        if place > 0 {
            cx.out.push(b",");
        }
        Object::begin(cx.out.buffer())
            .text("project", name)
            .number("namespaces", *namespaces)
            .number("keys", totals.keys)
            .number("bytes", totals.bytes)
            .moment("last_write", totals.last_write)
            .end();
    }
    if json {
        cx.out.push(b"]\n");
    }
}
