//! What a backup holds, put in its place: after all of it has been checked, and what it replaces has been kept.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prontodb_core::auth::Identity;
use prontodb_core::{Error, ErrorKind};

use super::archive::Content;
use super::manifest::{CURSORS, Item, MANIFEST, Manifest, database_file};
use super::names::{Day, safety_name};
use super::partial::{Partial, cannot_write, rename_new};
use super::unpack::{Given, Unpacked, refuse_full};
use super::{cannot_read, item_of_file, name_of, small_files, with_items};
use crate::config;
use crate::context::{Context, Session};
use crate::cursors::Selected;
use crate::engines::{self, Access, CopyTo};
use crate::exit::{Code, Failure};
use crate::files::{self, sync_directory};
use crate::output;
use crate::paths::{folder_near, make_private_directory};
use crate::replace::{DirectoryTurn, Replacement, take_after};

/// What has been restored.
#[derive(Debug, Default)]
pub struct Restored {
    /// The file of the database, or the folder that all was put into.
    pub path: PathBuf,
    /// The version of the last write from then on.
    pub revision: u64,
    /// Where that is kept which was replaced.
    pub safety: Option<PathBuf>,
    /// Cursors and configuration that are another one now.
    pub changed: Vec<PathBuf>,
    /// What went wrong once the database was in its place.
    pub failure: Option<Failure>,
}

/// What a restore would do.
#[derive(Debug, Default)]
pub struct Would {
    /// The file of the database, or the folder that all would be put into.
    pub path: PathBuf,
    /// The version of the last write in the backup.
    pub revision: u64,
    /// Whether something is there now.
    pub replaces: bool,
    /// Cursors and configuration that would be another one.
    pub changed: Vec<PathBuf>,
}

/// Checks all that a restore of a database checks, with the cursors and the configuration or without, and changes nothing.
///
/// # Errors
/// Those of [`database`] and [`all`] before they change anything.
pub fn would(cx: &Context, given: &Given<'_>, target: &Path, with_others: bool) -> Result<Would, Failure> {
    let restore = Restore::begin(cx, given, target)?;
    let mut changed = Vec::new();
    if with_others {
        restore.unpacked.check_others(given.place)?;
        changed = restore.coming_files()?.into_iter().map(|(path, _)| path).collect();
    }
    let (revision, replaces) = (restore.unpacked.revision, restore.present.is_some());
    Ok(Would { path: target.to_owned(), revision, replaces, changed })
}

/// The same for a folder.
///
/// # Errors
/// Those of [`folder`] before it changes anything.
pub fn would_fill(cx: &Context, given: &Given<'_>, folder: &Path) -> Result<Would, Failure> {
    let (_, _, unpacked) = check_for_folder(cx, given, folder)?;
    Ok(Would { path: folder.to_owned(), revision: unpacked.revision, ..Would::default() })
}

/// Restores a database alone.
///
/// # Errors
/// A backup that is not sound; those of reading and writing. Then nothing has changed. What goes wrong later is in what is
/// returned.
pub fn database(cx: &Context, given: &Given<'_>, target: &Path) -> Result<Restored, Failure> {
    let mut restore = Restore::begin(cx, given, target)?;
    let revision = restore.put_database()?;
    restore.note(given.place);
    Ok(restore.done(revision, Vec::new()))
}

/// Restores a database, and the cursors and the configuration with it.
///
/// # Errors
/// Those of [`database`], and a cursor or a configuration that makes no sense.
pub fn all(cx: &Context, given: &Given<'_>, target: &Path) -> Result<Restored, Failure> {
    let mut restore = Restore::begin(cx, given, target)?;
    restore.unpacked.check_others(given.place)?;
    let (turn, coming) = restore.turn_and_coming_files()?;
    if !coming.is_empty() && restore.present.is_none() {
        restore.keep_small()?;
    }
    let revision = restore.put_database()?;
    let mut changed = Vec::new();
    for (path, bytes) in coming {
        match Replacement::begin(&path).and_then(|turn| turn.finish_private(&bytes)) {
            Ok(()) => changed.push(path),
            Err(failure) => restore.failed(failure),
        }
    }
    drop(turn);
    restore.note(given.place);
    Ok(restore.done(revision, changed))
}

