//! Backups taken apart in a private folder, where all of it is checked before anybody else sees any of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use prontodb_core::Millis;
use prontodb_core::store::Unlock;

use super::archive::{self, Visit};
use super::broken::Broken;
use super::digest::Digester;
use super::manifest::{CURSORS, Item, MANIFEST, MAX_BYTES, Manifest, database_file};
use super::names;
use super::pace::Paced;
use super::partial::{Partial, cannot_write};
use super::source::{self, Kind};

use crate::config;
use crate::cursors::Selected;
use crate::engines::{self, Verified};
use crate::exit::{Code, Failure};
use crate::{output, replica};

/// A backup that is to be looked at or restored.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Where it is.
    pub place: &'a Path,
    /// Of a replica, the moment that is meant; else its last one.
    pub until: Option<Millis>,
    /// What opens it.
    pub unlock: &'a Unlock,
}

/// A backup that has been taken apart, and is sound.
pub struct Unpacked {
    /// Where its files lie.
    pub folder: Partial,
    /// What it says of itself; a database file says nothing.
    pub manifest: Option<Manifest>,
    /// What the database is called.
    pub name: String,
    /// The file of the database.
    pub database: PathBuf,
    /// Where the database was, where the backup says that.
    pub origin: Option<PathBuf>,
    /// The version of the last write in it.
    pub revision: u64,
}

impl Unpacked {
    /// Takes a backup apart, in a folder of its own within `place`. `reserve` is how many bytes have to be free besides.
    pub fn of(given: &Given<'_>, place: &Path, reserve: u64) -> Result<Self, Failure> {
        let unpacked = match replica::is_replica(given.place) {
            true => Self::of_replica(given, Partial::within(place)?),
            false => Self::of_file(given, place, reserve),
        };
        unpacked.map_err(|broken| broken.told(given.place))
    }

    fn of_file(given: &Given<'_>, place: &Path, reserve: u64) -> Result<Self, Broken> {
        let path = given.place;
        let kind = Kind::of(path)?;
        let folder = Partial::within(place)?;
        let manifest = match kind {
            Kind::Database => return Self::of_database(path, folder, reserve),
            Kind::Archive | Kind::Sealed => {
                let mut unpacker = Unpacker::into(folder.path(), reserve);
                source::read(path, given.unlock, |from| archive::read(from, path, &mut unpacker))?
            }
            Kind::Folder => copy_folder(path, &mut Unpacker::into(folder.path(), reserve))?,
        };
        let Some(item) = manifest.database_item() else { return Err(Broken::damaged("it has no database")) };
        let database = folder.path().join(&item.name);
        let found = verify(&database, path)?;
        if (found.schema, found.revision.0) != (manifest.schema, manifest.revision) {
            return Err(Broken::damaged("its database is not the one that the manifest describes"));
        }
        let (name, revision) = (manifest.database.clone(), manifest.revision);
        let origin = Some(PathBuf::from(&manifest.database_path));
        Ok(Self { folder, manifest: Some(manifest), name, database, origin, revision })
    }

    /// A database file may have a log, and be in use.
    fn of_database(path: &Path, folder: Partial, reserve: u64) -> Result<Self, Broken> {
        let bytes = fs::metadata(path).map_or(0, |about| about.len());
        refuse_full(folder.path(), bytes.saturating_add(reserve))?;
        let name = names::of_file(path);
        let database = folder.path().join(database_file(&name));
        engines::snapshot_of(path, &database).map_err(|error| not_sound(error, &database, path))?;
        let revision = verify(&database, path)?.revision.0;
        Ok(Self { folder, manifest: None, name, database, origin: None, revision })
    }

    fn of_replica(given: &Given<'_>, folder: Partial) -> Result<Self, Broken> {
        let storage = replica::open(given.place)?;
        let unfinished = folder.path().join("replica");
        let rebuilt = replica::rebuild(&*storage, given.until, given.unlock, &unfinished)?;
        // A replica says what it likes.
        let name = names::of_file(Path::new(&format!("{}.prdb", rebuilt.database)));
        let database = folder.path().join(database_file(&name));
        fs::rename(&unfinished, &database).map_err(|error| cannot_write(folder.path(), &error))?;
        let revision = verify(&database, given.place)?.revision.0;
        let end = if rebuilt.is_last { ", the last moment that it holds" } else { "" };
        output::note(&format!("{} is taken as of {}{end}", given.place.display(), rebuilt.moment));
        Ok(Self { folder, manifest: None, name, database, origin: Some(rebuilt.path), revision })
    }

    /// The files besides the database.
    pub fn others(&self) -> impl Iterator<Item = (&Item, PathBuf)> {
        let items = self.manifest.iter().flat_map(|manifest| manifest.files.iter().skip(1));
        items.map(|item| (item, self.folder.path().join(&item.name)))
    }
}

impl Unpacked {
    /// Refuses cursors and a configuration that no command could read once they are in place; what the checksums say of them
    /// is that they were put in like this. `path` is that of the backup.
    pub fn check_others(&self, path: &Path) -> Result<(), Failure> {
        self.others().try_for_each(|(item, file)| {
            let bytes = fs::read(&file).map_err(|error| super::cannot_read(&file, &error))?;
            let why = match item.name.starts_with(CURSORS) {
                true => Selected::parse(&bytes).err().map(|why| format!("{} is no cursor; {why}", item.name)),
                false => config::check(Path::new(&item.name), bytes).err().map(|failure| failure.message),
            };
            match why {
                None => Ok(()),
                Some(why) => Err(Broken::damaged(why).told(path).hint(
                    "prontodb restore with --to NAME takes the database alone, and with --to DIR all files as they are",
                )),
            }
        })
    }
}

