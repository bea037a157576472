//! What is compared before an archive gets its name: what comes back from the disk, with what was put there.

use std::mem;
use std::path::Path;

use flate2::Crc;
use prontodb_core::store::Unlock;
use prontodb_core::{Error, ErrorKind};

use super::archive::{self, Content, Visit};
use super::broken::Broken;
use super::direct::Within;
use super::manifest::Manifest;
use super::{hex, item_of_file, source};
use crate::exit::{Code, Failure};

/// Reads the file again, and compares it with what was written.
///
/// # Errors
/// Those of reading, and what differs.
pub fn of_bytes(path: &Path, digest: &[u8]) -> Result<(), Failure> {
    let item = item_of_file("", path)?;
    if item.sha256 == hex(digest) { Ok(()) } else { Err(unproved("other bytes come back from the disk")) }
}

/// Reads the copy of the database again, and compares it with what its checksum was made of.
///
/// # Errors
/// Those of reading, and what differs.
pub fn of_copy(manifest: &Manifest, contents: &[Content]) -> Result<(), Failure> {
    match (manifest.database_item(), contents.first()) {
        (Some(item), Some(Content::File(copy))) if item_of_file("", copy)?.sha256 != item.sha256 => {
            Err(unproved("another copy of the database comes back from the disk"))
        }
        _ => Ok(()),
    }
}

/// Reads the archive as a restore would, and compares all of it with what it was made from.
///
/// # Errors
/// Those of reading, and what differs.
pub fn of_content(
    path: &Path,
    manifest: &Manifest,
    database: &Within,
    others: &[Content],
) -> Result<(), Failure> {
    let mut proof = Proof { manifest, database, others, at: At::Between };
    let never: Unlock = Box::new(|_| Err(Error::new(ErrorKind::Invalid, "it is not encrypted")));
    let read = source::read(path, &never, |from| archive::read(from, path, &mut proof));
    match read {
        Ok(_) => Ok(()),
        Err(Broken::Failed(failure)) => Err(failure),
        Err(Broken::Damaged(why) | Broken::Foreign(why)) => Err(unproved(&why)),
    }
}

fn unproved(why: &str) -> Failure {
    let what = format!("the archive is not what it was made from, and was not kept; {why}");
    Failure::new(Code::Damaged, "damaged", what).hint("look at the disk and the memory of this machine")
}

/// Compares: the database by the checksums of its parts, and the other files byte by byte.
struct Proof<'a> {
    manifest: &'a Manifest,
    database: &'a Within,
    others: &'a [Content],
    at: At<'a>,
}

/// Where a proof has come to.
enum At<'a> {
    /// Between two files.
    Between,
    /// In this part of the database, of which so many bytes are to come; and the checksum of those before.
    Part(usize, u64, Crc),
    /// In a file of which this is to come.
    Rest(&'a [u8]),
}

impl Visit for Proof<'_> {
    fn manifest(&mut self, manifest: &Manifest) -> Result<(), Broken> {
        same(manifest == self.manifest)
    }

    fn begin(&mut self, number: usize) -> Result<(), Broken> {
        self.at = match number.checked_sub(1).map(|number| self.others.get(number)) {
            None => At::Part(0, self.database.length_of(0), Crc::new()),
            Some(Some(Content::Bytes(bytes))) => At::Rest(bytes),
            Some(_) => return same(false),
        };
        Ok(())
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        match &mut self.at {
            At::Between => same(false),
            At::Rest(rest) => {
                let found = rest.split_off(..bytes.len());
                same(found == Some(bytes))
            }
            At::Part(number, left, sum) => {
                while !bytes.is_empty() {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    sum.update(&bytes[..length]);
                    bytes = &bytes[length..];
                    *left -= length as u64;
                    if *left == 0 {
                        same(mem::take(sum).sum() == self.database.parts[*number].sum)?;
                        *number += 1;
                        *left = self.database.length_of(*number);
                        same(*left > 0 || bytes.is_empty())?;
                    }
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, _: usize) -> Result<(), Broken> {
        same(match mem::replace(&mut self.at, At::Between) {
            At::Between => false,
            At::Part(number, ..) => number == self.database.parts.len(),
            At::Rest(rest) => rest.is_empty(),
        })
    }
}

fn same(is_same: bool) -> Result<(), Broken> {
    if is_same { Ok(()) } else { Err(Broken::damaged("the two differ")) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::direct::tests::{archive_of, mixed};
    use super::*;

    #[test]
    fn an_archive_that_is_another_one_by_a_byte_is_not_what_was_written() {
        let dir = TempDir::new().unwrap();
        let (laying, manifest) = archive_of(&dir, &mixed(), 256 * 1024);
        let others = [Content::Bytes(b"[a]\n".to_vec())];
        let path = dir.path().join("archive");
        let prove = |manifest: &Manifest, others: &[Content]| {
            of_content(&path, manifest, &laying.within, others).map_err(|failure| failure.kind)
        };
        assert_eq!(prove(&manifest, &others), Ok(()));
        assert_eq!(prove(&Manifest { revision: 7, ..manifest.clone() }, &others), Err("damaged"));
        assert_eq!(prove(&manifest, &[Content::Bytes(b"[b]\n".to_vec())]), Err("damaged"));
        let whole = fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by(whole.len() / 50) {
            let mut changed = whole.clone();
            changed[place] = !changed[place];
            // Nobody looks at when a member was made, and by which system.
            if changed[..10] == whole[..10] {
                fs::write(&path, &changed).unwrap();
                assert_eq!(prove(&manifest, &others), Err("damaged"), "{place}");
            }
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(prove(&manifest, &others), Err("damaged"));
    }

    #[test]
    fn members_that_have_changed_places_are_noticed() {
        let dir = TempDir::new().unwrap();
        let (laying, manifest) = archive_of(&dir, &mixed(), 256 * 1024);
        let path = dir.path().join("archive");
        let mut bytes = fs::read(&path).unwrap();
        let [one, other] = [0, 1].map(|number| laying.within.parts[number].stored.unwrap() as usize);
        let length = other - one;
        let (front, back) = bytes.split_at_mut(other);
        front[one..].swap_with_slice(&mut back[..length]);
        fs::write(&path, bytes).unwrap();
        let others = [Content::Bytes(b"[a]\n".to_vec())];
        let failure = of_content(&path, &manifest, &laying.within, &others).unwrap_err();
        assert!(failure.message.contains("the two differ"), "{}", failure.message);
    }
}
