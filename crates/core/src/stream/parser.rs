//! What tokens mean: directives act from where they stand, all other tokens are entries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;
use secrecy::SecretString;

use super::lexer::{Lexed, Lexer, Part, Token};
use super::{BASE64_MARK, META_MARK, StreamError, Trouble, shown};
use crate::address::{AddressError, Delimiter, EntryName, Namespace, Notation, Part as AddressPart};
use crate::auth::Credentials;
use crate::clock::Ttl;
use crate::store::{Change, Life, Place};

/// How a stream is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where entries go in front of the first directive that says so.
    pub namespace: Namespace,
    /// The delimiter until `meta:delim`.
    pub delimiter: Delimiter,
    /// Whether credentials have to come first.
    pub needs_credentials: bool,
    /// The longest token; longer ones are refused before they fill memory.
    pub max_token_bytes: usize,
}

/// Reads a stream that comes in pieces.
///
/// # Examples
/// ```
/// use prontodb_core::stream::{Item, Options, Parser, Step};
///
/// let mut text: &[u8] = b"meta:path=shop.prices; apple=120; # sour\n pear=b64:MTUw";
/// let mut parser = Parser::new(Options::default());
/// let mut seen = Vec::new();
/// while let Step::Item(item) = parser.next(&mut text, true)? {
///     if let Item::Entry { namespace, name, .. } = item {
///         seen.push(format!("{} {name}", namespace.project()));
///     }
/// }
/// assert_eq!(seen, ["shop apple", "shop pear"]);
/// # Ok::<(), prontodb_core::stream::StreamError>(())
/// ```
pub struct Parser {
    lexer: Lexer,
    default_namespace: String,
    needs_credentials: bool,
    notation: Notation,
    state: State,
    /// The present entry's name, and bytes of values that had to be decoded; kept so that their memory is.
    name: EntryName,
    decoded: Vec<u8>,
}

/// What directives have said so far.
struct State {
    namespace: Namespace,
    ttl: Option<Ttl>,
    deletes: bool,
    security: Security,
}

enum Security {
    /// Nothing but credentials has come.
    Open,
    /// A password, and where it stood.
    Password(SecretString, Place),
    /// Something else has come, or the credentials are complete.
    Closed,
}

/// What a stream says, one thing at a time.
#[derive(Debug)]
pub enum Item<'p> {
    /// Who writes; nothing else comes before it, and it comes once.
    Credentials(Credentials),
    /// A change of an entry.
    Entry {
        /// Where it stands.
        at: Place,
        /// Where it goes.
        namespace: &'p Namespace,
        /// Which entry it is.
        name: &'p EntryName,
        /// What becomes of the entry.
        change: Change<'p>,
    },
}

/// What stands behind the directives.
enum Found<'i> {
    Entry(Token<'i>),
    Credentials(Credentials),
    NeedsMore,
    End,
}

