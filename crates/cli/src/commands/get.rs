use std::ffi::OsString;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prontodb_core::{Address, EntryName, Record, Version, json};

use super::Run;
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::{Object, push_string};

/// Print the value of an entry
///
/// Prints the value and a newline. An entry that is missing or has expired exits with 2 and prints nothing.
///
/// With --json a value that is JSON is printed in canonical form, any other text as a JSON string, and bytes that are no
/// text as {"v64":…}. Several addresses are answered in their order: with --json as an array of {"k":…,"v":…}, where what
/// is missing has "v":null; with --b64 as a line each, where nothing may be missing.
#[derive(clap::Args)]
pub struct Get {
    /// What to read; several with --json or --b64
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<OsString>,

    /// The bytes as they are, without a newline
    #[arg(short, long, conflicts_with_all = ["b64", "json", "meta"])]
    raw: bool,

    /// The bytes in base64
    #[arg(long, conflicts_with_all = ["json", "meta"])]
    b64: bool,

    /// Write to this file instead: the bytes as they are, or as the other flags say
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also what has expired and is still on disk
    #[arg(long)]
    include_expired: bool,

    /// Version, times, writer, size and metakeys as well: lines, an empty line, then the value
    #[arg(long)]
    meta: bool,

    /// As this version left it, where the namespace keeps history; see prontodb history
    #[arg(long, value_name = "N", conflicts_with_all = ["include_expired", "fallback"])]
    version: Option<u64>,

    /// Without an entry for the context, that of the key alone; contexts in order, as in `--context eu,prod`
    #[arg(long, conflicts_with = "include_expired")]
    fallback: bool,
}

/// How an entry is printed; --json says more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The value and a newline.
    Value,
    /// The value as it is.
    Bytes,
    /// The value in base64.
    Base64,
    /// All that is known of it, too.
    Meta,
}

/// An entry that was found.
struct Found {
    address: Address,
    record: Record,
}

impl Run for Get {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.addresses.len() > 1 {
            return self.many(cx);
        }
        let candidates = self.candidates(cx)?;
        let store = cx.open_existing()?;
        if let Some(version) = self.version {
            return self.print_version(cx, &store, &candidates, version);
        }
        let Some(found) = self.find(cx, &store, &candidates)? else {
            return Err(missing(cx, &candidates));
        };
        self.print(cx, found)
    }
}

impl Get {
    /// The addresses to try in turn; one, unless there is --fallback.
    fn candidates(&self, cx: &mut Context) -> Result<Vec<Address>, Failure> {
        if !self.fallback {
            return Ok(vec![cx.take_only_address(&self.addresses)?]);
        }
        let contexts = cx.globals.context.clone();
        cx.notation.context = None;
        let plain = cx.take_only_address(&self.addresses)?;
        let (key, contexts) = match (&contexts, plain.name.context()) {
            (Some(contexts), _) => (plain.name.as_str(), contexts.split(',').collect()),
            (None, Some(context)) => (plain.name.key(), vec![context]),
            (None, None) => {
                return Err(Failure::usage("--fallback needs a context: --context NAME, or key__name"));
            }
        };
        let names = contexts.iter().map(|context| EntryName::with_context(key, context));
        let names: Result<Vec<_>, _> = names.chain([EntryName::parse(key)]).collect();
        let address = |name| Address { namespace: plain.namespace.clone(), name };
        Ok(names.map_err(prontodb_core::Error::from)?.into_iter().map(address).collect())
    }

    fn print(&self, cx: &Context, found: Found) -> Result<Code, Failure> {
        let text = render(cx, &found.address, found.record, self.form())?;
        match &self.output {
            Some(file) => output::file::write(file, &text, &cx.out)?,
            None => cx.out.write(&text)?,
        }
        Ok(Code::Done)
    }

    /// Prints the first of the candidates, the only one there is, as a version left it.
    fn print_version(
        &self,
        cx: &Context,
        store: &Session,
        candidates: &[Address],
        version: u64,
    ) -> Result<Code, Failure> {
        let address = candidates[0].clone();
        let record = store.get_version(&address, Version(version));
        match record.map_err(|error| cx.with_hint(error.into()))? {
            Some(record) => self.print(cx, Found { address, record }),
            None => {
                let what = format!("there is no version {version} of {} that is kept", cx.show(&address));
                Err(Failure::new(Code::Missing, "not_found", what))
            }
        }
    }

    fn find(&self, cx: &Context, store: &Session, candidates: &[Address]) -> Result<Option<Found>, Failure> {
        let found = match candidates {
            [address] if self.include_expired => {
                store.get_even_expired(address).map(|found| found.map(|record| (0, record)))
            }
            _ => store.get_first(candidates),
        };
        let found = found.map_err(|error| cx.with_hint(error.into()))?;
        Ok(found.map(|(place, record)| Found { address: candidates[place].clone(), record }))
    }

