//! Operations that are done once, however often they are tried.
//!
//! Whoever does not know whether a write came through tries it again, under the id that the first try had. What was done under an
//! id is remembered in the transaction that did it, with a digest of what was asked and with the answer: so whatever is killed
//! when, either both are there or neither. The same id and the same request give the same answer and change nothing; another request
//! is a conflict.
//!
//! Requests and answers may hold values. Those of encrypted namespaces are sealed under the same keys
//! (docs/design/0022-transactions-and-retries.md).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::{Condition, Presence, Writer};
use super::coder::DataKeyRecord;
use super::locks::ended;
use super::{Fence, Store};
use crate::address::{Address, Namespace};
use crate::auth::{self, Action, shown};
use crate::clock::{Millis, Ttl};
use crate::engine::{Catalog, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::records::{self, Kept};

/// The longest id of an operation, in bytes.
pub const MAX_OP_ID: usize = 255;
/// How long an operation is remembered, in milliseconds, unless so many others come after it.
const WINDOW: i64 = 24 * 60 * 60 * 1000;
/// How many operations are remembered,
const REMEMBERED: u64 = 100_000;
/// and how many bytes of what they have answered.
const REMEMBERED_BYTES: u64 = 64 * 1024 * 1024;
/// How many of those that need not be remembered any more each new one removes: more than the one that it adds.
const PRUNED: usize = 4;
/// How many are looked at by one transaction of those that remove what is left over,
const SWEPT: usize = 1000;
/// and how many are read at a time, each with its answer.
const PAGE: usize = 64;
/// The longest answer that is remembered, in bytes of JSON: a value of a mebibyte in base64, and what goes with it.
const MAX_ANSWER_BYTES: usize = 3 * 512 * 1024;
/// Stands between a user and an id, for no name has it.
const END: char = '\u{1}';
/// Where it is counted how many are remembered; behind all moments, in the order of keys.
const TALLY: &str = "tally";
/// Digits of a moment.
const MOMENT: usize = 15;
/// Random bytes of a salt.
const SALT_BYTES: usize = 16;

/// The id of an operation, and whose it is: those of two users are never the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpId {
    id: String,
    user: Option<String>,
}

impl OpId {
    /// An id of a user who was named and has proved nothing, or of nobody in particular. In a store that acts for somebody it is
    /// theirs whatever is said here.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one that is empty, too long or has control characters in it.
    pub fn new(id: &str, user: Option<&str>) -> Result<Self> {
        let why = if id.is_empty() {
            "it is empty".to_owned()
        } else if id.len() > MAX_OP_ID {
            format!("it has more than {MAX_OP_ID} bytes")
        } else if id.chars().any(char::is_control) {
            "it has control characters in it".to_owned()
        } else {
            return Ok(Self { id: id.to_owned(), user: user.map(str::to_owned) });
        };
        Err(Error::new(ErrorKind::Invalid, format!("no operation can have this id; {why}")))
    }
}

/// What an operation is asked to do, as far as that makes two of them the same, and what it may tell.
pub struct Request {
    hash: blake3::Hasher,
    namespaces: Vec<(Action, Namespace)>,
    holds_values: bool,
}

impl Request {
    fn new(describe: &dyn Fn(&mut Self)) -> Self {
        let mut request = Self { hash: blake3::Hasher::new(), namespaces: Vec::new(), holds_values: false };
        describe(&mut request);
        request
    }

