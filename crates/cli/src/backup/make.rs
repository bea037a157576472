//! How a backup comes about: a snapshot, an archive of it, the proof, and only then its name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use prontodb_core::{Clock as _, Error, ErrorKind, Store, SystemClock, Version};

use super::archive::Content;
use super::direct::Direct;
use super::manifest::{Item, Manifest, database_file};
use super::names::{Day, Name};
use super::partial::{Partial, cannot_write, rename_new};
use super::{Order, Target, item_of, proof, sealed, small_files, with_items};
use crate::context::Context;
use crate::engines::{self, ReadAt};
use crate::exit::{Code, Failure};
use crate::files::sync_directory;
use crate::paths::make_private_directory;

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
            sealed::write(cx, &store, (&archive, order.path), &mut manifest, others, recipients)
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
pub(super) fn not_sound(error: Error, manifest: &Manifest) -> Failure {
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
        let mut direct = Direct::on(scope, &file, &aside, manifest, now()).map_err(cannot)?;
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
        let proven = proof::of_content(path, manifest, &laying.within, others);
        (sync.join(), check.join(), proven)
    });
    joined(found).map_err(|error| not_sound(error, manifest))?;
    joined(synced).map_err(cannot)?;
    proven?;
    file.metadata().map(|about| about.len()).map_err(cannot)
}

/// Makes the file of an archive, or of a copy.
pub(super) fn create(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| cannot_write(path, &error))
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    (SystemClock.now().0 / 1000).unsigned_abs()
}

/// What a thread has come to.
pub(super) fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Writes into the manifest what is in the database.
pub(super) fn identify(
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
