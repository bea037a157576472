//! The lease that writes are made under: `--fence`, else `PRONTO_FENCE`, which `prontodb lock run` sets for its command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use prontodb_core::store::Fence;

use crate::exit::Failure;
use crate::files::real_path;

/// The variable that says it.
pub const VARIABLE: &str = "PRONTO_FENCE";

/// A fencing token, and which database it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The token.
    pub fence: Fence,
    /// The file of the database; writes to others are let be. `None` is whatever database is written.
    database: Option<PathBuf>,
}

impl Given {
    /// A token of the database at `path`.
    pub fn of(fence: Fence, path: &Path) -> Self {
        Self { fence, database: Some(real_path(path)) }
    }

    /// Reads `42`, or `42@FILE`.
    fn parse(text: &str, source: &str) -> Result<Self, Failure> {
        let (token, file) = text.split_once('@').map_or((text, None), |(token, file)| (token, Some(file)));
        match token.parse() {
            Ok(token) => Ok(Self { fence: Fence(token), database: file.map(PathBuf::from) }),
            Err(_) => Err(Failure::usage(format!(
                "{source} needs the token that prontodb lock acquire prints, and `{}` is none",
                text.escape_debug()
            ))),
        }
    }

    /// The token, where writes to the database at `path` carry it.
    pub fn at(&self, path: &Path) -> Option<Fence> {
        let is_meant = self.database.as_ref().is_none_or(|database| *database == real_path(path));
        is_meant.then_some(self.fence)
    }

    /// As [`VARIABLE`] has it.
    pub fn to_variable(&self) -> OsString {
        let mut text = OsString::from(self.fence.0.to_string());
        if let Some(database) = &self.database {
            text.push("@");
            text.push(database);
        }
        text
    }
}

/// The token that a command was given.
pub fn find(
    flag: Option<&str>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Given>, Failure> {
    if let Some(text) = flag {
        return Given::parse(text, "--fence").map(Some);
    }
    let Some(text) = variable(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    Given::parse(&text.to_string_lossy(), VARIABLE).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_from_the_flag_and_else_from_the_environment() {
        let none = |_: &str| None;
        let env = |_: &str| Some(OsString::from("7@/x/y@z"));
        assert_eq!(find(None, &none).unwrap(), None);
        let given = find(Some("5"), &env).unwrap().unwrap();
        assert_eq!((given.fence, given.at(Path::new("/anything"))), (Fence(5), Some(Fence(5))));
        let given = find(None, &env).unwrap().unwrap();
        assert_eq!(given.at(Path::new("/x/y@z")), Some(Fence(7)));
        assert_eq!(given.at(Path::new("/x/other")), None);
        assert_eq!(given.to_variable(), "7@/x/y@z");
        for wrong in ["", "x", "-1", "1.5", "@/x", "99999999999999999999999"] {
            assert!(find(Some(wrong), &none).is_err(), "{wrong}");
        }
    }
}