    fn form(&self) -> Form {
        match self {
            Self { b64: true, .. } => Form::Base64,
            Self { meta: true, .. } => Form::Meta,
            Self { raw: true, .. } | Self { output: Some(_), .. } => Form::Bytes,
            _ => Form::Value,
        }
    }

    fn many(&self, cx: &mut Context) -> Result<Code, Failure> {
        if !cx.json() && !self.b64 {
            return Err(Failure::usage(
                "several addresses need --json or --b64, so that the values can be told apart",
            ));
        }
        if self.fallback || self.include_expired || self.output.is_some() || self.version.is_some() {
            return Err(Failure::usage(
                "--fallback, --include-expired, --output and --version take one address",
            ));
        }
        let addresses = cx.take_addresses(&self.addresses)?;
        let records = cx.open_existing()?.get_many(&addresses).map_err(|error| cx.with_hint(error.into()))?;
        let absent: Vec<_> =
            addresses.iter().zip(&records).filter(|(_, r)| r.is_none()).map(|(a, _)| a.clone()).collect();
        if cx.json() {
            self.push_array(cx, &addresses, &records);
        } else if absent.is_empty() {
            for record in records.iter().flatten() {
                cx.out.line(&STANDARD.encode(&record.value));
            }
        }
        cx.out.flush()?;
        if absent.is_empty() { Ok(Code::Done) } else { Err(missing_among_many(cx, &absent)) }
    }

    fn push_array(&self, cx: &mut Context, addresses: &[Address], records: &[Option<Record>]) {
        let names: Vec<_> = addresses.iter().map(|address| cx.show(address)).collect();
        let text = cx.out.buffer();
        text.push(b'[');
        for (place, (name, record)) in names.iter().zip(records).enumerate() {
            if place > 0 {
                text.push(b',');
            }
            let mut object = Object::begin(text);
            object.text("k", name);
            match record {
                Some(record) => object.value(&record.value),
                None => object.raw("v", "null"),
            };
            if let (true, Some(record)) = (self.meta, record) {
                object.head(&record.head);
            }
            object.end();
        }
        text.extend_from_slice(b"]\n");
    }
}

/// One entry in the form that is asked for.
pub fn render(cx: &Context, address: &Address, record: Record, form: Form) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    match form {
        Form::Meta if cx.json() => {
            let name = cx.show(address);
            Object::begin(&mut text).text("k", &name).value(&record.value).head(&record.head).end();
        }
        _ if cx.json() => push_json(&mut text, &record.value)?,
        Form::Base64 => text = STANDARD.encode(&record.value).into_bytes(),
        Form::Meta => {
            text = header(&record).into_bytes();
            text.extend_from_slice(&record.value);
        }
        Form::Bytes => return Ok(record.value),
        Form::Value => text = record.value,
    }
    text.push(b'\n');
    Ok(text)
}

/// The failure of several that are not all there; the first few are named.
fn missing_among_many(cx: &Context, absent: &[Address]) -> Failure {
    const NAMED: usize = 10;
    let mut names: Vec<_> = absent.iter().take(NAMED).map(|address| cx.show(address)).collect();
    if absent.len() > NAMED {
        names.push(format!("{} others", absent.len() - NAMED));
    }
    Failure::new(Code::Missing, "not_found", format!("missing or expired: {}", names.join(", ")))
}

/// The failure of an entry that is not there.
pub fn missing(cx: &Context, addresses: &[Address]) -> Failure {
    let names: Vec<_> = addresses.iter().map(|address| cx.show(address)).collect();
    Failure::new(Code::Missing, "not_found", format!("{} is missing or has expired", names.join(", nor ")))
}

/// A value as JSON: in canonical form if it is JSON, else as a string, or as {"v64":…} if it is no text.
///
/// JSON without a canonical form is an error: it is neither passed on with other digits nor as something else.
pub fn push_json(text: &mut Vec<u8>, value: &[u8]) -> Result<(), Failure> {
    match (json::canonical(value), std::str::from_utf8(value)) {
        (Ok(canonical), _) => text.extend_from_slice(&canonical),
        (Err(error), _) if json::is_json(value) => {
            return Err(Failure::from(error).hint("--raw prints it as it is"));
        }
        (Err(_), Ok(value)) => push_string(text, value),
        (Err(_), Err(_)) => Object::begin(text).value(value).end(),
    }
    Ok(())
}

/// Lines `name: value` and an empty one.
fn header(record: &Record) -> String {
    let head = &record.head;
    let expires = head.expires.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let writer = head.writer.as_deref().unwrap_or("-");
    let metakeys =
        head.metakeys.as_ref().map(|all| format!("metakeys: {}\n", all.to_json())).unwrap_or_default();
    format!(
        "version: {}\ncreated: {}\nupdated: {}\nexpires: {expires}\nwriter: {writer}\nsize: {}\n{metakeys}\n",
        head.version, head.created, head.updated, head.size
    )
}
