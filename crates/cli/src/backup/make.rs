//! How a backup comes about: a snapshot, an archive of it, the proof, and only then its name.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use flate2::Crc;
use prontodb_core::coding::{Recipients, seal_stream};
use prontodb_core::engine::CopySink;
use prontodb_core::store::Unlock;
use prontodb_core::{Clock as _, Error, ErrorKind, Store, SystemClock, Version};
use sha2::{Digest as _, Sha256};

use super::archive::{self, Content, Visit};
use super::broken::Broken;
use super::digest::Digester;
use super::direct::{Direct, Within};
use super::gzip::Compressor;
use super::manifest::{Item, Manifest, database_file};
use super::names::{Day, Name};
use super::pace::Paced;
use super::partial::{Partial, cannot_write, rename_new};
use super::{Order, Target, item_of, item_of_file, small_files, source, with_items};
use crate::context::Context;
use crate::engines::{self, ReadAt};
use crate::exit::{Code, Failure};
use crate::files::{real_path, sync_directory};
use crate::paths::{folder_near, make_private_directory};

/// A backup that has been made.
#[derive(Debug)]
pub struct Made {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Whether it is encrypted.
    pub is_sealed: bool,
    /// What went wrong once it was in its place.
    pub failure: Option<Failure>,
}

/// Makes a backup. When this fails, nothing is left of it; what goes wrong once it has its name is in what is returned.
///
/// # Errors
/// Those of reading the database and of writing the archive, and a proof that fails.
pub fn make(cx: &Context, order: &Order<'_>) -> Result<Made, Failure> {
    let folder = order.target.folder();
    make_private_directory(folder).map_err(|error| cannot_write(folder, &error))?;
    order.target.refuse_taken()?;
    let store = cx.open_at(order.path)?;
    let partial = Partial::within(folder)?;
    let archive = partial.path().join("archive");
    let mut manifest = Manifest::new(order.name, order.path, &cx.roots().data_dir()?);
    let (items, others) = with_items(small_files(cx)?);
    manifest.files = vec![Item { name: database_file(order.name), ..item_of("", b"") }];
    manifest.files.extend(items);
    let written = match order.recipients {
        None => write_directly(cx, &store, &archive, &mut manifest, &others),
        Some(recipients) => {
            write_sealed(cx, &store, (&archive, order.path), &mut manifest, others, recipients)
        }
    };
    let bytes = written?;
    let path = order.target.place(&archive, order)?;
    let synced = sync_directory(folder).map_err(|error| cannot_write(folder, &error));
    let noted = store.note("back up", &path.display().to_string()).map_err(Failure::from);
    let failure = synced.and(noted).err().map(|failure| late(failure, &path));
    Ok(Made { path, bytes, manifest, is_sealed: order.recipients.is_some(), failure })
}

/// What goes wrong with an archive that is whole and has its name.
fn late(failure: Failure, path: &Path) -> Failure {
    let message = format!("the backup {} is whole; {}", path.display(), failure.message);
    let hint = "it can be restored; once that is mended, make another";
    Failure { message, retryable: false, ..failure }.hint(hint)
}

/// What is wrong with a copy is wrong with the database.
fn not_sound(error: Error, manifest: &Manifest) -> Failure {
    match error.kind() {
        ErrorKind::Damaged => {
            let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!("; {why}"));
            let what =
                format!("the database {} is damaged, and no backup was made{why}", manifest.database_path);
            Failure::new(Code::Damaged, "damaged", what)
        }
        _ => error.into(),
    }
}

/// Writes an archive that everybody can read, as the database is read, and proves it; says how long it is.
fn write_directly(
    cx: &Context,
    store: &Store,
    path: &Path,
    manifest: &mut Manifest,
    others: &[Content],
) -> Result<u64, Failure> {
    let cannot = |error: io::Error| cannot_write(path, &error);
    let (file, aside) = (create(path)?, path.with_file_name("aside"));
    let (seen, laying) = thread::scope(|scope| {
        let mut direct = Direct::begin(scope, &file, &aside, manifest, now()).map_err(cannot)?;
        match store.copy_to(&mut direct) {
            Ok(seen) => Ok((seen, direct.finish(others).map_err(cannot)?)),
            Err(error) => Err(match direct.into_error() {
                Some(error) => cannot(error),
                None => cx.with_hint(error.into()),
            }),
        }
    })?;
    let lent: Arc<dyn ReadAt> = Arc::clone(&laying.within) as _;
    identify(cx, &lent, seen, manifest)?;
    laying.write_head(manifest).map_err(cannot)?;
    // All of it has to be done before the archive gets its name.
    let (synced, found, proven) = thread::scope(|scope| {
        let sync = scope.spawn(|| file.sync_all());
        let check = scope.spawn(|| engines::verify_lent(&lent, Path::new(&manifest.database_path)));
        let proven = prove_content(path, Proof::of(manifest, &laying.within, others));
        (sync.join(), check.join(), proven)
    });
    joined(found).map_err(|error| not_sound(error, manifest))?;
    joined(synced).map_err(cannot)?;
    proven?;
    file.metadata().map(|about| about.len()).map_err(cannot)
}

