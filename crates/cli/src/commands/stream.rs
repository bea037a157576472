use std::io;
use std::mem;
use std::num::NonZeroU64;

use clap::ValueEnum;
use prontodb_core::auth::{Credentials, Identity};
use prontodb_core::store::{Load, LoadOptions, Loaded, Place};
use prontodb_core::stream::{self, Item, Options};
use prontodb_core::transfer::{self, ReadOptions};
use prontodb_core::{Address, Error, ErrorKind, Store};

use super::{Addressing, Run, auth};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output::progress::Progress;
use crate::output::{self, counted};
use crate::secret;

/// Write what standard input says, many entries in one go
///
/// Input is tokens with `;` behind each: meta:path=project.namespace, then key=value. All of it is checked before anything
/// is written; then each namespace is one transaction. docs/stream.md has the grammar. Nothing is printed; stderr says how
/// much was written.
#[derive(clap::Args)]
pub struct Stream {
    /// What is read: text as docs/stream.md has it, or JSON lines {"k":ADDRESS,"v":VALUE}
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    /// Write all namespaces in one transaction
    #[arg(long, conflicts_with = "chunk")]
    atomic: bool,

    /// Write after every N entries: for streams that have no end, or are larger than the disk has room for twice
    #[arg(long, value_name = "N")]
    chunk: Option<NonZeroU64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Jsonl,
}

impl Run for Stream {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.chunk.is_some() && cx.op.is_some() {
            return Err(Failure::usage(
                "--op-id and --chunk exclude each other: under an id all is one transaction",
            ));
        }
        let mut writing = Writing::begin(cx, &self)?;
        if let Some(credentials) = secret::from_environment()? {
            writing.authenticate(&credentials)?;
        }
        let read = match self.format {
            Format::Text => writing.read_text(),
            Format::Jsonl => writing.read_json_lines(),
        };
        match read.and_then(|()| writing.commit()) {
            Ok(()) => {
                output::note(&writing.summary());
                Ok(Code::Done)
            }
            Err(failure) => Err(writing.explain(failure)),
        }
    }
}

/// What has been read, and what of it has been written.
struct Writing<'c> {
    cx: &'c Context,
    options: LoadOptions,
    chunk: Option<u64>,
    load: Load,
    identity: Option<Identity>,
    store: Option<Session>,
    written: Loaded,
    /// How many changes were read.
    read: u64,
    /// Where the last entry stands that was read, and the last that was written.
    read_to: Place,
    written_to: Option<Place>,
    progress: Progress,
}

impl<'c> Writing<'c> {
    fn begin(cx: &'c Context, arguments: &Stream) -> Result<Self, Failure> {
        let options = LoadOptions {
            spill_folder: Some(cx.spill_folder()?),
            atomic: arguments.atomic,
            max_value_bytes: cx.settings.max_value_bytes.value,
            ..LoadOptions::default()
        };
        Ok(Self {
            cx,
            chunk: arguments.chunk.map(NonZeroU64::get),
            load: Load::new(options.clone()),
            options,
            identity: None,
            store: None,
            written: Loaded::default(),
            read: 0,
            read_to: Place::default(),
            written_to: None,
            progress: Progress::begin(),
        })
    }

    fn read_text(&mut self) -> Result<(), Failure> {
        let options = Options {
            namespace: self.cx.notation.defaults.clone(),
            delimiter: self.cx.notation.delimiter,
            needs_credentials: self.needs_credentials(),
            max_token_bytes: transfer::Format::Stream.longest_entry(self.options.max_value_bytes),
        };
        stream::read(io::stdin().lock(), options, |item| self.take(item))
    }

