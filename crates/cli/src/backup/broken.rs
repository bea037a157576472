//! Why a file is no backup that anything could be restored from.

use std::io;
use std::path::Path;

use crate::exit::{Code, Failure};

/// What is wrong with it.
#[derive(Debug)]
pub enum Broken {
    /// It was one, or says that it is.
    Damaged(String),
    /// It is something else, or of a later version.
    Foreign(String),
    /// It cannot be read, or what is in it cannot be written.
    Failed(Failure),
}

impl Broken {
    /// A backup that is not whole.
    pub fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged(why.into())
    }

    /// Something that is no backup of ours.
    pub fn foreign(why: impl Into<String>) -> Self {
        Self::Foreign(why.into())
    }

    /// What reading it has come to. Decoders tell by the kind of their errors that the file is at fault.
    pub fn reading(error: &io::Error, path: &Path) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        match error.kind() {
            UnexpectedEof => Self::damaged("it has been cut off"),
            InvalidData | InvalidInput | Other => Self::damaged(format!("its bytes make no sense; {error}")),
            _ => Self::Failed(Failure::io(format_args!("cannot read {}", path.display()), error)),
        }
    }

    /// Whether it is a backup that is not whole.
    #[cfg(test)]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }

    /// The failure that tells of it.
    pub fn told(self, path: &Path) -> Failure {
        let shown = path.display();
        match self {
            Self::Damaged(why) => {
                let what = format!("the backup {shown} is damaged; {why}");
                Failure::new(Code::Damaged, "damaged", what)
                    .hint("prontodb backup --list shows what others there are")
            }
            Self::Foreign(why) => Failure::new(
                Code::Error,
                "foreign",
                format!("{shown} is no backup that can be restored; {why}"),
            ),
            Self::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
