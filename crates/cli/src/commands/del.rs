use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use prontodb_core::address::Short;
use prontodb_core::engine::Row;
use prontodb_core::store::{Condition, Query, Sink};
use prontodb_core::{Address, EntryName, Error, Listing, Namespace, Result as CoreResult};

use super::Run;
use super::get::missing;
use super::set::{self, Conditions};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::push_string;

/// Remove entries
///
/// Exits with 0 also when nothing was there; with --strict an entry that is missing exits with 2, and nothing is removed.
#[derive(clap::Args)]
pub struct Del {
    /// What to remove
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<OsString>,

    /// Exit with 2 when an entry is missing
    #[arg(long)]
    strict: bool,

    /// Remove every entry of the namespace whose key starts with what is given, as in project.namespace.prefix
    #[arg(long, conflicts_with = "strict")]
    prefix: bool,

    /// Only those with this metakey, and with this value where one is given; may be repeated, and all must hold
    #[arg(long = "where", value_name = "NAME[=VALUE]", requires = "prefix", allow_hyphen_values = true)]
    metakeys: Vec<String>,

    /// Do not ask before --prefix removes anything
    #[arg(long, requires = "prefix")]
    yes: bool,

    /// Print the addresses of what would go, and remove nothing
    #[arg(long, conflicts_with_all = ["if_absent", "if_present", "if_version", "if_value"])]
    dry_run: bool,

    #[command(flatten)]
    conditions: Conditions,
}

impl Run for Del {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        cx.refuse_op_of_dry_run(self.dry_run)?;
        if self.prefix {
            return self.remove_prefix(cx);
        }
        let addresses = cx.take_addresses(&self.addresses)?;
        let condition = self.conditions.into_condition();
        if condition != Condition::default() && addresses.len() > 1 {
            return Err(Failure::usage("conditions take one address"));
        }
        match self.dry_run {
            true => tell_present(cx, &addresses, self.strict)?,
            false => remove(cx, &addresses, &condition, self.strict)?,
        }
        Ok(Code::Done)
    }
}

impl Del {
    fn remove_prefix(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.addresses.len() > 1 || self.conditions.into_condition() != Condition::default() {
            return Err(Failure::usage("--prefix takes one address and no condition"));
        }
        if self.addresses.is_empty() && cx.globals.key.is_none() && cx.notation.short != Short::Keys {
            return Err(Failure::usage("--prefix needs an address"));
        }
        let Listing::Within { namespace, prefix } =
            cx.listing(self.addresses.first().map(OsString::as_os_str))?
        else {
            return Err(Failure::usage(
                "--prefix needs a namespace: project.namespace, or project.namespace.prefix",
            ));
        };
        let metakeys = self.metakeys.iter().map(|text| text.parse()).collect::<Result<_, Error>>()?;
        let query = Query { prefix, context: cx.listed_context()?, metakeys, ..Query::default() };
        if self.dry_run {
            let mut doomed = Doomed { namespace: &namespace, addresses: Vec::new() };
            let listed = cx.open_existing()?.list(&namespace, &query, &mut doomed);
            listed.map_err(|error| cx.with_hint(error.into()))?;
            let Doomed { addresses, .. } = doomed;
            return tell(cx, &addresses).map(|()| Code::Done);
        }
        let place = namespace.display(cx.notation.delimiter);
        let mut what = format!("every entry of {place} whose key starts with `{}`", query.prefix);
        if !self.metakeys.is_empty() {
            what.push_str(&format!(" and that has `{}`", self.metakeys.join("` and `")));
        }
        if !self.yes && !confirmed(&what)? {
            return Err(Failure::new(Code::Error, "refused", "nothing was removed; the answer was not yes"));
        }
        let store = cx.open_to_change()?;
        let removed =
            store.delete_matching(&namespace, &query).map_err(|error| cx.with_hint(error.into()))?;
        output::note(&format!("removed {} of {place}", output::counted(removed, "entry", "entries")));
        Ok(Code::Done)
    }
}

/// Notes what a listing shows.
struct Doomed<'a> {
    namespace: &'a Namespace,
    addresses: Vec<Address>,
}

impl Sink for Doomed<'_> {
    fn row(&mut self, row: Row<'_>) {
        if let Ok(name) = EntryName::parse(row.name) {
            self.addresses.push(Address { namespace: self.namespace.clone(), name });
        }
    }

    fn page(&mut self) -> CoreResult<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Prints which of the entries are there; with `strict`, all have to be.
pub fn tell_present(cx: &mut Context, addresses: &[Address], strict: bool) -> Result<(), Failure> {
    let store = cx.open_existing()?;
    let mut present = Vec::new();
    for address in addresses {
        match store.head(address).map_err(|error| cx.with_hint(error.into()))? {
            Some(_) => present.push(address.clone()),
            None if strict => return Err(missing(cx, std::slice::from_ref(address))),
            None => {}
        }
    }
    tell(cx, &present)
}

/// Prints what would go.
fn tell(cx: &mut Context, addresses: &[Address]) -> Result<(), Failure> {
    let (is_json, delimiter) = (cx.json(), cx.notation.delimiter);
    cx.out.list(is_json, addresses, |out, address| {
        let shown = address.display(delimiter);
        match is_json {
            true => push_string(out.buffer(), &shown),
            false => out.line(&shown),
        }
    });
    cx.out.flush()?;
    let entries = output::counted(addresses.len() as u64, "entry", "entries");
    output::note(&format!("nothing was removed; {entries} would go"));
    Ok(())
}

/// Removes all of the entries at once; with `strict`, all or none.
fn remove(cx: &Context, addresses: &[Address], condition: &Condition, strict: bool) -> Result<(), Failure> {
    let deleted = cx.open_to_change()?.delete(addresses, condition, strict);
    let deleted = deleted.map_err(|error| match addresses {
        [address] => set::explain(cx, address, error),
        _ => cx.with_hint(error.into()),
    })?;
    match deleted.absent.and_then(|place| addresses.get(place)) {
        Some(address) => Err(missing(cx, std::slice::from_ref(address))),
        None => Ok(()),
    }
}

/// Asks on the terminal; without one, that is an error.
fn confirmed(what: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("this would remove {what}")).hint("--yes says that it is meant"));
    }
    let _ = write!(io::stderr(), "Remove {what}? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Failure::io("cannot read the answer", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
