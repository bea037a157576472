//! An archive that is written while its database is read, without a copy of that in between.
//!
//! What stands in front of the database, its checksum among it, is known only behind it. So room is left there, and filled in
//! the end. Blocks that the archive stores as they are can be read where they lie; those that it holds compressed lie in a
//! file aside as well, until all of it has been checked.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Scope;

use prontodb_core::engine::CopySink;
use prontodb_core::{Error, ErrorKind};

use super::archive::{self, Content};
use super::digest::Digester;
use super::gzip::{Compressor, Form, Take};
use super::manifest::Manifest;
use super::member;
use super::pace::Paced;
use crate::engines::ReadAt;

/// Where a part of the database begins, and what became of it.
pub struct Part {
    /// In the database.
    start: u64,
    /// Where its member is, if that holds it as it is.
    pub stored: Option<u64>,
    /// Its checksum.
    pub sum: u32,
}

/// A database in an archive.
pub struct Within {
    archive: File,
    /// Has what the archive holds compressed, at the place where the database has it.
    aside: Option<File>,
    bytes: u64,
    /// In their order.
    pub parts: Vec<Part>,
}

impl Within {
    /// How many bytes a part has, which is none where there is no such part.
    pub fn length_of(&self, number: usize) -> u64 {
        let start = |number: usize| self.parts.get(number).map_or(self.bytes, |part| part.start);
        start(number + 1) - start(number)
    }

    /// How many of the bytes from `offset` on lie behind each other, in which file, and where.
    fn find(&self, offset: u64) -> Option<(usize, &File, u64)> {
        let number = self.parts.partition_point(|part| part.start <= offset).checked_sub(1)?;
        let part = &self.parts[number];
        let at = usize::try_from(offset - part.start).ok()?;
        let length = usize::try_from(self.length_of(number)).ok()?;
        let left = length.checked_sub(at).filter(|left| *left > 0)?;
        Some(match part.stored {
            Some(member) => {
                let (place, behind) = member::place_in_stored(at);
                (behind.min(left), &self.archive, member + place as u64)
            }
            None => (left, self.aside.as_ref()?, offset),
        })
    }
}

impl ReadAt for Within {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let (there, file, place) = self.find(offset).ok_or(io::ErrorKind::UnexpectedEof)?;
            let (now, later) = buffer.split_at_mut(there.min(buffer.len()));
            file.read_exact_at(now, place)?;
            offset += now.len() as u64;
            buffer = later;
        }
        Ok(())
    }
}

/// An archive that is being written, and takes its database.
pub struct Direct<'a, 'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    compressor: Compressor<Laid>,
    manifest: &'a mut Manifest,
    seconds: u64,
    /// How long the text of the manifest may be.
    room: usize,
    error: Option<io::Error>,
}

impl<'a, 'scope, 'env> Direct<'a, 'scope, 'env> {
    /// Begins to write to a file with nothing in it, on threads of `scope`. The manifest names all files, and says nothing of
    /// the first, the database, but its name. `aside` is where a file may be made.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn on(
        scope: &'scope Scope<'scope, 'env>,
        file: &File,
        aside: &Path,
        manifest: &'a mut Manifest,
        seconds: u64,
    ) -> io::Result<Self> {
        let within = Within { archive: file.try_clone()?, aside: None, bytes: 0, parts: Vec::new() };
        let laid = Laid {
            out: Paced::new(file.try_clone()?),
            at: 0,
            within,
            taken: 0,
            aside: aside.to_owned(),
            digester: Digester::new(),
        };
        let compressor = Compressor::on(scope, laid, false);
        Ok(Self { scope, compressor, manifest, seconds, room: 0, error: None })
    }

    /// Writes the rest, once all of the database has been taken: `others` are the files behind it. What is in front of it is
    /// still missing.
    ///
    /// # Errors
    /// Those of writing, also of all before.
    pub fn finish(self, others: &[Content]) -> io::Result<Laying> {
        let Self { scope, compressor, manifest, seconds, room, .. } = self;
        let Laid { out, within, digester, .. } = compressor.finish()?;
        if let Some(database) = manifest.files.first_mut() {
            *database = digester.finish(&database.name);
        }
        let out = archive::write_rest(manifest, others, seconds, Compressor::on(scope, out, false))?;
        out.finish()?;
        Ok(Laying { within: Arc::new(within), room, seconds })
    }

    /// What went wrong while the database was taken, if it was that.
    pub fn into_error(self) -> Option<io::Error> {
        self.error
    }

    fn note(&mut self, done: io::Result<()>) -> Result<(), Error> {
        done.map_err(|error| {
            let told = Error::new(ErrorKind::Io, error.to_string());
            self.error = Some(error);
            told
        })
    }
}

