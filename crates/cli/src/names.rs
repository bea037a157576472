//! What databases, cursors and users may be called: short words that are safe in the name of a file.

/// A kind of name.
pub struct Rule {
    /// The most characters.
    pub max: usize,
    /// What is allowed besides letters and digits.
    pub marks: &'static str,
}

impl Rule {
    /// Why `name` is none.
    pub fn why_not(&self, name: &str) -> Option<String> {
        let Self { max, marks } = self;
        if name.is_empty() || name.len() > *max {
            return Some(format!("it needs 1 to {max} characters"));
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c)) {
            let marks: Vec<_> = marks.chars().map(|mark| format!("`{mark}`")).collect();
            return Some(format!("letters a-z and A-Z, digits, {} are allowed", marks.join(", ")));
        }
        None
    }
}
