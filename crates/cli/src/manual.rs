//! The manual: a page for the program, and one for each command and group, made from the definitions of all of them.

use std::io;

use clap_mangen::Man;

use crate::examples;
use crate::grammar::{self, Shared};

/// Where pages lie in a directory such as `/usr/share`.
pub const PLACE: &str = "man/man1";

/// When this version was made.
const DATE: &str = "2026-11-26";

/// What the page of the program ends with.
const MORE: &str = include_str!("manual.roff");
/// What the pages of commands end with.
const MORE_OF_COMMAND: &str =
    ".SH SEE ALSO\n.BR prontodb (1),\nwhich has the flags of every command and the exit codes.\n";

/// A page of the manual.
pub struct Page {
    /// The name of its file.
    pub name: String,
    /// What its file holds.
    pub text: Vec<u8>,
}

/// The page of the program.
///
/// # Errors
/// None that can come up: it is written to memory.
pub fn main_page() -> io::Result<Page> {
    page(&built(), MORE)
}

/// All pages, that of the program first.
///
/// # Errors
/// None that can come up: they are written to memory.
pub fn pages() -> io::Result<Vec<Page>> {
    let definition = built();
    let parts = grammar::paths(&definition).into_iter().map(|(_, part)| page(part, MORE_OF_COMMAND));
    std::iter::once(page(&definition, MORE)).chain(parts).collect()
}

fn built() -> clap::Command {
    let mut definition = grammar::whole(Shared::Once).disable_help_subcommand(true);
    definition.build();
    definition
}

fn page(definition: &clap::Command, more: &str) -> io::Result<Page> {
    let notes = definition.get_after_help().map(ToString::to_string);
    let man = Man::new(definition.clone().after_help(None::<&str>));
    let man = man.source(concat!("prontodb ", env!("CARGO_PKG_VERSION"))).manual("ProntoDB").date(DATE);
    let (name, mut text) = (man.get_filename(), Vec::new());
    man.render(&mut text)?;
    // Two breaks around nothing are one too many.
    let mut text = String::from_utf8_lossy(&text).replace("\n.br\n\n.br\n", "\n.br\n");
    if let Some(notes) = notes {
        let (heading, lines) = match notes.strip_prefix(examples::HEADING) {
            Some(lines) => ("EXAMPLES", lines.trim_start_matches('\n')),
            None => ("NOTES", notes.as_str()),
        };
        text.push_str(&format!(".SH {heading}\n.nf\n{}.fi\n", as_it_is(lines)));
    }
    text.push_str(more);
    Ok(Page { name, text: in_ascii(&text).into_bytes() })
}

/// The text without letters that some readers of manual pages do not know.
fn in_ascii(text: &str) -> String {
    let letter = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    text.chars().map(letter).collect()
}

/// Lines that stay as they are, in the language of manual pages.
fn as_it_is(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        format!("{guard}{line}\n")
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_taken_for_a_request() {
        assert_eq!(as_it_is(".a\n'b\n\\c --d"), "\\&.a\n\\&'b\n\\ec \\-\\-d\n");
    }

    #[test]
    fn pages_are_ascii() {
        assert_eq!(in_ascii("a…b"), "a\\[u2026]b");
        assert!(pages().unwrap().iter().all(|page| page.text.is_ascii()));
    }

    #[test]
    fn each_page_has_a_name_of_its_own() {
        let pages = pages().unwrap();
        let names: std::collections::BTreeSet<_> = pages.iter().map(|page| &page.name).collect();
        assert_eq!(names.len(), pages.len());
        for name in ["prontodb.1", "prontodb-ls.1", "prontodb-admin-user-add.1", "prontodb-cursor.1"] {
            assert!(names.contains(&name.to_owned()), "{name}");
        }
    }
}