    /// A word, the name of the operation first.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.part(text.as_bytes())
    }

    /// A number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.part(&number.to_le_bytes())
    }

    /// A choice.
    pub fn flag(&mut self, is_so: bool) -> &mut Self {
        self.part(&[u8::from(is_so)])
    }

    /// A word that may be missing.
    pub fn optional(&mut self, text: Option<&str>) -> &mut Self {
        self.flag(text.is_some()).text(text.unwrap_or_default())
    }

    /// A time to live, if there is one.
    pub fn ttl(&mut self, ttl: Option<Ttl>) -> &mut Self {
        self.number(ttl.map_or(0, Ttl::millis))
    }

    /// The token that it is done under.
    pub fn fence(&mut self, fence: Fence) -> &mut Self {
        self.part(&fence.0.to_le_bytes())
    }

    /// A value of the namespaces that are named: nobody without their keys finds out which one it was.
    pub fn value(&mut self, value: &[u8]) -> &mut Self {
        self.answers_with_values().part(value)
    }

    /// What is answered has values of the namespaces that are named.
    pub fn answers_with_values(&mut self) -> &mut Self {
        self.holds_values = true;
        self
    }

    /// An entry that is changed.
    pub fn changes(&mut self, address: &Address) -> &mut Self {
        self.namespace(Action::Write, &address.namespace).text(address.name.as_str())
    }

    /// An entry that is only looked at.
    pub fn reads(&mut self, address: &Address) -> &mut Self {
        self.namespace(Action::Read, &address.namespace).text(address.name.as_str())
    }

    /// A namespace, and what is done there.
    pub fn namespace(&mut self, action: Action, namespace: &Namespace) -> &mut Self {
        self.namespaces.push((action, namespace.clone()));
        self.text(namespace.project()).text(namespace.namespace())
    }

    /// What has to be true for it to be done.
    pub fn condition(&mut self, condition: &Condition) -> &mut Self {
        let Condition { presence, version, value } = condition;
        self.number(match presence {
            None => 0,
            Some(Presence::Absent) => 1,
            Some(Presence::Present) => 2,
        });
        self.flag(version.is_some()).part(&version.map_or(0, |version| version.0).to_le_bytes());
        self.flag(value.is_some());
        match value {
            Some(value) => self.value(value),
            None => self,
        }
    }

    /// Adds a part with its length, so that no two lists of parts are taken for each other.
    fn part(&mut self, part: &[u8]) -> &mut Self {
        self.hash.update(&(part.len() as u64).to_le_bytes()).update(part);
        self
    }

    /// The digest that is kept. It is salted, so that equal requests do not look equal, and no list of digests helps anybody.
    fn digest(&self, salt: &str) -> String {
        let asked = self.hash.finalize();
        blake3::Hasher::new().update(salt.as_bytes()).update(asked.as_bytes()).finalize().to_hex().to_string()
    }
}

/// What an operation answers: kept as JSON, to be given again.
pub trait Answer: Serialize + DeserializeOwned {
    /// What becomes of the operation that is answered like this.
    fn ruling(&self) -> Ruling {
        Ruling::Done
    }

    /// The token of what was claimed: the answer is given again as long as that stands.
    fn claim(&self) -> Option<Fence> {
        None
    }
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// What it has written is kept, and the answer remembered.
    Done,
    /// What it has written is undone, and the answer remembered.
    Refused,
    /// What it has written is kept, and the next try is the first.
    Open,
}

impl Answer for () {}
impl Answer for bool {}
impl Answer for i64 {}
impl Answer for u64 {}
impl Answer for String {}
impl Answer for crate::record::Version {}
impl Answer for Option<crate::record::Version> {}

/// What is remembered of an operation.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// When it was done, in milliseconds since 1970.
    at: i64,
    /// Whose values it may tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    of: Vec<Of>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    /// The same as JSON, sealed under the keys of all namespaces that it is of, in base64. Without either, all of it was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    /// The token of what was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<u64>,
}

impl Remembered {
    /// How many bytes of what was answered are kept.
    fn bytes(&self) -> Result<u64> {
        let told = self.told.as_ref().map_or(Ok(0), |told| serde_json::to_vec(told).map(|text| text.len()));
        let told = told.map_err(|error| unreadable(&error))?;
        Ok((told + self.sealed.as_ref().map_or(0, String::len)) as u64)
    }
}

impl Kept for Remembered {
    const CATALOG: Catalog = Catalog::Ops;
}

/// A namespace, and the data key that was used for it.
#[derive(Serialize, Deserialize)]
struct Of {
    project: String,
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<u64>,
}

impl Of {
    fn is(&self, namespace: &Namespace) -> bool {
        self.project == namespace.project() && self.namespace == namespace.namespace()
    }

    fn namespace(&self) -> Result<Namespace> {
        Ok(Namespace::new(self.project.as_str(), self.namespace.as_str())?)
    }
}

/// What was asked, and what was answered.
#[derive(Serialize, Deserialize)]
struct Told {
    salt: String,
    digest: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// What was answered.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Outcome {
    #[serde(default, skip_serializing_if = "Value::is_null")]
    answer: Value,
    /// Why nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conflict: Option<String>,
    /// The token of what was claimed.
    #[serde(skip)]
    claim: Option<Fence>,
}