/// How far a parser came.
#[derive(Debug)]
pub enum Step<'p> {
    /// To the next thing.
    Item(Item<'p>),
    /// To the end of the text that it was shown, which has to be shown again with more behind it.
    NeedsMore,
    /// To the end.
    End,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            delimiter: Delimiter::default(),
            needs_credentials: false,
            max_token_bytes: usize::MAX,
        }
    }
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub fn new(options: Options) -> Self {
        let notation = Notation { delimiter: options.delimiter, ..Notation::default() };
        Self {
            lexer: Lexer::new(options.max_token_bytes),
            default_namespace: options.namespace.namespace().to_owned(),
            needs_credentials: options.needs_credentials,
            notation,
            state: State {
                namespace: options.namespace,
                ttl: None,
                deletes: false,
                security: Security::Open,
            },
            name: EntryName::nothing(),
            decoded: Vec::new(),
        }
    }

    /// Where the text begins that has not been taken.
    pub fn place(&self) -> Place {
        self.lexer.place()
    }

    /// Takes what comes next from the front of `text`; with `is_last` no more text follows.
    ///
    /// # Errors
    /// See [`Trouble`]. A parser that has failed is not to be asked again.
    pub fn next<'p, 'i: 'p>(
        &'p mut self,
        text: &mut &'i [u8],
        is_last: bool,
    ) -> Result<Step<'p>, StreamError> {
        match self.next_token(text, is_last)? {
            Found::Entry(token) => self.entry(token).map(Step::Item),
            Found::Credentials(credentials) => Ok(Step::Item(Item::Credentials(credentials))),
            Found::NeedsMore => Ok(Step::NeedsMore),
            Found::End => self.end(),
        }
    }

    /// Obeys directives up to the next token that is none.
    fn next_token<'i>(&mut self, text: &mut &'i [u8], is_last: bool) -> Result<Found<'i>, StreamError> {
        loop {
            let token = match self.lexer.next(text, is_last)? {
                Lexed::Token(token) => token,
                Lexed::NeedsMore => return Ok(Found::NeedsMore),
                Lexed::End => return Ok(Found::End),
            };
            if token.key.is_quoted || !token.key.text.starts_with(META_MARK) {
                return Ok(Found::Entry(token));
            }
            if let Some(credentials) = self.directive(token)? {
                return Ok(Found::Credentials(credentials));
            }
        }
    }

    fn end(&self) -> Result<Step<'static>, StreamError> {
        match self.state.security {
            Security::Open if self.needs_credentials => {
                Err(StreamError { place: self.lexer.place(), trouble: Trouble::NoCredentials })
            }
            Security::Password(_, place) => Err(StreamError { place, trouble: Trouble::HalfCredentials }),
            _ => Ok(Step::End),
        }
    }

    fn entry<'p>(&'p mut self, token: Token<'p>) -> Result<Item<'p>, StreamError> {
        self.state.security.close(&token, self.needs_credentials)?;
        let mut unescaped = Vec::new();
        let key = decode_key(&token, &mut unescaped)?;
        let checked =
            self.notation.refuse_delimiter(AddressPart::Key, key).and_then(|()| self.name.assign(key));
        checked.map_err(|error| trouble(&token, token.key, error.into()))?;
        let value = decode(&token, token.value, &mut self.decoded)?;
        let State { namespace, ttl, deletes, .. } = &self.state;
        let change = match (deletes, value.is_empty()) {
            (false, _) => Change::Set { value, life: ttl.map_or(Life::Default, Life::Ttl) },
            (true, true) => Change::Delete,
            (true, false) => return Err(trouble(&token, token.value, Trouble::ValueOfDeletion)),
        };
        Ok(Item::Entry { at: token.place(), namespace, name: &self.name, change })
    }

    /// Does what a directive says, or returns the credentials that it completes.
    fn directive(&mut self, token: Token<'_>) -> Result<Option<Credentials>, StreamError> {
        let name = std::str::from_utf8(&token.key.text[META_MARK.len()..]);
        let name = name.map_err(|_| trouble(&token, token.key, Trouble::NotText("directive")))?;
        let mut decoded = Vec::new();
        let value = decode(&token, token.value, &mut decoded)?;
        let value = std::str::from_utf8(value);
        let value = value.map_err(|_| trouble(&token, token.value, Trouble::NotText("directive")))?;
        if let Some(kind) = name.strip_prefix("sec:") {
            return self.state.security.take(kind, value, &token);
        }
        self.state.security.close(&token, self.needs_credentials)?;
        let obeyed = self.obey(name, value);
        obeyed.map(|()| None).map_err(|error| match error {
            Trouble::UnknownMeta(_) => StreamError { place: token.place(), trouble: error },
            Trouble::Address(_) | Trouble::Ttl(_) if value.contains('=') => {
                trouble(&token, token.value, Trouble::Unended)
            }
            _ => trouble(&token, token.value, error),
        })
    }

    fn obey(&mut self, name: &str, value: &str) -> Result<(), Trouble> {
        let delimiter = self.notation.delimiter;
        let one_name = |part, name: &str| self.notation.refuse_delimiter(part, name);
        match name {
            "path" | "ns" => self.state.namespace = Namespace::parse(value, delimiter)?,
            "project" => {
                one_name(AddressPart::Project, value)?;
                self.state.namespace = Namespace::new(value, self.default_namespace.as_str())?;
            }
            "namespace" => {
                one_name(AddressPart::Namespace, value)?;
                self.state.namespace = Namespace::new(self.state.namespace.project(), value)?;
            }
            "delim" => self.notation.delimiter = value.parse().map_err(|error: AddressError| error)?,
            "ttl" if value.is_empty() => self.state.ttl = None,
            "ttl" => self.state.ttl = Some(Ttl::parse(value)?),
            "op" => self.state.deletes = deletes(value)?,
            _ => return Err(Trouble::UnknownMeta(shown(name))),
        }
        Ok(())
    }
}