/// Puts the files of a backup into a folder that is new or empty.
///
/// # Errors
/// Those of [`database`], and a folder with something in it.
pub fn folder(cx: &Context, given: &Given<'_>, folder: &Path) -> Result<Restored, Failure> {
    let (is_new, near, unpacked) = check_for_folder(cx, given, folder)?;
    sync_all_in(unpacked.folder.path())?;
    make_private_directory(&near).map_err(|error| cannot_write(&near, &error))?;
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_private_directory(parent).map_err(|error| cannot_write(parent, &error))?;
    }
    if !is_new {
        // It holds nothing; somebody may put something into it just now, and then this fails.
        fs::remove_dir(folder).map_err(|error| cannot_write(folder, &error))?;
    }
    unpacked.folder.keep_as(folder).map_err(|error| cannot_write(folder, &error))?;
    sync_directory(&near).map_err(|error| cannot_write(&near, &error))?;
    let revision = unpacked.revision;
    Ok(Restored { path: folder.to_owned(), revision, ..Restored::default() })
}

/// What is checked before files are put into a folder: whether that is new, the folder near it that they lie in meanwhile, and they.
fn check_for_folder(
    cx: &Context,
    given: &Given<'_>,
    folder: &Path,
) -> Result<(bool, PathBuf, Unpacked), Failure> {
    let is_new = files::metadata(folder).map_err(|error| cannot_read(folder, &error))?.is_none();
    if !is_new {
        refuse_filled(folder)?;
    }
    let near = folder_near(folder);
    let unpacked = Unpacked::of(given, &near, 0)?;
    judge(cx, &unpacked)?;
    Ok((is_new, near, unpacked))
}

/// Refuses whoever may not administer the database that a backup is of: as it is now, and where none is any more, as the
/// backup holds it. Which database is selected tells nothing, for anybody can have one. Says who it is, where that matters.
///
/// # Errors
/// [`ErrorKind::Denied`], and those of reading.
pub fn judge(cx: &Context, unpacked: &Unpacked) -> Result<Option<Identity>, Failure> {
    if !cx.settings.security_local.value {
        return Ok(None);
    }
    let origin = unpacked.origin.as_deref().filter(|path| path.is_absolute());
    if let Some(path) = origin.filter(|path| matches!(bytes_of(path), Ok(Some(_)))) {
        match cx.admin_at(path) {
            // One that cannot be read any more tells nothing, either.
            Err(failure) if failure.code == Code::Damaged || failure.kind == "foreign" => {}
            judged => return judged,
        }
    }
    let judged = cx.admin_at(&unpacked.database);
    // Nothing was written, and the file is to be all there is.
    ["-wal", "-shm"].iter().for_each(|suffix| drop(fs::remove_file(side_file(&unpacked.database, suffix))));
    judged
}

/// Refuses those who may not administer the database at `path` a list of what there is of it. Where none is there, those who may
/// not administer the selected one: a list names what every reader of the folder sees.
pub fn require_admin_of(cx: &Context, path: &Path) -> Result<(), Failure> {
    match path.is_file() || !cx.settings.security_local.value {
        true => cx.require_admin_at(path),
        false => Ok(cx.open_to_look()?.require_admin()?),
    }
}

fn refuse_filled(folder: &Path) -> Result<(), Failure> {
    if folder.metadata().is_ok_and(|there| !there.is_dir()) {
        let what = format!("{} is there already, and is no folder", folder.display());
        return Err(Failure::invalid(what).hint("name a folder that is empty or not there yet"));
    }
    let mut entries = fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Failure::invalid(format!("the folder {} is not empty", folder.display()))
            .hint("name one that is empty or not there yet")),
    }
}

/// Where a file goes, and what it holds then.
type Coming = (PathBuf, Vec<u8>);

/// A restore on its way.
struct Restore<'a> {
    cx: &'a Context,
    target: &'a Path,
    unpacked: Unpacked,
    /// The database as it is, for those who may replace it; `None` where there is none.
    present: Option<Session>,
    /// Who restores where none is, if that has to be known.
    identity: Option<Identity>,
    safety: Option<PathBuf>,
    /// The first thing that went wrong once the database was in its place.
    failure: Option<Failure>,
}

