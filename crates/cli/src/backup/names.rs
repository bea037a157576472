//! What backups are called: `prontodb_<database>_<YYYYMMDD>[_nNN].tar.gz`, with `.age` behind it when it is encrypted.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use prontodb_core::{Clock, Millis, SystemClock};

use crate::paths::check_database_name;

const START: &str = "prontodb_";
/// What the names of folders end in that keep what a restore has replaced.
const SAFETY: &str = "_before_restore";
/// What the names of backups end in.
pub const PLAIN: &str = ".tar.gz";
/// The same of those that are encrypted.
pub const SEALED: &str = ".tar.gz.age";
const MAX_DATABASE: usize = 64;
/// So many digits of the hash of a path tell it from others of the same stem.
const DIGITS: usize = 8;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// The name of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Of which database it is.
    pub database: String,
    /// When it was made: first by day, then by number.
    pub at: (Day, u32),
    /// Whether it is encrypted.
    pub is_sealed: bool,
}

/// A day in UTC, as the number of days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(i64);

impl Day {
    /// The day of a moment.
    pub fn of(moment: Millis) -> Self {
        Self(moment.0.div_euclid(DAY))
    }

    /// The present one.
    pub fn today() -> Self {
        Self::of(SystemClock.now())
    }

    /// How many days there are from another one to this.
    pub fn days_since(self, other: Self) -> i64 {
        self.0 - other.0
    }

    fn parse(text: &str) -> Option<Self> {
        let is_date = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
        let moment = Millis::parse(&format!(
            "{}-{}-{}T00:00:00Z",
            text.get(..4).filter(|_| is_date)?,
            &text[4..6],
            &text[6..]
        ))?;
        Some(Self::of(moment))
    }
}

/// `20261126`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Millis(self.0 * DAY).to_string()[..10].replace('-', ""))
    }
}

impl Name {
    /// Reads the name of a file; `None` for what is not exactly such a name.
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let (stem, is_sealed) = match name.strip_suffix(SEALED) {
            Some(stem) => (stem, true),
            None => (name.strip_suffix(PLAIN)?, false),
        };
        let (stem, number) = numbered(stem.strip_prefix(START)?);
        let (database, day) = stem.rsplit_once('_')?;
        let parsed =
            Self { database: database.to_owned(), at: (Day::parse(day)?, number.unwrap_or(0)), is_sealed };
        (check_database_name(database).is_ok() && parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, at: (day, number), is_sealed } = self;
        write!(f, "{START}{database}_{day}")?;
        write_number(f, *number)?;
        f.write_str(if *is_sealed { SEALED } else { PLAIN })
    }
}

/// The name of a folder that keeps what a restore has replaced.
pub fn safety_name(database: &str, day: Day, number: u32) -> String {
    struct Safety<'a>(&'a str, Day, u32);
    impl fmt::Display for Safety<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{START}{}_{}{SAFETY}", self.0, self.1)?;
            write_number(f, self.2)
        }
    }
    Safety(database, day, number).to_string()
}

/// Whether a folder has such a name.
pub fn is_safety_name(name: &str) -> bool {
    let (stem, _) = numbered(name);
    let dated = stem.strip_prefix(START).and_then(|stem| stem.strip_suffix(SAFETY)?.rsplit_once('_'));
    dated.is_some_and(|(database, day)| Day::parse(day).is_some() && check_database_name(database).is_ok())
}

fn write_number(f: &mut fmt::Formatter<'_>, number: u32) -> fmt::Result {
    if number == 0 { Ok(()) } else { write!(f, "_n{number:02}") }
}

/// The stem without its number, and that.
fn numbered(stem: &str) -> (&str, Option<u32>) {
    let Some((rest, number)) = stem.rsplit_once("_n") else { return (stem, None) };
    match number.parse() {
        Ok(found) if number.bytes().all(|b| b.is_ascii_digit()) => (rest, Some(found)),
        _ => (stem, None),
    }
}

/// What a database is called that has no name of its own: the stem of its file, and digits that its path alone has.
pub fn of_path(real: &Path) -> String {
    let hash = blake3::hash(real.as_os_str().as_encoded_bytes()).to_hex();
    let stem: String = of_file(real).chars().take(MAX_DATABASE - 1 - DIGITS).collect();
    format!("{stem}-{}", &hash[..DIGITS])
}

