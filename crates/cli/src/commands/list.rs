use std::ffi::OsString;
use std::ops::ControlFlow;

use prontodb_core::address::{Delimiter, Short};
use prontodb_core::engine::{Fields, Row};
use prontodb_core::glob::Glob;
use prontodb_core::store::{Query, Sink};
use prontodb_core::stream::Printer as StreamPrinter;
use prontodb_core::{Address, Listing, Millis, Namespace, Result as CoreResult, Ttl};

use super::{Run, ttl};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::{self, Out};

/// List keys
///
/// In the byte order of what is printed. With project.namespace or project.namespace.prefix, and with -p or -n, the keys of
/// that namespace; with less, full addresses: of the project and the namespace of that name, or of everything. Where a
/// cursor or .prontodb gives a project or namespace, less means the keys there.
#[derive(clap::Args)]
pub struct Keys {
    /// What keys or addresses start with
    prefix: Option<OsString>,

    #[command(flatten)]
    arguments: Arguments,
}

/// List keys with their values, as key=value
///
/// Otherwise the same as keys. Values are printed as they are; where they may hold newlines, use -0 or --jsonl.
#[derive(clap::Args)]
pub struct Scan {
    /// What keys or addresses start with
    prefix: Option<OsString>,

    #[command(flatten)]
    arguments: Arguments,
}

// No doc comment: clap would take it for what a command is about.
#[derive(Default, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// One JSON object a line
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,

    /// As a stream for prontodb stream, with values and remaining times to live
    #[arg(long, conflicts_with_all = ["json", "jsonl", "count", "long", "zero", "include_expired"])]
    stream: bool,

    /// No more than so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Begin behind this key; behind this address where addresses are listed
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    after: Option<String>,

    /// From the last to the first
    #[arg(long)]
    reverse: bool,

    /// Only keys that look like this as a whole: `*`, `?`, `[a-z]`, `\` before a character that is meant as it is
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    glob: Option<String>,

    /// Only keys with this metakey, and with this value where one is given; may be repeated, and all must hold
    #[arg(long = "where", value_name = "NAME[=VALUE]", allow_hyphen_values = true)]
    metakeys: Vec<String>,

    /// Print only how many there are
    #[arg(long, conflicts_with_all = ["jsonl", "long"])]
    count: bool,

    /// Version, age, time left, size and writer in front, tabs between
    #[arg(long)]
    long: bool,

    /// End each with a zero byte in place of a newline
    #[arg(short = '0', conflicts_with_all = ["jsonl", "json"])]
    zero: bool,

    /// Also what has expired and is still on disk
    #[arg(long)]
    include_expired: bool,
}

impl Run for Keys {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let listing = cx.listing(self.prefix.as_deref())?;
        self.arguments.run(cx, &listing, false)
    }
}

impl Run for Scan {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let listing = cx.listing(self.prefix.as_deref())?;
        self.arguments.run(cx, &listing, true)
    }
}

/// How entries are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text { end: u8 },
    Json,
    JsonLines,
    Stream,
    Count,
}

impl Arguments {
    /// Lists what `listing` covers, with or without values.
    pub fn run(self, cx: &mut Context, listing: &Listing, values: bool) -> Result<Code, Failure> {
        let query = self.query(cx, listing, values)?;
        let store = cx.open_existing()?;
        let parts = self.parts(cx, &store, listing, query)?;
        if let [_, _, ..] = parts.as_slice()
            && parts.iter().any(|part| part.query.wants_values())
        {
            // Nothing is printed when some of it cannot be.
            let namespaces: Vec<_> = parts.iter().map(|part| part.namespace.clone()).collect();
            store.require_values(&namespaces)?;
        }
        let mut printer = Printer {
            out: &mut cx.out,
            format: self.format(cx.globals.json),
            long: self.long,
            values,
            now: store.now(),
            delimiter: cx.notation.delimiter,
            stream: StreamPrinter::new(cx.notation.delimiter),
            namespace: Namespace::default(),
            place: String::new(),
            place_is_unwritable: false,
            unwritable: 0,
            shown: 0,
            failure: None,
        };
        printer.begin();
        for part in parts {
            let left = self.limit.map(|limit| limit - printer.shown);
            if left == Some(0) || printer.failure.is_some() {
                break;
            }
            printer.place_is_unwritable =
                holds_delimiter(&part.namespace, printer.delimiter) && !part.place.is_empty();
            printer.place = part.place;
            printer.namespace = part.namespace.clone();
            let query = Query { limit: left, ..part.query };
            store.list(&part.namespace, &query, &mut printer).map_err(Failure::from)?;
        }
        let is_empty = printer.end()?;
        if is_empty {
            output::note(&nothing_matches(cx, listing));
        }
        Ok(Code::Done)
    }

