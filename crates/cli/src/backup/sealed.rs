//! Archives that are encrypted: a file to which nothing can be added in front is written of a copy of the database, whose
//! checksum is known by then.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::thread;

use prontodb_core::coding::{Recipients, seal_stream};
use prontodb_core::engine::CopySink;
use prontodb_core::{Error, ErrorKind, Store};
use sha2::{Digest as _, Sha256};

use super::archive::{self, Content};
use super::digest::Digester;
use super::gzip::Compressor;
use super::make::{create, identify, joined, not_sound, now};
use super::manifest::Manifest;
use super::pace::Paced;
use super::partial::{Partial, cannot_write};
use super::proof;
use crate::context::Context;
use crate::engines;
use crate::exit::Failure;
use crate::files::real_path;
use crate::paths::folder_near;

/// Writes an archive for those who can open it, of a copy of the database, and proves it; says how long it is.
///
/// # Errors
/// Those of [`make`](super::make()).
pub fn write(
    cx: &Context,
    store: &Store,
    (path, origin): (&Path, &Path),
    manifest: &mut Manifest,
    mut contents: Vec<Content>,
    recipients: &Recipients,
) -> Result<u64, Failure> {
    // In the clear it lies nowhere but where the database does.
    let beside = Partial::within(&folder_near(&real_path(origin)))?;
    let copy = beside.path().join("database");
    let mut copied = Copied { file: create(&copy)?, digester: Digester::new(), error: None };
    let seen = store.copy_to(&mut copied).map_err(|error| match &copied.error {
        Some(error) => cannot_write(&copy, error),
        None => cx.with_hint(error.into()),
    })?;
    manifest.files[0] = copied.digester.finish(&manifest.files[0].name);
    identify(cx, &engines::lend_file(&copy)?, seen, manifest)?;
    contents.insert(0, Content::File(copy.clone()));
    // The check takes as long as the rest.
    let (found, written) = thread::scope(|scope| {
        let check = scope.spawn(|| engines::verify(&copy));
        let written = seal(path, manifest, &contents, recipients);
        (check.join(), written)
    });
    joined(found).map_err(|error| not_sound(error, manifest))?;
    written
}

fn seal(
    path: &Path,
    manifest: &Manifest,
    contents: &[Content],
    recipients: &Recipients,
) -> Result<u64, Failure> {
    let cannot = |error: io::Error| cannot_write(path, &error);
    let file = create(path)?;
    let tally = Tally { file: Paced::new(file.try_clone().map_err(cannot)?), digest: Sha256::new() };
    let sealer = seal_stream(tally, recipients)?;
    let digest = thread::scope(|scope| {
        let compressor = Compressor::on(scope, sealer, true);
        let sealer = archive::write(manifest, contents, now(), compressor)?.finish()?;
        Ok(sealer.finish()?.digest.finalize())
    });
    let digest = digest.map_err(cannot)?;
    let (synced, proven) = thread::scope(|scope| {
        let sync = scope.spawn(|| file.sync_all());
        // Whoever made it need not be able to open it. Each block was decompressed again before it was encrypted.
        let proven = proof::of_bytes(path, &digest).and_then(|()| proof::of_copy(manifest, contents));
        (sync.join(), proven)
    });
    joined(synced).map_err(cannot)?;
    proven?;
    file.metadata().map(|about| about.len()).map_err(cannot)
}

/// A copy of the database, which its checksum is made of.
struct Copied {
    file: File,
    digester: Digester,
    /// What kept it from being written.
    error: Option<io::Error>,
}

impl CopySink for Copied {
    fn begin(&mut self, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        if let Err(error) = self.file.write_all(bytes) {
            let told = Error::new(ErrorKind::Io, error.to_string());
            self.error = Some(error);
            return Err(told);
        }
        *bytes = self.digester.give(mem::take(bytes));
        Ok(())
    }
}

/// A file, and the digest of what was written to it.
struct Tally {
    file: Paced,
    digest: Sha256,
}

impl Write for Tally {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.digest.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