/// The stem of a file, in characters that the name of a database may have.
pub fn of_file(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = stem.chars().map(|c| if is_allowed(c) { c } else { '_' }).take(MAX_DATABASE).collect();
    let name = match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    };
    if check_database_name(&name).is_ok() { name } else { "database".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<(String, String, u32, bool)> {
        let Name { database, at: (day, number), is_sealed } = Name::parse(OsStr::new(name))?;
        Some((database, day.to_string(), number, is_sealed))
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for (name, database, day, number, is_sealed) in [
            ("prontodb_main_20261126.tar.gz", "main", "20261126", 0, false),
            ("prontodb_main_20261126_n01.tar.gz", "main", "20261126", 1, false),
            ("prontodb_main_20261126_n120.tar.gz.age", "main", "20261126", 120, true),
            ("prontodb_a_20260101_20261126.tar.gz", "a_20260101", "20261126", 0, false),
            ("prontodb_a_20260101_n02_20261126_n03.tar.gz", "a_20260101_n02", "20261126", 3, false),
            ("prontodb_x.tar.gz_20240229.tar.gz", "x.tar.gz", "20240229", 0, false),
        ] {
            let wanted = (database.to_owned(), day.to_owned(), number, is_sealed);
            assert_eq!(parse(name), Some(wanted), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_those_of_backups() {
        for name in [
            "",
            "prontodb_main.tar.gz",
            "prontodb__20261126.tar.gz",
            "prontodb_.x_20261126.tar.gz",
            "prontodb_backups_20261126.tar.gz",
            "prontodb_main_20261126.tar",
            "prontodb_main_20261126.tar.gz ",
            "prontodb_main_20261126_n1.tar.gz",
            "prontodb_main_20261126_n00.tar.gz",
            "prontodb_main_20261126_n001.tar.gz",
            "prontodb_main_20261126_n+1.tar.gz",
            "prontodb_main_20261326.tar.gz",
            "prontodb_main_20260230.tar.gz",
            "prontodb_main_2026112.tar.gz",
            "prontodb_main_20261126_before_restore",
            "prontodb_main_20261126_before_restore.tar.gz",
            "Prontodb_main_20261126.tar.gz",
            "prontodb_ä_20261126.tar.gz",
            "prontodb_a/b_20261126.tar.gz",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn folders_of_restores_are_known_by_their_names() {
        let day = Day::parse("20261126").unwrap();
        for number in [0, 1, 120] {
            let name = safety_name("my_db", day, number);
            assert!(is_safety_name(&name) && parse(&name).is_none(), "{name}");
        }
        for name in
            ["prontodb_main_before_restore", "prontodb_main_20261126", "prontodb_a/b_20261126_before_restore"]
        {
            assert!(!is_safety_name(name), "{name}");
        }
    }

    #[test]
    fn days_are_counted() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(day("20260301").days_since(day("20260228")), 1);
        assert_eq!(day("20240301").days_since(day("20240228")), 2);
        assert!(day("20251231") < day("20260101"));
    }

    #[test]
    fn paths_give_names_that_no_other_path_has() {
        let long = format!("/{}", "n".repeat(90));
        let names = ["/x/main.prdb", "/y/main.prdb", "/x/cursors.prdb", "/x/.y", &long, "/"].map(|path| {
            let name = of_path(Path::new(path));
            let at = (Day::parse("20261126").unwrap(), 0);
            let parsed = Name { database: name.clone(), at, is_sealed: false };
            assert_eq!(Name::parse(OsStr::new(&parsed.to_string())), Some(parsed), "{path}");
            name
        });
        assert!(names[0].starts_with("main-") && names[1].starts_with("main-"), "{names:?}");
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn files_give_names() {
        let long = "n".repeat(90);
        for (path, name) in [
            ("/a/work.prdb", "work"),
            ("notes of ä.prdb", "notes_of__"),
            ("/a/.hidden", "_hidden"),
            ("/a/..x.prdb", "_.x"),
            ("cursors.prdb", "database"),
            ("/", "database"),
            (long.as_str(), &long[..64]),
        ] {
            assert_eq!(of_file(Path::new(path)), name, "{path}");
        }
    }
}