impl<'a> Restore<'a> {
    /// Checks all that can be checked before anything is changed.
    fn begin(cx: &'a Context, given: &Given<'_>, target: &'a Path) -> Result<Self, Failure> {
        let bytes = bytes_of(target)?;
        let present = bytes.map(|_| cx.open_at(target)).transpose()?;
        if let Some(store) = &present {
            let may = store.require_admin().and_then(|()| store.require_fence());
            may.map_err(|error| cx.with_hint(error.into()))?;
        }
        refuse_itself(given.place, target)?;
        let place = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_by_name = cx.roots().is_by_name(target);
        let near = if is_by_name { folder_near(target) } else { place.to_owned() };
        // Room for the copy that is kept, and for the log that the new content goes through.
        let unpacked = Unpacked::of(given, &near, bytes.unwrap_or(0).saturating_mul(2))?;
        // Where nothing is replaced, nobody but the backup itself can tell who may have it.
        let identity = match present {
            Some(_) => None,
            None => judge(cx, &unpacked)?,
        };
        Ok(Self { cx, target, unpacked, present, identity, safety: None, failure: None })
    }

    /// Puts the database in its place; the revision from then on.
    fn put_database(&mut self) -> Result<u64, Failure> {
        let put = self.try_put_database();
        if let (Err(_), Some(kept)) = (&put, &self.safety) {
            output::note(&format!("what there is has been copied to {}", kept.display()));
        }
        put
    }

    fn try_put_database(&mut self) -> Result<u64, Failure> {
        if let Some(folder) = self.target.parent().filter(|_| self.cx.roots().is_by_name(self.target)) {
            make_private_directory(folder).map_err(|error| cannot_write(folder, &error))?;
        }
        if self.present.is_none()
            && !has_side_files(self.target)
            && let Some(revision) = self.put_new()?
        {
            return Ok(revision);
        }
        // Whoever had to prove something has the database open by that.
        let may_be_alone = !self.cx.settings.security_local.value;
        if may_be_alone && let Some(store) = self.present.take() {
            drop(ManuallyDrop::into_inner(store));
            if let Some(revision) = self.exchange()? {
                return Ok(revision);
            }
        }
        if self.present.is_none() {
            // What another database has left beside its file is for SQLite to judge, and somebody may have been quicker.
            self.present = Some(match &self.identity {
                Some(identity) => self.cx.open_for(self.target, identity.clone())?,
                None => self.cx.make_at(self.target)?,
            });
        }
        self.overwrite()
    }

    /// Where nothing is, the file goes as it is; `None` when something is there by now.
    fn put_new(&mut self) -> Result<Option<u64>, Failure> {
        engines::settle(&self.unpacked.database)?;
        match rename_new(&self.unpacked.database, self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(cannot_write(self.target, &error)),
        }
        let folder = folder_near(self.target);
        if let Err(error) = sync_directory(&folder) {
            self.failed(cannot_write(&folder, &error));
        }
        Ok(Some(self.unpacked.revision))
    }

