use std::io::Cursor;

use prontodb_core::auth::Identity;
use prontodb_core::store::{Change, Life, Step, Transacted, Transaction};
use prontodb_core::stream::{self, Item, Options};
use prontodb_core::{Address, Error, ErrorKind, transfer};

use super::{Addressing, Run, auth};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::{secret, stdin};

/// How many checks that do not hold are told on stderr.
const TOLD: usize = 3;

/// Do several things at once, or none of them
///
/// Standard input is one JSON object: {"if":[…],"then":[…],"else":[…]}. A check is {"k":ADDRESS} with absent or present as true,
/// version, v or v64. A step is one of {"set":ADDRESS,"v":VALUE}, also with "ttl":"5m", {"del":ADDRESS}, {"incr":ADDRESS,"by":N},
/// {"append":ADDRESS,"v":VALUE}, {"touch":ADDRESS}, {"get":ADDRESS}, {"copy":ADDRESS,"to":ADDRESS} and {"rename":ADDRESS,"to":ADDRESS}; v64
/// holds values in base64. When all checks hold, the steps of then are one transaction, and what came of each is printed as JSON. When
/// one does not hold, nothing is written, what is there is printed with what else reads, and the exit code is 3; 2 when an
/// entry is missing that a step needs. Input that begins with neither { nor [ is a stream, as docs/stream.md has it.
#[derive(clap::Args)]
pub struct Txn {}

impl Run for Txn {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let limit = transfer::Format::JsonLines.longest_entry(cx.settings.max_value_bytes.value);
        if !stdin::is_given() {
            let missing = Failure::usage("the transaction is missing");
            return Err(missing.hint("pipe it in, as in prontodb txn <FILE; prontodb help txn has its form"));
        }
        let text = stdin::read(limit as u64)?;
        if text.len() > limit {
            let what = format!("the transaction is longer than {limit} bytes");
            return Err(Failure::new(Code::Limit, "limit", what));
        }
        let unmarked = text.strip_prefix(stream::BYTE_ORDER_MARK).unwrap_or(&text);
        let (transaction, identity) = match unmarked.trim_ascii_start().first() {
            None => return Err(Failure::invalid("the transaction is empty")),
            Some(b'[') => {
                let what = "a transaction is one JSON object, and this is an array";
                return Err(Failure::invalid(what).hint("steps go into it as {\"then\":[…]}"));
            }
            Some(b'{') => (transfer::read_transaction(&text, &cx.notation)?, None),
            Some(_) => read_stream(cx, &text)?,
        };
        let store = open(cx, &transaction, identity)?;
        let transacted = store.transaction(&transaction).map_err(|error| explain(cx, error))?;
        cx.out.line(&transfer::show_transacted(&transaction, &transacted, cx.notation.delimiter));
        match transacted {
            Transacted::Done { .. } if !only_reads(&transaction) => cx.out.flush_done()?,
            _ => cx.out.flush()?,
        }
        refuse(cx, &transaction, &transacted)?;
        Ok(Code::Done)
    }
}

/// Opens the database: what cannot write anything does not make it.
fn open(cx: &Context, transaction: &Transaction, identity: Option<Identity>) -> Result<Session, Failure> {
    match identity {
        None if only_reads(transaction) => cx.open_to_change(),
        None => cx.open_to_write(),
        identity => cx.open_to_write_as(identity),
    }
}

fn only_reads(transaction: &Transaction) -> bool {
    transaction.then.iter().all(|step| matches!(step, Step::Get(_)))
}

/// Reads a stream as steps, and finds out who writes them.
fn read_stream(cx: &Context, text: &[u8]) -> Result<(Transaction, Option<Identity>), Failure> {
    let mut identity = None;
    if let Some(credentials) = secret::from_environment()? {
        identity = Some(auth::identify(cx, &credentials)?);
    }
    let options = Options {
        namespace: cx.notation.defaults.clone(),
        delimiter: cx.notation.delimiter,
        needs_credentials: cx.settings.security_required.value && identity.is_none(),
        max_token_bytes: text.len(),
    };
    let mut then = Vec::new();
    stream::read(Cursor::new(text), options, |item| {
        match item {
            Item::Credentials(credentials) => identity = Some(auth::identify(cx, &credentials)?),
            Item::Entry { at, namespace, name, change } => {
                let address = Address { namespace: namespace.clone(), name: name.clone() };
                let step = step(address, change).map_err(|error| Failure::from(error.at(at)))?;
                then.push(step);
            }
        }
        Ok::<_, Failure>(())
    })?;
    Ok((Transaction { then, ..Transaction::default() }, identity))
}

fn step(address: Address, change: Change<'_>) -> Result<Step, Error> {
    let (value, ttl) = match change {
        Change::Delete => return Ok(Step::Delete(address)),
        Change::Set { value, life: Life::Default } => (value, None),
        Change::Set { value, life: Life::Ttl(ttl) } => (value, Some(ttl)),
        Change::Set { life: Life::Kept { .. }, .. } => {
            return Err(Error::new(ErrorKind::Invalid, "a transaction takes over no times"));
        }
    };
    Ok(Step::Set { address, value: value.to_vec(), ttl })
}

/// Says what helps.
fn explain(cx: &Context, error: Error) -> Failure {
    match error.kind() {
        ErrorKind::NoTtl => {
            Failure::from(error).hint("prontodb create-cache PROJECT.NAMESPACE SECONDS makes it one")
        }
        _ => cx.with_hint(error.into()),
    }
}

/// Fails where nothing was done.
fn refuse(cx: &Context, transaction: &Transaction, transacted: &Transacted) -> Result<(), Failure> {
    match transacted {
        Transacted::Done { .. } => Ok(()),
        Transacted::Refused { failed, .. } => {
            let failed = failed.iter().filter_map(|failed| {
                let k = cx.show(&transaction.checks.get(failed.check)?.address);
                let there = failed.version.map_or_else(
                    || "there is no such entry".to_owned(),
                    |version| format!("the entry has version {version}"),
                );
                Some(format!("if[{}] does not hold of {k}: {there}", failed.check))
            });
            let mut failed: Vec<_> = failed.take(TOLD + 1).collect();
            if failed.len() > TOLD {
                failed[TOLD] = "and so on".to_owned();
            }
            let what = format!("nothing was written; {}", failed.join("; "));
            Err(Failure::new(Code::Conflict, "conflict", what))
        }
        Transacted::Missing { step, .. } => {
            let k = transaction.then.get(*step).map(|step| cx.show(step.address())).unwrap_or_default();
            let what = format!("nothing was written; then[{step}]: {k} is missing or has expired");
            Err(Failure::new(Code::Missing, "not_found", what))
        }
    }
}
