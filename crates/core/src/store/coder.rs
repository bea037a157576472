//! Values on their way to an engine and back: the one place that compresses, seals, and undoes both.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::address::Delimiter;
use crate::clock::Millis;
use crate::coding::{self, DataKey, Lock, Recipients, Secret};
use crate::engine::{Catalog, Sealing, Space, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Coding, Head, Record};
use crate::records::{self, Kept};

/// Finds what unwraps data keys; it is asked once for each kind, and only when a value needs it.
pub type Unlock = Box<dyn Fn(Lock) -> Result<Secret> + Send>;

/// How values are kept, and the keys that were needed for it so far.
pub(super) struct Coder {
    /// Longer values are compressed, in bytes.
    pub compress_above: Option<u64>,
    pub unlock: Unlock,
    /// Data keys by number.
    keys: RefCell<BTreeMap<u64, Opened>>,
    /// Data keys that a transaction lacked. They are unwrapped when it is over: that may take its time, or ask somebody.
    wanted: RefCell<Vec<Wanted>>,
    /// What was found so far to unwrap keys with, and what may do.
    secrets: RefCell<Vec<Secret>>,
}

/// A data key, and the passphrase that it was unwrapped with, if it was one.
struct Opened {
    key: DataKey,
    passphrase: Option<SecretString>,
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
        let Some(key) = space.sealing.key() else { return Ok((Coding::new(is_compressed, None), kept)) };
        let coding = Coding::new(is_compressed, Some(key));
        let sealed = self.with_key(view, space, key, |key| key.seal(&place(coding, space, name), &kept))?;
        Ok((coding, Cow::Owned(sealed)))
    }

    /// Up to which length new values in a space are kept as they are; none where all are sealed.
    pub(super) fn keeps_plain(&self, space: Option<&Space>) -> Option<u64> {
        let is_sealed = space.is_some_and(|space| space.sealing.key().is_some());
        (!is_sealed).then(|| self.compress_above.unwrap_or(u64::MAX))
    }

    /// The value of what was kept.
    pub(super) fn value<'v>(
        &self,
        view: &dyn View,
        space: &Space,
        name: &str,
        kept: (Coding, Cow<'v, [u8]>),
    ) -> Result<Cow<'v, [u8]>> {
        self.opened(view, space, name, kept).map_err(|error| match error.kind() {
            ErrorKind::Damaged => error.at(shown(space, name)),
            _ => error,
        })
    }

    fn opened<'v>(
        &self,
        view: &dyn View,
        space: &Space,
        name: &str,
        (coding, kept): (Coding, Cow<'v, [u8]>),
    ) -> Result<Cow<'v, [u8]>> {
        if matches!(space.sealing, Sealing::Under(key) if coding.key() != Some(key)) {
            return Err(Error::new(
                ErrorKind::Damaged,
                "the value is not encrypted as all of its namespace are",
            ));
        }
        let opened = match coding.key() {
            Some(key) => Cow::Owned(
                self.with_key(view, space, key, |key| key.open(&place(coding, space, name), &kept))?,
            ),
            None => kept,
        };
        Ok(if coding.is_compressed() { Cow::Owned(coding::decompress(&opened)?) } else { opened })
    }

    /// An entry with its value. Of one that has expired at `now` the value is left out: it is shown to nobody.
    pub(super) fn record(
        &self,
        view: &dyn View,
        space: &Space,
        name: &str,
        now: Option<Millis>,
    ) -> Result<Option<Record>> {
        let Some(Record { head, value: kept }) = view.get(space, name)? else { return Ok(None) };
        if now.is_some_and(|now| !head.visible_at(now)) {
            return Ok(Some(Record { head: head.of_plain(), value: Vec::new() }));
        }
        let value = self.value(view, space, name, (head.coding, Cow::Owned(kept)))?.into_owned();
        check_length(space, name, &value, &head)?;
        Ok(Some(Record { head: head.of_plain(), value }))
    }

    /// Refuses to go on without all data keys of a space, and asks for those that are missing; [`Coder::with_keys`] hears it.
    pub(super) fn require_all(&self, view: &dyn View, space: &Space) -> Result<()> {
        self.require(view, space, |_| true)
    }

    /// The same for the key that values are written under now.
    pub(super) fn require_to_write(&self, view: &dyn View, space: &Space) -> Result<()> {
        match space.sealing.key() {
            Some(key) => self.require(view, space, |number| number == key),
            None => Ok(()),
        }
    }

    fn require(&self, view: &dyn View, space: &Space, is_needed: impl Fn(u64) -> bool) -> Result<()> {
        if space.sealing == Sealing::Never {
            return Ok(());
        }
        let mut missing = keys_of(view, space)?;
        missing.retain(|record| is_needed(record.key) && !self.keys.borrow().contains_key(&record.key));
        if missing.is_empty() {
            return Ok(());
        }
        let namespace = space.namespace.display(Delimiter::default());
        let error = Error::new(ErrorKind::Denied, format!("the values of {namespace} are encrypted"));
        let wanted = missing.into_iter().map(|record| Wanted { namespace: namespace.clone(), record });
        self.wanted.borrow_mut().extend(wanted);
        Err(error)
    }

    /// Makes use of a data key of a space; asks for it where it is not known yet.
    pub(super) fn with_key<T>(
        &self,
        view: &dyn View,
        space: &Space,
        number: u64,
        make: impl FnOnce(&DataKey) -> Result<T>,
    ) -> Result<T> {
        if !self.keys.borrow().contains_key(&number) {
            self.require(view, space, |needed| needed == number)?;
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
            Some(opened) => make(&opened.key),
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
        let opened = self.open(&record.wrapped);
        let opened = opened.map_err(|error| error.at(format_args!("{namespace} is encrypted")))?;
        self.keys.borrow_mut().insert(record.key, opened);
        Ok(())
    }

    /// Unwraps a key: with what is there, else with what is asked for.
    fn open(&self, wrapped: &str) -> Result<Opened> {
        let lock = coding::lock_of(wrapped)?;
        let known: Vec<_> =
            self.secrets.borrow().iter().filter(|secret| secret.lock() == lock).cloned().collect();
        let mut refusal = None;
        for secret in &known {
            match Opened::with(wrapped, secret) {
                Err(error) if error.kind() == ErrorKind::Denied => refusal = Some(error),
                opened => return opened,
            }
        }
        let secret = (self.unlock)(lock)?;
        match refusal {
            // Trying a passphrase takes its time.
            Some(refusal) if known.iter().any(|known| known.is_same(&secret)) => Err(refusal),
            _ => {
                self.offer(&secret);
                Opened::with(wrapped, &secret)
            }
        }
    }

    /// Notes what may unwrap keys, so that nobody is asked for it.
    pub(super) fn offer(&self, secret: &Secret) {
        self.secrets.borrow_mut().push(secret.clone());
    }

    /// Whom a key that is known was wrapped for.
    pub(super) fn recipients(&self, record: &DataKeyRecord) -> Recipients {
        let keys = self.keys.borrow();
        match keys.get(&record.key).and_then(|opened| opened.passphrase.clone()) {
            Some(passphrase) if record.recipients.is_empty() => Recipients::Passphrase(passphrase),
            _ => Recipients::Age(record.recipients.clone()),
        }
    }

    /// Notes that a key that is known is wrapped for others now.
    pub(super) fn now_for(&self, number: u64, recipients: &Recipients) {
        if let Some(opened) = self.keys.borrow_mut().get_mut(&number) {
            opened.passphrase = passphrase_of(recipients);
        }
    }

    /// Adds a key that need not be unwrapped.
    pub(super) fn add(&self, number: u64, key: DataKey, recipients: &Recipients) {
        self.keys.borrow_mut().insert(number, Opened { key, passphrase: passphrase_of(recipients) });
    }
}

