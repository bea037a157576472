//! Tokens: where each begins and ends, and which part of it is quoted. Knows nothing of what they mean.

use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::{BYTE_ORDER_MARK, StreamError, Trouble};
use crate::store::Place;

/// Cuts text that comes in pieces into tokens.
///
/// It keeps no text: what it has not taken is shown to it again with more behind it, and how far it had looked is all that
/// it remembers, so that no byte of a long token is looked at twice.
pub(super) struct Lexer {
    max_token_bytes: usize,
    /// Where the text begins that has not been taken.
    here: Place,
    /// Whether the first bytes have been looked at, which may be a byte order mark.
    has_begun: bool,
    in_comment: bool,
    scan: Scan,
}

/// What is known of the token at the front of the text; places count from its first byte.
#[derive(Clone, Copy, Default)]
struct Scan {
    stage: Stage,
    /// What has been looked at.
    at: usize,
    key_end: usize,
    value_start: usize,
    value_end: usize,
    key_is_quoted: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    Key,
    QuotedKey,
    BehindKey,
    BeforeValue,
    Value,
    QuotedValue,
    BehindValue,
}

/// What the lexer found.
pub(super) enum Lexed<'i> {
    /// A token, which has been taken from the text.
    Token(Token<'i>),
    /// Nothing whole; more text has to follow.
    NeedsMore,
    /// The end of all text.
    End,
}

/// `key=value`, not yet decoded.
#[derive(Clone, Copy)]
pub(super) struct Token<'i> {
    /// All of it, without the `;`.
    text: &'i [u8],
    at: Place,
    /// What stands in front of the first `=`.
    pub key: Part<'i>,
    /// What stands behind it.
    pub value: Part<'i>,
}

/// One side of a token.
#[derive(Clone, Copy)]
pub(super) struct Part<'i> {
    /// The text, without outer blanks or the quotes around it.
    pub text: &'i [u8],
    /// Whether there were quotes, so that `\` stands for something else.
    pub is_quoted: bool,
    /// Where in the token `text` begins.
    start: usize,
}

impl Token<'_> {
    /// Where it begins.
    pub fn place(&self) -> Place {
        self.at
    }

    /// The place of the byte number `offset` of a part.
    pub fn place_in(&self, part: Part<'_>, offset: usize) -> Place {
        let mut place = self.at;
        advance(&mut place, &self.text[..part.start + offset]);
        place
    }
}

impl Lexer {
    pub fn new(max_token_bytes: usize) -> Self {
        let here = Place { line: 1, column: 1 };
        Self { max_token_bytes, here, has_begun: false, in_comment: false, scan: Scan::default() }
    }

    /// Where the text begins that has not been taken.
    pub fn place(&self) -> Place {
        self.here
    }

    /// Takes the next token from the front of `text`; with `is_last` no more text follows.
    pub fn next<'i>(&mut self, text: &mut &'i [u8], is_last: bool) -> Result<Lexed<'i>, StreamError> {
        if !self.begin(text, is_last) {
            return Ok(Lexed::NeedsMore);
        }
        self.skip_gap(text);
        if text.is_empty() {
            return Ok(if is_last { Lexed::End } else { Lexed::NeedsMore });
        }
        let mut scan = std::mem::take(&mut self.scan);
        let window = &text[..text.len().min(self.max_token_bytes.saturating_add(1))];
        let is_last = is_last && text.len() <= self.max_token_bytes;
        let is_whole = scan.run(window, is_last).map_err(|(at, trouble)| self.error(text, at, trouble))?;
        if !is_whole && window.len() > self.max_token_bytes {
            return Err(self.error(text, 0, Trouble::TooLong(self.max_token_bytes)));
        }
        if !is_whole {
            self.scan = scan;
            return Ok(Lexed::NeedsMore);
        }
        self.take(text, scan).map(Lexed::Token)
    }

    /// Takes the byte order mark that the text may begin with, which has no place; says whether that could be told.
    fn begin(&mut self, text: &mut &[u8], is_last: bool) -> bool {
        if self.has_begun {
            return true;
        }
        let is_part = text.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(text);
        if is_part && !is_last {
            return false;
        }
        *text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        self.has_begun = true;
        true
    }

    /// Takes blanks, empty tokens and comments from the front.
    fn skip_gap(&mut self, text: &mut &[u8]) {
        if self.scan.stage != Stage::Start {
            return;
        }
        loop {
            let skipped = if self.in_comment {
                memchr(b'\n', text).unwrap_or(text.len())
            } else {
                text.iter().take_while(|byte| is_blank(**byte) || **byte == b';').count()
            };
            self.skip(text, skipped);
            self.in_comment = match text.first() {
                None => return,
                Some(b'#') => true,
                Some(_) if self.in_comment => false,
                Some(_) => return,
            };
        }
    }

    fn skip(&mut self, text: &mut &[u8], length: usize) {
        let (skipped, rest) = text.split_at(length);
        advance(&mut self.here, skipped);
        *text = rest;
    }

    fn take<'i>(&mut self, text: &mut &'i [u8], scan: Scan) -> Result<Token<'i>, StreamError> {
        let all: &'i [u8] = text;
        let token = &all[..scan.at];
        if let Some(at) = memchr(0, token) {
            return Err(self.error(text, at, Trouble::Nul));
        }
        let key = if scan.key_is_quoted {
            Part { text: &token[1..scan.key_end], is_quoted: true, start: 1 }
        } else {
            Part { text: token[..scan.key_end].trim_ascii_end(), is_quoted: false, start: 0 }
        };
        let is_quoted = scan.stage == Stage::BehindValue;
        let value = &token[scan.value_start..scan.value_end];
        let value = if is_quoted { value } else { value.trim_ascii_end() };
        let value = Part { text: value, is_quoted, start: scan.value_start };
        let token = Token { text: token, at: self.here, key, value };
        self.skip(text, scan.at);
        Ok(token)
    }

    fn error(&self, text: &[u8], at: usize, trouble: Trouble) -> StreamError {
        let mut place = self.here;
        advance(&mut place, &text[..at]);
        StreamError { place, trouble }
    }
}

