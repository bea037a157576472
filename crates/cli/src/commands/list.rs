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
use crate::output::bounded::{Bounded, Form};
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
    pub limit: Option<u64>,

    /// Begin behind this key; behind this address where addresses are listed
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub after: Option<String>,

    /// No more than so many bytes in all, whole entries; then stderr, or "next" in JSON, says what to go on with
    #[arg(long, value_name = "N", conflicts_with = "count")]
    max_bytes: Option<u64>,

    /// From the last to the first
    #[arg(long)]
    reverse: bool,

    /// Only keys that look like this as a whole: `*`, `?`, `[a-z]`, `\` before a character that is meant as it is
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub glob: Option<String>,

    /// Only keys with this metakey, and with this value where one is given; may be repeated, and all must hold
    #[arg(long = "where", value_name = "NAME[=VALUE]", allow_hyphen_values = true)]
    metakeys: Vec<String>,

    /// Print only how many there are
    #[arg(long, conflicts_with_all = ["jsonl", "long"])]
    count: bool,

    /// Version, age, time left, size and writer in front, tabs between
    #[arg(long)]
    pub long: bool,

    /// End each with a zero byte in place of a newline
    #[arg(short = '0', conflicts_with_all = ["jsonl", "json"])]
    zero: bool,

    /// Also what has expired and is still on disk
    #[arg(long)]
    include_expired: bool,

    // How many parts of their addresses keys are printed without, where it is not for the listing to say.
    #[arg(skip)]
    known_parts: Option<usize>,
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

impl Format {
    fn form(self) -> Form {
        match self {
            Self::Json => Form::Json,
            Self::JsonLines => Form::JsonLines,
            Self::Text { .. } | Self::Stream | Self::Count => Form::Lines,
        }
    }
}

/// What came of a listing.
pub struct Listed {
    /// How much of it there was room for.
    pub bounded: Bounded,
    /// How many lines cannot be used as addresses.
    unwritable: u64,
    /// Whether there is nothing to list.
    is_empty: bool,
}

impl Arguments {
    /// Those of a page of at most so many bytes, whose keys are printed without so many parts of their addresses.
    #[cfg(feature = "mcp")]
    pub fn page(max_bytes: u64, known_parts: usize) -> Self {
        Self { max_bytes: Some(max_bytes), known_parts: Some(known_parts), ..Self::default() }
    }

    /// Lists what `listing` covers, with or without values.
    pub fn run(self, cx: &mut Context, listing: &Listing, values: bool) -> Result<Code, Failure> {
        let store = cx.open_existing()?;
        let listed = self.fill(cx, &store, listing, values)?;
        cx.out.flush()?;
        warn_of_unwritable(listed.unwritable, cx.notation.delimiter);
        if listed.is_empty {
            output::note(&nothing_matches(cx, listing));
        }
        listed.bounded.tell_next();
        Ok(Code::Done)
    }

    /// Keeps the list for the next flush; without a limit in bytes, what comes first is printed meanwhile.
    pub fn fill(
        &self,
        cx: &mut Context,
        store: &Session,
        listing: &Listing,
        values: bool,
    ) -> Result<Listed, Failure> {
        let query = self.query(cx, listing, values)?;
        let parts = self.parts(cx, store, listing, query)?;
        if let [_, _, ..] = parts.as_slice()
            && parts.iter().any(|part| part.query.wants_values())
        {
            // Nothing is printed when some of it cannot be.
            let namespaces: Vec<_> = parts.iter().map(|part| part.namespace.clone()).collect();
            store.require_values(&namespaces)?;
        }
        let format = self.format(cx.globals.json);
        let mut printer = Printer {
            bounded: Bounded::begin(&mut cx.out, format.form(), self.max_bytes),
            out: &mut cx.out,
            format,
            long: self.long,
            values,
            limit: self.limit,
            now: store.now(),
            delimiter: cx.notation.delimiter,
            stream: StreamPrinter::new(cx.notation.delimiter),
            namespace: Namespace::default(),
            place: String::new(),
            place_is_unwritable: false,
            unwritable: 0,
            failure: None,
        };
        for part in parts {
            let left = printer.left();
            if left == Some(0) || printer.bounded.is_cut() || printer.failure.is_some() {
                break;
            }
            printer.place_is_unwritable =
                holds_delimiter(&part.namespace, printer.delimiter) && !part.place.is_empty();
            printer.place = part.place;
            printer.namespace = part.namespace.clone();
            let query = Query { limit: left, ..part.query };
            store.list(&part.namespace, &query, &mut printer).map_err(Failure::from)?;
        }
        printer.end()
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
            after: None,
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
        let place_of = |namespace: &Namespace| self.place_of(listing, namespace, cx.notation.delimiter);
        if let Listing::Within { namespace, .. } = listing {
            let place = place_of(namespace);
            let after = match &self.after {
                Some(after) if !place.is_empty() => Some(name_within(cx, namespace, after)?),
                after => after.clone(),
            };
            let query = Query { after, ..query };
            return Ok(vec![Part { namespace: namespace.clone(), place, query }]);
        }
        let mut parts = Vec::new();
        for space in store.namespaces(None).map_err(|error| cx.with_hint(error.into()))? {
            if listing.covers(&space.namespace, cx.notation.defaults.project()) {
                let place = place_of(&space.namespace);
                parts.push(Part { namespace: space.namespace, place, query: query.clone() });
            }
        }
        parts.sort_by(|a, b| a.place.cmp(&b.place));
        if self.reverse {
            parts.reverse();
        }
        match &self.after {
            Some(after) => {
                let Address { namespace, name } = cx.listed_address(after)?;
                Ok(behind(parts, &place_of(&namespace), name.as_str(), self.reverse))
            }
            None => Ok(parts),
        }
    }

