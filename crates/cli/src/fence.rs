//! The lease that writes are made under: `--fence`, else `PRONTO_FENCE`, which `prontodb lock run` sets for its command.

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

/// A fencing token, and which database it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
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
    /// A token of the database at `path`.
    pub fn of(fence: Fence, path: &Path) -> Self {
        Self { fence, database: Some(Database { inode: inode(path), path: real_path(path) }) }
    }

    /// Reads `42`, or `42@INODE@FILE`.
    fn parse(text: &OsStr, source: &str) -> Result<Self, Failure> {
        let mut parts = text.as_bytes().splitn(3, |byte| *byte == b'@');
        let mut number = || parts.next().map(|part| std::str::from_utf8(part).ok()?.parse::<u64>().ok());
        let (token, inode) = (number().flatten(), number());
        let path = parts.next().map(|path| PathBuf::from(OsString::from_vec(path.to_vec())));
        match (token, inode, path) {
            (Some(token), None, None) => Ok(Self { fence: Fence(token), database: None }),
            (Some(token), Some(Some(inode)), Some(path)) => {
                let database = Some(Database { inode, path: real_path(&path) });
                Ok(Self { fence: Fence(token), database })
            }
            _ => Err(Failure::usage(format!(
                "{source} needs the token that prontodb lock acquire prints, and `{}` is none",
                text.to_string_lossy().escape_debug()
            ))),
        }
    }

    /// The token, where writes to the database at `path` carry it.
    pub fn at(&self, path: &Path) -> Option<Fence> {
        let is_meant = self.database.as_ref().is_none_or(|database| {
            database.path == real_path(path) || database.inode != 0 && database.inode == inode(path)
        });
        is_meant.then_some(self.fence)
    }

    /// As [`VARIABLE`] has it.
    pub fn to_variable(&self) -> OsString {
        let mut text = OsString::from(self.fence.0.to_string());
        if let Some(Database { inode, path }) = &self.database {
            text.push(format!("@{inode}@"));
            text.push(path);
        }
        text
    }
}

/// The number of a file; 0 where there is none.
fn inode(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.ino())
}

/// The token that a command was given.
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

    #[test]
    fn tokens_come_from_the_flag_and_else_from_the_environment() {
        let none = |_: &str| None;
        let env = |_: &str| Some(OsString::from_vec(b"7@5@/x/\xe9@z".to_vec()));
        assert_eq!(find(None, &none).unwrap(), None);
        let given = find(Some("5"), &env).unwrap().unwrap();
        assert_eq!((given.fence, given.at(Path::new("/anything"))), (Fence(5), Some(Fence(5))));
        let given = find(None, &env).unwrap().unwrap();
        assert_eq!(given.at(Path::new(OsStr::from_bytes(b"/x/\xe9@z"))), Some(Fence(7)));
        assert_eq!(given.at(Path::new("/x/other")), None);
        assert_eq!(given.to_variable(), env("").unwrap());
        for wrong in ["", "x", "-1", "1.5", "@/x", "1@/x", "1@2", "99999999999999999999999"] {
            assert!(find(Some(wrong), &none).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_database_is_known_again_by_its_number_and_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        fs::write(&old, "1").unwrap();
        let given = Given::of(Fence(7), &old);
        fs::rename(&old, &new).unwrap();
        assert_eq!((given.at(&old), given.at(&new)), (Some(Fence(7)), Some(Fence(7))));
        fs::write(dir.path().join("other"), "1").unwrap();
        assert_eq!(given.at(&dir.path().join("other")), None);
    }
}