impl Outcome {
    fn answered(answer: &impl Answer) -> Result<Self> {
        let claim = answer.claim();
        let answer = serde_json::to_value(answer).map_err(|error| unreadable(&error))?;
        Ok(Self { answer, claim, ..Self::default() })
    }

    fn conflict(error: &Error) -> Self {
        Self { conflict: Some(error.to_string()), ..Self::default() }
    }
}

/// How many operations are remembered, and how many bytes of their answers.
#[derive(Default, Serialize, Deserialize)]
struct Tally {
    count: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    bytes: u64,
}

/// What every record had before bytes were counted.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

impl Tally {
    /// Whether something has to go that is not old.
    fn is_full(&self) -> bool {
        self.count > REMEMBERED || self.bytes > REMEMBERED_BYTES
    }
}

/// An operation by its age.
#[derive(Default, Serialize, Deserialize)]
struct Aged {
    /// How many bytes of its answer are kept.
    #[serde(default)]
    bytes: u64,
}

impl Aged {
    fn key(at: i64, op: &str) -> String {
        format!("{:0MOMENT$}{op}", at.max(0))
    }
}

impl Kept for Aged {
    const CATALOG: Catalog = Catalog::OpAges;
}

impl Kept for Tally {
    const CATALOG: Catalog = Catalog::OpAges;
}

/// An operation under an id.
struct Op {
    /// What it is kept under.
    key: String,
    id: String,
    request: Request,
}

/// Which leases have to stand for an operation to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// All that the store writes under, if any.
    Fence,
    /// The operation goes by a token of its own.
    Own,
}

/// What came of trying an operation.
enum Tried<T> {
    /// It had been done before.
    Known(Result<T>),
    /// It is done.
    Done(T),
    /// It is not, and nothing was written.
    Undone(T),
    /// The same, because of a conflict.
    Conflict(Error),
}

impl<T> Tried<T> {
    fn is_undone(&self) -> bool {
        matches!(self, Self::Undone(_) | Self::Conflict(_))
    }
}

