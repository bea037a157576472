//! Encryption of namespaces: turned on and off, under another key, for other readers.
//!
//! Each change first says how values are written from now on, then writes those that are there anew, in steps. Whatever
//! ends it halfway leaves values that are all readable, and the same call goes on from there.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::Store;
use super::coder::{DataKeyRecord, keys_of};
use crate::address::{Delimiter, Namespace};
use crate::auth::Action;
use crate::coding::{self, DataKey, Recipients, Secret};
use crate::engine::{Catalog, Fields, Range, Sealing, Space, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Head, Past, Record, Version};
use crate::records;

/// A step ends after this many entries were looked at,
const STEP_ENTRIES: usize = 10_000;
/// or after so many bytes were read that have to be written anew, so that other writers get their turn.
const STEP_BYTES: usize = 1024 * 1024;

/// How many versions of a history are looked at at a time.
const STEP_VERSIONS: usize = 1000;

/// What a change of the encryption of a namespace has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recoded {
    /// Values that were written anew.
    pub values: u64,
    /// Whether nothing is left on disk of what they were before. Otherwise somebody was still reading it.
    pub is_scrubbed: bool,
    /// Whether the namespace was made for it.
    pub is_new: bool,
}

/// Entries that are kept otherwise than they should be.
#[derive(Default)]
struct Step {
    entries: Vec<(String, Record)>,
    /// The name to go on behind; `None` after the last entry.
    next: Option<String>,
}

/// Versions in a history that are kept otherwise than they should be.
#[derive(Default)]
struct PastStep {
    versions: Vec<Past>,
    /// The version to go on behind, and of which entry; `None` after the last one.
    next: Option<(Version, String)>,
}

impl Store {
    /// Whether the values of a namespace are encrypted.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], and those of reading.
    pub fn sealing(&self, namespace: &Namespace) -> Result<Sealing> {
        self.allow(Action::Admin, Some(namespace))?;
        let mut sealing = Sealing::Never;
        self.engine.read(&mut |view| {
            sealing = view.space(namespace)?.map_or(Sealing::Never, |space| space.sealing);
            Ok(())
        })?;
        Ok(sealing)
    }

    /// Encrypts the values of a namespace, those that are there and those to come, for `recipients`. Where it is encrypted
    /// for them already, this finishes what was interrupted.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for recipients that are none; [`ErrorKind::Conflict`] when it is encrypted for others;
    /// [`ErrorKind::Denied`]; those of writing.
    pub fn encrypt(&self, namespace: &Namespace, recipients: &Recipients) -> Result<Recoded> {
        if let Recipients::Passphrase(passphrase) = recipients {
            self.coder.offer(&Secret::Passphrase(passphrase.clone()));
        }
        match self.sealing(namespace)? {
            Sealing::Never | Sealing::Ended => {
                self.turn(namespace, "encrypt", recipients, &self.keys(namespace)?)
            }
            sealing => {
                if !self.present_key(namespace)?.is_for(recipients) {
                    let what = format!("{} is encrypted already, for others", shown(namespace));
                    return Err(Error::new(ErrorKind::Conflict, what));
                }
                self.recode(namespace, sealing)
            }
        }
    }

    /// Finishes what was interrupted: a change of the encryption of a namespace, or of its key.
    ///
    /// # Errors
    /// Those of [`Store::decrypt`].
    pub fn resume_encryption(&self, namespace: &Namespace) -> Result<Recoded> {
        match self.sealing(namespace)? {
            Sealing::Never => Err(not_encrypted(namespace)),
            sealing => self.recode(namespace, sealing),
        }
    }

    /// Writes the values of a namespace as they are again. Its data keys are removed. Where no value is left, nobody needs
    /// them for it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when nothing of it is encrypted; [`ErrorKind::Denied`]; those of writing.
    pub fn decrypt(&self, namespace: &Namespace) -> Result<Recoded> {
        self.allow(Action::Admin, Some(namespace))?;
        self.coder.with_keys(|| {
            self.transact(&mut |txn| {
                let space = sealed_space(txn, namespace)?;
                if holds_sealed(txn, &space)? {
                    self.coder.require_all(txn, &space)?;
                }
                txn.version()?;
                txn.set_sealing(&space, Sealing::Ended)?;
                self.note_done(txn, "decrypt", &shown(namespace))
            })
        })?;
        self.recode(namespace, Sealing::Ended)
    }

