//! Changes as bytes, one behind the other: in memory, and in the file they are spilled to.
//!
//! ```text
//! kind u8 · order u32 · line u64 · name length u16 · value length u32 · fate · name · value
//! fate: nothing, or the TTL as u64, or created i64 · updated i64 · expires i64 · writer length u16 · metakeys length u16 ·
//!       writer · metakeys as JSON
//! ```
//! Numbers are little-endian. Nothing of this outlives the process, so it has no version.

use super::{Change, Life};
use crate::clock::{Millis, Ttl};
use crate::error::{Error, ErrorKind, Result};
use crate::metakeys::Metakeys;

/// Bytes of a record in front of its fate.
const HEADER: usize = 19;
/// What stands for an entry that never expires; no entry that expires does so then.
const NEVER: i64 = i64::MAX;
/// What stands for no writer, and for no metakeys; names of writers are far shorter, and metakeys shorter, too.
const NOTHING: u16 = u16::MAX;

const REMOVAL: u8 = 0;
const SET: u8 = 1;
const SET_WITH_TTL: u8 = 2;
const SET_AS_KEPT: u8 = 3;

/// A change as it is packed.
pub(super) struct Packed<'a> {
    /// The place among the changes of its run.
    pub order: u32,
    /// The line it was read from.
    pub line: u64,
    /// The entry's name.
    pub name: &'a str,
    /// What is done to the entry.
    pub change: Change<'a>,
}

/// Adds a change to the end of `out`.
pub(super) fn append(out: &mut Vec<u8>, packed: &Packed<'_>) {
    let (kind, value): (u8, &[u8]) = match &packed.change {
        Change::Delete => (REMOVAL, &[]),
        Change::Set { value, life: Life::Default } => (SET, value),
        Change::Set { value, life: Life::Ttl(_) } => (SET_WITH_TTL, value),
        Change::Set { value, life: Life::Kept { .. } } => (SET_AS_KEPT, value),
    };
    out.push(kind);
    out.extend_from_slice(&packed.order.to_le_bytes());
    out.extend_from_slice(&packed.line.to_le_bytes());
    out.extend_from_slice(&fit::<u16>(packed.name.len()).to_le_bytes());
    out.extend_from_slice(&fit::<u32>(value.len()).to_le_bytes());
    if let Change::Set { life, .. } = &packed.change {
        append_life(out, life);
    }
    out.extend_from_slice(packed.name.as_bytes());
    out.extend_from_slice(value);
}

fn append_life(out: &mut Vec<u8>, life: &Life) {
    match life {
        Life::Default => {}
        Life::Ttl(ttl) => out.extend_from_slice(&ttl.millis().to_le_bytes()),
        Life::Kept { created, updated, expires, writer, metakeys } => {
            for moment in [created.0, updated.0, expires.map_or(NEVER, |at| at.0)] {
                out.extend_from_slice(&moment.to_le_bytes());
            }
            let json = metakeys.as_ref().map(Metakeys::to_json);
            let texts = [writer.as_deref(), json.as_deref()];
            for text in texts {
                let length = text.map_or(NOTHING, |text| fit(text.len()));
                out.extend_from_slice(&length.to_le_bytes());
            }
            texts.into_iter().flatten().for_each(|text| out.extend_from_slice(text.as_bytes()));
        }
    }
}

/// A length in as many bytes as it is packed in; names and values are checked before and never come near the limit.
fn fit<T: TryFrom<usize> + Bounded>(length: usize) -> T {
    T::try_from(length).unwrap_or(T::MAX)
}

trait Bounded {
    const MAX: Self;
}

impl Bounded for u16 {
    const MAX: Self = Self::MAX;
}

impl Bounded for u32 {
    const MAX: Self = Self::MAX;
}

/// Reads the change at the front of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Packed<'_>> {
    Reader(bytes).packed().ok_or_else(damaged)
}

/// Reads the name alone, for sorting.
pub(super) fn name(bytes: &[u8]) -> &[u8] {
    let parts = || {
        let mut reader = Reader(bytes);
        let header = reader.header()?;
        reader.skip_fate(header.kind)?;
        reader.take(header.name_length)
    };
    parts().unwrap_or_default()
}

/// How long a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    /// Without the value, which comes last.
    pub front: usize,
    /// All of it.
    pub whole: usize,
}

/// How long the change at the front of `bytes` is; `None` when there is too little to tell.
pub(super) fn length(bytes: &[u8]) -> Option<Length> {
    let mut reader = Reader(bytes);
    let Header { kind, name_length, value_length, .. } = reader.header()?;
    let mut front = HEADER + fate_length(kind)? + name_length;
    if kind == SET_AS_KEPT {
        reader.take(3 * 8)?;
        for _ in 0..2 {
            front += reader.length()?.unwrap_or_default();
        }
    }
    Some(Length { front, whole: front + value_length })
}

