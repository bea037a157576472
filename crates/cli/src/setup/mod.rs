//! What `install` puts in place, and `uninstall` takes away.

pub mod purge;
pub mod put;
pub mod record;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};

use memchr::memmem;

use crate::completions::Shell;
use crate::exit::{Code, Failure};
use crate::files::metadata;
use crate::help;
use crate::manual;
use crate::paths::Roots;

/// The name of the program's file.
const PROGRAM: &str = "prontodb";

/// Where the parts of the program go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The directory of the program.
    pub bin: PathBuf,
    /// That of its completions and manual pages.
    pub share: PathBuf,
}

/// A file of the program.
pub struct Part {
    /// Where it goes.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
}

/// What is at the place of the program.
#[derive(Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// This program.
    Same,
    /// This program, of another build.
    Other,
    /// Something else, and what.
    Foreign(String),
}

impl Places {
    /// Those in the directory that is named, else the usual ones.
    ///
    /// # Errors
    /// No home directory, and variables that are refused.
    pub fn of(roots: Roots<'_>, target: Option<&Path>) -> Result<Self, Failure> {
        let bin = match target {
            Some(folder) => absolute(folder).map_err(|error| {
                Failure::io(format_args!("no such directory {}", folder.display()), &error)
            })?,
            None => roots.bin_dir()?,
        };
        // There look those who look for the pages and completions of programs in a directory called bin.
        let share = match bin.ends_with("bin") {
            true => bin.with_file_name("share"),
            false => roots.share_dir()?,
        };
        Ok(Self { bin, share })
    }

    /// The file of the program.
    pub fn program(&self) -> PathBuf {
        self.bin.join(PROGRAM)
    }

    /// The directory of the manual pages.
    pub fn pages(&self) -> PathBuf {
        self.share.join(manual::PLACE)
    }

    /// Completions and manual pages.
    ///
    /// # Errors
    /// None that can come up: they are made in memory.
    pub fn beside(&self) -> io::Result<Vec<Part>> {
        let part = |path, bytes| Part { path, bytes, mode: put::READABLE };
        let completions = Shell::ALL.map(|shell| part(self.share.join(shell.place()), shell.script()));
        let pages = manual::pages()?.into_iter().map(|page| part(self.pages().join(page.name), page.text));
        Ok(completions.into_iter().chain(pages).collect())
    }
}

/// The bytes of the program that runs.
///
/// # Errors
/// Its file cannot be read.
pub fn own_bytes() -> Result<Vec<u8>, Failure> {
    // On Linux this is there also when the name has gone.
    let read = fs::read("/proc/self/exe").or_else(|_| env::current_exe().and_then(fs::read));
    read.map_err(|error| Failure::io("cannot read the program that runs", &error))
}

/// Looks at the place of the program, which is to hold these bytes.
///
/// # Errors
/// A directory, and what cannot be looked at.
pub fn look(path: &Path, bytes: &[u8]) -> Result<There, Failure> {
    let cannot = |error: io::Error| Failure::io(format_args!("cannot look at {}", path.display()), &error);
    let Some(about) = metadata(path).map_err(cannot)? else { return Ok(There::Nothing) };
    if about.is_dir() {
        let what = format!("{} is a directory, and the program is a file", path.display());
        return Err(Failure::invalid(what).hint("name another directory with --target"));
    }
    if !path.is_file() {
        return Ok(There::Foreign("is no regular file".to_owned()));
    }
    let there = fs::read(path).map_err(cannot)?;
    Ok(match () {
        () if there == bytes => There::Same,
        () if about.is_symlink() => There::Foreign(format!("is a link to {}", target_of(path))),
        () if is_program(&there) => There::Other,
        () => There::Foreign("is not prontodb".to_owned()),
    })
}

fn target_of(link: &Path) -> String {
    fs::read_link(link).map_or_else(|_| "something".to_owned(), |target| target.display().to_string())
}

/// Whether a file is this program, of whatever version: each says what it is.
fn is_program(bytes: &[u8]) -> bool {
    const EXECUTABLES: [&[u8]; 5] =
        [b"\x7fELF", b"MZ", &[0xcf, 0xfa, 0xed, 0xfe], &[0xca, 0xfe, 0xba, 0xbe], &[0xfe, 0xed, 0xfa, 0xcf]];
    EXECUTABLES.iter().any(|magic| bytes.starts_with(magic))
        && memmem::find(bytes, help::ABOUT.as_bytes()).is_some()
}

/// Whether a file is this program, of any build; what a link leads to is not looked at.
///
/// # Errors
/// It cannot be read.
pub fn is_other_build(path: &Path) -> io::Result<bool> {
    Ok(metadata(path)?.is_some_and(|about| about.is_file()) && is_program(&fs::read(path)?))
}

/// Refuses what is there and is not to be replaced unasked.
///
/// # Errors
/// It is something else.
pub fn refuse_foreign(path: &Path, there: &There) -> Result<(), Failure> {
    let There::Foreign(what) = there else { return Ok(()) };
    let what = format!("{} {what}; nothing was installed", path.display());
    Err(Failure::new(Code::Error, "foreign", what)
        .hint("move it away, or name another directory with --target"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(home: &str, target: Option<&str>) -> (String, String) {
        let env = |name: &str| (name == "HOME").then(|| home.into());
        let places = Places::of(Roots::new(&env), target.map(Path::new)).unwrap();
        (places.bin.display().to_string(), places.share.display().to_string())
    }

    #[test]
    fn pages_lie_beside_a_directory_called_bin() {
        let pair = |bin: &str, share: &str| (bin.to_owned(), share.to_owned());
        assert_eq!(places("/h", None), pair("/h/.local/bin", "/h/.local/share"));
        assert_eq!(places("/h", Some("/usr/local/bin")), pair("/usr/local/bin", "/usr/local/share"));
        assert_eq!(places("/h", Some("/opt/tools")), pair("/opt/tools", "/h/.local/share"));
    }

    #[test]
    fn a_program_is_known_by_what_it_says() {
        let text = format!("…{}…", help::ABOUT);
        assert!(is_program(format!("\x7fELF{text}").as_bytes()));
        assert!(!is_program(text.as_bytes()));
        assert!(!is_program(b"\x7fELF something else"));
        assert!(is_program(&own_bytes().unwrap()));
    }
}