    /// Where nobody has the database open, the two files change places, and what was there is what is kept. `None` when somebody
    /// has, when the file system does not know how, and when what is there is damaged.
    fn exchange(&mut self) -> Result<Option<u64>, Failure> {
        let name = name_of(self.cx, self.target);
        let folder = self.safety_folder()?;
        let partial = Partial::within(&folder)?;
        let items = self.write_beside(partial.path())?;
        sync_all_in(partial.path())?;
        // All that takes long is done before anybody is kept out.
        engines::settle(&self.unpacked.database)?;
        let mut options = self.cx.open_options(self.target.to_owned(), Access::Write);
        options.busy_timeout = Duration::ZERO;
        let Ok(alone) = engines::hold_alone(&options) else { return Ok(None) };
        let Ok((present, schema)) = alone.revision_and_schema() else { return Ok(None) };
        let revision = engines::raise(&self.unpacked.database, present)?.0;
        engines::settle(&self.unpacked.database)?;
        if take_after(alone.path(), &self.unpacked.database).is_err() {
            // Others could not use it any more; a file that stays the same one keeps its owner and mode.
            return Ok(None);
        }
        // Until they change places the new database lies where the old one will.
        let database = database_file(&name);
        match fs::rename(&self.unpacked.database, partial.path().join(&database)) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => return Ok(None),
            moved => moved.map_err(|error| cannot_write(&folder, &error))?,
        }
        // Named before, for nobody removes what has this name, whenever this process may be killed.
        let kept = name_safety(&folder, &name, &partial)?;
        if let Err(error) = alone.exchange(&kept.join(&database)) {
            fs::rename(kept.join(&database), &self.unpacked.database)
                .and_then(|()| fs::remove_dir_all(&kept))
                .map_err(|error| cannot_write(&kept, &error))?;
            return if error.kind() == ErrorKind::Unsupported { Ok(None) } else { Err(error.into()) };
        }
        // What was there is there now, whatever comes.
        self.safety = Some(kept.clone());
        if let Err(error) = alone.sync_names(&kept.join(&database)) {
            self.failed(error.into());
        }
        drop(alone);
        let mut manifest = Manifest::new(&name, self.target, &self.cx.roots().data_dir()?);
        (manifest.revision, manifest.schema, manifest.files) = (present.0, schema, items);
        if let Err(failure) = write_manifest(&mut manifest, &kept) {
            // The database file that is kept can be restored without.
            output::warn(&format!("{} has no manifest; {}", kept.display(), failure.message));
        }
        Ok(Some(revision))
    }

    /// Others may have the database open: it stays the same file, and gets another content.
    fn overwrite(&mut self) -> Result<u64, Failure> {
        let mut failure = None;
        let mut safety = None;
        let source = self.unpacked.database.clone();
        let options = self.cx.open_options(self.target.to_owned(), Access::Write);
        let overwritten = engines::overwrite(&options, &source, &mut |copy| {
            self.keep(copy, &mut safety).map_err(|why| {
                let error = Error::new(ErrorKind::Io, why.message.clone());
                failure = Some(why);
                error
            })
        });
        self.safety = safety.or_else(|| self.safety.take());
        match (overwritten, failure) {
            (Ok(revision), _) => Ok(revision.0),
            (Err(_), Some(failure)) => Err(failure),
            (Err(error), None) => Err(self.cx.with_hint(error.into())),
        }
    }

    /// Keeps the database as it is, with cursors and configuration, in place of what was kept before somebody wrote.
    fn keep(&self, copy: CopyTo<'_>, kept: &mut Option<PathBuf>) -> Result<(), Failure> {
        let outdated = kept.take().or_else(|| self.safety.clone());
        let name = name_of(self.cx, self.target);
        let folder = self.safety_folder()?;
        let partial = Partial::within(&folder)?;
        let present = fs::metadata(self.target).map_or(0, |about| about.len());
        refuse_full(partial.path(), present)?;
        let database = partial.path().join(database_file(&name));
        let mut manifest = Manifest::new(&name, self.target, &self.cx.roots().data_dir()?);
        match copy(&database) {
            Ok(snapshot) => {
                (manifest.revision, manifest.schema) = (snapshot.revision.0, snapshot.schema);
                manifest.files = self.write_beside(partial.path())?;
                write_manifest(&mut manifest, partial.path())?;
            }
            // Even what is damaged is kept, as it lies there.
            Err(error) if error.kind() == ErrorKind::Damaged => copy_raw(self.target, &database)?,
            Err(error) => return Err(self.cx.with_hint(error.into())),
        }
        sync_all_in(partial.path())?;
        *kept = Some(name_safety(&folder, &name, &partial)?);
        if let Some(outdated) = outdated {
            fs::remove_dir_all(&outdated).map_err(|error| cannot_write(&outdated, &error))?;
        }
        Ok(())
    }

    /// Writes cursors and configuration as they are into a folder, and says what the manifest will say of them.
    fn write_beside(&self, folder: &Path) -> Result<Vec<Item>, Failure> {
        let (items, contents) = with_items(small_files(self.cx)?);
        let cursors = folder.join(CURSORS);
        DirBuilder::new().mode(0o700).create(&cursors).map_err(|error| cannot_write(&cursors, &error))?;
        for (item, content) in items.iter().zip(&contents) {
            if let Content::Bytes(bytes) = content {
                write_new(&folder.join(&item.name), bytes)?;
            }
        }
        Ok(items)
    }

    /// Keeps cursors and configuration alone, as long as no database is kept.
    fn keep_small(&mut self) -> Result<(), Failure> {
        if small_files(self.cx)?.is_empty() {
            return Ok(());
        }
        let folder = self.safety_folder()?;
        let partial = Partial::within(&folder)?;
        self.write_beside(partial.path())?;
        sync_all_in(partial.path())?;
        self.safety = Some(name_safety(&folder, &name_of(self.cx, self.target), &partial)?);
        Ok(())
    }

    fn safety_folder(&self) -> Result<PathBuf, Failure> {
        let folder = self.cx.roots().data_dir()?.join("backups");
        make_private_directory(&folder).map_err(|error| cannot_write(&folder, &error))?;
        Ok(folder)
    }

    /// The turn at the cursors, where any file comes besides the database, and those that do. It is taken before anything is
    /// replaced, so that a busy one changes nothing, and nobody changes a cursor between what is kept and what comes.
    fn turn_and_coming_files(&self) -> Result<(Option<DirectoryTurn>, Vec<Coming>), Failure> {
        if self.coming_files()?.is_empty() {
            return Ok((None, Vec::new()));
        }
        let turn = DirectoryTurn::begin(&self.cx.roots().cursors_dir()?, self.cx.patience())?;
        Ok((Some(turn), self.coming_files()?))
    }

    /// Cursors and the configuration of the backup that differ from what there is, and where each goes.
    fn coming_files(&self) -> Result<Vec<Coming>, Failure> {
        let Some(manifest) = &self.unpacked.manifest else { return Ok(Vec::new()) };
        let (cursors, mut coming) = (self.cx.roots().cursors_dir()?, Vec::new());
        for (item, file) in self.unpacked.others() {
            let bytes = fs::read(&file).map_err(|error| cannot_read(&file, &error))?;
            let (path, bytes) = match item.name.strip_prefix(CURSORS) {
                Some(name) => (cursors.join(name), self.moved_cursor(manifest, bytes)?),
                None => (config::path_in_use(&self.cx.flags(), self.cx.roots())?, bytes),
            };
            match fs::read(&path) {
                Ok(present) if present == bytes => {}
                Ok(_) => coming.push((path, bytes)),
                Err(error) if files::is_absent(&error) => coming.push((path, bytes)),
                Err(error) => return Err(cannot_read(&path, &error)),
            }
        }
        Ok(coming)
    }

    /// A cursor to a database in the data directory of then leads to the one of now; others stay as they are.
    fn moved_cursor(&self, manifest: &Manifest, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let Ok(mut selected) = Selected::parse(&bytes) else { return Ok(bytes) };
        let data = self.cx.roots().data_dir()?;
        let Some(moved) = manifest.moved(&selected.cursor.database, &data) else { return Ok(bytes) };
        selected.cursor.database = moved;
        let names_cursor = bytes.windows(8).any(|word| word == b"\"cursor\"");
        if names_cursor { selected.to_json() } else { selected.cursor.to_json() }
    }

    /// Writes down who did this, where that has to be known.
    fn note(&mut self, file: &Path) {
        if let Err(failure) = self.written_down(file) {
            self.failed(failure);
        }
    }

    fn written_down(&self, file: &Path) -> Result<(), Failure> {
        let noted = match (&self.present, &self.identity) {
            (Some(store), _) => store.note("restore", &file.display().to_string()),
            (None, Some(identity)) => {
                let store = self.cx.open_for(self.target, identity.clone())?;
                store.note("restore", &file.display().to_string())
            }
            (None, None) => Ok(()),
        };
        noted.map_err(|error| self.cx.with_hint(error.into()))
    }

    /// Remembers what went wrong once the database was in its place: all else goes on, and it is told in the end.
    fn failed(&mut self, failure: Failure) {
        let message = format!("the database is restored; {}", failure.message);
        let failure = Failure { message, retryable: false, ..failure }
            .hint("what is printed is in its place; once that is mended, restore again for the rest");
        self.failure.get_or_insert(failure);
    }

    fn done(self, revision: u64, changed: Vec<PathBuf>) -> Restored {
        let Self { target, safety, failure, .. } = self;
        Restored { path: target.to_owned(), revision, safety, changed, failure }
    }
}

