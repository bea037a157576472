//! Values on their way to an engine and back: the one place that compresses, seals, and undoes both.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address::Delimiter;
use crate::clock::Millis;
use crate::coding::{self, DataKey, Lock, Recipients, Secret};
use crate::engine::{Catalog, Sealing, Space, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Coding, Record};
use crate::records::{self, Kept};

/// Finds what unwraps data keys; it is asked once for each kind, and only when a value needs it.
pub type Unlock = Box<dyn Fn(Lock) -> Result<Secret> + Send>;

/// How values are kept, and the keys that were needed for it so far.
pub(super) struct Coder {
    /// Longer values are compressed, in bytes.
    pub compress_above: Option<u64>,
    pub unlock: Unlock,
    /// Data keys by number.
    keys: RefCell<BTreeMap<u64, DataKey>>,
    /// Data keys that a transaction lacked. They are unwrapped when it is over: that may take its time, or ask somebody.
    wanted: RefCell<Vec<Wanted>>,
    secrets: RefCell<Vec<(Lock, Secret)>>,
}

/// A data key as it is kept in the database.
#[derive(Serialize, Deserialize)]
pub(super) struct DataKeyRecord {
    /// The number of the key.
    pub key: u64,
    /// The number of the space whose values are sealed under it.
    pub space: u64,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Whom it is wrapped for; nobody in particular where that is whoever knows a passphrase.
    pub recipients: Vec<String>,
    /// The key as an armored age file.
    pub wrapped: String,
}

impl Kept for DataKeyRecord {
    const CATALOG: Catalog = Catalog::DataKeys;
}

struct Wanted {
    /// The namespace, for messages.
    namespace: String,
    record: DataKeyRecord,
}

impl Default for Coder {
    fn default() -> Self {
        Self {
            compress_above: None,
            unlock: Box::new(|lock| {
                Err(Error::new(ErrorKind::Denied, format!("{lock} is needed, and there is none")))
            }),
            keys: RefCell::default(),
            wanted: RefCell::default(),
            secrets: RefCell::default(),
        }
    }
}

