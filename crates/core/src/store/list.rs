//! Listings that flow: any number of entries in constant memory, and no transaction open while the reader is slow.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::change::{Condition, Writer};
use super::coder::check_length;
use super::{Request, Store};
use crate::address::{Address, CONTEXT_MARK, EntryName, Namespace};
use crate::auth::Action;
use crate::clock::Millis;
use crate::engine::{Fields, Range, Row, Sealing, Space, View};
use crate::error::{Error, ErrorKind, Result};
use crate::glob::Glob;
use crate::metakeys::Selector;
use crate::record::{Coding, Head};

/// A page ends after this many entries,
const PAGE_ENTRIES: usize = 10_000;
/// or after this many bytes of names and values.
const PAGE_BYTES: usize = 1024 * 1024;
/// How many entries one transaction of [`Store::delete_matching`] removes.
const DELETE_ENTRIES: u64 = 10_000;

/// Which entries of a namespace a listing shows. All that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What names start with, `__` and context included.
    pub prefix: String,
    /// Begins behind this name, in the direction of the listing.
    pub after: Option<String>,
    /// From the last name to the first.
    pub reverse: bool,
    /// No more than so many.
    pub limit: Option<u64>,
    /// What the whole name looks like.
    pub glob: Option<Glob>,
    /// The context that names have.
    pub context: Option<String>,
    /// What metakeys have to be.
    pub metakeys: Vec<Selector>,
    /// Shows what has expired and is still on disk, too.
    pub include_expired: bool,
    /// How much of each entry is wanted.
    pub fields: Fields,
}

impl Query {
    /// Says which entries it is about, of an operation that is done once.
    fn describe(&self, request: &mut Request) {
        let Self { prefix, after, reverse, limit, glob, context, metakeys, include_expired, fields: _ } =
            self;
        request.text(prefix).optional(after.as_deref()).flag(*reverse).flag(*include_expired);
        request.number(limit.map_or(-1, |limit| limit.try_into().unwrap_or(i64::MAX)));
        request.optional(glob.as_ref().map(Glob::as_str)).optional(context.as_deref());
        for (name, value) in metakeys.iter().map(Selector::parts) {
            request.text(name).optional(value);
        }
    }
}

/// Takes the entries of a listing.
pub trait Sink {
    /// Takes one entry, while a transaction is open: keep it, and do not wait for anything.
    fn row(&mut self, row: Row<'_>);

    /// A page is complete and no transaction open: pass on what was kept. Breaking ends the listing.
    ///
    /// # Errors
    /// Whatever went wrong; it ends the listing.
    fn page(&mut self) -> Result<ControlFlow<()>>;
}

/// How far a listing has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    shown: u64,
    /// The name to go on behind.
    next: Option<String>,
    /// Nothing follows, or nothing more is wanted.
    pub is_over: bool,
    /// Something in the way had expired, and the cache asks for its removal.
    evicts: bool,
}

impl Progress {
    /// At the beginning of a listing.
    pub fn of(query: &Query) -> Self {
        Self { next: query.after.clone(), ..Self::default() }
    }
}

impl Store {
    /// Shows `sink` the entries of `namespace` that `query` asks for, in the byte order of their names; returns how many.
    ///
    /// Each page is consistent in itself; entries written while the listing runs may or may not be shown.
    ///
    /// # Errors
    /// Those of reading, and those of the sink.
    pub fn list(&self, namespace: &Namespace, query: &Query, sink: &mut dyn Sink) -> Result<u64> {
        self.allow(Action::Read, Some(namespace))?;
        let mut progress = Progress::of(query);
        while !progress.is_over {
            let (before, now) = (progress.clone(), self.now());
            self.read(&mut |view| {
                progress = before.clone();
                self.page(view, namespace, query, now, &mut progress, sink)
            })?;
            progress.is_over |= sink.page()?.is_break();
        }
        self.sweep_after(namespace, &progress);
        Ok(progress.shown)
    }

    /// Shows the same as [`Store::list`] as it is at one moment, whatever is written meanwhile. Until the last page has been
    /// taken the log of the database grows with all that is written, so this is for sinks that are quick.
    ///
    /// # Errors
    /// Those of [`Store::list`].
    pub fn list_at_once(&self, namespace: &Namespace, query: &Query, sink: &mut dyn Sink) -> Result<u64> {
        self.allow(Action::Read, Some(namespace))?;
        let mut progress = Progress::of(query);
        let now = self.now();
        self.read(&mut |view| {
            progress = Progress::of(query);
            while !progress.is_over {
                self.page(view, namespace, query, now, &mut progress, sink)?;
                progress.is_over |= sink.page()?.is_break();
            }
            Ok(())
        })?;
        self.sweep_after(namespace, &progress);
        Ok(progress.shown)
    }