    /// Seals the values of a namespace under a new data key, for `recipients`, or for those of the present key. The present
    /// key is removed. From the first moment on, only they can read: until all is done, they can use the present key, too.
    ///
    /// # Errors
    /// Those of [`Store::decrypt`].
    pub fn rotate_key(&self, namespace: &Namespace, recipients: Option<&Recipients>) -> Result<Recoded> {
        self.allow(Action::Admin, Some(namespace))?;
        let present = self.keys(namespace)?;
        if present.is_empty() {
            return Err(not_encrypted(namespace));
        }
        let recipients = match recipients {
            Some(recipients) => recipients.clone(),
            None => self.readers(namespace)?,
        };
        self.turn(namespace, "rotate key", &recipients, &present)
    }

    /// Wraps the data keys of a namespace for other recipients. Values stay as they are, and who has kept the old file and
    /// could open it still can; [`Store::rotate_key`] is for those who must not.
    ///
    /// # Errors
    /// Those of [`Store::decrypt`].
    pub fn rewrap_key(&self, namespace: &Namespace, recipients: &Recipients) -> Result<()> {
        self.allow(Action::Admin, Some(namespace))?;
        let present = self.keys(namespace)?;
        if present.is_empty() {
            return Err(not_encrypted(namespace));
        }
        let wrapped = self.wrapped_anew(&present, recipients)?;
        self.transact(&mut |txn| {
            let space = sealed_space(txn, namespace)?;
            txn.version()?;
            self.keep_wrapped(txn, &space, &wrapped, recipients)?;
            self.note_done(txn, "rewrap key", &shown(namespace))
        })
    }

    /// Seals what is written from now on under a new key, then what is there. Whoever can open the new key can open the
    /// `former` ones, from the same moment on and as long as values are sealed under them.
    fn turn(
        &self,
        namespace: &Namespace,
        action: &str,
        recipients: &Recipients,
        former: &[DataKeyRecord],
    ) -> Result<Recoded> {
        let wrapped = self.wrapped_anew(former, recipients)?;
        let key = DataKey::generate()?;
        let new = coding::wrap(&key, recipients)?;
        let (mut number, mut is_new) = (0, false);
        self.transact(&mut |txn| {
            let present = txn.space(namespace)?;
            is_new = present.is_none();
            let space = present.map_or_else(|| txn.create_space(namespace, self.now()), Ok)?;
            self.keep_wrapped(txn, &space, &wrapped, recipients)?;
            if space.sealing.key().is_none() {
                super::once::forget_told(txn, namespace)?;
            }
            // No two writes have the same version, so no two keys have the same number.
            number = txn.version()?.0;
            let record = DataKeyRecord::new(number, &space, self.now(), recipients, new.clone());
            records::keep(txn, &DataKeyRecord::name(number), &record)?;
            let sealing = if is_new { Sealing::Under(number) } else { Sealing::Turning(number) };
            txn.set_sealing(&space, sealing)?;
            self.note_done(txn, action, &shown(namespace))
        })?;
        self.coder.add(number, key, recipients);
        if is_new {
            return Ok(Recoded { values: 0, is_scrubbed: true, is_new });
        }
        self.recode(namespace, Sealing::Turning(number))
    }

    /// The data keys of a namespace, each unwrapped.
    fn keys(&self, namespace: &Namespace) -> Result<Vec<DataKeyRecord>> {
        let mut keys = Vec::new();
        self.read(&mut |view| {
            let Some(space) = view.space(namespace)? else { return Ok(()) };
            self.coder.require_all(view, &space)?;
            keys = keys_of(view, &space)?;
            Ok(())
        })?;
        Ok(keys)
    }

    /// These keys, wrapped for `recipients`; outside of transactions, since a passphrase takes its time.
    fn wrapped_anew(&self, keys: &[DataKeyRecord], recipients: &Recipients) -> Result<Vec<(u64, String)>> {
        let wrap = |record: &DataKeyRecord| {
            let wrapped = self.coder.with_known_key(record.key, |key| coding::wrap(key, recipients))?;
            Ok((record.key, wrapped))
        };
        keys.iter().map(wrap).collect()
    }