fn passphrase_of(recipients: &Recipients) -> Option<SecretString> {
    match recipients {
        Recipients::Passphrase(passphrase) => Some(passphrase.clone()),
        Recipients::Age(_) => None,
    }
}

impl Opened {
    fn with(wrapped: &str, secret: &Secret) -> Result<Self> {
        let passphrase = match secret {
            Secret::Passphrase(passphrase) => Some(passphrase.clone()),
            Secret::Identities(_) => None,
        };
        Ok(Self { key: coding::unwrap(wrapped, secret)?, passphrase })
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

    /// Whether it is wrapped for these and for nobody else.
    pub(super) fn is_for(&self, recipients: &Recipients) -> bool {
        match recipients {
            Recipients::Age(recipients) => {
                let sorted = |all: &[String]| all.iter().cloned().collect::<BTreeSet<_>>();
                !recipients.is_empty() && sorted(recipients) == sorted(&self.recipients)
            }
            Recipients::Passphrase(passphrase) => {
                let secret = Secret::Passphrase(passphrase.clone());
                self.recipients.is_empty() && coding::unwrap(&self.wrapped, &secret).is_ok()
            }
        }
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

/// Removes the data keys of a space that goes with all its values.
pub(super) fn forget_keys(txn: &mut dyn Txn, space: &Space) -> Result<()> {
    records::remove_where(txn, |record: &DataKeyRecord| record.space == space.id).map(drop)
}

/// Refuses a value that is not as long as its entry says.
pub(super) fn check_length(space: &Space, name: &str, value: &[u8], head: &Head) -> Result<()> {
    if value.len() as u64 == head.size {
        return Ok(());
    }
    let what = "the value has another length than its entry says";
    Err(Error::new(ErrorKind::Damaged, what).at(shown(space, name)))
}

/// An entry as messages name it.
fn shown(space: &Space, name: &str) -> String {
    let delimiter = Delimiter::default();
    format!("{}{delimiter}{}", space.namespace.display(delimiter), name.escape_debug())
}

/// What a sealed value is about, so that nobody can pass it for another one.
fn place(coding: Coding, space: &Space, name: &str) -> Vec<u8> {
    [coding.number().to_le_bytes().as_slice(), &space.id.to_le_bytes(), name.as_bytes()].concat()
}
