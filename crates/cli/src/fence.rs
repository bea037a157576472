//! The leases that writes are made under: `--fence`, else `PRONTO_FENCE`, which `prontodb lock run` sets for its command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use prontodb_core::store::Fence;

use crate::exit::Failure;
use crate::files::real_path;

/// The variable that says it.
pub const VARIABLE: &str = "PRONTO_FENCE";

/// What stands between tokens: in no path that [`real_path`] makes.
const BETWEEN: &[u8] = b"//";

/// Fencing tokens, all of whose leases have to stand; the outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    tokens: Vec<Token>,
}

/// A fencing token, and which database it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    fence: Fence,
    /// Writes to others are let be. `None` is whatever database is written.
    database: Option<Database>,
}

/// A database file, known again by its number when it has another name, and by its name when it was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Database {
    inode: u64,
    path: PathBuf,
}

impl Given {
    /// A token of the database at `path`, and those that were given before.
    pub fn within(outer: Option<&Self>, fence: Fence, path: &Path) -> Self {
        let mut tokens = outer.map_or_else(Vec::new, |outer| outer.tokens.clone());
        let database = Some(Database { inode: inode(path), path: real_path(path) });
        tokens.push(Token { fence, database });
        Self { tokens }
    }

    /// Reads one or more tokens, `42` or `42@INODE@FILE`, with `//` between.
    fn parse(text: &OsStr, source: &str) -> Result<Self, Failure> {
        let tokens = split(text.as_bytes()).into_iter().map(Token::parse).collect::<Option<Vec<_>>>();
        tokens.map(|tokens| Self { tokens }).ok_or_else(|| {
            Failure::usage(format!(
                "{source} needs the token that prontodb lock acquire prints, and `{}` is none",
                text.to_string_lossy().escape_debug()
            ))
        })
    }

    /// The tokens that writes to the database at `path` carry, the innermost last.
    pub fn at(&self, path: &Path) -> Vec<Fence> {
        self.tokens.iter().filter(|token| token.is_of(path)).map(|token| token.fence).collect()
    }

    /// As [`VARIABLE`] has it.
    pub fn to_variable(&self) -> OsString {
        let mut text = Vec::new();
        for token in &self.tokens {
            if !text.is_empty() {
                text.extend_from_slice(BETWEEN);
            }
            token.push(&mut text);
        }
        OsString::from_vec(text)
    }
}

impl Token {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.splitn(3, |byte| *byte == b'@');
        let mut number = || parts.next().map(|part| std::str::from_utf8(part).ok()?.parse::<u64>().ok());
        let (token, inode) = (number().flatten()?, number());
        let path = parts.next().map(|path| PathBuf::from(OsString::from_vec(path.to_vec())));
        let database = match (inode, path) {
            (None, None) => None,
            (Some(Some(inode)), Some(path)) => Some(Database { inode, path: real_path(&path) }),
            _ => return None,
        };
        Some(Self { fence: Fence(token), database })
    }

    /// Whether writes to the database at `path` carry it.
    fn is_of(&self, path: &Path) -> bool {
        self.database.as_ref().is_none_or(|database| {
            database.path == real_path(path) || database.inode != 0 && database.inode == inode(path)
        })
    }

    fn push(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.fence.0.to_string().as_bytes());
        if let Some(Database { inode, path }) = &self.database {
            text.extend_from_slice(format!("@{inode}@").as_bytes());
            text.extend_from_slice(path.as_os_str().as_bytes());
        }
    }
}

/// Cuts a text where one token ends and another begins.
fn split(text: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    for at in 0..text.len() {
        let next = at + BETWEEN.len();
        // A path that somebody has written by hand may have this in it.
        if at >= begin && text[at..].starts_with(BETWEEN) && Token::parse(&text[next..]).is_some() {
            parts.push(&text[begin..at]);
            begin = next;
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// The number of a file; 0 where there is none.
fn inode(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.ino())
}

/// The tokens that a command was given.
pub fn find(
    flag: Option<&str>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Given>, Failure> {
    if let Some(text) = flag {
        return Given::parse(OsStr::new(text), "--fence").map(Some);
    }
    let Some(text) = variable(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    Given::parse(&text, VARIABLE).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Given {
        find(Some(text), &|_| None).unwrap().unwrap()
    }

    #[test]
    fn tokens_come_from_the_flag_and_else_from_the_environment() {
        let none = |_: &str| None;
        let env = |_: &str| Some(OsString::from_vec(b"7@5@/x/\xe9@z".to_vec()));
        assert_eq!(find(None, &none).unwrap(), None);
        let flag = find(Some("5"), &env).unwrap().unwrap();
        assert_eq!(flag.at(Path::new("/anything")), [Fence(5)]);
        let given = find(None, &env).unwrap().unwrap();
        assert_eq!(given.at(Path::new(OsStr::from_bytes(b"/x/\xe9@z"))), [Fence(7)]);
        assert_eq!(given.at(Path::new("/x/other")), []);
        assert_eq!(given.to_variable(), env("").unwrap());
        for wrong in [
            "",
            "x",
            "-1",
            "1.5",
            "@/x",
            "1@/x",
            "1@2",
            "99999999999999999999999",
            "1//",
            "//1",
            "1//x",
            "1////2",
        ] {
            assert!(find(Some(wrong), &none).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_has_the_tokens_of_several_databases() {
        let text = "3@5@/x/a//4@6@/x/b//7@5@/x/a//9";
        let list = given(text);
        assert_eq!(list.at(Path::new("/x/a")), [Fence(3), Fence(7), Fence(9)]);
        assert_eq!(list.at(Path::new("/x/b")), [Fence(4), Fence(9)]);
        assert_eq!(list.at(Path::new("/x/c")), [Fence(9)]);
        assert_eq!(list.to_variable(), text);
        let more = Given::within(Some(&list), Fence(12), Path::new("/x/none"));
        assert_eq!(more.to_variable(), format!("{text}//12@0@/x/none").as_str());
        assert_eq!(Given::within(None, Fence(12), Path::new("/x/none")).to_variable(), "12@0@/x/none");
        // Where nothing like a token follows, it is a path as somebody may write it.
        assert_eq!(given("3@5@/x//a").at(Path::new("/x/a")), [Fence(3)]);
    }

    #[test]
    fn a_database_is_known_again_by_its_number_and_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        fs::write(&old, "1").unwrap();
        let given = Given::within(None, Fence(7), &old);
        fs::rename(&old, &new).unwrap();
        assert_eq!((given.at(&old), given.at(&new)), (vec![Fence(7)], vec![Fence(7)]));
        fs::write(dir.path().join("other"), "1").unwrap();
        assert_eq!(given.at(&dir.path().join("other")), []);
    }
}