/// The length of a database file; `None` where there is none, or an empty one, which is none yet.
fn bytes_of(database: &Path) -> Result<Option<u64>, Failure> {
    match fs::metadata(database) {
        Ok(about) => Ok(Some(about.len()).filter(|bytes| *bytes > 0)),
        Err(error) if files::is_absent(&error) => Ok(None),
        Err(error) => Err(cannot_read(database, &error)),
    }
}

/// Refuses to replace a file by itself.
fn refuse_itself(file: &Path, target: &Path) -> Result<(), Failure> {
    let (Ok(one), Ok(other)) = (fs::metadata(file), fs::metadata(target)) else { return Ok(()) };
    match (one.dev(), one.ino()) == (other.dev(), other.ino()) {
        true => Err(Failure::invalid(format!("{} is the database itself", file.display()))),
        false => Ok(()),
    }
}

/// Whether a log or the like lies where a database is to be.
fn has_side_files(database: &Path) -> bool {
    ["-wal", "-shm", "-journal"].iter().any(|suffix| side_file(database, suffix).symlink_metadata().is_ok())
}

fn side_file(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    name.into()
}

/// Copies a file that no database can be read from, and its log.
fn copy_raw(database: &Path, to: &Path) -> Result<(), Failure> {
    for suffix in ["", "-wal"] {
        let (from, to) = (side_file(database, suffix), side_file(to, suffix));
        match File::open(&from) {
            Ok(mut file) => {
                let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to);
                let copied = made.and_then(|mut copy| io::copy(&mut file, &mut copy));
                // To close it would drop the locks that SQLite has on it in this process.
                std::mem::forget(file);
                copied.map_err(|error| cannot_write(&to, &error))?;
            }
            Err(error) if files::is_absent(&error) => {}
            Err(error) => return Err(cannot_read(&from, &error)),
        }
    }
    Ok(())
}

