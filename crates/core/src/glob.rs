//! Patterns for names: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a character that is meant as it is.
//!
//! The matcher remembers only the last `*`, so it takes time proportional to pattern times text at worst, and no stack
//! (R. Cox, "Glob Matching Can Be Simple And Fast Too", 2017).

use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A pattern that a whole name is matched against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Any text, also none.
    Star,
    /// Any one character.
    Any,
    /// This character.
    One(char),
    /// A character in one of the ranges, or in none of them.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of `text` fits the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let mut at = 0;
        let mut rest = text.chars();
        let mut retry = None;
        loop {
            match self.tokens.get(at) {
                Some(Token::Star) => {
                    retry = Some((at, rest.clone()));
                    at += 1;
                    continue;
                }
                Some(token) => {
                    let mut next = rest.clone();
                    if next.next().is_some_and(|c| token.takes(c)) {
                        rest = next;
                        at += 1;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            // Let the last star take one character more.
            let Some((star, mut from)) = retry.take() else { return false };
            if from.next().is_none() {
                return false;
            }
            rest = from.clone();
            retry = Some((star, from));
            at = star + 1;
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::One(wanted) => c == *wanted,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

impl FromStr for Glob {
    type Err = Error;

    fn from_str(pattern: &str) -> Result<Self, Error> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => class(&mut chars).ok_or_else(|| broken(pattern, "a `[` without its `]`"))?,
                '\\' => {
                    Token::One(chars.next().ok_or_else(|| broken(pattern, "nothing behind the last `\\`"))?)
                }
                c => Token::One(c),
            });
        }
        Ok(Self { text: pattern.to_owned(), tokens })
    }
}

/// Reads a class behind its `[`. A `]` that comes first is a member, as in every shell.
fn class(chars: &mut std::str::Chars<'_>) -> Option<Token> {
    let mut negated = false;
    if chars.as_str().starts_with(['^', '!']) {
        negated = true;
        chars.next();
    }
    let mut ranges = Vec::new();
    loop {
        let low = match chars.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Class { negated, ranges }),
            '\\' => chars.next()?,
            c => c,
        };
        let rest = chars.as_str();
        let is_range = rest.starts_with('-') && !rest.starts_with("-]");
        let high = if is_range { chars.nth(1)? } else { low };
        ranges.push((low, high));
    }
}

fn broken(pattern: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("the pattern `{pattern}` has {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<Glob>().unwrap().matches(text)
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "anything"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("a*c", "acbc"),
            ("*.*", "a.b"),
            ("?", "é"),
            ("a?c", "abc"),
            ("[abc]x", "bx"),
            ("[a-c]x", "bx"),
            ("[^a-c]", "d"),
            ("[!a]", "b"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("\\*", "*"),
            ("[\\]]", "]"),
            ("**a**", "bab"),
            ("ключ*", "ключи"),
            ("*__prod", "k__prod"),
        ] {
            assert!(matches(pattern, text), "{pattern} should match {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", "A"),
            ("a", "ab"),
            ("?", ""),
            ("?", "ab"),
            ("[abc]", "d"),
            ("[^a]", "a"),
            ("\\*", "x"),
            ("a*b", "abc"),
            ("*a", "ab"),
        ] {
            assert!(!matches(pattern, text), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn unfinished_patterns_are_errors() {
        for pattern in ["[", "[a", "[]", "[a-", "\\", "a[^"] {
            assert!(pattern.parse::<Glob>().is_err(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&"*a".repeat(30), &"a".repeat(29)));
        assert!(!matches(&("*a".repeat(100) + "b"), &"a".repeat(5_000)));
    }
}