fn fate_length(kind: u8) -> Option<usize> {
    match kind {
        REMOVAL | SET => Some(0),
        SET_WITH_TTL => Some(8),
        SET_AS_KEPT => Some(3 * 8 + 2 * 2),
        _ => None,
    }
}

/// The file is unnamed and ours alone, so only a failing disk brings this.
pub(super) fn damaged() -> Error {
    Error::new(ErrorKind::Io, "what was spilled to a temporary file came back changed")
}

struct Header {
    kind: u8,
    order: u32,
    line: u64,
    name_length: usize,
    value_length: usize,
}

/// Takes things from the front of what is left; `None` when too little is.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn moment(&mut self) -> Option<Millis> {
        self.array().map(i64::from_le_bytes).map(Millis)
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// The length of a text that may be missing.
    fn length(&mut self) -> Option<Option<usize>> {
        let length = self.u16()?;
        Some((length != NOTHING).then_some(length.into()))
    }

    fn optional_text(&mut self, length: Option<usize>) -> Option<Option<&'a str>> {
        length.map_or(Some(None), |length| self.text(length).map(Some))
    }

    fn header(&mut self) -> Option<Header> {
        Some(Header {
            kind: self.array::<1>()?[0],
            order: u32::from_le_bytes(self.array()?),
            line: u64::from_le_bytes(self.array()?),
            name_length: self.u16()?.into(),
            value_length: usize::try_from(u32::from_le_bytes(self.array()?)).ok()?,
        })
    }

    fn skip_fate(&mut self, kind: u8) -> Option<()> {
        match kind {
            SET_AS_KEPT => {
                self.take(3 * 8)?;
                let texts = [self.length()?, self.length()?];
                self.take(texts.into_iter().flatten().sum()).map(drop)
            }
            _ => self.take(fate_length(kind)?).map(drop),
        }
    }

    fn packed(&mut self) -> Option<Packed<'a>> {
        let Header { kind, order, line, name_length, value_length } = self.header()?;
        let life = match kind {
            REMOVAL | SET => Life::Default,
            SET_WITH_TTL => Life::Ttl(Ttl::from_millis(u64::from_le_bytes(self.array()?)).ok()?),
            SET_AS_KEPT => self.kept()?,
            _ => return None,
        };
        let name = self.text(name_length)?;
        let value = self.take(value_length)?;
        let change = if kind == REMOVAL { Change::Delete } else { Change::Set { value, life } };
        Some(Packed { order, line, name, change })
    }

    fn kept(&mut self) -> Option<Life> {
        let (created, updated, expires) = (self.moment()?, self.moment()?, self.moment()?);
        let (writer, metakeys) = (self.length()?, self.length()?);
        let writer = self.optional_text(writer)?.map(str::to_owned);
        let metakeys = match self.optional_text(metakeys)? {
            Some(json) => Metakeys::from_json(json).ok()?,
            None => None,
        };
        let expires = (expires.0 != NEVER).then_some(expires);
        Some(Life::Kept { created, updated, expires, writer, metakeys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change<'static>> {
        let (created, updated) = (Millis(-5), Millis(7));
        let kept = |expires, writer, metakeys| Life::Kept { created, updated, expires, writer, metakeys };
        let metakeys = Metakeys::with(None, "owner", "ä\"").ok();
        vec![
            Change::Delete,
            Change::Set { value: b"", life: Life::Default },
            Change::Set { value: b"\0\xff", life: Life::Ttl(Ttl::from_millis(1).unwrap()) },
            Change::Set { value: b"v", life: kept(None, None, None) },
            Change::Set { value: b"v", life: kept(Some(Millis(9)), Some("wer".to_owned()), None) },
            Change::Set { value: b"v", life: kept(None, None, metakeys.clone()) },
            Change::Set { value: b"v", life: kept(None, Some(String::new()), metakeys) },
        ]
    }

    #[test]
    fn changes_come_back_as_they_went_in() {
        for change in changes() {
            let mut bytes = Vec::new();
            append(&mut bytes, &Packed { order: 3, line: 1 << 40, name: "k__ä", change: change.clone() });
            let packed = read(&bytes).unwrap();
            assert_eq!((packed.order, packed.line, packed.name), (3, 1 << 40, "k__ä"));
            assert_eq!(packed.change, change);
            assert_eq!(name(&bytes), "k__ä".as_bytes());
        }
    }

    #[test]
    fn the_length_of_a_record_follows_from_its_front() {
        for change in changes() {
            let mut bytes = Vec::new();
            append(&mut bytes, &Packed { order: 0, line: 0, name: "k", change });
            let length = length(&bytes).unwrap();
            assert_eq!(length.whole, bytes.len());
            assert_eq!(name(&bytes[..length.front]), b"k");
            for cut in 0..bytes.len() {
                assert!(read(&bytes[..cut]).is_err());
            }
        }
    }
}