    fn format(&self, json: bool) -> Format {
        match self {
            Self { count: true, .. } => Format::Count,
            Self { jsonl: true, .. } => Format::JsonLines,
            Self { stream: true, .. } => Format::Stream,
            _ if json => Format::Json,
            _ => Format::Text { end: if self.zero { 0 } else { b'\n' } },
        }
    }

    fn query(&self, cx: &Context, listing: &Listing, values: bool) -> Result<Query, Failure> {
        let prefix = match listing {
            Listing::Within { prefix, .. } => prefix.clone(),
            _ => String::new(),
        };
        Ok(Query {
            prefix,
            after: self.after.clone(),
            reverse: self.reverse,
            limit: None,
            glob: self.glob.as_deref().map(str::parse::<Glob>).transpose()?,
            context: cx.listed_context()?,
            metakeys: self.metakeys.iter().map(|text| text.parse()).collect::<CoreResult<_>>()?,
            include_expired: self.include_expired,
            fields: match (values && !self.count, self.long) {
                _ if self.stream => Fields::All,
                (false, false) => Fields::Names,
                (false, true) => Fields::Heads,
                (true, false) => Fields::Values,
                (true, true) => Fields::All,
            },
        })
    }

    /// The namespaces to list, in order, each with what is printed in front of its keys.
    fn parts(
        &self,
        cx: &Context,
        store: &Session,
        listing: &Listing,
        query: Query,
    ) -> Result<Vec<Part>, Failure> {
        if let Listing::Within { namespace, .. } = listing {
            return Ok(vec![Part { namespace: namespace.clone(), place: String::new(), query }]);
        }
        let delimiter = cx.notation.delimiter;
        let mut parts = Vec::new();
        for space in store.namespaces(None).map_err(|error| cx.with_hint(error.into()))? {
            if covers(listing, &space.namespace, cx.notation.defaults.project()) {
                let place = format!("{}{delimiter}", space.namespace.display(delimiter));
                parts.push(Part { namespace: space.namespace, place, query: query.clone() });
            }
        }
        parts.sort_by(|a, b| a.place.cmp(&b.place));
        if self.reverse {
            parts.reverse();
        }
        match &self.after {
            Some(after) => behind(cx, parts, after, self.reverse),
            None => Ok(parts),
        }
    }
}

/// Why a listing is empty, where that is likely to surprise.
fn nothing_matches(cx: &Context, listing: &Listing) -> String {
    match listing {
        Listing::StartingWith(start) => {
            let (project, namespace) =
                (cx.notation.defaults.project(), cx.notation.defaults.display(cx.notation.delimiter));
            format!(
                "nothing matches; there is nothing in project {start}, nor in namespace {start} of {project} (--key {start} lists keys of {namespace})"
            )
        }
        Listing::Within { namespace, .. } if cx.notation.short == Short::Prefixes => {
            format!("nothing matches in {}", namespace.display(cx.notation.delimiter))
        }
        _ => "nothing matches".to_owned(),
    }
}

/// One namespace of a listing.
struct Part {
    namespace: Namespace,
    place: String,
    query: Query,
}

/// Whether a listing of full addresses covers `namespace`.
pub fn covers(listing: &Listing, namespace: &Namespace, default_project: &str) -> bool {
    match listing {
        Listing::All => true,
        Listing::StartingWith(start) => {
            namespace.project() == start
                || (namespace.namespace() == start && namespace.project() == default_project)
        }
        Listing::Within { namespace: within, .. } => namespace == within,
    }
}

/// Whether the name of a namespace cannot be written with this delimiter.
pub fn holds_delimiter(namespace: &Namespace, delimiter: Delimiter) -> bool {
    [namespace.project(), namespace.namespace()].iter().any(|name| name.contains(delimiter.char()))
}

