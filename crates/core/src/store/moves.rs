//! Namespaces that move to another table while others read and write, and what is left behind of those that have moved or
//! are dropped. All of it goes in steps, and what was interrupted goes on from there
//! (docs/design/0014-tables-and-moves.md).

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Store;
use super::changes::{self, Op};
use super::spaces::{missing, named};
use super::tables::{Table, retire};
use crate::address::Namespace;
use crate::auth::Action;
use crate::engine::{Catalog, Space, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::records::{self, Kept};

/// The most entries that one transaction copies or removes, so that other writers get their turn,
const STEP_ENTRIES: usize = 10_000;
/// and for how long it goes on; to commit takes as long again.
const STEP_TIME: Duration = Duration::from_millis(10);
/// How many go between two looks at the time.
const BATCH: usize = 250;

/// A namespace on its way to another table.
#[derive(Serialize, Deserialize)]
pub(super) struct MoveRecord {
    /// The number of its space.
    pub space: u64,
    /// What the engine calls the table it goes to.
    pub target: String,
    /// The name of the last entry that was copied.
    pub after: String,
}

impl Kept for MoveRecord {
    const CATALOG: Catalog = Catalog::Moves;
}

/// What a leftover says in place of a table when it is the history of a space.
const HISTORY: &str = "history";

/// Entries in a table where their space is no more, or its history.
#[derive(Serialize, Deserialize)]
pub(super) struct LeftoverRecord {
    /// The number of the space.
    pub space: u64,
    /// What the engine calls the table, or [`HISTORY`].
    pub table: String,
    /// Whether large values go with them. Where a space has moved, these are still its own.
    pub owned: bool,
}

impl Kept for LeftoverRecord {
    const CATALOG: Catalog = Catalog::Leftovers;
}

/// How the beginning of a move went.
enum Begun {
    /// Entries that were left behind in the target have to go first.
    Hindered,
    /// It is there already.
    There,
    /// This space is on its way to this table.
    Moving(u64, String),
}

/// How far a transaction has come that does one step of many.
struct Pace {
    start: Instant,
    batches: usize,
}

impl Pace {
    fn new() -> Self {
        Self { start: Instant::now(), batches: 0 }
    }

    /// Counts a batch; says whether there is time for another one.
    fn goes_on(&mut self) -> bool {
        self.batches += 1;
        self.batches * BATCH < STEP_ENTRIES && self.start.elapsed() < STEP_TIME
    }
}

impl Store {
    /// Moves a namespace to another table, while others read and write it; false when it was there already. A move that was
    /// interrupted goes on, or ends where it began when that is what is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is no such namespace or table; [`ErrorKind::Conflict`] when somebody drops it or
    /// moves it elsewhere meanwhile; [`ErrorKind::Denied`]; those of writing.
    pub fn move_namespace(&self, namespace: &Namespace, to: &Table) -> Result<bool> {
        self.allow(Action::Admin, Some(namespace))?;
        loop {
            match self.begin_move(namespace, to)? {
                Begun::Hindered => drop(self.sweep_leftovers()?),
                Begun::There => {
                    self.sweep_leftovers()?;
                    return Ok(false);
                }
                Begun::Moving(space, target) => {
                    while !self.step_of_move(namespace, space, &target, to)? {}
                    self.sweep_leftovers()?;
                    return Ok(true);
                }
            }
        }
    }

    fn begin_move(&self, namespace: &Namespace, to: &Table) -> Result<Begun> {
        let mut begun = Begun::Hindered;
        self.transact(&mut |txn| {
            let space = txn.space(namespace)?.ok_or_else(|| missing(namespace))?;
            let target = self.location(txn, &space, to)?;
            begun = match records::find::<MoveRecord, _>(txn, &key(space.id))? {
                Some(moving) if moving.target == target && txn.is_moving(&space, &target)? => {
                    Begun::Moving(space.id, target)
                }
                Some(moving) => {
                    self.undo_move(txn, &space, &moving)?;
                    // What was copied goes first, where it would be in the way.
                    if moving.target == target { Begun::Hindered } else { self.set_out(txn, &space, target)? }
                }
                None => self.set_out(txn, &space, target)?,
            };
            Ok(())
        })?;
        Ok(begun)
    }

    /// Begins a move of a space that is not on its way anywhere.
    fn set_out(&self, txn: &mut dyn Txn, space: &Space, target: String) -> Result<Begun> {
        if space.table == target {
            return Ok(Begun::There);
        }
        if records::find::<LeftoverRecord, _>(txn, &left_key(space.id, &target))?.is_some() {
            return Ok(Begun::Hindered);
        }
        txn.begin_move(space, &target)?;
        let record = MoveRecord { space: space.id, target: target.clone(), after: String::new() };
        records::keep(txn, &key(space.id), &record)?;
        Ok(Begun::Moving(space.id, target))
    }

    /// Copies some entries; with the last of them the space lies in its new table. Says whether that is so.
    fn step_of_move(&self, namespace: &Namespace, id: u64, target: &str, to: &Table) -> Result<bool> {
        let mut is_done = false;
        self.transact(&mut |txn| {
            let space = txn.space(namespace)?.filter(|space| space.id == id);
            let space = space.ok_or_else(|| hindered(namespace, "was dropped"))?;
            let moving = records::find::<MoveRecord, _>(txn, &key(id))?;
            // Somebody who moves it there, too, may have made the last step.
            is_done = moving.is_none() && space.table == target;
            if is_done {
                return Ok(());
            }
            let moving = moving.filter(|moving| moving.target == target);
            let mut moving = moving.ok_or_else(|| hindered(namespace, "was moved elsewhere"))?;
            if !txn.is_moving(&space, target)? {
                return Err(hindered(namespace, "came under a later version of this program"));
            }
            let mut pace = Pace::new();
            loop {
                match txn.copy_batch(&space, target, &moving.after, BATCH)? {
                    Some(last) => moving.after = last,
                    None => {
                        is_done = true;
                        self.arrive(txn, &space, target)?;
                        return self.note_done_by_others(
                            txn,
                            "move namespace",
                            &format!("{} to {to}", named(namespace)),
                        );
                    }
                }
                if !pace.goes_on() {
                    return records::keep(txn, &key(id), &moving);
                }
            }
        })?;
        Ok(is_done)
    }

    /// Ends a move: what was the target is where the space lies.
    fn arrive(&self, txn: &mut dyn Txn, space: &Space, target: &str) -> Result<()> {
        txn.end_move(space, target)?;
        txn.remove_record(Catalog::Moves, &key(space.id))?;
        txn.set_table(space, target)?;
        leave(txn, LeftoverRecord { space: space.id, table: space.table.clone(), owned: false })
    }

    /// Ends a move where it began.
    pub(super) fn undo_move(&self, txn: &mut dyn Txn, space: &Space, moving: &MoveRecord) -> Result<()> {
        txn.end_move(space, &moving.target)?;
        txn.remove_record(Catalog::Moves, &key(space.id))?;
        leave(txn, LeftoverRecord { space: space.id, table: moving.target.clone(), owned: false })
    }

    /// Makes that there is no such space. Nothing of it can be found from then on, and what it held is left behind.
    pub(super) fn take_away(&self, txn: &mut dyn Txn, space: &Space) -> Result<()> {
        txn.version()?;
        if let Some(moving) = records::find::<MoveRecord, _>(txn, &key(space.id))? {
            self.undo_move(txn, space, &moving)?;
        }
        super::coder::forget_keys(txn, space)?;
        let writer = self.writer.as_deref();
        changes::note(txn, (&space.namespace, None), Op::Dropped, self.now(), writer)?;
        if space.history.is_some() {
            super::history::forget_age(txn, space)?;
            leave_history(txn, space)?;
        }
        txn.drop_space(space)?;
        leave(txn, LeftoverRecord { space: space.id, table: space.table.clone(), owned: true })
    }

    /// Removes what was left behind anywhere, in steps; says how many entries that were. Nobody sees them, so it is all the
    /// same who does it, and when.
    pub(super) fn sweep_leftovers(&self) -> Result<u64> {
        let mut removed = 0;
        if !self.has_leftovers()? {
            return Ok(0);
        }
        loop {
            let (mut swept, mut is_over) = (0, false);
            self.transact(&mut |txn| {
                (swept, is_over) = step_of_sweep(txn)?;
                Ok(())
            })?;
            removed += swept;
            if is_over {
                return Ok(removed);
            }
        }
    }

    fn has_leftovers(&self) -> Result<bool> {
        let mut has_some = false;
        self.engine.read(&mut |view| {
            has_some = !view.records(Catalog::Leftovers, "", 1)?.is_empty();
            Ok(())
        })?;
        Ok(has_some)
    }
}

/// What the engine calls the table that a space is on its way to.
pub(super) fn target_of<V: View + ?Sized>(view: &V, space: &Space) -> Result<Option<String>> {
    Ok(records::find::<MoveRecord, _>(view, &key(space.id))?.map(|moving| moving.target))
}

/// Removes some of what was left behind; says how many entries that were, and whether nothing is left at all.
fn step_of_sweep(txn: &mut dyn Txn) -> Result<(u64, bool)> {
    let Some((key, record)) = txn.records(Catalog::Leftovers, "", 1)?.pop() else { return Ok((0, true)) };
    let left: LeftoverRecord = records::read(&record)?;
    let (mut removed, mut pace) = (0, Pace::new());
    let is_history = left.table == HISTORY;
    loop {
        let swept = match is_history {
            true => txn.sweep_past(left.space, BATCH)?,
            false => txn.sweep(left.space, &left.table, left.owned, BATCH)?,
        };
        // Versions are no entries.
        removed += if is_history { 0 } else { swept as u64 };
        if swept == 0 {
            txn.remove_record(Catalog::Leftovers, &key)?;
            if !is_history {
                retire(txn, &left.table)?;
            }
            return Ok((removed, false));
        }
        if !pace.goes_on() {
            return Ok((removed, false));
        }
    }
}

/// Notes that the history of a space is to be removed.
pub(super) fn leave_history(txn: &mut dyn Txn, space: &Space) -> Result<()> {
    leave(txn, LeftoverRecord { space: space.id, table: HISTORY.to_owned(), owned: true })
}

/// Whether the history of a space is still to be removed.
pub(super) fn has_left_history<V: View + ?Sized>(view: &V, space: &Space) -> Result<bool> {
    Ok(records::find::<LeftoverRecord, _>(view, &left_key(space.id, HISTORY))?.is_some())
}

/// Notes entries that are to be removed.
fn leave(txn: &mut dyn Txn, left: LeftoverRecord) -> Result<()> {
    records::keep(txn, &left_key(left.space, &left.table), &left)
}

fn key(space: u64) -> String {
    format!("{space:020}")
}

fn left_key(space: u64, table: &str) -> String {
    format!("{space:020} {table}")
}

fn hindered(namespace: &Namespace, what: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} {what} meanwhile", named(namespace)))
}
