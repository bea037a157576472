//! The same entries in a store, in the floor's file, and in a file for the sqlite3 program.
//!
//! Three files, because each program leaves its log in another state, and the next one would pay for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::Lab;
use crate::{Result, process, worker};

/// A store with entries, spread evenly over its namespaces.
pub(crate) struct Database {
    pub(crate) file: PathBuf,
    pub(crate) keys: u64,
    pub(crate) namespaces: u64,
}

impl Database {
    pub(crate) fn make(file: PathBuf, keys: u64, namespaces: u64) -> Result<Self> {
        worker::fill(&file, keys, namespaces)?;
        Ok(Self { file, keys, namespaces })
    }

    /// The address of one of its entries; any number will do.
    pub(crate) fn address(&self, number: u64) -> String {
        let number = number % self.keys;
        format!("{}.{}", namespace(number % self.namespaces), key(number))
    }

    /// The address of a listing that finds ten entries of the namespace that the number leads to.
    pub(crate) fn prefix_of_ten(&self, number: u64) -> String {
        let address = self.address(number);
        let ten_a_namespace = self.keys / self.namespaces == 10;
        let kept = if ten_a_namespace { "key".len() } else { key(0).len() - 1 };
        address[..address.len() - key(0).len() + kept].to_owned()
    }

    /// The log of writes that waits beside the file.
    pub(crate) fn log(&self) -> PathBuf {
        log_of(&self.file)
    }
}

pub(crate) fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

pub(crate) fn namespace(number: u64) -> String {
    format!("bench.ns{number:05}")
}

pub(crate) fn key(number: u64) -> String {
    format!("key{number:09}")
}

/// A value of 100 bytes; an upsert of the value that is there already would write nothing.
pub(crate) fn value(number: u64) -> String {
    format!("{number:0100}")
}

/// The same entries for each program.
pub(crate) struct Rivals<'a> {
    lab: &'a Lab,
    pub(crate) store: Database,
    floor: PathBuf,
    pub(crate) sqlite: PathBuf,
}

impl<'a> Rivals<'a> {
    pub(crate) fn make(lab: &'a Lab, name: &str, keys: u64) -> Result<Self> {
        let folder = lab.folder(name)?;
        let (floor, sqlite) = (folder.join("floor.db"), folder.join("sqlite.db"));
        for file in [&floor, &sqlite] {
            process::output(&mut lab.floor("init", file, [&keys.to_string()]))?;
        }
        let store = Database::make(folder.join("store.prdb"), keys, 1)?;
        Ok(Self { lab, store, floor, sqlite })
    }

    pub(crate) fn get(&self, number: u64) -> Command {
        self.lab.prontodb(&self.store.file, ["get", &self.store.address(number)])
    }

    pub(crate) fn set(&self, number: u64, serial: u64) -> Command {
        self.lab.prontodb(&self.store.file, ["set", &self.store.address(number), &value(serial)])
    }

    pub(crate) fn floor_get(&self, number: u64) -> Command {
        self.lab.floor("get", &self.floor, [&self.key(number)])
    }

    pub(crate) fn floor_set(&self, number: u64, serial: u64) -> Command {
        self.lab.floor("set", &self.floor, [&self.key(number), &value(serial)])
    }

    pub(crate) fn sqlite_get(&self, number: u64) -> Command {
        let key = self.key(number);
        self.lab.sqlite(&self.sqlite, &format!("SELECT value FROM entries WHERE ns = 1 AND name = '{key}'"))
    }

    pub(crate) fn sqlite_set(&self, number: u64, serial: u64) -> Command {
        self.lab.sqlite(&self.sqlite, &upsert(&self.key(number), &value(serial)))
    }

    fn key(&self, number: u64) -> String {
        key(number % self.store.keys)
    }
}

/// What a script would have the sqlite3 program do for a `set`.
pub(crate) fn upsert(key: &str, value: &str) -> String {
    format!(
        "INSERT INTO entries VALUES (1, '{key}', 1, unixepoch() * 1000, unixepoch() * 1000, NULL, NULL, '{value}') \
         ON CONFLICT DO UPDATE SET version = version + 1, updated = excluded.updated, value = excluded.value"
    )
}
