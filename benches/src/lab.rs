//! The programs to compare, and the folder for their databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// What starting a program costs at the least.
const TRUE: &str = "/bin/true";

/// The programs to compare, and where they work.
pub(crate) struct Lab {
    prontodb: PathBuf,
    floor: PathBuf,
    sqlite: PathBuf,
    folder: PathBuf,
    quick: bool,
}

impl Lab {
    /// `quick` shrinks every benchmark to seconds, to see that it works; its numbers mean little.
    pub(crate) fn new([prontodb, floor, sqlite, folder]: [&str; 4], quick: bool) -> Self {
        let [prontodb, floor, sqlite, folder] = [prontodb, floor, sqlite, folder].map(PathBuf::from);
        Self { prontodb, floor, sqlite, folder, quick }
    }

    /// `full`, or what stands for it in a quick run.
    pub(crate) fn scaled(&self, full: u64) -> u64 {
        if self.quick { full.div_ceil(50) } else { full }
    }

    /// An empty folder of this name.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    pub(crate) fn prontodb_binary(&self) -> &Path {
        &self.prontodb
    }

    /// `prontodb` with the database `file`.
    pub(crate) fn prontodb<const N: usize>(&self, file: &Path, args: [&str; N]) -> Command {
        let mut command = Command::new(&self.prontodb);
        command.arg("-d").arg(file).args(args);
        command
    }

    /// The floor; `rest` follows the file.
    pub(crate) fn floor<const N: usize>(&self, verb: &str, file: &Path, rest: [&str; N]) -> Command {
        let mut command = Command::new(&self.floor);
        command.arg(verb).arg(file).args(rest);
        command
    }

    /// The sqlite3 program, as a script would use it.
    pub(crate) fn sqlite(&self, file: &Path, sql: &str) -> Command {
        let mut command = Command::new(&self.sqlite);
        command.arg(file).arg(sql);
        command
    }

    /// The sqlite3 program, told to wait for others.
    pub(crate) fn patient_sqlite(&self, file: &Path, sql: &str) -> Command {
        let mut command = Command::new(&self.sqlite);
        command.args(["-cmd", ".timeout 5000"]).arg(file).arg(sql);
        command
    }

    pub(crate) fn nothing(&self) -> Command {
        Command::new(TRUE)
    }
}