/// Says on stderr that some lines cannot be used as addresses.
pub fn warn_of_unwritable(count: u64, delimiter: Delimiter) {
    if count > 0 {
        output::note(&format!(
            "{count} of these hold the delimiter `{delimiter}`; --ns-delim takes another one to address them"
        ));
    }
}

/// What lies behind the address `after`: the rest of its namespace, and those that follow.
fn behind(cx: &Context, parts: Vec<Part>, after: &str, reverse: bool) -> Result<Vec<Part>, Failure> {
    let Address { namespace, name } = cx.address(after.as_ref())?;
    let place = format!("{}{}", namespace.display(cx.notation.delimiter), cx.notation.delimiter);
    let follows = |part: &Part| if reverse { part.place <= place } else { part.place >= place };
    let mut rest: Vec<_> = parts.into_iter().filter(follows).collect();
    for part in &mut rest {
        part.query.after = (part.place == place).then(|| name.as_str().to_owned());
    }
    Ok(rest)
}

/// Prints entries a page at a time.
struct Printer<'a> {
    out: &'a mut Out,
    format: Format,
    long: bool,
    values: bool,
    now: Millis,
    delimiter: Delimiter,
    stream: StreamPrinter,
    namespace: Namespace,
    /// What is printed in front of the keys of the namespace.
    place: String,
    place_is_unwritable: bool,
    /// Entries whose line cannot be used as an address under this delimiter.
    unwritable: u64,
    shown: u64,
    failure: Option<Failure>,
}

impl Sink for Printer<'_> {
    fn row(&mut self, row: Row<'_>) {
        let is_unwritable = self.place_is_unwritable || row.name.contains(self.delimiter.char());
        if is_unwritable && self.format != Format::Stream {
            self.unwritable += 1;
        }
        match self.format {
            Format::Count => {}
            Format::Text { end } => self.text(row, end),
            Format::Stream => {
                let left = row.head.and_then(|head| ttl::left(head, self.now));
                let ttl = left.and_then(|millis| Ttl::from_millis(millis.max(1)).ok());
                self.stream.entry(self.out.buffer(), &self.namespace, row.name, ttl, row.value);
            }
            Format::Json if self.shown > 0 => self.json(row, b","),
            Format::Json => self.json(row, b""),
            Format::JsonLines => {
                self.json(row, b"");
                self.out.push(b"\n");
            }
        }
        self.shown += 1;
    }

    fn page(&mut self) -> CoreResult<ControlFlow<()>> {
        match self.out.flush() {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(failure) => {
                self.failure = Some(failure);
                Ok(ControlFlow::Break(()))
            }
        }
    }
}

impl Printer<'_> {
    fn begin(&mut self) {
        if self.format == Format::Json {
            self.out.push(b"[");
        }
    }

    /// Prints what comes last, and says whether there was nothing to list.
    fn end(self) -> Result<bool, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match self.format {
            Format::Json => self.out.push(b"]\n"),
            Format::Count => self.out.line(&self.shown.to_string()),
            _ => {}
        }
        self.out.flush()?;
        warn_of_unwritable(self.unwritable, self.delimiter);
        Ok(self.shown == 0 && self.format != Format::Count)
    }

    fn text(&mut self, row: Row<'_>, end: u8) {
        if let Some(head) = row.head.filter(|_| self.long) {
            let age = self.now.0.saturating_sub(head.updated.0).max(0) / 1000;
            let left = ttl::seconds(ttl::left(head, self.now));
            let writer = head.writer.as_deref().unwrap_or("-");
            let columns = format!("{}\t{age}\t{left}\t{}\t{writer}\t", head.version, head.size);
            self.out.push(columns.as_bytes());
        }
        self.out.push(self.place.as_bytes());
        self.out.push(row.name.as_bytes());
        if self.values {
            self.out.push(b"=");
            self.out.push(row.value);
        }
        self.out.push(&[end]);
    }

    fn json(&mut self, row: Row<'_>, before: &[u8]) {
        self.out.push(before);
        let mut object = Object::begin(self.out.buffer());
        object.text("k", &format!("{}{}", self.place, row.name));
        if self.values {
            object.value(row.value);
        }
        if let Some(head) = row.head {
            object.head(head);
        }
        object.end();
    }
}