impl Scan {
    /// Looks on in `text`; says whether the token has come to its end. Errors say where.
    fn run(&mut self, text: &[u8], is_last: bool) -> Result<bool, (usize, Trouble)> {
        loop {
            let is_stuck = match self.stage {
                Stage::Start => self.start(text),
                Stage::Key => self.key(text)?,
                Stage::QuotedKey => self.quoted(text, Stage::BehindKey),
                Stage::BehindKey => self.behind_key(text)?,
                Stage::BeforeValue => self.before_value(text),
                Stage::Value => match memchr(b';', &text[self.at..]) {
                    Some(length) => return Ok(self.ends_at(self.at + length)),
                    None => self.wait(text),
                },
                Stage::QuotedValue => self.quoted(text, Stage::BehindValue),
                Stage::BehindValue => {
                    self.at += blanks(&text[self.at..]);
                    match text.get(self.at) {
                        Some(b';') => return Ok(true),
                        Some(_) => return Err((self.at, Trouble::BehindQuote)),
                        None => true,
                    }
                }
            };
            if is_stuck {
                return if is_last { self.end(text.len()) } else { Ok(false) };
            }
        }
    }

    fn start(&mut self, text: &[u8]) -> bool {
        self.key_is_quoted = text[0] == b'"';
        self.stage = if self.key_is_quoted { Stage::QuotedKey } else { Stage::Key };
        self.at = usize::from(self.key_is_quoted);
        false
    }

    fn key(&mut self, text: &[u8]) -> Result<bool, (usize, Trouble)> {
        match memchr2(b'=', b';', &text[self.at..]) {
            Some(length) if text[self.at + length] == b'=' => {
                self.at += length;
                self.key_end = self.at;
                self.stage = Stage::BehindKey;
                Ok(false)
            }
            Some(_) => Err((0, Trouble::NoEquals)),
            None => Ok(self.wait(text)),
        }
    }

    fn behind_key(&mut self, text: &[u8]) -> Result<bool, (usize, Trouble)> {
        self.at += blanks(&text[self.at..]);
        match text.get(self.at) {
            Some(b'=') => {
                self.at += 1;
                self.stage = Stage::BeforeValue;
                Ok(false)
            }
            Some(b';') => Err((0, Trouble::NoEquals)),
            Some(_) => Err((self.at, Trouble::BehindQuote)),
            None => Ok(true),
        }
    }

    fn before_value(&mut self, text: &[u8]) -> bool {
        self.at += blanks(&text[self.at..]);
        let Some(first) = text.get(self.at) else { return true };
        let is_quoted = *first == b'"';
        self.stage = if is_quoted { Stage::QuotedValue } else { Stage::Value };
        self.at += usize::from(is_quoted);
        self.value_start = self.at;
        false
    }

    /// Looks for the closing quote; `\` guards the byte behind it.
    fn quoted(&mut self, text: &[u8], next: Stage) -> bool {
        while let Some(length) = memchr2(b'"', b'\\', &text[self.at..]) {
            let found = self.at + length;
            if text[found] == b'"' {
                match next {
                    Stage::BehindKey => self.key_end = found,
                    _ => self.value_end = found,
                }
                self.at = found + 1;
                self.stage = next;
                return false;
            }
            self.at = found;
            if found + 2 > text.len() {
                return true;
            }
            self.at = found + 2;
        }
        self.wait(text)
    }

    /// Remembers that all has been looked at.
    fn wait(&mut self, text: &[u8]) -> bool {
        self.at = text.len();
        true
    }

    /// A bare value ends here.
    fn ends_at(&mut self, end: usize) -> bool {
        self.at = end;
        self.value_end = end;
        true
    }

    /// No more text follows.
    fn end(&mut self, length: usize) -> Result<bool, (usize, Trouble)> {
        match self.stage {
            Stage::Start | Stage::Key | Stage::BehindKey => Err((0, Trouble::NoEquals)),
            Stage::QuotedKey => Err((0, Trouble::Unterminated)),
            Stage::QuotedValue => Err((self.value_start - 1, Trouble::Unterminated)),
            Stage::BeforeValue => {
                self.value_start = length;
                Ok(self.ends_at(length))
            }
            Stage::Value => Ok(self.ends_at(length)),
            Stage::BehindValue => Ok(true),
        }
    }
}

/// How many blanks stand at the front.
fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_blank(**byte)).count()
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

/// Moves a place over `text`.
fn advance(place: &mut Place, text: &[u8]) {
    match memrchr(b'\n', text) {
        Some(last) => {
            place.line += memchr_iter(b'\n', text).count() as u64;
            place.column = (text.len() - last) as u64;
        }
        None => place.column += text.len() as u64,
    }
}