impl Security {
    /// Takes a part of the credentials; returns them when they are complete.
    fn take(
        &mut self,
        kind: &str,
        value: &str,
        token: &Token<'_>,
    ) -> Result<Option<Credentials>, StreamError> {
        let at = |trouble| StreamError { place: token.place(), trouble };
        let credentials = match (kind, std::mem::replace(self, Self::Closed)) {
            ("pass" | "user" | "apikey" | "session", Self::Closed) => {
                return Err(at(Trouble::LateCredentials));
            }
            ("pass", Self::Open) => {
                *self = Self::Password(value.into(), token.place());
                return Ok(None);
            }
            ("user", Self::Password(password, _)) => {
                Credentials::Password { user: value.to_owned(), password }
            }
            ("apikey", Self::Open) => Credentials::ApiKey(value.into()),
            ("session", Self::Open) => Credentials::Session(value.into()),
            ("pass" | "user" | "apikey" | "session", _) => return Err(at(Trouble::HalfCredentials)),
            _ => return Err(at(Trouble::UnknownMeta(shown(&format!("sec:{kind}"))))),
        };
        Ok(Some(credentials))
    }

    /// Notes that something other than credentials has come.
    fn close(&mut self, token: &Token<'_>, is_needed: bool) -> Result<(), StreamError> {
        let trouble = match std::mem::replace(self, Self::Closed) {
            Self::Open if is_needed => Trouble::NoCredentials,
            Self::Password(..) => Trouble::HalfCredentials,
            Self::Open | Self::Closed => return Ok(()),
        };
        Err(StreamError { place: token.place(), trouble })
    }
}

fn deletes(op: &str) -> Result<bool, Trouble> {
    match op {
        "set" => Ok(false),
        "del" => Ok(true),
        _ => Err(Trouble::Op),
    }
}

fn trouble(token: &Token<'_>, part: Part<'_>, trouble: Trouble) -> StreamError {
    StreamError { place: token.place_in(part, 0), trouble }
}

fn decode_key<'p>(token: &Token<'p>, unescaped: &'p mut Vec<u8>) -> Result<&'p str, StreamError> {
    let key = if token.key.is_quoted { unescape(token, token.key, unescaped)? } else { token.key.text };
    std::str::from_utf8(key).map_err(|_| trouble(token, token.key, Trouble::NotText("key")))
}

/// The bytes that a value stands for: those of the text itself where they say so themselves.
fn decode<'p>(token: &Token<'p>, part: Part<'p>, decoded: &'p mut Vec<u8>) -> Result<&'p [u8], StreamError> {
    if part.is_quoted {
        return unescape(token, part, decoded);
    }
    let Some(base64) = part.text.strip_prefix(BASE64_MARK) else { return Ok(part.text) };
    decoded.clear();
    match STANDARD.decode_vec(base64, decoded) {
        Ok(()) => Ok(decoded),
        Err(_) => Err(trouble(token, part, Trouble::Base64)),
    }
}

/// The bytes that a text between quotes stands for.
fn unescape<'p>(
    token: &Token<'p>,
    part: Part<'p>,
    unescaped: &'p mut Vec<u8>,
) -> Result<&'p [u8], StreamError> {
    let Some(mut next) = memchr(b'\\', part.text) else { return Ok(part.text) };
    let mut start = 0;
    unescaped.clear();
    loop {
        unescaped.extend_from_slice(&part.text[start..next]);
        let escape = escaped(&part.text[next + 1..]);
        let (byte, length) = escape
            .ok_or_else(|| StreamError { place: token.place_in(part, next), trouble: Trouble::Escape })?;
        unescaped.push(byte);
        start = next + 1 + length;
        match memchr(b'\\', &part.text[start..]) {
            Some(length) => next = start + length,
            None => break,
        }
    }
    unescaped.extend_from_slice(&part.text[start..]);
    Ok(unescaped)
}

/// The byte that stands behind a `\`, and how much of the text it takes.
fn escaped(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [byte @ (b'"' | b'\\'), ..] => Some((*byte, 1)),
        [b'n', ..] => Some((b'\n', 1)),
        [b't', ..] => Some((b'\t', 1)),
        [b'r', ..] => Some((b'\r', 1)),
        [b'x', high, low, ..] => Some((digit(*high)? << 4 | digit(*low)?, 3)),
        _ => None,
    }
}

fn digit(hex: u8) -> Option<u8> {
    let digit = char::from(hex).to_digit(16)?;
    u8::try_from(digit).ok()
}
