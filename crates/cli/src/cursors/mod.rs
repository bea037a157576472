//! Cursors: saved selections, a file each in one directory, and which of them is active.
//!
//! `default.cursor` and `<user>.cursor` hold active selections; `<name>.cursor` and `<user>.<name>.cursor` hold named
//! ones. Files are replaced as a whole, so readers take no lock; those who change them take turns.

mod file;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use self::file::Cursor;
use crate::exit::Failure;
use crate::paths::Roots;
use crate::replace::{DirectoryTurn, Replacement};
use crate::user::NOBODY;

/// The words that mean something else behind `cursor`.
pub const RESERVED: [&str; 8] = ["active", "clear", "default", "delete", "help", "list", "rename", "set"];

const EXTENSION: &str = "cursor";
const MAX_NAME_BYTES: usize = 64;
/// A longer file is no cursor.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The cursors of one user, or of nobody in particular.
pub struct Cursors {
    directory: PathBuf,
    user: Option<String>,
}

/// The same while others have to wait to change them.
pub struct Turn<'a> {
    cursors: &'a Cursors,
    _turn: DirectoryTurn,
}

/// A named cursor of a list.
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it says, or what is wrong with its file.
    pub cursor: Result<Cursor, Failure>,
}

impl Cursors {
    /// Those of `user`.
    ///
    /// # Errors
    /// No data directory.
    pub fn of(roots: Roots<'_>, user: Option<&str>) -> Result<Self, Failure> {
        Ok(Self { directory: roots.cursors_dir()?, user: user.map(str::to_owned) })
    }

    /// Whose they are.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The file of the active selection.
    pub fn active_file(&self) -> PathBuf {
        self.file(self.user.as_deref().unwrap_or(NOBODY))
    }

    /// The file of the cursor called `name`.
    ///
    /// # Errors
    /// A name that no cursor can have.
    pub fn named_file(&self, name: &str) -> Result<PathBuf, Failure> {
        check_name(name)?;
        Ok(match &self.user {
            Some(user) => self.file(&format!("{user}.{name}")),
            None => self.file(name),
        })
    }

    fn file(&self, stem: &str) -> PathBuf {
        self.directory.join(format!("{stem}.{EXTENSION}"))
    }

    /// The active selection, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is somebody else's.
    pub fn active(&self) -> Result<Option<Cursor>, Failure> {
        self.read(&self.active_file())
    }

    /// The cursor called `name`, if there is one.
    ///
    /// # Errors
    /// Those of [`Cursors::active`], and a name that no cursor can have.
    pub fn named(&self, name: &str) -> Result<Option<Cursor>, Failure> {
        self.read(&self.named_file(name)?)
    }

    /// The cursor called `name`.
    ///
    /// # Errors
    /// Those of [`Cursors::named`], and there is none.
    pub fn existing(&self, name: &str) -> Result<Cursor, Failure> {
        self.named(name)?.ok_or_else(|| self.unknown(name))
    }

    /// All named cursors, sorted.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all(&self) -> Result<Vec<Named>, Failure> {
        let cannot = |error| Failure::io(format_args!("cannot read {}", self.directory.display()), &error);
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(cannot)?.path();
            let Some(name) = self.name_in(&path) else { continue };
            match self.read(&path) {
                // Gone since the directory was read, or the active selection of the user who is called so.
                Ok(None) => {}
                Err(_) if self.is_of_a_user(&path) => {}
                Ok(Some(cursor)) => all.push(Named { name, cursor: Ok(cursor) }),
                Err(failure) => all.push(Named { name, cursor: Err(failure) }),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The name of the cursor in a file of the directory, if it is one of these.
    fn name_in(&self, path: &Path) -> Option<String> {
        let stem = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        let name = match &self.user {
            Some(user) => stem.strip_prefix(user.as_str())?.strip_prefix('.')?,
            None => stem,
        };
        why_no_name(name).is_none().then(|| name.to_owned())
    }

    /// Whether a file that nobody in particular cannot use is the active selection of a user.
    fn is_of_a_user(&self, path: &Path) -> bool {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let active = Self { directory: self.directory.clone(), user: stem };
        self.user.is_none() && active.active().is_ok_and(|cursor| cursor.is_some())
    }

    fn read(&self, path: &Path) -> Result<Option<Cursor>, Failure> {
        let cannot =
            |error| Failure::io(format_args!("cannot read the cursor file {}", path.display()), &error);
        let Some(bytes) = read_at_most(path, MAX_FILE_BYTES).map_err(cannot)? else { return Ok(None) };
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(file::damaged(path, "it is longer than 64 KiB"));
        }
        Cursor::parse(path, &bytes, self.user()).map(Some)
    }