    /// Removes what a listing has met expired, where the cache asks for that.
    fn sweep_after(&self, namespace: &Namespace, progress: &Progress) {
        if progress.evicts {
            // Housekeeping: whoever listed has their answer, even where nothing can be written just now.
            let _ = self.sweep_at_once(namespace);
        }
    }

    /// Refuses to show values of namespaces before the first of them, where one of them has values that cannot be read.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] without the keys, and those of reading.
    pub fn require_values(&self, namespaces: &[Namespace]) -> Result<()> {
        namespaces.iter().try_for_each(|namespace| self.allow(Action::Read, Some(namespace)))?;
        self.read(&mut |view| {
            namespaces.iter().try_for_each(|namespace| {
                let space = view.space(namespace)?.filter(|space| space.sealing != Sealing::Never);
                space.map_or(Ok(()), |space| self.require_values_of(view, &space))
            })
        })
    }

    /// Asks for the keys of a space that has any value.
    pub(super) fn require_values_of(&self, view: &dyn View, space: &Space) -> Result<()> {
        let mut is_empty = true;
        view.scan(space, &Range::default(), &mut |_| {
            is_empty = false;
            ControlFlow::Break(())
        })?;
        if is_empty { Ok(()) } else { self.coder.require_all(view, space) }
    }

    /// Shows the next page of a listing.
    pub(super) fn page(
        &self,
        view: &dyn View,
        namespace: &Namespace,
        query: &Query,
        now: Millis,
        progress: &mut Progress,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let after = progress.next.take();
        progress.is_over = true;
        let Some(space) = view.space(namespace)? else { return Ok(()) };
        if query.wants_values() && matches!(space.sealing, Sealing::Turning(_) | Sealing::Ended) {
            // Values may be under several keys, or none: each is there before the first value is shown.
            self.coder.require_all(view, &space)?;
        }
        let evict_on_read = space.cache.as_ref().is_some_and(|cache| cache.evict_on_read);
        progress.evicts |=
            evict_on_read && !query.include_expired && !view.expired(&space, now, 1)?.is_empty();
        // Nothing expires but in caches, and a look at each entry costs.
        let hides = !query.include_expired && space.cache.is_some();
        let range = Range { after, visible_at: hides.then_some(now), ..query.range() };
        let (mut entries, mut bytes) = (0, 0);
        scan(view, &space, &range, &mut |row| {
            if query.limit == Some(progress.shown) {
                return Ok(ControlFlow::Break(()));
            }
            let mut size = row.value.len();
            if query.matches(&row) {
                size = self.show(view, &space, query.fields, query.trimmed(row), sink)?;
                progress.shown += 1;
            }
            entries += 1;
            bytes += row.name.len() + size;
            if entries < PAGE_ENTRIES && bytes < PAGE_BYTES {
                return Ok(ControlFlow::Continue(()));
            }
            progress.next = Some(row.name.to_owned());
            progress.is_over = query.limit == Some(progress.shown);
            Ok(ControlFlow::Break(()))
        })
    }

    /// Shows `sink` an entry, its value read; says how long that is.
    fn show(
        &self,
        view: &dyn View,
        space: &Space,
        fields: Fields,
        row: Row<'_>,
        sink: &mut dyn Sink,
    ) -> Result<usize> {
        let value = match fields {
            Fields::Values | Fields::All if !row.coding.is_plain() || space.sealing != Sealing::Never => {
                self.coder.value(view, space, row.name, (row.coding, Cow::Borrowed(row.value)))?
            }
            _ => Cow::Borrowed(row.value),
        };
        if let Some(head) = row.head.filter(|_| fields == Fields::All) {
            check_length(space, row.name, &value, head)?;
        }
        if row.coding.is_plain() {
            sink.row(Row { value: &value, ..row });
        } else {
            let head = row.head.cloned().map(Head::of_plain);
            sink.row(Row { value: &value, coding: Coding::PLAIN, head: head.as_ref(), ..row });
        }
        Ok(value.len())
    }