    /// Keeps the data keys of a space as they were wrapped anew, unless there are others by now.
    fn keep_wrapped(
        &self,
        txn: &mut dyn Txn,
        space: &Space,
        wrapped: &[(u64, String)],
        recipients: &Recipients,
    ) -> Result<()> {
        let present: Vec<u64> = keys_of(txn, space)?.iter().map(|record| record.key).collect();
        if present != wrapped.iter().map(|(number, _)| *number).collect::<Vec<_>>() {
            return Err(changed_meanwhile(&space.namespace));
        }
        for (number, wrapped) in wrapped {
            let record = DataKeyRecord::new(*number, space, self.now(), recipients, wrapped.clone());
            records::keep(txn, &DataKeyRecord::name(*number), &record)?;
            self.coder.now_for(*number, recipients);
        }
        Ok(())
    }

    /// Those who can read the values of a namespace.
    pub(super) fn readers(&self, namespace: &Namespace) -> Result<Recipients> {
        Ok(self.coder.recipients(&self.present_key(namespace)?))
    }

    /// The data key that values of a namespace are sealed under now, unwrapped.
    pub(super) fn present_key(&self, namespace: &Namespace) -> Result<DataKeyRecord> {
        let mut present = None;
        self.read(&mut |view| {
            let space = sealed_space(view, namespace)?;
            self.coder.require_to_write(view, &space)?;
            let mut keys = keys_of(view, &space)?;
            keys.retain(|record| space.sealing.key() == Some(record.key));
            present = keys.pop();
            Ok(())
        })?;
        present.ok_or_else(|| not_encrypted(namespace))
    }

    /// Writes all values anew that are not kept as `sealing` says, then forgets the keys that only they needed.
    fn recode(&self, namespace: &Namespace, sealing: Sealing) -> Result<Recoded> {
        let (mut values, mut after) = (0, None);
        loop {
            let step = self.recode_step(namespace, sealing, after)?;
            values += step.entries.len() as u64;
            after = step.next;
            if after.is_none() {
                break;
            }
        }
        values += self.recode_history(namespace, sealing)?;
        self.transact(&mut |txn| {
            let space = unchanged_space(txn, namespace, sealing)?;
            for record in keys_of(txn, &space)? {
                if sealing.key() != Some(record.key) {
                    txn.remove_record(Catalog::DataKeys, &DataKeyRecord::name(record.key))?;
                }
            }
            txn.set_sealing(&space, sealing.key().map_or(Sealing::Never, Sealing::Under))
        })?;
        // What a move has left behind is as it was before.
        self.sweep_leftovers()?;
        Ok(Recoded { values, is_scrubbed: self.engine.scrub()?, is_new: false })
    }

    fn recode_step(&self, namespace: &Namespace, sealing: Sealing, after: Option<String>) -> Result<Step> {
        let mut step = Step::default();
        let range = Range { after, fields: Fields::All, ..Range::default() };
        self.coder.with_keys(|| {
            self.transact(&mut |txn| {
                let space = unchanged_space(txn, namespace, sealing)?;
                step = Step::find(txn, &space, &range)?;
                step.entries
                    .iter()
                    .try_for_each(|(name, record)| self.recode_entry(txn, &space, name, record))
            })
        })?;
        Ok(step)
    }

    /// Writes the values of a history anew. From entries, which have all been written anew by now, nothing else gets into it.
    fn recode_history(&self, namespace: &Namespace, sealing: Sealing) -> Result<u64> {
        let (mut values, mut before) = (0, None);
        loop {
            let mut step = PastStep::default();
            self.coder.with_keys(|| {
                self.transact(&mut |txn| {
                    let space = unchanged_space(txn, namespace, sealing)?;
                    step = PastStep::find(txn, &space, before.as_ref())?;
                    step.versions.iter().try_for_each(|past| self.recode_past(txn, &space, past))
                })
            })?;
            values += step.versions.len() as u64;
            if step.next.is_none() {
                return Ok(values);
            }
            before = step.next;
        }
    }