impl CopySink for Direct<'_, '_, '_> {
    fn begin(&mut self, bytes: u64) -> Result<(), Error> {
        if let Some(database) = self.manifest.files.first_mut() {
            database.bytes = bytes;
        }
        // No number is longer, and checksums have one length.
        let longest = Manifest { revision: u64::MAX, schema: u64::MAX, ..self.manifest.clone() };
        self.room = longest.to_json().len();
        let head = archive::head(self.manifest, self.room, self.seconds);
        let laid = self.compressor.get_mut();
        laid.within.bytes = bytes;
        let begun = head.and_then(|head| laid.lay(&head));
        self.note(begun)
    }

    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let put = self.compressor.put(bytes);
        self.note(put)
    }
}

/// An archive that has all but its head.
pub struct Laying {
    /// The database in it.
    pub within: Arc<Within>,
    room: usize,
    seconds: u64,
}

impl Laying {
    /// Writes what is in front of the database.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_head(&self, manifest: &Manifest) -> io::Result<()> {
        let head = archive::head(manifest, self.room, self.seconds)?;
        let mut member = Vec::with_capacity(member::stored_length(head.len()));
        member::store(&head, member::sum_of(&head), &mut member)?;
        self.within.archive.write_all_at(&member, 0)
    }
}

/// Lays members behind each other, and notes where those of the database are.
struct Laid {
    out: Paced,
    /// Where the next one begins.
    at: u64,
    within: Within,
    /// How much of the database there is already.
    taken: u64,
    /// Where a file may be made.
    aside: PathBuf,
    digester: Digester,
}

impl Laid {
    /// Writes a member that is none of the database.
    fn lay(&mut self, block: &[u8]) -> io::Result<()> {
        self.at += member::stored_length(block.len()) as u64;
        member::store(block, member::sum_of(block), &mut self.out)
    }

    fn put_aside(&mut self, block: &[u8]) -> io::Result<()> {
        if self.within.aside.is_none() {
            let made =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&self.aside);
            self.within.aside = Some(made?);
        }
        match &self.within.aside {
            Some(aside) => aside.write_all_at(block, self.taken),
            None => Ok(()),
        }
    }
}