/// Checks the database that was taken out of the backup at `path`.
fn verify(database: &Path, path: &Path) -> Result<Verified, Broken> {
    engines::verify(database).map_err(|error| not_sound(error, database, path))
}

/// A database that is no use, in the words for backups. Where it lies meanwhile tells nobody anything.
fn not_sound(error: prontodb_core::Error, database: &Path, path: &Path) -> Broken {
    use prontodb_core::ErrorKind;
    let kind = error.kind();
    let mut failure = Failure::from(error);
    failure.message = failure.message.replace(&database.display().to_string(), "its database");
    match kind {
        ErrorKind::Damaged => Broken::damaged(failure.message),
        ErrorKind::Foreign => Broken::foreign(failure.message),
        _ => {
            let message = format!("cannot check the backup {}; {}", path.display(), failure.message);
            Broken::Failed(Failure { message, ..failure })
        }
    }
}

/// Writes the files of an archive into a folder, and checks what they hold.
struct Unpacker<'a> {
    folder: &'a Path,
    reserve: u64,
    items: Vec<Item>,
    /// The file that is being written, and its checksum.
    file: Option<(Paced, Digester)>,
}

impl<'a> Unpacker<'a> {
    fn into(folder: &'a Path, reserve: u64) -> Self {
        Self { folder, reserve, items: Vec::new(), file: None }
    }

    fn create(&self, name: &str) -> Result<File, Broken> {
        let path = self.folder.join(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|error| self.cannot(&error))
    }

    fn cannot(&self, error: &io::Error) -> Broken {
        cannot_write(self.folder, error).into()
    }
}

impl Visit for Unpacker<'_> {
    fn manifest(&mut self, manifest: &Manifest) -> Result<(), Broken> {
        let total = manifest.total().unwrap_or(u64::MAX);
        refuse_full(self.folder, total.saturating_add(self.reserve))?;
        let made = DirBuilder::new().mode(0o700).create(self.folder.join(CURSORS));
        made.map_err(|error| self.cannot(&error))?;
        let text = manifest.to_json();
        self.create(MANIFEST)?.write_all(&text).map_err(|error| self.cannot(&error))?;
        self.items.clone_from(&manifest.files);
        Ok(())
    }

    fn begin(&mut self, number: usize) -> Result<(), Broken> {
        let file = self.create(&self.items[number].name)?;
        self.file = Some((Paced::new(file), Digester::new()));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Some((file, digester)) = &mut self.file else { return Ok(()) };
        digester.update(bytes);
        let written = file.write_all(bytes);
        written.map_err(|error| self.cannot(&error))
    }

    fn end(&mut self, number: usize) -> Result<(), Broken> {
        let Some((_, digester)) = self.file.take() else { return Ok(()) };
        let item = &self.items[number];
        match digester.finish(&item.name).sha256.eq_ignore_ascii_case(&item.sha256) {
            true => Ok(()),
            false => Err(Broken::damaged(format!("the checksum of {} is another one", item.name))),
        }
    }
}

/// Copies the files of a folder that is laid out as an archive.
fn copy_folder(folder: &Path, visit: &mut dyn Visit) -> Result<Manifest, Broken> {
    let mut text = Vec::new();
    let Some(file) = open_plain(&folder.join(MANIFEST))? else {
        return Err(Broken::foreign(format!("there is no {MANIFEST} in it")));
    };
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| Broken::reading(&error, folder))?;
    let manifest = Manifest::parse(&text)?;
    visit.manifest(&manifest)?;
    let mut buffer = vec![0; 128 * 1024];
    for (number, item) in manifest.files.iter().enumerate() {
        let missing = || Broken::damaged(format!("{} is missing", item.name));
        let mut file = open_plain(&folder.join(&item.name))?.ok_or_else(missing)?;
        let bytes = file.metadata().map_or(0, |about| about.len());
        if bytes != item.bytes {
            return Err(Broken::damaged(format!("{} has another length than the manifest says", item.name)));
        }
        visit.begin(number)?;
        let mut left = bytes;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            file.read_exact(&mut buffer[..length]).map_err(|error| Broken::reading(&error, folder))?;
            visit.bytes(&buffer[..length])?;
            left -= length as u64;
        }
        visit.end(number)?;
    }
    Ok(manifest)
}

/// Opens a regular file, if there is one; no link is followed in its last part.
fn open_plain(path: &Path) -> Result<Option<File>, Broken> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) if file.metadata().is_ok_and(|about| about.is_file()) => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if crate::files::is_absent(&error) => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        Err(error) => Err(Failure::io(format_args!("cannot read {}", path.display()), &error).into()),
    }
}

/// Refuses to begin what cannot be finished.
pub fn refuse_full(folder: &Path, bytes: u64) -> Result<(), Failure> {
    let Ok(about) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    if bytes <= free {
        return Ok(());
    }
    let what = format!("{bytes} bytes are needed in {}, and {free} are free", folder.display());
    Err(Failure::new(Code::Error, "no_space", what))
}
