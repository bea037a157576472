//! Replicas: a database as it was at any moment, kept by following its log.
//!
//! A replica is a folder of generations. Each begins with a snapshot and goes on with segments, runs of frames of the log
//! in the order in which they were written (docs/design/0017-following-the-log.md; docs/formats.md has the layout).

mod catalog;
mod codec;
mod flags;
mod folder;
mod follow;
mod hand;
mod names;
mod rebuild;
#[cfg(feature = "s3")]
mod s3;
mod when;

use std::io::{Read, Write};
use std::path::Path;

use self::catalog::{Catalog, Generation};
pub use self::flags::{FollowFlags, list};
use self::folder::Folder;
use self::follow::{Order, follow};
pub use self::rebuild::rebuild;
pub use self::when::moment;
use self::when::span;
use crate::exit::Failure;

/// What writes a file of a replica.
pub type Fill<'f> = dyn FnMut(&mut dyn Write) -> Result<(), Failure> + 'f;

/// Where a replica is kept: files with names, in folders whose names end at a `/`.
pub trait Storage {
    /// Puts a file there that `fill` writes, in place of the one of this name. Nobody ever sees a part of it, and once this
    /// returns it outlives a power cut.
    ///
    /// # Errors
    /// Those of `fill`, after which nothing has the name that did not have it before, and those of writing, after which the
    /// whole file may have it all the same: what failed may have been the last step, or the answer.
    fn put(&self, name: &str, fill: &mut Fill<'_>) -> Result<(), Failure>;

    /// Reads a file; `None` when there is none of this name.
    ///
    /// # Errors
    /// Those of reading.
    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, Failure>;

    /// The names of what is right in a folder, sorted; of folders without the `/`. A folder that is not there is empty.
    ///
    /// # Errors
    /// Those of reading.
    fn list(&self, folder: &str) -> Result<Vec<String>, Failure>;

    /// Removes a folder and the files right in it, if it is there; the file that is named first of all.
    ///
    /// # Errors
    /// Those of removing.
    fn remove(&self, folder: &str, first: &str) -> Result<(), Failure>;

    /// A name as messages show it.
    fn shown(&self, name: &str) -> String;
}

/// Whether a place is a replica, or may be one that has to be asked over the network.
pub fn is_replica(place: &Path) -> bool {
    object_store_of(place).is_some() || folder::is_replica(place)
}

/// A replica to be read.
///
/// # Errors
/// It is none.
pub fn open(place: &Path) -> Result<Box<dyn Storage>, Failure> {
    match object_store_of(place) {
        Some(store) => open_object_store(store),
        None => Ok(Box::new(Folder::open(place)?)),
    }
}

/// A replica to be written; a folder is made if need be, and nobody else may write it meanwhile.
///
/// # Errors
/// It cannot be written, or somebody else does.
pub fn make(place: &Path) -> Result<Box<dyn Storage>, Failure> {
    match object_store_of(place) {
        Some(store) => open_object_store(store),
        None => Ok(Box::new(Folder::make(place)?)),
    }
}

/// The place of an object store, where it is one.
fn object_store_of(place: &Path) -> Option<&str> {
    place.to_str().filter(|place| place.starts_with("s3://"))
}

#[cfg(feature = "s3")]
fn open_object_store(place: &str) -> Result<Box<dyn Storage>, Failure> {
    let variable = |name: &str| crate::context::variable(name).and_then(|value| value.into_string().ok());
    Ok(Box::new(s3::ObjectStore::open(place, &variable)?))
}

#[cfg(not(feature = "s3"))]
fn open_object_store(place: &str) -> Result<Box<dyn Storage>, Failure> {
    let message =
        format!("{place} is in an object store, and this build of prontodb knows none (feature `s3`)");
    Err(Failure::new(crate::exit::Code::Error, "unsupported", message))
}

/// Reads all of a small file.
fn read_small(storage: &dyn Storage, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    const MOST: u64 = 64 * 1024;
    let Some(file) = storage.get(name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = file.take(MOST).read_to_end(&mut bytes);
    read.map_err(|error| Failure::io(format_args!("cannot read {}", storage.shown(name)), &error))?;
    Ok(Some(bytes))
}

/// Puts a small file there.
fn write_small(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    storage.put(name, &mut |sink| {
        sink.write_all(bytes)
            .map_err(|error| Failure::io(format_args!("cannot write {}", storage.shown(name)), &error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every storage promises.
    fn keeps_every_promise(storage: &dyn Storage) {
        let text =
            |name: &str| read_small(storage, name).unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(text("a.json"), None);
        assert!(storage.list("generations/").unwrap().is_empty());
        write_small(storage, "a.json", b"1").unwrap();
        write_small(storage, "a.json", b"2").unwrap();
        assert_eq!(text("a.json").as_deref(), Some("2"));
        for name in ["generations/x/b", "generations/x/a+ \u{fc}", "generations/y/c"] {
            write_small(storage, name, name.as_bytes()).unwrap();
            assert_eq!(text(name).as_deref(), Some(name));
        }
        assert_eq!(storage.list("generations/").unwrap(), ["x", "y"]);
        assert_eq!(storage.list("generations/x/").unwrap(), ["a+ \u{fc}", "b"]);
        let failed = storage.put("generations/x/half", &mut |sink| {
            sink.write_all(b"half").unwrap();
            Err(Failure::invalid("no more"))
        });
        assert_eq!(failed.unwrap_err().message, "no more");
        assert_eq!(storage.list("generations/x/").unwrap(), ["a+ \u{fc}", "b"], "nothing is left of a half");
        // Long enough for several parts, where there are such.
        let block: Vec<u8> = (0..1_000_003_u32).map(|i| (i * 7 % 251) as u8).collect();
        let written = storage.put("generations/y/long", &mut |sink| {
            (0..70).for_each(|_| sink.write_all(&block).unwrap());
            Ok(())
        });
        written.unwrap();
        let mut source = storage.get("generations/y/long").unwrap().unwrap();
        let mut back = vec![0; block.len()];
        for _ in 0..70 {
            source.read_exact(&mut back).unwrap();
            assert!(back == block);
        }
        assert_eq!(source.read(&mut back).unwrap(), 0);
        // A list of an object store comes in pages of a thousand.
        let many = if storage.shown("").starts_with("s3:") { 1003 } else { 3 };
        for number in 0..many {
            write_small(storage, &format!("many/{number:04}"), b"x").unwrap();
        }
        let listed = storage.list("many/").unwrap();
        assert!(listed.len() == many && listed.is_sorted());
        storage.remove("generations/x/", "b").unwrap();
        storage.remove("generations/none/", "b").unwrap();
        assert_eq!(storage.list("generations/").unwrap(), ["y"]);
    }

    #[test]
    fn a_folder_keeps_every_promise_of_a_storage() {
        let dir = tempfile::tempdir().unwrap();
        keeps_every_promise(&Folder::make(&dir.path().join("replica")).unwrap());
    }

    /// The server is that of AWS_ENDPOINT_URL, which bin/test.sh starts, and the bucket is there.
    #[cfg(feature = "s3")]
    #[test]
    fn an_object_store_keeps_every_promise_of_a_storage() {
        let bucket =
            std::env::var("PRONTODB_TEST_S3").expect("an s3:// URL in PRONTODB_TEST_S3; see bin/test.sh");
        let place = format!("{bucket}/unit-{}", std::process::id());
        keeps_every_promise(&*open(Path::new(&place)).unwrap());
    }
}
