//! Words that messages repeat, and those that they keep to themselves.

/// What secrets hold that were put in the wrong place, in small letters.
const MARKS: [&str; 5] = ["pass=", "sec=", "pdbk_", "pdbs_", "age-secret-key-"];

/// A word as messages repeat it: in one line, and hidden when it looks like a secret.
pub fn shown(word: &str) -> String {
    if is_like_secret(word) {
        return "(hidden, for it looks like a secret)".to_owned();
    }
    escaped(word)
}

/// A text in one line: its control characters as escapes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    escaped
}

/// Whether a word may be a secret that was put in the wrong place.
pub(super) fn is_like_secret(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    MARKS.iter().any(|mark| lower.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_look_like_secrets_are_hidden() {
        for word in [
            "pass=x",
            "user=a;pass=x;",
            "meta:sec:PASS=x",
            "sec=x",
            "pdbk_0_1",
            "'pdbs_0_1",
            "age-secret-key-1x",
        ] {
            assert!(shown(word).starts_with("(hidden"), "{word}");
        }
        for word in ["passage", "sector", "a.b=c", "ä", "it's"] {
            assert_eq!(shown(word), word);
        }
        assert_eq!(shown("a\u{1b}\n"), "a\\u{1b}\\n");
    }
}