    /// Makes the active selection, unless there is one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn make_active(&self, database: &Path) -> Result<(), Failure> {
        let path = self.active_file();
        if path.exists() {
            return Ok(());
        }
        let turn = self.turn()?;
        if path.exists() {
            return Ok(());
        }
        turn.select(&Cursor::new(database.to_owned(), self.user.clone()))
    }

    /// Waits until nobody else changes cursors, unless there is no cursor called `name` to be changed.
    ///
    /// # Errors
    /// Those of [`Cursors::turn`], and there is none.
    pub fn turn_at(&self, name: &str) -> Result<Turn<'_>, Failure> {
        if self.named_file(name)?.symlink_metadata().is_err() {
            return Err(self.unknown(name));
        }
        self.turn()
    }

    /// Waits until nobody else changes cursors.
    ///
    /// # Errors
    /// Those of the file system, and a wait that takes too long.
    pub fn turn(&self) -> Result<Turn<'_>, Failure> {
        Ok(Turn { cursors: self, _turn: DirectoryTurn::begin(&self.directory)? })
    }

    /// The failure of a cursor that is not there.
    pub fn unknown(&self, name: &str) -> Failure {
        Failure::invalid(format!("there is no cursor {name}{}", self.of_user()))
            .hint(format!("make it with prontodb cursor set {name} PATH{}", self.user_flag()))
    }

    /// ` of alice`, or nothing.
    fn of_user(&self) -> String {
        self.user().map_or_else(String::new, |user| format!(" of {user}"))
    }

    /// ` --user alice`, or nothing.
    pub fn user_flag(&self) -> String {
        self.user().map_or_else(String::new, |user| format!(" --user {user}"))
    }
}