    /// Writes the value of a version anew.
    fn recode_past(&self, txn: &mut dyn Txn, space: &Space, past: &Past) -> Result<()> {
        let Record { head, value } = self.record_of(txn, space, past.clone())?;
        let (coding, kept) = self.coder.keep(txn, space, &past.name, &value)?;
        txn.keep_past(space, &Past { head: Head { coding, ..head }, ..past.clone() }, Some(&kept))
    }

    /// Writes a value anew. The entry is the same for its users, and so is its version.
    fn recode_entry(&self, txn: &mut dyn Txn, space: &Space, name: &str, record: &Record) -> Result<()> {
        let kept = (record.head.coding, Cow::Borrowed(record.value.as_slice()));
        let value = self.coder.value(txn, space, name, kept)?;
        let (coding, kept) = self.coder.keep(txn, space, name, &value)?;
        let head = Head { coding, ..record.head.clone() };
        txn.put(space, name, &head, &kept)
    }
}

impl Step {
    /// The next entries of a range whose values are not kept as their space says.
    fn find<V: View + ?Sized>(view: &V, space: &Space, range: &Range) -> Result<Self> {
        let wanted = space.sealing.key();
        let mut step = Self::default();
        let (mut entries, mut bytes) = (0, 0);
        view.scan(space, range, &mut |row| {
            if let Some(head) = row.head.filter(|head| head.coding.key() != wanted) {
                bytes += row.value.len();
                let record = Record { head: head.clone(), value: row.value.to_vec() };
                step.entries.push((row.name.to_owned(), record));
            }
            entries += 1;
            if entries < STEP_ENTRIES && bytes < STEP_BYTES {
                return ControlFlow::Continue(());
            }
            step.next = Some(row.name.to_owned());
            ControlFlow::Break(())
        })?;
        Ok(step)
    }
}

impl PastStep {
    /// The next versions whose values are not kept as their space says.
    fn find<V: View + ?Sized>(view: &V, space: &Space, before: Option<&(Version, String)>) -> Result<Self> {
        let mut step = Self::default();
        if space.history.is_none() {
            return Ok(step);
        }
        let wanted = space.sealing.key();
        let page = view.past(space, before, STEP_VERSIONS)?;
        let mut bytes = 0;
        for past in page {
            step.next = Some(past.place());
            if past.head.coding.key() != wanted && !past.deed.is_removal() {
                bytes += past.head.size;
                step.versions.push(past);
            }
            if bytes >= STEP_BYTES as u64 {
                break;
            }
        }
        Ok(step)
    }
}

/// Whether any value is sealed, in the history, too.
fn holds_sealed<V: View + ?Sized>(view: &V, space: &Space) -> Result<bool> {
    let mut before = None;
    while space.history.is_some() {
        let page = view.past(space, before.as_ref(), STEP_VERSIONS)?;
        if page.iter().any(|past| past.head.coding.key().is_some()) {
            return Ok(true);
        }
        let Some(last) = page.last() else { break };
        before = Some(last.place());
    }
    let mut is_found = false;
    view.scan(space, &Range { fields: Fields::Heads, ..Range::default() }, &mut |row| {
        is_found = row.head.is_some_and(|head| head.coding.key().is_some());
        if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(is_found)
}

fn sealed_space<V: View + ?Sized>(view: &V, namespace: &Namespace) -> Result<Space> {
    let space = view.space(namespace)?.filter(|space| space.sealing != Sealing::Never);
    space.ok_or_else(|| not_encrypted(namespace))
}

fn unchanged_space<V: View + ?Sized>(view: &V, namespace: &Namespace, sealing: Sealing) -> Result<Space> {
    let space = view.space(namespace)?.filter(|space| space.sealing == sealing);
    space.ok_or_else(|| changed_meanwhile(namespace))
}

/// A namespace as messages and the audit log name it.
fn shown(namespace: &Namespace) -> String {
    namespace.display(Delimiter::default())
}

fn not_encrypted(namespace: &Namespace) -> Error {
    let what = format!("the values of {} are not encrypted", shown(namespace));
    Error::new(ErrorKind::Invalid, what)
}

fn changed_meanwhile(namespace: &Namespace) -> Error {
    let what = format!(
        "somebody else changed the encryption of {} meanwhile; all of it can be read",
        shown(namespace)
    );
    Error::new(ErrorKind::Conflict, what)
}