impl Coder {
    /// What is kept of a value that is written now.
    pub(super) fn keep<'v>(
        &self,
        view: &dyn View,
        space: &Space,
        name: &str,
        value: &'v [u8],
    ) -> Result<(Coding, Cow<'v, [u8]>)> {
        let is_long = self.compress_above.is_some_and(|bytes| value.len() as u64 > bytes);
        let compressed = if is_long { coding::compress(value) } else { None };
        let is_compressed = compressed.is_some();
        let kept = compressed.map_or(Cow::Borrowed(value), Cow::Owned);
        let Sealing::Under(key) = space.sealing else { return Ok((Coding::new(is_compressed, None), kept)) };
        let coding = Coding::new(is_compressed, Some(key));
        let sealed = self.with_key(view, space, key, |key| key.seal(&place(coding, space, name), &kept))?;
        Ok((coding, Cow::Owned(sealed)))
    }

    /// The value of what was kept.
    pub(super) fn value<'v>(
        &self,
        view: &dyn View,
        space: &Space,
        name: &str,
        (coding, kept): (Coding, Cow<'v, [u8]>),
    ) -> Result<Cow<'v, [u8]>> {
        let opened = match coding.key() {
            Some(key) => Cow::Owned(
                self.with_key(view, space, key, |key| key.open(&place(coding, space, name), &kept))?,
            ),
            None => kept,
        };
        Ok(if coding.is_compressed() { Cow::Owned(coding::decompress(&opened)?) } else { opened })
    }

    /// An entry with its value.
    pub(super) fn record(&self, view: &dyn View, space: &Space, name: &str) -> Result<Option<Record>> {
        let Some(Record { head, value: kept }) = view.get(space, name)? else { return Ok(None) };
        let value = self.value(view, space, name, (head.coding, Cow::Owned(kept)))?.into_owned();
        if value.len() as u64 != head.size {
            return Err(Error::new(ErrorKind::Damaged, "a value has another length than its entry says"));
        }
        Ok(Some(Record { head: head.of_plain(), value }))
    }

    /// Refuses to go on without the data keys of a space, and asks for those that are missing; [`Coder::with_keys`] hears it.
    pub(super) fn require(&self, view: &dyn View, space: &Space) -> Result<()> {
        if space.sealing == Sealing::Never {
            return Ok(());
        }
        let mut missing = keys_of(view, space)?;
        missing.retain(|record| !self.keys.borrow().contains_key(&record.key));
        if missing.is_empty() {
            return Ok(());
        }
        let namespace = space.namespace.display(Delimiter::default());
        let error = Error::new(ErrorKind::Denied, format!("the values of {namespace} are encrypted"));
        let wanted = missing.into_iter().map(|record| Wanted { namespace: namespace.clone(), record });
        self.wanted.borrow_mut().extend(wanted);
        Err(error)
    }

    /// Makes use of a data key of a space; the same as [`Coder::require`] where it is not known yet.
    fn with_key<T>(
        &self,
        view: &dyn View,
        space: &Space,
        number: u64,
        make: impl FnOnce(&DataKey) -> Result<T>,
    ) -> Result<T> {
        if !self.keys.borrow().contains_key(&number) {
            self.require(view, space)?;
        }
        self.with_known_key(number, make)
    }

    /// The same for a data key that has been asked for before.
    pub(super) fn with_known_key<T>(
        &self,
        number: u64,
        make: impl FnOnce(&DataKey) -> Result<T>,
    ) -> Result<T> {
        match self.keys.borrow().get(&number) {
            Some(key) => make(key),
            None => Err(Error::new(ErrorKind::Damaged, format!("the data key {number} is missing"))),
        }
    }

    /// Runs a transaction, and once more whenever it lacked keys that could be unwrapped.
    pub(super) fn with_keys(&self, mut transaction: impl FnMut() -> Result<()>) -> Result<()> {
        loop {
            let done = transaction();
            let wanted = self.wanted.take();
            if done.is_ok() || wanted.is_empty() {
                return done;
            }
            wanted.into_iter().try_for_each(|wanted| self.unwrap(&wanted))?;
        }
    }

    fn unwrap(&self, Wanted { namespace, record }: &Wanted) -> Result<()> {
        let unwrapped = self.secret(coding::lock_of(&record.wrapped)?);
        let unwrapped = unwrapped.and_then(|secret| coding::unwrap(&record.wrapped, &secret));
        let key = unwrapped.map_err(|error| error.at(format_args!("{namespace} is encrypted")))?;
        self.add(record.key, key);
        Ok(())
    }

    /// What opens locks of a kind.
    fn secret(&self, lock: Lock) -> Result<Secret> {
        if let Some((_, secret)) = self.secrets.borrow().iter().find(|(known, _)| *known == lock) {
            return Ok(secret.clone());
        }
        let secret = (self.unlock)(lock)?;
        self.secrets.borrow_mut().push((lock, secret.clone()));
        Ok(secret)
    }

    /// Whom a key was wrapped for.
    pub(super) fn recipients(&self, record: &DataKeyRecord) -> Result<Recipients> {
        match (record.recipients.is_empty(), self.secret(coding::lock_of(&record.wrapped)?)?) {
            (true, Secret::Passphrase(passphrase)) => Ok(Recipients::Passphrase(passphrase)),
            _ => Ok(Recipients::Age(record.recipients.clone())),
        }
    }

    /// Adds a key that need not be unwrapped.
    pub(super) fn add(&self, number: u64, key: DataKey) {
        self.keys.borrow_mut().insert(number, key);
    }
}

impl DataKeyRecord {
    /// A new key of a space, wrapped.
    pub(super) fn new(
        number: u64,
        space: &Space,
        now: Millis,
        recipients: &Recipients,
        wrapped: String,
    ) -> Self {
        let recipients = match recipients {
            Recipients::Age(recipients) => recipients.clone(),
            Recipients::Passphrase(_) => Vec::new(),
        };
        Self { key: number, space: space.id, created: now.0, recipients, wrapped }
    }

    /// What it is kept under.
    pub(super) fn name(number: u64) -> String {
        format!("{number:020}")
    }
}

/// The data keys of a space.
pub(super) fn keys_of<V: View + ?Sized>(view: &V, space: &Space) -> Result<Vec<DataKeyRecord>> {
    let all: Vec<(String, DataKeyRecord)> = records::all(view)?;
    Ok(all.into_iter().map(|(_, record)| record).filter(|record| record.space == space.id).collect())
}

/// What a sealed value is about, so that nobody can pass it for another one.
fn place(coding: Coding, space: &Space, name: &str) -> Vec<u8> {
    [coding.number().to_le_bytes().as_slice(), &space.id.to_le_bytes(), name.as_bytes()].concat()
}