    fn read_json_lines(&mut self) -> Result<(), Failure> {
        if self.needs_credentials() {
            return Err(Failure::new(
                Code::Denied,
                "denied",
                "the credentials are missing; JSON lines hold none",
            )
            .hint("set PRONTO_API_KEY, or PRONTO_SESSION to what prontodb auth login USER prints"));
        }
        let notation = self.cx.notation.clone();
        let options = ReadOptions {
            format: transfer::Format::JsonLines,
            with_meta: false,
            namespace: notation.defaults.clone(),
            delimiter: notation.delimiter,
            max_line_bytes: transfer::Format::JsonLines.longest_entry(self.options.max_value_bytes),
        };
        let mut failed = None;
        let read = transfer::read_keyed_lines(io::stdin().lock(), &options, &mut |at, key, change| {
            let Address { namespace, name } = notation.address(key)?;
            let taken = self.take(Item::Entry { at, namespace: &namespace, name: &name, change });
            taken.map_err(|failure| {
                let error = Error::new(ErrorKind::Io, failure.message.clone());
                failed = Some(failure);
                error
            })
        });
        match failed {
            Some(failure) => Err(failure),
            None => Ok(read?),
        }
    }

    fn needs_credentials(&self) -> bool {
        self.cx.settings.security_required.value && self.identity.is_none()
    }

    fn take(&mut self, item: Item<'_>) -> Result<(), Failure> {
        match item {
            Item::Credentials(credentials) => self.authenticate(&credentials),
            Item::Entry { at, namespace, name, change } => {
                self.load.push(at, namespace, name, change)?;
                self.read_to = at;
                self.step()
            }
        }
    }

    /// Finds out who writes, before anything else is done for them.
    fn authenticate(&mut self, credentials: &Credentials) -> Result<(), Failure> {
        self.identity = Some(auth::identify(self.cx, credentials)?);
        Ok(())
    }

    /// Writes a chunk when it is full.
    fn step(&mut self) -> Result<(), Failure> {
        let collected = self.load.len();
        self.read += 1;
        if self.read.is_multiple_of(1000) {
            self.progress.show("read", self.read);
        }
        if self.chunk.is_some_and(|chunk| collected >= chunk) { self.commit() } else { Ok(()) }
    }

    /// Writes what has been collected, if whoever writes may still do so: between chunks much may happen.
    fn commit(&mut self) -> Result<(), Failure> {
        if self.load.is_empty() {
            return Ok(());
        }
        if self.store.is_none() {
            self.store = Some(self.open()?);
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        store.renew_identity()?;
        let load = mem::replace(&mut self.load, Load::new(self.options.clone()));
        let (progress, before) = (&mut self.progress, self.read - load.len());
        self.written.add(load.commit_telling(store, &mut |count| progress.show("wrote", before + count))?);
        self.written_to = Some(self.read_to);
        Ok(())
    }

    fn open(&mut self) -> Result<Session, Failure> {
        if !self.cx.place()?.exists() {
            // What cannot be written does not make a database either.
            self.load.check(&Store::in_memory())?;
        }
        match self.identity.clone() {
            None => self.cx.open_to_write(),
            identity => self.cx.open_to_write_as(identity),
        }
    }

    fn summary(&self) -> String {
        let Loaded { set, deleted, .. } = self.written;
        let removed = if deleted > 0 { format!(", removed {deleted}") } else { String::new() };
        format!("wrote {}{removed}", counted(set, "entry", "entries"))
    }

    /// What helps where credentials are missing.
    fn how_to_get_in(&self) -> &'static str {
        match self.cx.settings.security_local.value {
            true => "prontodb auth login USER prints a session",
            false => {
                "prontodb auth login USER prints a session; PRONTO_SECURITY=false lets streams in without"
            }
        }
    }

    /// Says what helps, and how far the chunks came before it.
    fn explain(&self, failure: Failure) -> Failure {
        let failure = match (self.written_to, failure.kind) {
            (Some(place), _) => {
                failure.hint(format!("everything up to {place} is written: {}", self.summary()))
            }
            (None, "denied") if failure.message.contains("credentials are missing") => {
                failure.hint(self.how_to_get_in())
            }
            (None, "no_ttl") => failure.hint("prontodb create-cache PROJECT.NAMESPACE SECONDS makes it one"),
            _ => failure,
        };
        match failure.hint {
            None => self.cx.with_hint(failure),
            Some(_) => failure,
        }
    }
}