impl Turn<'_> {
    /// Saves a cursor; where it is the active one, the selection follows.
    ///
    /// # Errors
    /// Those of the file system, and a file of somebody else.
    pub fn set(&self, name: &str, cursor: &Cursor) -> Result<(), Failure> {
        let path = self.cursors.named_file(name)?;
        self.refuse_selection_of_a_user(name, &path)?;
        write(&path, cursor)?;
        if self.is_active(name) { self.select(&cursor.selected_as(Some(name))) } else { Ok(()) }
    }

    /// A cursor of nobody in particular may have the file name of a user's active selection.
    fn refuse_selection_of_a_user(&self, name: &str, path: &Path) -> Result<(), Failure> {
        if !self.cursors.is_of_a_user(path) {
            return Ok(());
        }
        let what = format!("{} is the active selection of the user {name}", path.display());
        Err(Failure::invalid(what).hint("take another name for the cursor"))
    }

    /// Remembers a selection.
    ///
    /// # Errors
    /// Those of the file system, and a file of somebody else.
    pub fn select(&self, cursor: &Cursor) -> Result<(), Failure> {
        let path = self.cursors.active_file();
        if self.cursors.user.is_some() {
            self.refuse_cursor_of_nobody(&path)?;
        }
        write(&path, cursor)
    }

    fn refuse_cursor_of_nobody(&self, path: &Path) -> Result<(), Failure> {
        let nobody = Cursors { directory: self.cursors.directory.clone(), user: None };
        match nobody.read(path) {
            Ok(Some(_)) => self.cursors.read(path).map(drop),
            _ => Ok(()),
        }
    }

    /// Removes a cursor; its database stays.
    ///
    /// # Errors
    /// There is none, it is the active one, and those of the file system.
    pub fn delete(&self, name: &str) -> Result<(), Failure> {
        let path = self.cursors.named_file(name)?;
        self.refuse_selection_of_a_user(name, &path)?;
        if path.symlink_metadata().is_err() {
            return Err(self.cursors.unknown(name));
        }
        if self.is_active(name) {
            let user = self.cursors.user_flag();
            let what = format!("the cursor {name} is the active one{}", self.cursors.of_user());
            return Err(Failure::invalid(what).hint(format!(
                "select another one first, with prontodb cursor NAME{user}, or none with prontodb cursor clear{user}"
            )));
        }
        remove(&path)
    }

    /// Gives a cursor another name; where it is the active one, the selection follows.
    ///
    /// # Errors
    /// There is none, the new name is taken, and those of the file system.
    pub fn rename(&self, old: &str, new: &str) -> Result<(), Failure> {
        let (from, to) = (self.cursors.named_file(old)?, self.cursors.named_file(new)?);
        let cursor = self.cursors.existing(old)?;
        if to.symlink_metadata().is_ok() {
            let what = format!("there is a cursor {new}{} already", self.cursors.of_user());
            return Err(Failure::invalid(what).hint(format!("take another name for {old}")));
        }
        fs::rename(&from, &to)
            .map_err(|error| Failure::io(format_args!("cannot rename {}", from.display()), &error))?;
        sync(&to)?;
        if self.is_active(old) { self.select(&cursor.selected_as(Some(new))) } else { Ok(()) }
    }

    /// Forgets the active selection; says whether there was one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn clear(&self) -> Result<bool, Failure> {
        let path = self.cursors.active_file();
        if path.symlink_metadata().is_err() {
            return Ok(false);
        }
        if self.cursors.user.is_some() {
            self.refuse_cursor_of_nobody(&path)?;
        }
        remove(&path).map(|()| true)
    }

    /// Whether the cursor called `name` is selected; a selection that is damaged is none.
    fn is_active(&self, name: &str) -> bool {
        let active = self.cursors.active().ok().flatten();
        active.is_some_and(|active| active.selected.as_deref() == Some(name))
    }
}

/// Refuses what no cursor can be called.
///
/// # Errors
/// Other characters than letters, digits, `_` and `-`, more than 64 of them, `-` in front, and reserved words.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let Some(why) = why_no_name(name) else { return Ok(()) };
    Err(Failure::invalid(format!("`{}` cannot be the name of a cursor; {why}", name.escape_debug())))
}

fn why_no_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Some("it needs 1 to 64 characters");
    }
    // A dot stands between a user and the name in that of the file.
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
        return Some("letters a-z and A-Z, digits, `_` and `-` are allowed");
    }
    if name.starts_with('-') {
        return Some("it may not start with `-`");
    }
    RESERVED.contains(&name).then_some("the word has another meaning here; take another")
}

/// The first bytes of a file, one more than `limit` at most; `None` if there is no such file.
///
/// # Errors
/// Those of the file system.
pub fn read_at_most(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::with_capacity(512);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn write(path: &Path, cursor: &Cursor) -> Result<(), Failure> {
    let text = cursor.to_json()?;
    Replacement::begin(path)?.finish(&text)
}

fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_file(path)
        .map_err(|error| Failure::io(format_args!("cannot remove {}", path.display()), &error))?;
    sync(path)
}

/// Makes a change of the directory that holds `path` outlast a power cut.
fn sync(path: &Path) -> Result<(), Failure> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| Failure::io(format_args!("cannot sync {}", directory.display()), &error))
}
