//! Words that messages repeat, and those that they keep to themselves.

/// What secrets hold that were put in the wrong place, in small letters.
const MARKS: [&str; 5] = ["pass=", "sec=", "pdbk_", "pdbs_", "age-secret-key-"];

/// A word as messages repeat it: in one line, and hidden when it looks like a secret.
pub fn shown(word: &str) -> String {
    if is_like_secret(word) {
        return "(hidden, for it looks like a secret)".to_owned();
    }
    word.escape_debug().to_string()
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
        for word in ["passage", "sector", "a.b=c", "ä"] {
            assert_eq!(shown(word), word);
        }
        assert_eq!(shown("a\u{1b}\n"), "a\\u{1b}\\n");
    }
}
