//! How a backup comes about: a snapshot, an archive of it, the proof, and only then its name.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use prontodb_core::coding::{Recipients, Sealer, seal_stream};
use prontodb_core::store::Unlock;
use prontodb_core::{Clock as _, Error, ErrorKind, SystemClock};
use sha2::{Digest as _, Sha256};

use super::archive::{self, Content, Visit};
use super::broken::Broken;
use super::digest::Digester;
use super::gzip::Compressor;
use super::manifest::{Manifest, database_file};
use super::names::{Day, Name};
use super::pace::Paced;
use super::partial::{Partial, cannot_write, rename_new};
use super::{Order, Target, item_of_file, small_files, source, with_items};
use crate::context::Context;
use crate::engines;
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
    // In the clear it lies nowhere but where the database does.
    let beside =
        order.recipients.map(|_| Partial::within(&folder_near(&real_path(order.path)))).transpose()?;
    let database = beside.as_ref().unwrap_or(&partial).path().join("database");
    let mut manifest = Manifest::new(order.name, order.path, &cx.roots().data_dir()?);
    let mut digester = Digester::new();
    let snapshot = store.snapshot_watched(&database, &mut |bytes| digester.update(bytes));
    let snapshot = snapshot.map_err(|error| cx.with_hint(error.into()))?;
    (manifest.revision, manifest.schema) = (snapshot.revision.0, snapshot.schema);
    let (mut items, mut contents) = with_items(small_files(cx)?);
    items.insert(0, digester.finish(&database_file(&manifest.database)));
    contents.insert(0, Content::File(database.clone()));
    manifest.files = items;
    let archive = partial.path().join("archive");
    // The check takes as long as the rest, and it only has to be done before the archive gets its name.
    let (found, written) = thread::scope(|scope| {
        let check = scope.spawn(|| engines::verify(&database));
        let written = write(&archive, &manifest, &contents, order.recipients);
        (check.join(), written)
    });
    let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    found.map_err(|error| not_sound(error, &manifest))?;
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

/// Writes the archive and proves it; says how long it is.
fn write(
    path: &Path,
    manifest: &Manifest,
    contents: &[Content],
    recipients: Option<&Recipients>,
) -> Result<u64, Failure> {
    let cannot = |error: io::Error| cannot_write(path, &error);
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    let file = made.map_err(cannot)?;
    let out = Out::to(Paced::new(file.try_clone().map_err(cannot)?), recipients)?;
    let seconds = (SystemClock.now().0 / 1000).unsigned_abs();
    let is_sealed = recipients.is_some();
    let digest = thread::scope(|scope| {
        let compressor = Compressor::on(scope, out, is_sealed);
        archive::write(manifest, contents, seconds, compressor)?.finish()?.finish()
    });
    let digest = digest.map_err(cannot)?;
    let (synced, proven) = thread::scope(|scope| {
        let sync = scope.spawn(|| file.sync_all());
        let proven = match is_sealed {
            // Whoever made it need not be able to open it. Each block was decompressed again before it was encrypted.
            true => prove_bytes(path, &digest).and_then(|()| prove_copy(manifest, contents)),
            false => prove_content(path, manifest, contents),
        };
        (sync.join(), proven)
    });
    synced.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(cannot)?;
    proven?;
    file.metadata().map(|about| about.len()).map_err(cannot)
}

/// Where the compressed archive goes.
enum Out {
    Plain(Tally),
    Sealed(Box<Sealer<Tally>>),
}

impl Out {
    fn to(file: Paced, recipients: Option<&Recipients>) -> Result<Self, Failure> {
        let tally = Tally { file, digest: recipients.map(|_| Sha256::new()) };
        Ok(match recipients {
            Some(recipients) => Self::Sealed(Box::new(seal_stream(tally, recipients)?)),
            None => Self::Plain(tally),
        })
    }

    /// Writes the end; the digest of all that was written, where one was made.
    fn finish(self) -> io::Result<Vec<u8>> {
        let tally = match self {
            Self::Plain(tally) => tally,
            Self::Sealed(sealer) => sealer.finish()?,
        };
        Ok(tally.digest.map_or_else(Vec::new, |digest| digest.finalize().to_vec()))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tally) => tally.write(bytes),
            Self::Sealed(sealer) => sealer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file, and the digest of what was written to it.
struct Tally {
    file: Paced,
    digest: Option<Sha256>,
}

impl Write for Tally {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        if let Some(digest) = &mut self.digest {
            digest.update(&bytes[..length]);
        }
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
fn prove_content(path: &Path, manifest: &Manifest, contents: &[Content]) -> Result<(), Failure> {
    let never: Unlock = Box::new(|_| Err(Error::new(ErrorKind::Invalid, "it is not encrypted")));
    let mut proof = Proof { manifest, contents, rest: None, buffer: Vec::new() };
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

/// Compares.
struct Proof<'a> {
    manifest: &'a Manifest,
    contents: &'a [Content],
    rest: Option<Box<dyn Read + 'a>>,
    buffer: Vec<u8>,
}

impl Visit for Proof<'_> {
    fn manifest(&mut self, manifest: &Manifest) -> Result<(), Broken> {
        same(manifest == self.manifest)
    }

    fn begin(&mut self, number: usize) -> Result<(), Broken> {
        let opened = self.contents[number].open();
        self.rest = Some(opened.map_err(|error| Failure::io("cannot read what was copied", &error))?);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Some(rest) = &mut self.rest else { return same(false) };
        self.buffer.resize(bytes.len(), 0);
        let read = rest.read_exact(&mut self.buffer);
        read.map_err(|error| Failure::io("cannot read what was copied", &error))?;
        same(self.buffer == bytes)
    }

    fn end(&mut self, _: usize) -> Result<(), Broken> {
        let rest = self.rest.take().map(|mut rest| rest.read(&mut [0]));
        same(matches!(rest, Some(Ok(0))))
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