impl Store {
    /// Makes all changes of `body` at once, or none when it fails, as [`Store::write`] does; under an id, once, whoever tries how
    /// often. `describe` says what is asked, and is heard only then.
    ///
    /// Conflicts are remembered like answers, unless [`Answer::ruling`] says otherwise. After any other error the next try is the
    /// first.
    ///
    /// # Errors
    /// Those of [`Store::write`]; [`ErrorKind::Conflict`] when the id was used for another request; [`ErrorKind::Limit`] for an
    /// answer that is too long to be remembered.
    pub fn write_once<T: Answer>(
        &self,
        describe: &dyn Fn(&mut Request),
        mut body: impl FnMut(&mut Writer<'_>) -> Result<T>,
    ) -> Result<T> {
        let done = self.once(Guard::Fence, describe, |txn| {
            let mut writer = self.writer_on(txn);
            let answer = body(&mut writer)?;
            writer.finish()?;
            Ok(answer)
        });
        done.inspect_err(|error| self.note_denied(error))
    }

    /// The same for what is no change of entries.
    pub(super) fn once<T: Answer>(
        &self,
        guard: Guard,
        describe: &dyn Fn(&mut Request),
        mut body: impl FnMut(&mut dyn Txn) -> Result<T>,
    ) -> Result<T> {
        let op = self.op(describe);
        if let Some(op) = &op {
            op.request.namespaces.iter().try_for_each(|(action, place)| self.permit(*action, place))?;
        }
        let mut tried = None;
        self.attempt(&mut |txn| {
            let tried = tried.insert(self.try_once(txn, guard, op.as_deref(), &mut body)?);
            Ok(!tried.is_undone())
        })?;
        let tried =
            tried.ok_or_else(|| Error::new(ErrorKind::Io, "the engine did not run the transaction"))?;
        match (tried, op) {
            (Tried::Known(known), _) => known,
            (Tried::Undone(answer), Some(op)) => {
                let known = self.remember_undone(&op, &Outcome::answered(&answer)?)?;
                known.unwrap_or(Ok(answer))
            }
            (Tried::Conflict(error), Some(op)) => {
                let known = self.remember_undone(&op, &Outcome::conflict(&error))?;
                known.unwrap_or(Err(error))
            }
            (Tried::Done(answer), _) | (Tried::Undone(answer), None) => Ok(answer),
            (Tried::Conflict(error), None) => Err(error),
        }
    }

    fn try_once<T: Answer>(
        &self,
        txn: &mut dyn Txn,
        guard: Guard,
        op: Option<&Op>,
        body: &mut impl FnMut(&mut dyn Txn) -> Result<T>,
    ) -> Result<Tried<T>> {
        if let Some(op) = op
            && let Some(known) = self.recall(txn, op)?
        {
            return Ok(Tried::Known(known));
        }
        if guard == Guard::Fence {
            self.check_fence(txn)?;
        }
        let answer = match body(txn) {
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(Tried::Conflict(error)),
            answer => answer?,
        };
        match (answer.ruling(), op) {
            (Ruling::Refused, _) => return Ok(Tried::Undone(answer)),
            (Ruling::Done, Some(op)) => self.remember(txn, op, Outcome::answered(&answer)?)?,
            _ => {}
        }
        Ok(Tried::Done(answer))
    }

    /// What was answered before, where that is known.
    ///
    /// # Errors
    /// Those of [`Store::write_once`].
    pub fn answer_given<T: Answer>(&self, describe: &dyn Fn(&mut Request)) -> Result<Option<T>> {
        let Some(op) = self.op(describe) else { return Ok(None) };
        op.request.namespaces.iter().try_for_each(|(action, place)| self.allow(*action, Some(place)))?;
        let mut known = None;
        self.read(&mut |view| {
            known = self.recall(view, &op)?;
            Ok(())
        })?;
        known.transpose()
    }

    /// Whether what this store does is done once.
    pub(super) fn has_op(&self) -> bool {
        self.op.is_some()
    }

    /// Refuses to do under an id what is not remembered.
    pub(super) fn refuse_op(&self) -> Result<()> {
        match &self.op {
            Some(_) => {
                Err(Error::new(ErrorKind::Invalid, "this cannot be done under the id of an operation"))
            }
            None => Ok(()),
        }
    }

    fn op(&self, describe: &dyn Fn(&mut Request)) -> Option<Box<Op>> {
        let (key, id) = (self.op_key()?, self.op.as_ref()?.id.clone());
        Some(Box::new(Op { key, id, request: Request::new(describe) }))
    }

    /// What an operation of this store is kept under, if it has an id.
    pub(super) fn op_key(&self) -> Option<String> {
        let OpId { id, user } = self.op.as_ref()?;
        // What somebody was answered who has proved who they are is nothing for those who only say so.
        let (kind, user) = match &self.identity {
            Some(identity) => ('p', identity.name.as_str()),
            None => ('n', user.as_deref().unwrap_or_default()),
        };
        Some(format!("{kind}{user}{END}{id}"))
    }

    /// Runs a transaction that is undone where `body` says that it is not to be kept.
    fn attempt(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<bool>) -> Result<()> {
        let mut is_kept = true;
        let written = self.coder.with_keys(|| {
            self.engine.write(&mut |txn| {
                is_kept = true;
                is_kept = body(txn)?;
                if is_kept { Ok(()) } else { Err(Error::new(ErrorKind::Conflict, "nothing was written")) }
            })
        });
        if is_kept { written } else { Ok(()) }
    }

    /// Remembers why nothing was done, unless another try was quicker: then that counts.
    fn remember_undone<T: Answer>(&self, op: &Op, outcome: &Outcome) -> Result<Option<Result<T>>> {
        let mut known = None;
        self.coder.with_keys(|| {
            self.engine.write(&mut |txn| {
                known = self.recall(txn, op)?;
                if known.is_none() { self.remember(txn, op, outcome.clone()) } else { Ok(()) }
            })
        })?;
        Ok(known)
    }

    /// What was answered when an operation was done before.
    fn recall<T: Answer>(&self, view: &dyn View, op: &Op) -> Result<Option<Result<T>>> {
        let Some(Remembered { at, of, told, sealed, claim }) = records::find(view, &op.key)? else {
            return Ok(None);
        };
        let told = match (told, sealed) {
            (Some(told), _) => Some(told),
            (None, Some(sealed)) => self.open_told(view, op, &of, &sealed)?,
            (None, None) => None,
        };
        let (id, at) = (shown(&op.id), Millis(at));
        let Some(Told { salt, digest, outcome }) = told else {
            if let Some(fence) = claim.map(Fence)
                && !self.stands(view, fence)?
            {
                return Err(ended(fence));
            }
            let what = format!(
                "nothing was written; the operation {id} was done at {at}, and what was answered is forgotten, with the key of values in it"
            );
            return Err(Error::new(ErrorKind::Conflict, what));
        };
        if op.request.digest(&salt) != digest {
            let what = format!("nothing was written; the id {id} was used for another operation, at {at}");
            return Err(Error::new(ErrorKind::Conflict, what));
        }
        Ok(Some(match outcome.conflict {
            Some(what) => Err(Error::new(ErrorKind::Conflict, what)),
            None => Ok(serde_json::from_value(outcome.answer).map_err(|error| unreadable(&error))?),
        }))
    }

    /// Remembers what was answered, and forgets some of what was long ago.
    fn remember(&self, txn: &mut dyn Txn, op: &Op, outcome: Outcome) -> Result<()> {
        let salt = auth::random::<SALT_BYTES>()?;
        let claim = outcome.claim.map(|fence| fence.0);
        let told = Told { digest: op.request.digest(&salt), salt, outcome };
        let of = if op.request.holds_values { self.told_of(txn, &op.request)? } else { Vec::new() };
        let now = self.now();
        let mut remembered = Remembered { at: now.0, of, told: None, sealed: None, claim };
        let text = serde_json::to_vec(&told).map_err(|error| unreadable(&error))?;
        if text.len() > MAX_ANSWER_BYTES {
            let what = "nothing was written; the answer is too long to be remembered: values of up to a mebibyte are";
            return Err(Error::new(ErrorKind::Limit, what));
        }
        let mut bytes = text.len() as u64;
        if remembered.of.iter().any(|of| of.key.is_some()) {
            let sealed = self.seal_told(txn, op, &remembered.of, text)?;
            bytes = sealed.len() as u64;
            remembered.sealed = Some(sealed);
        } else {
            remembered.told = Some(told);
        }
        records::keep(txn, &op.key, &remembered)?;
        let mut tally: Tally = records::find(txn, TALLY)?.unwrap_or_default();
        records::keep(txn, &Aged::key(now.0, &op.key), &Aged { bytes })?;
        tally.count += 1;
        tally.bytes += bytes;
        prune(txn, now, &mut tally, PRUNED)?;
        records::keep(txn, TALLY, &tally)
    }

    /// The namespaces of a request, and the keys that their values are sealed under now.
    fn told_of(&self, view: &dyn View, request: &Request) -> Result<Vec<Of>> {
        let namespaces: BTreeSet<_> = request.namespaces.iter().map(|(_, namespace)| namespace).collect();
        let of = namespaces.into_iter().map(|namespace| {
            let key = view.space(namespace)?.and_then(|space| space.sealing.key());
            let (project, namespace) = (namespace.project().to_owned(), namespace.namespace().to_owned());
            Ok(Of { project, namespace, key })
        });
        of.collect()
    }

    /// Seals what is told under the key of one namespace after the other, so that it takes all of them to open it.
    fn seal_told(&self, view: &dyn View, op: &Op, of: &[Of], mut text: Vec<u8>) -> Result<String> {
        for of in of {
            let (Some(key), Some(space)) = (of.key, view.space(&of.namespace()?)?) else { continue };
            text = self.coder.with_key(view, &space, key, |key| key.seal(op.key.as_bytes(), &text))?;
        }
        Ok(STANDARD.encode(text))
    }

    /// Opens what was sealed; `None` when one of the keys is no more.
    fn open_told(&self, view: &dyn View, op: &Op, of: &[Of], sealed: &str) -> Result<Option<Told>> {
        let damaged = |_| Error::new(ErrorKind::Damaged, "a remembered operation cannot be read");
        let mut text = STANDARD.decode(sealed).map_err(damaged)?;
        for of in of.iter().rev() {
            let Some(number) = of.key else { continue };
            let is_kept = records::find::<DataKeyRecord, _>(view, &DataKeyRecord::name(number))?.is_some();
            let Some(space) = view.space(&of.namespace()?)?.filter(|_| is_kept) else { return Ok(None) };
            text = self.coder.with_key(view, &space, number, |key| key.open(op.key.as_bytes(), &text))?;
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| unreadable(&error))
    }

    /// Removes what need not be remembered any more; says how many operations that were.
    pub(super) fn sweep_ops(&self) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut swept = 0;
            self.transact(&mut |txn| {
                swept = 0;
                let Some(mut tally) = records::find::<Tally, _>(txn, TALLY)? else { return Ok(()) };
                let before = tally.count;
                prune(txn, self.now(), &mut tally, SWEPT)?;
                swept = before - tally.count;
                if swept > 0 { records::keep(txn, TALLY, &tally) } else { Ok(()) }
            })?;
            removed += swept;
            if swept < SWEPT as u64 {
                return Ok(removed);
            }
        }
    }
}

