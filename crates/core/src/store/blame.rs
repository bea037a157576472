//! Who wrote which line of a value: the versions that its history keeps, compared one with the next.

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::Store;
use super::history::keeps_none;
use super::past::states;
use crate::address::Address;
use crate::auth::Action;
use crate::engine::View;
use crate::error::Result;
use crate::record::{Deed, Past};

/// A line of a value, and the version that it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlamedLine {
    /// The bytes, with the newline if there is one. Of a value that is no text, all of it.
    pub line: Vec<u8>,
    /// The version that it came with, as its history has it.
    pub past: Past,
    /// Whether it may have come before that: what was before is not kept.
    pub or_before: bool,
}

impl Store {
    /// The lines of the value of an entry, each with the version that it came with; `None` when there is no entry. A value that
    /// is no text is one line.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) where the namespace keeps no history;
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied); those of reading.
    pub fn blame(&self, address: &Address) -> Result<Option<Vec<BlamedLine>>> {
        self.allow(Action::Read, Some(&address.namespace))?;
        let mut blamed = None;
        self.read(&mut |view| {
            blamed = self.blame_in(view, address)?;
            Ok(())
        })?;
        Ok(blamed)
    }

    fn blame_in(&self, view: &dyn View, address: &Address) -> Result<Option<Vec<BlamedLine>>> {
        let name = address.name.as_str();
        let Some(space) = view.space(&address.namespace)? else { return Ok(None) };
        if space.history.is_none() {
            return Err(keeps_none(&address.namespace));
        }
        let Some(present) = self.coder.record(view, &space, name, Some(self.now()))? else { return Ok(None) };
        if !present.head.visible_at(self.now()) {
            return Ok(None);
        }
        let mut versions = states(view, &space, name, None, self.now(), usize::MAX)?;
        let life = versions.iter().position(|past| past.deed.is_removal()).unwrap_or(versions.len());
        versions.truncate(life);
        if let Some(birth) = versions.iter().position(|past| past.deed == Deed::Created) {
            versions.truncate(birth + 1);
        }
        let mut blame = Blame::default();
        for (place, past) in versions.iter().enumerate().rev() {
            let value = match past.head.version == present.head.version {
                true => present.value.clone(),
                false => self.record_of(view, &space, past.clone())?.value,
            };
            blame.next(&value, place);
        }
        let oldest = versions.len().saturating_sub(1);
        let is_cut = versions.last().is_some_and(|past| past.deed != Deed::Created);
        Ok(Some(blame.lines(&present.value, |place| (versions[place].clone(), is_cut && place == oldest))))
    }
}

/// The lines of a value, and with which version each of them came.
#[derive(Default)]
struct Blame {
    value: Vec<u8>,
    places: Vec<usize>,
}

impl Blame {
    /// Goes on to the next value, which is that of the version at `place`.
    fn next(&mut self, value: &[u8], place: usize) {
        let old = if self.places.is_empty() { Vec::new() } else { lines(&self.value) };
        let new = lines(value);
        let mut places = vec![place; new.len()];
        for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
            if let DiffOp::Equal { old_index, new_index, len } = op {
                places[new_index..new_index + len].copy_from_slice(&self.places[old_index..old_index + len]);
            }
        }
        (self.value, self.places) = (value.to_vec(), places);
    }

    fn lines(&self, value: &[u8], version: impl Fn(usize) -> (Past, bool)) -> Vec<BlamedLine> {
        let blamed = |(line, place): (&[u8], &usize)| {
            let (past, or_before) = version(*place);
            BlamedLine { line: line.to_vec(), past, or_before }
        };
        lines(value).into_iter().zip(&self.places).map(blamed).collect()
    }
}

/// The lines of a text, each with its newline; all of what is no text. Nothing is one line, too, so that somebody has written it.
fn lines(value: &[u8]) -> Vec<&[u8]> {
    if value.is_empty() || std::str::from_utf8(value).is_err() {
        return vec![value];
    }
    value.split_inclusive(|byte| *byte == b'\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With which of these values each line of the last came.
    fn blamed(values: &[&[u8]]) -> Vec<usize> {
        let mut blame = Blame::default();
        values.iter().enumerate().for_each(|(place, value)| blame.next(value, place));
        blame.places
    }

    #[test]
    fn lines_keep_the_version_they_came_with() {
        assert_eq!(blamed(&[b"a\nb\n"]), [0, 0]);
        assert_eq!(blamed(&[b"a\nb\n", b"a\nx\nb\n"]), [0, 1, 0]);
        assert_eq!(blamed(&[b"a\nb\n", b"b\n", b"a\nb\n"]), [2, 0]);
        assert_eq!(blamed(&[b"a", b"a\n"]), [1]);
        assert_eq!(blamed(&[b"", b"a"]), [1]);
        assert_eq!(blamed(&[b"a\n", b"\xff\n\xff", b"\xff\n\xff"]), [1]);
        assert_eq!(blamed(&[b"", b""]), [0]);
        assert_eq!(blamed(&[b"a\n", b"a\n", b"a\nb\n"]), [0, 2]);
    }
}