/// Writes the manifest of a folder with a database in it, whose other files it names already.
fn write_manifest(manifest: &mut Manifest, folder: &Path) -> Result<(), Failure> {
    let name = database_file(&manifest.database);
    manifest.files.insert(0, item_of_file(&name, &folder.join(&name))?);
    write_new(&folder.join(MANIFEST), &manifest.to_json())?;
    sync_directory(folder).map_err(|error| cannot_write(folder, &error))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = made.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| cannot_write(path, &error))
}

/// Gives what is kept its name.
fn name_safety(folder: &Path, database: &str, partial: &Partial) -> Result<PathBuf, Failure> {
    for number in 0.. {
        let path = folder.join(safety_name(database, Day::today(), number));
        match partial.keep_as(&path) {
            Ok(()) => {
                return match sync_directory(folder) {
                    Ok(()) => Ok(path),
                    Err(error) => {
                        // The database is where it was; what has this name would be taken for an earlier one.
                        let _ = fs::remove_dir_all(&path);
                        Err(cannot_write(folder, &error))
                    }
                };
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot_write(&path, &error)),
        }
    }
    Err(Failure::new(Code::Error, "io", format!("no name is left in {}", folder.display())))
}

/// Makes sure that a power cut leaves the files of a folder whole.
fn sync_all_in(folder: &Path) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| cannot_read(folder, &error))?.path();
        match path.is_dir() {
            true => sync_all_in(&path)?,
            false => File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|error| cannot_write(&path, &error))?,
        }
    }
    sync_directory(folder).map_err(|error| cannot_write(folder, &error))
}

/// Whether a word of `--to` names a folder.
pub fn is_folder(word: &OsStr) -> bool {
    word.as_encoded_bytes().contains(&b'/') || Path::new(word).is_dir()
}