/// Forgets what operations that were done so far tell of the values of a namespace, before those are encrypted. That they were done
/// stays known.
pub(super) fn forget_told(txn: &mut dyn Txn, namespace: &Namespace) -> Result<()> {
    let mut after = String::new();
    loop {
        let page = txn.records(Catalog::Ops, &after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (key, record) in page {
            let remembered: Remembered = records::read(&record)?;
            if remembered.told.is_some() && remembered.of.iter().any(|of| of.is(namespace)) {
                keep_less(txn, &key, &Remembered { told: None, ..remembered })?;
            }
        }
    }
}

/// Forgets the value of what was claimed under an id when its token is over, for nobody is answered that any more. What was asked
/// stays known, as far as it takes no key.
pub(super) fn forget_claimed(txn: &mut dyn Txn, key: &str, fence: Fence) -> Result<()> {
    let Some(record) = txn.record(Catalog::Ops, key)? else { return Ok(()) };
    // What cannot be read is for whoever checks the database, and holds up nobody's work.
    let Ok(mut remembered) = records::read::<Remembered>(&record) else { return Ok(()) };
    // The id may be that of another operation by now.
    if remembered.claim != Some(fence.0) {
        return Ok(());
    }
    remembered.sealed = None;
    if let Some(value) = remembered.told.as_mut().and_then(|told| told.outcome.answer.get_mut("value")) {
        *value = Value::String(String::new());
    }
    keep_less(txn, key, &remembered)
}

/// Keeps less of an operation than before.
fn keep_less(txn: &mut dyn Txn, key: &str, remembered: &Remembered) -> Result<()> {
    records::keep(txn, key, remembered)?;
    let age = Aged::key(remembered.at, key);
    let Some(Aged { bytes: before }) = records::find(txn, &age)? else { return Ok(()) };
    let bytes = remembered.bytes()?;
    records::keep(txn, &age, &Aged { bytes })?;
    let Some(mut tally) = records::find::<Tally, _>(txn, TALLY)? else { return Ok(()) };
    tally.bytes = tally.bytes.saturating_sub(before.saturating_sub(bytes));
    records::keep(txn, TALLY, &tally)
}

/// Removes operations that need not be remembered any more, the oldest first: up to `limit`, and more where there is no room for
/// what has come.
fn prune(txn: &mut dyn Txn, now: Millis, tally: &mut Tally, limit: usize) -> Result<()> {
    while prune_some(txn, now, tally, limit)? && tally.bytes > REMEMBERED_BYTES {}
    Ok(())
}

/// Removes up to `limit` of them; whether there may be more.
fn prune_some(txn: &mut dyn Txn, now: Millis, tally: &mut Tally, limit: usize) -> Result<bool> {
    let oldest = txn.records(Catalog::OpAges, "", limit)?;
    let is_page = oldest.len() == limit;
    for (age, record) in oldest {
        // Behind all of them is the tally, which is shorter.
        let Some((moment, key)) = age.split_at_checked(MOMENT) else {
            *tally = Tally::default();
            return Ok(false);
        };
        let is_old = moment.parse::<i64>().is_ok_and(|at| now.0.saturating_sub(at) >= WINDOW);
        if !is_old && !tally.is_full() {
            return Ok(false);
        }
        txn.remove_record(Catalog::Ops, key)?;
        txn.remove_record(Catalog::OpAges, &age)?;
        tally.count = tally.count.saturating_sub(1);
        let Aged { bytes } = records::read(&record).unwrap_or_default();
        tally.bytes = tally.bytes.saturating_sub(bytes);
    }
    Ok(is_page)
}

/// Reads what is remembered of an operation.
pub(super) fn check_op(_key: &str, record: &str) -> Result<()> {
    records::read::<Remembered>(record).map(drop)
}

/// Reads what is kept of operations by their age.
pub(super) fn check_age(key: &str, record: &str) -> Result<()> {
    match key {
        TALLY => records::read::<Tally>(record).map(drop),
        _ => records::read::<Aged>(record).map(drop),
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::Damaged, format!("what was answered to an operation cannot be read; {error}"))
}