    /// Removes the entries of `namespace` that `query` shows; returns how many there were. Large sets go in several
    /// transactions, so that other writers get their turn.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn delete_matching(&self, namespace: &Namespace, query: &Query) -> Result<u64> {
        self.allow(Action::Write, Some(namespace))?;
        if self.has_op() {
            return self.delete_matching_once(namespace, query);
        }
        let mut removed = 0;
        let mut left = query.limit;
        loop {
            let chunk = left.map_or(DELETE_ENTRIES, |left| left.min(DELETE_ENTRIES));
            let query = Query { limit: Some(chunk), fields: Fields::Names, ..query.clone() };
            let mut names = Names::default();
            let found = self.list(namespace, &query, &mut names)?;
            if found == 0 {
                break;
            }
            let addresses = names.addresses(namespace)?;
            removed += self.write(|writer| delete_chosen(writer, &addresses, &query.metakeys))?;
            left = left.map(|left| left - found);
        }
        Ok(removed)
    }

    /// The same in one transaction, as it has to be under the id of an operation.
    fn delete_matching_once(&self, namespace: &Namespace, query: &Query) -> Result<u64> {
        let describe = |request: &mut Request| {
            query.describe(request.text("del matching").namespace(Action::Write, namespace));
        };
        if let Some(removed) = self.answer_given(&describe)? {
            return Ok(removed);
        }
        let limit = query.limit.unwrap_or(u64::MAX).min(DELETE_ENTRIES + 1);
        let mut names = Names::default();
        let all = Query { limit: Some(limit), fields: Fields::Names, ..query.clone() };
        if self.list(namespace, &all, &mut names)? > DELETE_ENTRIES {
            let what = format!(
                "nothing was removed; there are more than {DELETE_ENTRIES} entries, which is all that goes under one id"
            );
            return Err(Error::new(ErrorKind::Limit, what));
        }
        let addresses = names.addresses(namespace)?;
        self.write_once(&describe, |writer| delete_chosen(writer, &addresses, &query.metakeys))
    }
}

/// Removes entries, as far as their metakeys still are as wanted; returns how many were there.
fn delete_chosen(writer: &mut Writer<'_>, addresses: &[Address], wanted: &[Selector]) -> Result<u64> {
    let mut count = 0;
    for address in addresses {
        if wanted.is_empty() || writer.is_chosen(address, wanted)? {
            count += u64::from(writer.delete(address, &Condition::default())?);
        }
    }
    Ok(count)
}

/// [`View::scan`] for what may fail, which ends the scan.
fn scan(
    view: &dyn View,
    space: &Space,
    range: &Range,
    visit: &mut dyn FnMut(Row<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut seen = Ok(());
    view.scan(space, range, &mut |row| {
        visit(row).unwrap_or_else(|error| {
            seen = Err(error);
            ControlFlow::Break(())
        })
    })?;
    seen
}

impl Query {
    fn range(&self) -> Range {
        let with_metakeys = !self.metakeys.is_empty();
        let fields = match self.fields {
            Fields::Names if with_metakeys => Fields::Heads,
            Fields::Values if with_metakeys => Fields::All,
            fields => fields,
        };
        let (prefix, reverse) = (self.prefix.clone(), self.reverse);
        Range { prefix, after: None, reverse, visible_at: None, with_metakeys, fields }
    }

    /// Whether it shows values.
    pub fn wants_values(&self) -> bool {
        matches!(self.fields, Fields::Values | Fields::All)
    }

    /// Checks what an engine does not.
    fn matches(&self, row: &Row<'_>) -> bool {
        let (name, metakeys) = (row.name, row.head.and_then(|head| head.metakeys.as_ref()));
        let context_fits = self.context.as_deref().is_none_or(|wanted| {
            let context = name.rfind(CONTEXT_MARK).map(|at| &name[at + CONTEXT_MARK.len()..]);
            context == Some(wanted)
        });
        context_fits
            && self.glob.as_ref().is_none_or(|glob| glob.matches(name))
            && self.metakeys.iter().all(|selector| selector.chooses(metakeys))
    }

    /// A row without what was read of it only to choose it.
    fn trimmed<'r>(&self, row: Row<'r>) -> Row<'r> {
        let wants_heads = matches!(self.fields, Fields::Heads | Fields::All);
        Row { head: row.head.filter(|_| wants_heads), ..row }
    }
}

/// Keeps the names of a listing.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn addresses(self, namespace: &Namespace) -> Result<Vec<Address>> {
        let address =
            |name: String| Ok(Address { namespace: namespace.clone(), name: EntryName::parse(&name)? });
        self.0.into_iter().map(address).collect()
    }
}

impl Sink for Names {
    fn row(&mut self, row: Row<'_>) {
        self.0.push(row.name.to_owned());
    }

    fn page(&mut self) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}