impl Take for Laid {
    fn take(&mut self, block: &mut Vec<u8>, form: &Form) -> io::Result<()> {
        if form.member.is_some() {
            self.put_aside(block)?;
        }
        form.write(block, &mut self.out)?;
        let stored = form.member.is_none().then_some(self.at);
        self.within.parts.push(Part { start: self.taken, stored, sum: form.sum });
        self.at += form.length(block) as u64;
        self.taken += block.len() as u64;
        *block = self.digester.give(mem::take(block));
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::thread;

    use prontodb_core::store::Unlock;
    use tempfile::TempDir;

    use super::super::archive::Visit;
    use super::super::broken::Broken;
    use super::super::gzip::tests::noise;
    use super::super::manifest::database_file;
    use super::super::{item_of, source};
    use super::*;

    const PIECE: usize = 256 * 1024;

    /// What the archive stores as it is, and what it compresses.
    pub fn mixed() -> Vec<u8> {
        let mut bytes = noise(2 * PIECE + 4096);
        bytes.extend(vec![7; 9 * PIECE]);
        bytes.extend(noise(PIECE + 512));
        bytes
    }

    /// Writes an archive of these bytes and of a configuration, and says what its manifest is.
    pub fn archive_of(dir: &TempDir, bytes: &[u8], pieces: usize) -> (Laying, Manifest) {
        let path = dir.path().join("archive");
        let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        let mut manifest = Manifest::new("main", Path::new("/d/x"), Path::new("/d"));
        let others = [Content::Bytes(b"[a]\n".to_vec())];
        manifest.files = vec![item_of(&database_file("main"), b""), item_of("pronto.conf", b"[a]\n")];
        let laying = thread::scope(|scope| {
            let aside = dir.path().join("aside");
            let mut direct = Direct::on(scope, &file, &aside, &mut manifest, 7).unwrap();
            direct.begin(bytes.len() as u64).unwrap();
            for piece in bytes.chunks(pieces) {
                direct.take(&mut piece.to_vec()).unwrap();
            }
            direct.finish(&others).unwrap()
        });
        manifest.revision = 12_345;
        laying.write_head(&manifest).unwrap();
        assert_eq!(manifest.files[0], item_of(&database_file("main"), bytes));
        (laying, manifest)
    }

    /// Keeps what the files of an archive hold.
    struct Kept(Vec<Vec<u8>>);

    impl Visit for Kept {
        fn manifest(&mut self, _: &Manifest) -> Result<(), Broken> {
            Ok(())
        }

        fn begin(&mut self, _: usize) -> Result<(), Broken> {
            self.0.push(Vec::new());
            Ok(())
        }

        fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
            self.0.last_mut().unwrap().extend_from_slice(bytes);
            Ok(())
        }

        fn end(&mut self, _: usize) -> Result<(), Broken> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_meanwhile_is_an_archive_like_any_other() {
        let mut mixed = noise(3 * PIECE + 512);
        mixed.extend(vec![7; 2 * PIECE]);
        mixed.extend(noise(PIECE));
        for (bytes, pieces) in
            [(&mixed[..], PIECE), (&mixed, 100_000), (&mixed[..2 * PIECE], PIECE), (&mixed[..512], PIECE)]
        {
            let dir = TempDir::new().unwrap();
            let (_, manifest) = archive_of(&dir, bytes, pieces);
            let (path, mut kept) = (dir.path().join("archive"), Kept(Vec::new()));
            let never: Unlock = Box::new(|_| Err(Error::new(ErrorKind::Invalid, "it is not encrypted")));
            let read = source::read(&path, &never, |from| archive::read(from, &path, &mut kept));
            assert_eq!(read.ok(), Some(manifest));
            assert!(kept.0[0] == bytes && kept.0[1] == b"[a]\n", "{} in {pieces}", bytes.len());
        }
    }

    #[test]
    fn a_database_is_read_where_it_lies() {
        let bytes = mixed();
        for pieces in [PIECE, 70_000] {
            let dir = TempDir::new().unwrap();
            let (laying, _) = archive_of(&dir, &bytes, pieces);
            let within = &laying.within;
            assert!(within.parts.iter().any(|part| part.stored.is_some()));
            assert!(within.parts.iter().any(|part| part.stored.is_none()));
            assert_eq!(within.bytes(), bytes.len() as u64);
            for length in [1, 512, 4096, 65_536, PIECE + 3] {
                for at in (0..bytes.len() - length).step_by(30_011).chain([bytes.len() - length]) {
                    let mut buffer = vec![0; length];
                    within.read_at(&mut buffer, at as u64).unwrap();
                    assert!(buffer == bytes[at..at + length], "{length} from {at} on");
                }
            }
            assert!(within.read_at(&mut [0; 2], bytes.len() as u64 - 1).is_err());
        }
    }
}