/// Writes an archive for those who can open it, of a copy of the database, and proves it; says how long it is.
fn write_sealed(
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
    let mut copied = Copied::to(&copy)?;
    let seen = store.copy_to(&mut copied).map_err(|error| cx.with_hint(error.into()))?;
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
        let proven = prove_bytes(path, &digest).and_then(|()| prove_copy(manifest, contents));
        (sync.join(), proven)
    });
    joined(synced).map_err(cannot)?;
    proven?;
    file.metadata().map(|about| about.len()).map_err(cannot)
}

fn create(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| cannot_write(path, &error))
}

fn now() -> u64 {
    (SystemClock.now().0 / 1000).unsigned_abs()
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Writes into the manifest what is in the database.
fn identify(
    cx: &Context,
    database: &Arc<dyn ReadAt>,
    seen: Version,
    manifest: &mut Manifest,
) -> Result<(), Failure> {
    let identified = engines::identify_lent(database, Path::new(&manifest.database_path), seen);
    let (revision, schema) = identified.map_err(|error| cx.with_hint(error.into()))?;
    (manifest.revision, manifest.schema) = (revision.0, schema);
    Ok(())
}

/// A copy of the database, which its checksum is made of.
struct Copied {
    path: PathBuf,
    file: File,
    digester: Digester,
}

impl Copied {
    fn to(path: &Path) -> Result<Self, Failure> {
        Ok(Self { path: path.to_owned(), file: create(path)?, digester: Digester::new() })
    }
}

impl CopySink for Copied {
    fn begin(&mut self, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot write {}", self.path.display())).because(error)
        })?;
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

/// Reads the file again, and compares it with what was written.
fn prove_bytes(path: &Path, digest: &[u8]) -> Result<(), Failure> {
    let item = item_of_file("", path)?;
    if item.sha256 == super::hex(digest) {
        Ok(())
    } else {
        Err(unproved("other bytes come back from the disk"))
    }
}

/// Reads the copy of the database again, and compares it with what its checksum was made of.
fn prove_copy(manifest: &Manifest, contents: &[Content]) -> Result<(), Failure> {
    match (manifest.database_item(), contents.first()) {
        (Some(item), Some(Content::File(copy))) if item_of_file("", copy)?.sha256 != item.sha256 => {
            Err(unproved("another copy of the database comes back from the disk"))
        }
        _ => Ok(()),
    }
}

/// Reads the archive as a restore would, and compares all of it with what it was made from.
fn prove_content(path: &Path, mut proof: Proof<'_>) -> Result<(), Failure> {
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

impl<'a> Proof<'a> {
    fn of(manifest: &'a Manifest, database: &'a Within, others: &'a [Content]) -> Self {
        Self { manifest, database, others, at: At::Between }
    }
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

impl Target {
    /// The folder that the backup will lie in.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::File(file) => match file.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            },
        }
    }

    /// Refuses a file that is there before any work is done.
    fn refuse_taken(&self) -> Result<(), Failure> {
        match self {
            Self::File(file) if file.symlink_metadata().is_ok() => Err(taken(file)),
            _ => Ok(()),
        }
    }

    /// Gives the archive its name, which nothing else has.
    fn place(&self, archive: &Path, order: &Order<'_>) -> Result<PathBuf, Failure> {
        let folder = match self {
            Self::File(file) => {
                return match rename_new(archive, file) {
                    Ok(()) => Ok(file.clone()),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(file)),
                    Err(error) => Err(cannot_write(file, &error)),
                };
            }
            Self::Folder(folder) => folder,
        };
        loop {
            let name = next_name(folder, order)?;
            let path = folder.join(name.to_string());
            match rename_new(archive, &path) {
                Ok(()) => return Ok(path),
                // Another backup was quicker.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot_write(&path, &error)),
            }
        }
    }
}

/// The name behind all those of this database and day.
pub fn next_name(folder: &Path, order: &Order<'_>) -> Result<Name, Failure> {
    let today = Day::today();
    let taken = super::list::names_in(folder)?.into_iter();
    let numbers =
        taken.filter(|name| name.database == order.name && name.at.0 == today).map(|name| name.at.1);
    let number = numbers.max().map_or(0, |number| number + 1);
    Ok(Name { database: order.name.to_owned(), at: (today, number), is_sealed: order.recipients.is_some() })
}

fn taken(file: &Path) -> Failure {
    let what = format!("there is something at {} already, and backups replace nothing", file.display());
    Failure::invalid(what).hint("take another name, or name a folder: a backup gets a name of its own there")
}
