//! What processes note of their deeds outside of any database, so that it can be held against what that says.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::{fmt, fs};

use crate::Result;

/// A file that one process appends lines to, each with one call of the system, so that a kill cuts between them.
pub(super) struct Ledger(File);

impl Ledger {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    pub(super) fn note(&mut self, line: impl fmt::Display) -> Result {
        Ok(self.0.write_all(format!("{line}\n").as_bytes())?)
    }
}

/// The lines of all ledgers in a folder, each in words.
pub(super) fn read_all(folder: &Path) -> Result<Vec<Vec<String>>> {
    let mut lines = Vec::new();
    for file in fs::read_dir(folder)? {
        let text = fs::read_to_string(file?.path())?;
        lines.extend(text.lines().map(|line| line.split(' ').map(str::to_owned).collect()));
    }
    Ok(lines)
}
