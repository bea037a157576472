//! A database as it was at a moment, made of a replica.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use prontodb_core::store::Unlock;
use prontodb_core::{ErrorKind, Millis};

use super::catalog::{Beginning, Catalog, Generation};
use super::{Storage, codec, names};
use crate::engines::follow::{Replay, Replayed};
use crate::exit::{Code, Failure};

/// What has been made.
#[derive(Debug)]
pub struct Rebuilt {
    /// The last moment that is in it.
    pub moment: Millis,
    /// Whether there is more in the replica.
    pub is_last: bool,
    /// Where the database is that the replica is of.
    pub path: PathBuf,
    /// What it is called.
    pub database: String,
}

/// Makes a new file at `dest` with the database as it was at a moment, or as it is at the end.
///
/// # Errors
/// A moment before the first; a replica in which something is damaged or missing before the moment: those name the
/// moments that there are. Then the file is of no use.
pub fn rebuild(
    storage: &dyn Storage,
    until: Option<Millis>,
    unlock: &Unlock,
    dest: &Path,
) -> Result<Rebuilt, Failure> {
    let catalog = Catalog::read(storage)?;
    let until = until.unwrap_or(Millis(i64::MAX));
    let chosen = catalog.generations.iter().rposition(|generation| generation.begin <= until);
    let Some(chosen) = chosen else { return Err(too_early(storage, &catalog, until)) };
    let generation = &catalog.generations[chosen];
    let before = chosen.checked_sub(1).map(|before| catalog.generations[before].end());
    let mut rebuild = Rebuild { storage, generation, unlock, moment: before };
    let moment = rebuild.run(until, dest).map_err(|failure| rebuild.with_last(failure))?;
    let is_last = chosen + 1 == catalog.generations.len() && moment >= generation.end();
    Ok(Rebuilt { moment, is_last, path: catalog.path, database: catalog.database })
}

fn too_early(storage: &dyn Storage, catalog: &Catalog, until: Millis) -> Failure {
    match catalog.generations.first() {
        Some(first) => {
            let what = format!("{} begins at {}, after {until}", storage.shown(""), first.begin);
            Failure::invalid(what).hint(format!("--at {} is the first moment that can be had", first.begin))
        }
        None => Failure::invalid(format!("{} holds nothing yet", storage.shown("")))
            .hint("prontodb backup --follow DIR fills it"),
    }
}

struct Rebuild<'a> {
    storage: &'a dyn Storage,
    generation: &'a Generation,
    unlock: &'a Unlock,
    /// The last moment that could be had, whatever comes after it.
    moment: Option<Millis>,
}

impl Rebuild<'_> {
    fn run(&mut self, until: Millis, dest: &Path) -> Result<Millis, Failure> {
        let id = &self.generation.id;
        let (beginning, position) = Beginning::read(self.storage, id)?;
        let file = self.unpack(&beginning, dest)?;
        let mut moment = self.generation.begin;
        let mut replay = Replay::begin(file, id, position)?;
        self.moment = Some(moment);
        for (number, segment) in (1..).zip(&self.generation.segments) {
            // No two segments share a moment.
            if moment >= until {
                break;
            }
            if segment.number != number {
                return Err(damaged(format!("segment {number} of generation {id} is missing")));
            }
            let replayed =
                self.apply(&mut replay, &format!("{}{}", names::folder(id), segment.name), until)?;
            moment = replayed.moment.unwrap_or(moment);
            self.moment = Some(moment);
            if !replayed.is_whole {
                break;
            }
        }
        replay.finish()?;
        Ok(moment)
    }

    fn apply(&self, replay: &mut Replay, name: &str, until: Millis) -> Result<Replayed, Failure> {
        let applied = replay.apply(&mut self.open(name)?, until);
        applied.map_err(|error| match error.kind() {
            ErrorKind::Damaged => {
                let shown = self.storage.shown(name);
                damaged(format!("{shown} is damaged; {}", Failure::from(error).message))
            }
            _ => error.into(),
        })
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, Failure> {
        let missing = || damaged(format!("{} is missing", self.storage.shown(name)));
        let source = self.storage.get(name)?.ok_or_else(missing)?;
        codec::decode(name, source, self.unlock)
    }

    /// Unpacks the snapshot.
    fn unpack(&self, beginning: &Beginning, dest: &Path) -> Result<File, Failure> {
        let name = names::snapshot(&self.generation.id, beginning.encrypted);
        let mut source = self.open(&name)?;
        let cannot = |error: io::Error| Failure::io(format_args!("cannot write {}", dest.display()), &error);
        let is_damaged = |why: &str| damaged(format!("{} is damaged; {why}", self.storage.shown(&name)));
        let made = File::options().read(true).write(true).create_new(true).mode(0o600).open(dest);
        let mut file = made.map_err(cannot)?;
        let (mut hash, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; 1 << 17], 0_u64);
        loop {
            let read = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(is_damaged(&error.to_string())),
            };
            bytes += read as u64;
            if bytes > beginning.bytes {
                return Err(is_damaged("it is longer than it was"));
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read]).map_err(cannot)?;
        }
        let is_same =
            beginning.blake3.as_ref().is_none_or(|known| *known == hash.finalize().to_hex().as_str());
        match bytes == beginning.bytes && is_same {
            true => Ok(file),
            false => Err(is_damaged("it holds something else than it did")),
        }
    }

    /// Says what can be had all the same.
    fn with_last(&self, failure: Failure) -> Failure {
        match self.moment {
            Some(moment) if failure.code == Code::Damaged => Failure {
                message: format!("{}; the last moment before that is {moment}", failure.message),
                ..failure
            }
            .hint(format!("--at {moment} restores what was there then")),
            _ => failure,
        }
    }
}

fn damaged(message: String) -> Failure {
    Failure::new(Code::Damaged, "damaged", message)
}