    /// What is printed in front of the keys of a namespace.
    fn place_of(&self, listing: &Listing, namespace: &Namespace, delimiter: Delimiter) -> String {
        let is_within = matches!(listing, Listing::Within { .. });
        match self.known_parts.unwrap_or(if is_within { 2 } else { 0 }) {
            0 => format!("{}{delimiter}", namespace.display(delimiter)),
            1 => format!("{}{delimiter}", namespace.namespace()),
            _ => String::new(),
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

/// The name at an address, which has to be one of a namespace.
fn name_within(cx: &Context, namespace: &Namespace, after: &str) -> Result<String, Failure> {
    let address = cx.listed_address(after)?;
    if address.namespace == *namespace {
        return Ok(address.name.as_str().to_owned());
    }
    let namespace = namespace.display(cx.notation.delimiter);
    Err(Failure::invalid(format!("{after} is not in {namespace}, where the listing is to go on")))
}

/// What lies behind an entry: the rest of its namespace, which is printed with `place` in front, and those that follow.
fn behind(parts: Vec<Part>, place: &str, name: &str, reverse: bool) -> Vec<Part> {
    let follows = |part: &Part| if reverse { *part.place <= *place } else { *part.place >= *place };
    let mut rest: Vec<_> = parts.into_iter().filter(follows).collect();
    for part in &mut rest {
        part.query.after = (part.place == place).then(|| name.to_owned());
    }
    rest
}

/// Prints entries a page at a time.
struct Printer<'a> {
    bounded: Bounded,
    out: &'a mut Out,
    format: Format,
    long: bool,
    values: bool,
    limit: Option<u64>,
    now: Millis,
    delimiter: Delimiter,
    stream: StreamPrinter,
    namespace: Namespace,
    /// What is printed in front of the keys of the namespace.
    place: String,
    place_is_unwritable: bool,
    /// Entries whose line cannot be used as an address under this delimiter.
    unwritable: u64,
    failure: Option<Failure>,
}

impl Sink for Printer<'_> {
    fn row(&mut self, row: Row<'_>) {
        if self.limit == Some(self.bounded.shown()) {
            // It was only asked for to know that there is more.
            return self.bounded.cut();
        }
        let is_unwritable = self.place_is_unwritable || row.name.contains(self.delimiter.char());
        let Self { format, long, values, now, stream, namespace, place, .. } = self;
        let is_shown = self.bounded.add(self.out, [place, row.name], |out| match *format {
            Format::Count => {}
            Format::Text { end } => text(out, place, row, end, *values, long.then_some(*now)),
            Format::Stream => {
                let left = row.head.and_then(|head| ttl::left(head, *now));
                let ttl = left.and_then(|millis| Ttl::from_millis(millis.max(1)).ok());
                stream.entry(out.buffer(), namespace, row.name, ttl, row.value);
            }
            Format::Json | Format::JsonLines => json(out, place, row, *values),
        });
        if is_shown && is_unwritable && self.format != Format::Stream {
            self.unwritable += 1;
        }
    }

    fn page(&mut self) -> CoreResult<ControlFlow<()>> {
        if self.bounded.is_cut() {
            return Ok(ControlFlow::Break(()));
        }
        let flushed = if self.bounded.flows() { self.out.flush() } else { Ok(()) };
        match flushed {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(failure) => {
                self.failure = Some(failure);
                Ok(ControlFlow::Break(()))
            }
        }
    }
}

impl Printer<'_> {
    /// How many more entries are wanted; one more than are shown where it matters whether there is more.
    fn left(&self) -> Option<u64> {
        let left = self.limit? - self.bounded.shown();
        Some(if self.bounded.flows() || self.limit == Some(0) { left } else { left.saturating_add(1) })
    }

    /// Prints what comes last.
    fn end(self) -> Result<Listed, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.format == Format::Count {
            self.out.line(&self.bounded.shown().to_string());
        }
        self.bounded.end(self.out)?;
        let is_empty = self.bounded.shown() == 0 && self.format != Format::Count;
        Ok(Listed { bounded: self.bounded, unwritable: self.unwritable, is_empty })
    }
}

/// Prints a line, with what is known of the entry at this moment if that is wanted.
fn text(out: &mut Out, place: &str, row: Row<'_>, end: u8, values: bool, known_at: Option<Millis>) {
    if let (Some(head), Some(now)) = (row.head, known_at) {
        let age = now.0.saturating_sub(head.updated.0).max(0) / 1000;
        let left = ttl::seconds(ttl::left(head, now));
        let writer = head.writer.as_deref().unwrap_or("-");
        let columns = format!("{}\t{age}\t{left}\t{}\t{writer}\t", head.version, head.size);
        out.push(columns.as_bytes());
    }
    out.push(place.as_bytes());
    out.push(row.name.as_bytes());
    if values {
        out.push(b"=");
        out.push(row.value);
    }
    out.push(&[end]);
}

fn json(out: &mut Out, place: &str, row: Row<'_>, values: bool) {
    let mut object = Object::begin(out.buffer());
    object.text("k", &format!("{place}{}", row.name));
    if values {
        object.value(row.value);
    }
    if let Some(head) = row.head {
        object.head(head);
    }
    object.end();
}
