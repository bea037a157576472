//! Runs: changes in the order of their names, in memory or in a file, and many of them read as one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::mem;

use super::packed::{self, Packed};
use super::spill::{RunInFile, Spill};
use crate::error::Result;

/// Changes in memory, in the order in which they came.
#[derive(Default)]
pub(super) struct Heap {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where a change begins, with what decides about its place for most pairs: sorting seldom has to look at the bytes.
#[derive(Clone, Copy)]
struct Entry {
    part: u32,
    start: u32,
    /// The first bytes of the name, as a number that orders like them.
    front: u64,
}

impl Heap {
    /// Adds a change to the namespace `part`.
    pub fn push(&mut self, part: u32, packed: &Packed<'_>) {
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { part, start, front: front(packed.name.as_bytes()) });
        packed::append(&mut self.bytes, packed);
    }

    /// The number that the next change has.
    pub fn next_order(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len() + size_of_val(self.entries.as_slice())
    }

    /// Puts changes in the order of namespaces and names; those of one name stay in theirs.
    pub fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |entry: &Entry| packed::name(&bytes[entry.start as usize..]);
        self.entries.sort_unstable_by(|a, b| {
            let fronts = (a.part, a.front).cmp(&(b.part, b.front));
            fronts.then_with(|| name(a).cmp(name(b))).then(a.start.cmp(&b.start))
        });
    }

    /// The changes of one namespace, when it has been sorted.
    fn of(&self, part: u32) -> &[Entry] {
        let start = self.entries.partition_point(|entry| entry.part < part);
        let length = self.entries[start..].partition_point(|entry| entry.part == part);
        &self.entries[start..start + length]
    }

    fn record(&self, entry: Entry) -> &[u8] {
        &self.bytes[entry.start as usize..]
    }

    /// All changes, each with its namespace, when it has been sorted. Behind a change follow others' bytes.
    pub fn records(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.entries.iter().map(|entry| (entry.part, self.record(*entry)))
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

/// The first eight bytes of a name as a number that orders like them.
fn front(name: &[u8]) -> u64 {
    let mut front = [0; 8];
    let length = name.len().min(8);
    front[..length].copy_from_slice(&name[..length]);
    u64::from_be_bytes(front)
}

/// The changes of one namespace, one at a time, in the order of their names; those of one name in the order they came in.
pub(super) struct Merge<'h> {
    /// The source of the present change.
    first: Option<Source<'h>>,
    others: BinaryHeap<Source<'h>>,
}

impl<'h> Merge<'h> {
    /// Reads what `spill` and `heap` hold of `part`; the heap has been sorted, and is younger than what was spilled.
    pub fn of(part: u32, spill: Option<&Spill>, heap: &'h Heap) -> Result<Self> {
        let files = spill.into_iter().flat_map(|spill| spill.of(part)).map(Run::Spilled);
        let mut others = BinaryHeap::new();
        for (age, run) in files.chain([Run::of_heap(part, heap)]).enumerate() {
            if let Some(source) = Source::begin(age, run)? {
                others.push(source);
            }
        }
        Ok(Self { first: others.pop(), others })
    }

    /// The present change; none behind the last.
    pub fn present(&mut self) -> Result<Option<Packed<'_>>> {
        let Some(first) = &mut self.first else { return Ok(None) };
        packed::read(first.run.record()?).map(Some)
    }

    /// Goes to the next change.
    pub fn advance(&mut self) -> Result<()> {
        let Some(first) = &mut self.first else { return Ok(()) };
        if !first.advance()? {
            self.first = self.others.pop();
        } else if let Some(mut other) = self.others.peek_mut()
            && *other > *first
        {
            mem::swap(&mut *other, first);
        }
        Ok(())
    }

    /// Shows `visit` every change.
    pub fn for_each(mut self, mut visit: impl FnMut(&Packed<'_>) -> Result<()>) -> Result<()> {
        while let Some(packed) = self.present()? {
            visit(&packed)?;
            self.advance()?;
        }
        Ok(())
    }
}

/// Shows `visit` the changes of one namespace in the order in which they came.
pub(super) fn as_they_came(
    part: u32,
    spill: Option<&Spill>,
    heap: &Heap,
    mut visit: impl FnMut(&Packed<'_>) -> Result<()>,
) -> Result<()> {
    for file in spill.into_iter().flat_map(|spill| spill.of(part)) {
        let bytes = file.read_all()?;
        let mut rest = bytes.as_slice();
        let mut records = Vec::new();
        while !rest.is_empty() {
            records.push(packed::read(rest)?);
            rest = packed::length(rest)
                .and_then(|length| rest.get(length.whole..))
                .ok_or_else(packed::damaged)?;
        }
        records.sort_unstable_by_key(|record| record.order);
        records.iter().try_for_each(&mut visit)?;
    }
    let mut entries = heap.of(part).to_vec();
    entries.sort_unstable_by_key(|entry| entry.start);
    entries.iter().try_for_each(|entry| visit(&packed::read(heap.record(*entry))?))
}

/// One of the runs that are merged; greater is what comes first, as the heap wants it.
struct Source<'h> {
    age: usize,
    run: Run<'h>,
    /// Of the present change; decides most comparisons.
    front: u64,
}

impl<'h> Source<'h> {
    /// A source at the first change of a run; `None` when there is none.
    fn begin(age: usize, mut run: Run<'h>) -> Result<Option<Self>> {
        let has_change = run.begin()?;
        Ok(has_change.then(|| Self { age, front: front(run.name()), run }))
    }

    /// Goes to the next change; says whether there is one.
    fn advance(&mut self) -> Result<bool> {
        let has_change = self.run.advance()?;
        self.front = if has_change { front(self.run.name()) } else { 0 };
        Ok(has_change)
    }
}

impl Ord for Source<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.front.cmp(&other.front).then_with(|| self.run.name().cmp(other.run.name()));
        order.then(self.age.cmp(&other.age)).reverse()
    }
}

impl PartialOrd for Source<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Source<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Source<'_> {}

/// The changes of a run that are still to be read, the present one at the front.
enum Run<'h> {
    Memory { heap: &'h Heap, entries: &'h [Entry] },
    Spilled(RunInFile),
}

impl<'h> Run<'h> {
    fn of_heap(part: u32, heap: &'h Heap) -> Self {
        Self::Memory { heap, entries: heap.of(part) }
    }

    /// Goes to the first change; says whether there is one.
    fn begin(&mut self) -> Result<bool> {
        match self {
            Self::Memory { entries, .. } => Ok(!entries.is_empty()),
            Self::Spilled(file) => file.advance(),
        }
    }

    /// Goes to the next change; says whether there is one.
    fn advance(&mut self) -> Result<bool> {
        match self {
            Self::Memory { entries, .. } => {
                *entries = entries.get(1..).unwrap_or_default();
                Ok(!entries.is_empty())
            }
            Self::Spilled(file) => file.advance(),
        }
    }

    fn name(&self) -> &[u8] {
        packed::name(match self {
            Self::Memory { heap, entries } => first_of(heap, entries),
            Self::Spilled(file) => file.front(),
        })
    }

    fn record(&mut self) -> Result<&[u8]> {
        match self {
            Self::Memory { heap, entries } => Ok(first_of(heap, entries)),
            Self::Spilled(file) => file.record(),
        }
    }
}

fn first_of<'h>(heap: &'h Heap, entries: &[Entry]) -> &'h [u8] {
    entries.first().map_or(&[], |entry| heap.record(*entry))
}
