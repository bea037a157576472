//! What there is in a replica.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};

use prontodb_core::Millis;
use serde::{Deserialize, Serialize};

use super::{Storage, names, read_small, write_small};
use crate::engines::follow::Position;
use crate::exit::{Code, Failure};
use crate::files::real_path;

/// The number of the layout; later ones are refused.
const FORMAT: u32 = 1;

/// `prontodb-replica.json`.
#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    /// What it is called.
    database: String,
    /// Its file.
    path: String,
    created: String,
}

/// `generation.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beginning {
    pub format: u32,
    /// Where in the log the snapshot was taken.
    pub position: String,
    /// Bytes of the database.
    pub bytes: u64,
    /// The hash of it, unless it is encrypted.
    pub blake3: Option<String>,
    pub encrypted: bool,
}

/// `position.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub generation: String,
    /// The number of its last segment.
    pub segments: u64,
    pub position: String,
    /// What shows whether the file of the database has been written since.
    pub inode: u64,
    pub bytes: u64,
    /// In nanoseconds.
    pub modified: i64,
    /// When this was written, in milliseconds.
    pub at: i64,
}

/// A segment of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name in the folder.
    pub name: String,
    pub number: u64,
    /// The last moment that it holds.
    pub at: Millis,
}

/// A generation whose snapshot is whole.
#[derive(Clone, Debug)]
pub struct Generation {
    pub id: String,
    /// The moment of its snapshot.
    pub begin: Millis,
    /// In order, one of each number; not necessarily without gaps.
    pub segments: Vec<Segment>,
}

impl Generation {
    /// The last moment that it holds.
    pub fn end(&self) -> Millis {
        self.segments.last().map_or(self.begin, |segment| segment.at)
    }

    /// The number of its last segment; 0 for none.
    pub fn last(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.number)
    }
}

/// The generations of a replica, from the first to the last.
pub struct Catalog {
    /// What it is a replica of.
    pub database: String,
    /// Where that is.
    pub path: PathBuf,
    pub generations: Vec<Generation>,
    /// Those whose snapshot was never finished.
    pub unfinished: Vec<String>,
}

impl Catalog {
    /// Looks what there is.
    ///
    /// # Errors
    /// Those of reading; a replica of a later version, or a damaged one.
    pub fn read(storage: &dyn Storage) -> Result<Self, Failure> {
        let about = about(storage)?.ok_or_else(|| {
            Failure::invalid(format!("there is no replica in {}", storage.shown("")))
                .hint("prontodb backup --follow makes one")
        })?;
        let (mut generations, mut unfinished) = (Vec::new(), Vec::new());
        for id in storage.list(names::GENERATIONS)? {
            let Some(begin) = names::begin_of(&id) else { continue };
            let files = storage.list(&names::folder(&id))?;
            if !files.iter().any(|file| file == names::GENERATION) {
                unfinished.push(id);
                continue;
            }
            let segments = files.into_iter().filter_map(|name| {
                let (number, at) = names::parse_segment(&name)?;
                Some(Segment { name, number, at })
            });
            let mut segments: Vec<_> = segments.collect();
            // A put may have failed and left its file all the same. The next try has its number, begins where it began, and ends
            // at a later moment with all that it held.
            segments.sort_by_key(|segment| (segment.number, Reverse(segment.at)));
            segments.dedup_by_key(|segment| segment.number);
            generations.push(Generation { id, begin, segments });
        }
        generations.sort_by(|one, other| (one.begin, &one.id).cmp(&(other.begin, &other.id)));
        Ok(Self { database: about.database, path: about.path.into(), generations, unfinished })
    }

    /// The same for whoever writes it: a new one is begun, and one of another database refused.
    ///
    /// # Errors
    /// Those of [`Catalog::read`] and of writing.
    pub fn make(storage: &dyn Storage, database: &str, file: &Path, now: Millis) -> Result<Self, Failure> {
        let path = real_path(file).to_string_lossy().into_owned();
        match about(storage)? {
            Some(about) if about.path == path => {}
            Some(about) => {
                let what = format!("{} is a replica of {}, not of {path}", storage.shown(""), about.path);
                return Err(Failure::invalid(what).hint(format!(
                    "name another folder, each database has its own; if the database was moved, correct `path` in {}",
                    storage.shown(names::ABOUT)
                )));
            }
            None => {
                let (database, created) = (database.to_owned(), now.to_string());
                let about = About { format: FORMAT, database, path, created };
                write_json(storage, names::ABOUT, &about)?;
            }
        }
        Self::read(storage)
    }
}

impl Beginning {
    /// What is kept of a snapshot.
    pub fn new(position: Position, bytes: u64, blake3: Option<String>, encrypted: bool) -> Self {
        Self { format: FORMAT, position: position.to_string(), bytes, blake3, encrypted }
    }

    /// Reads that of a generation.
    ///
    /// # Errors
    /// Those of reading; a damaged one.
    pub fn read(storage: &dyn Storage, generation: &str) -> Result<(Self, Position), Failure> {
        let name = format!("{}{}", names::folder(generation), names::GENERATION);
        let beginning: Self =
            read_json(storage, &name)?.ok_or_else(|| damaged(storage, &name, &"it is not there"))?;
        refuse_later(storage, &name, beginning.format)?;
        let position = Position::parse(&beginning.position);
        let position = position.ok_or_else(|| damaged(storage, &name, &"its position is none"))?;
        Ok((beginning, position))
    }

    /// Writes that of a generation.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, storage: &dyn Storage, generation: &str) -> Result<(), Failure> {
        write_json(storage, &format!("{}{}", names::folder(generation), names::GENERATION), self)
    }
}

impl End {
    /// Reads it; one that is damaged is none.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(storage: &dyn Storage) -> Result<Option<Self>, Failure> {
        let bytes = read_small(storage, names::POSITION)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, storage: &dyn Storage) -> Result<(), Failure> {
        write_json(storage, names::POSITION, self)
    }
}

fn about(storage: &dyn Storage) -> Result<Option<About>, Failure> {
    let Some(about) = read_json::<About>(storage, names::ABOUT)? else { return Ok(None) };
    refuse_later(storage, names::ABOUT, about.format)?;
    Ok(Some(about))
}

fn refuse_later(storage: &dyn Storage, name: &str, format: u32) -> Result<(), Failure> {
    if format <= FORMAT {
        return Ok(());
    }
    let what = format!(
        "{} has format {format}, from a later version of prontodb; this one knows {FORMAT}",
        storage.shown(name)
    );
    Err(Failure::new(Code::Error, "foreign", what))
}

fn read_json<T: for<'de> Deserialize<'de>>(storage: &dyn Storage, name: &str) -> Result<Option<T>, Failure> {
    let Some(bytes) = read_small(storage, name)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(storage, name, &error))
}

fn write_json(storage: &dyn Storage, name: &str, value: &impl Serialize) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| damaged(storage, name, &error))?;
    bytes.push(b'\n');
    write_small(storage, name, &bytes)
}

fn damaged(storage: &dyn Storage, name: &str, why: &dyn fmt::Display) -> Failure {
    Failure::new(Code::Damaged, "damaged", format!("{} is damaged; {why}", storage.shown(name)))
}
