//! Cursors: saved selections, a file each in one directory, and which of them is active.
//!
//! `default.cursor` and `<user>.cursor` hold active selections; `<name>.cursor` and `<user>.<name>.cursor` hold named
//! ones. Files are replaced as a whole, so readers take no lock; those who change them take turns.

mod file;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::file::{Cursor, Selected};
use crate::exit::{Code, Failure};
use crate::files::{self, read_small};
use crate::names::Rule;
use crate::paths::{DEFAULT_DATABASE, Roots};
use crate::replace::{DirectoryTurn, Replacement, create_new};
use crate::user::NOBODY;

/// What would mean something else behind `cursor`: its commands, and what everybody takes for something else.
const RESERVED: [&str; 9] =
    ["active", "clear", "delete", "help", "list", "rename", "set", DEFAULT_DATABASE, NOBODY];

const EXTENSION: &str = "cursor";
/// A dot stands between a user and the name in that of the file.
const NAMES: Rule = Rule { max: 64, marks: "_-" };

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

/// A cursor file that leads to some database, whosever it is.
#[derive(Clone, Debug)]
pub struct Lead {
    /// What the file is called, without its extension: `default`, `staging`, `alice`, `alice.staging`.
    pub stem: String,
    path: PathBuf,
    found: Selected,
}

impl Lead {
    /// Whether it holds what is selected now, and is no named cursor.
    pub fn is_selection(&self) -> bool {
        self.stem == self.owner().unwrap_or(NOBODY)
    }

    /// Whose it is; `None` is nobody in particular.
    pub fn owner(&self) -> Option<&str> {
        self.found.cursor.user.as_deref()
    }
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

    /// What is selected, if anything is: of a selected cursor, what it says now.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is somebody else's; a cursor that is selected and has gone.
    pub fn active(&self) -> Result<Option<Selected>, Failure> {
        let path = self.active_file();
        let Some(active) = self.read(&path)? else { return Ok(None) };
        let Some(name) = active.name else { return Ok(Some(active)) };
        if why_no_name(&name).is_some() {
            return Err(self.damaged(&path, "its cursor cannot be a name"));
        }
        let Some(cursor) = self.named(&name)? else { return Err(self.gone(&path, &name)) };
        Ok(Some(Selected { name: Some(name), cursor }))
    }

    /// The cursor called `name`, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is somebody else's, and a name that no cursor can have.
    pub fn named(&self, name: &str) -> Result<Option<Cursor>, Failure> {
        Ok(self.read(&self.named_file(name)?)?.map(|named| named.cursor))
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
            Err(error) if files::is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(cannot(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(cannot)?.path();
            let Some(name) = self.name_in(&path) else { continue };
            let cursor = match self.read_any(&path) {
                Ok(None) => continue,
                // What the user of that name has selected.
                Ok(Some(found)) if found.cursor.user.as_ref() == Some(&name) => continue,
                Ok(Some(found)) => self.check_owner(&path, &found.cursor).map(|()| found.cursor),
                Err(failure) => Err(failure),
            };
            all.push(Named { name, cursor });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The cursor files of all users that lead to `database`, sorted. Files that are damaged lead nowhere.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn leading_to(&self, database: &Path) -> Result<Vec<Lead>, Failure> {
        let cannot = |error| Failure::io(format_args!("cannot read {}", self.directory.display()), &error);
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if files::is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(cannot(error)),
        };
        let mut leads = Vec::new();
        for entry in entries {
            let path = entry.map_err(cannot)?.path();
            let stem =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".cursor"));
            if let Some(stem) = stem
                && let Ok(Some(found)) = self.read_any(&path)
                && is_same(&found.cursor.database, database)
            {
                leads.push(Lead { stem: stem.to_owned(), path, found });
            }
        }
        leads.sort_by(|a, b| a.stem.cmp(&b.stem));
        Ok(leads)
    }

    /// The name of the cursor in a file of the directory, if it may be one of these.
    fn name_in(&self, path: &Path) -> Option<String> {
        let stem = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        let name = match &self.user {
            Some(user) => stem.strip_prefix(user.as_str())?.strip_prefix('.')?,
            None => stem,
        };
        why_no_name(name).is_none().then(|| name.to_owned())
    }

    fn read(&self, path: &Path) -> Result<Option<Selected>, Failure> {
        let found = self.read_any(path)?;
        if let Some(found) = &found {
            self.check_owner(path, &found.cursor)?;
        }
        Ok(found)
    }

    /// Reads a cursor, whosever it is.
    fn read_any(&self, path: &Path) -> Result<Option<Selected>, Failure> {
        let bytes = match read_small(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.damaged(path, &error.to_string()));
            }
            Err(error) => {
                return Err(Failure::io(
                    format_args!("cannot read the cursor file {}", path.display()),
                    &error,
                ));
            }
        };
        let Some(bytes) = bytes else { return self.require_directory().map(|()| None) };
        Selected::parse(&bytes).map(Some).map_err(|why| self.damaged(path, why))
    }

    /// Notices that the directory is something else, in which nothing is ever found.
    fn require_directory(&self) -> Result<(), Failure> {
        match self.directory.metadata() {
            Ok(there) if !there.is_dir() => {
                Err(Failure::invalid(format!("{} is no directory", self.directory.display())))
            }
            _ => Ok(()),
        }
    }

    fn check_owner(&self, path: &Path, cursor: &Cursor) -> Result<(), Failure> {
        if cursor.user == self.user {
            return Ok(());
        }
        let (path, user) = (path.display(), self.user.as_deref().unwrap_or(NOBODY));
        let failure =
            |what: String| Failure::invalid(format!("{path} is {what}, and not of the user {user}"));
        Err(match &cursor.user {
            Some(owner) => failure(format!("of the user {owner}")).hint(format!(
                "take another name; prontodb cursor list --user {owner} shows what {owner} has"
            )),
            None => failure("a cursor of nobody in particular".to_owned())
                .hint(format!("give it another name: prontodb cursor rename {user} NAME --user {NOBODY}")),
        })
    }

    /// Selects `database`, unless something is selected. Waits for nobody.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn make_active(&self, database: &Path) -> Result<(), Failure> {
        let path = self.active_file();
        if self.is_there(&path)? {
            return Ok(());
        }
        let cursor = Cursor::new(database.to_owned(), self.user.as_deref());
        create_new(&path, &Selected { name: None, cursor }.to_json()?)
    }

    /// Waits until nobody else changes cursors.
    ///
    /// # Errors
    /// Those of the file system, and a wait that takes too long.
    pub fn turn(&self, longest: Duration) -> Result<Turn<'_>, Failure> {
        Ok(Turn { cursors: self, _turn: DirectoryTurn::begin(&self.directory, longest)? })
    }

    /// Whether there is something at `path`, a cursor or not.
    fn is_there(&self, path: &Path) -> Result<bool, Failure> {
        let found = files::metadata(path);
        let failure = |error| Failure::io(format_args!("cannot read {}", path.display()), &error);
        Ok(found.map_err(failure)?.is_some())
    }

    /// Makes sure that there is a cursor called `name`, damaged or not.
    ///
    /// # Errors
    /// There is none.
    pub fn require(&self, name: &str) -> Result<(), Failure> {
        if self.is_there(&self.named_file(name)?)? { Ok(()) } else { Err(self.unknown(name)) }
    }

    /// The file of a cursor that may be removed.
    ///
    /// # Errors
    /// There is none, it is the active one, and a file of somebody else.
    pub fn removable(&self, name: &str) -> Result<PathBuf, Failure> {
        self.require(name)?;
        let path = self.named_file(name)?;
        self.refuse_foreign(&path)?;
        if self.active_name()?.as_deref() != Some(name) {
            return Ok(path);
        }
        let user = self.user_flag();
        let what = format!("the cursor {name} is the active one{}", self.of_user());
        Err(Failure::invalid(what).hint(format!(
            "select another one first, with prontodb cursor NAME{user}, or none with prontodb cursor clear{user}"
        )))
    }

    /// A cursor of nobody in particular and the selection of a user may want the same file.
    fn refuse_foreign(&self, path: &Path) -> Result<(), Failure> {
        match self.read_any(path) {
            Ok(Some(found)) => self.check_owner(path, &found.cursor),
            _ => Ok(()),
        }
    }

    /// Whether something is selected, damaged or not.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn has_active(&self) -> Result<bool, Failure> {
        self.is_there(&self.active_file())
    }

    /// The name of the selected cursor; a selection that is damaged or somebody else's has none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn active_name(&self) -> Result<Option<String>, Failure> {
        match self.read_any(&self.active_file()) {
            Ok(Some(active)) if active.cursor.user == self.user => Ok(active.name),
            Ok(_) => Ok(None),
            Err(failure) if failure.code == Code::Damaged => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn damaged(&self, path: &Path, why: &str) -> Failure {
        let user = self.user_flag();
        let what = format!("the cursor file {} is damaged; {why}", path.display());
        let hint = match self.name_in(path) {
            Some(name) => format!("write it anew with prontodb cursor set {name} PATH{user}"),
            None => format!("select something anew with prontodb cursor NAME{user}"),
        };
        Failure::new(Code::Damaged, "damaged", what).hint(hint)
    }

    fn gone(&self, active: &Path, name: &str) -> Failure {
        let (active, user) = (active.display(), self.user_flag());
        Failure::invalid(format!("the cursor {name} is selected in {active}, and its file has gone")).hint(
            format!("make it with prontodb cursor set {name} PATH{user}, or select another with prontodb cursor NAME{user}"),
        )
    }

    /// The failure of a cursor that is not there.
    pub fn unknown(&self, name: &str) -> Failure {
        Failure::invalid(format!("there is no cursor {name}{}", self.of_user()))
            .hint(format!("make it with prontodb cursor set {name} PATH{}", self.user_flag()))
    }

    /// ` of alice`, or nothing.
    fn of_user(&self) -> String {
        self.user.as_ref().map_or_else(String::new, |user| format!(" of {user}"))
    }

    /// ` --user alice`, or nothing.
    pub fn user_flag(&self) -> String {
        self.user.as_ref().map_or_else(String::new, |user| format!(" --user {user}"))
    }
}

impl Turn<'_> {
    /// Saves a cursor.
    ///
    /// # Errors
    /// Those of the file system, and a file of somebody else.
    pub fn set(&self, name: &str, cursor: &Cursor) -> Result<(), Failure> {
        let path = self.cursors.named_file(name)?;
        self.cursors.refuse_foreign(&path)?;
        write(&path, &cursor.to_json()?)?;
        if self.cursors.active_name()?.as_deref() == Some(name) {
            // Commands read the cursor itself. Whoever reads the selection finds the same there.
            self.write_active(Some(name), cursor.clone())?;
        }
        Ok(())
    }

    /// Selects the cursor called `name`, as it is now.
    ///
    /// # Errors
    /// There is none; those of the file system, and a file of somebody else.
    pub fn select_cursor(&self, name: &str) -> Result<(), Failure> {
        self.write_active(Some(name), self.cursors.existing(name)?)
    }

    /// Selects a database.
    ///
    /// # Errors
    /// Those of the file system, and a file of somebody else.
    pub fn select_database(&self, database: &Path) -> Result<(), Failure> {
        self.write_active(None, Cursor::new(database.to_owned(), self.cursors.user.as_deref()))
    }

    /// Has a cursor lead to another database; all else that it says stays.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn redirect(&self, lead: &Lead, database: &Path) -> Result<(), Failure> {
        let cursor = Cursor { database: database.to_owned(), ..lead.found.cursor.clone() };
        if lead.is_selection() {
            return write(&lead.path, &Selected { name: lead.found.name.clone(), cursor }.to_json()?);
        }
        write(&lead.path, &cursor.to_json()?)
    }

    /// Has a selection whose database goes lead to `main`, or that of a user be forgotten: then it is that user's own.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn fall_back(&self, selection: &Lead, main: &Path) -> Result<(), Failure> {
        if selection.owner().is_some() {
            return remove(&selection.path);
        }
        let text = Selected { name: None, cursor: Cursor::new(main.to_owned(), None) }.to_json()?;
        match write(&selection.path, &text) {
            // Where nothing is selected, it is main as well.
            Err(failure) if failure.kind == "no_space" => remove(&selection.path),
            written => written,
        }
    }

    fn write_active(&self, name: Option<&str>, cursor: Cursor) -> Result<(), Failure> {
        let path = self.cursors.active_file();
        self.cursors.refuse_foreign(&path)?;
        let active = Selected { name: name.map(str::to_owned), cursor };
        if let Ok(Some(old)) = self.cursors.read(&path)
            && old.name == active.name
            && old.cursor.says(&active.cursor)
        {
            return Ok(());
        }
        write(&path, &active.to_json()?)
    }

    /// Removes a cursor; its database stays.
    ///
    /// # Errors
    /// There is none, it is the active one, and those of the file system.
    pub fn delete(&self, name: &str) -> Result<(), Failure> {
        remove(&self.cursors.removable(name)?)
    }

    /// Gives a cursor another name; where it is the active one, the selection follows.
    ///
    /// # Errors
    /// There is none, the new name is taken, and those of the file system.
    pub fn rename(&self, old: &str, new: &str) -> Result<(), Failure> {
        let (from, to) = (self.cursors.named_file(old)?, self.cursors.named_file(new)?);
        let cursor = self.cursors.existing(old)?;
        if self.cursors.is_there(&to)? {
            let what = format!("there is a cursor {new}{} already", self.cursors.of_user());
            return Err(Failure::invalid(what).hint(format!("take another name for {old}")));
        }
        let is_active = self.cursors.active_name()?.as_deref() == Some(old);
        // The new one is there before anything leads to it, and the old one until nothing does: each step may be the last.
        write(&to, &cursor.to_json()?)?;
        let followed = if is_active { self.write_active(Some(new), cursor) } else { Ok(()) };
        if let Err(failure) = followed {
            let _ = remove(&to);
            return Err(failure);
        }
        remove(&from)
    }

    /// Forgets what is selected.
    ///
    /// # Errors
    /// Those of the file system, and a file of somebody else.
    pub fn clear(&self) -> Result<(), Failure> {
        let path = self.cursors.active_file();
        self.cursors.refuse_foreign(&path)?;
        remove(&path)
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

fn why_no_name(name: &str) -> Option<String> {
    if let Some(why) = NAMES.why_not(name) {
        return Some(why);
    }
    if name.starts_with('-') {
        return Some("it may not start with `-`".to_owned());
    }
    RESERVED.contains(&name).then(|| "the word has another meaning here; take another".to_owned())
}

/// Whether two paths lead to one file, there or not.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    Replacement::begin(path)?.finish_private(text)
}

fn remove(path: &Path) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    match fs::remove_file(path) {
        Err(error) if files::is_absent(&error) => Ok(()),
        removed => removed
            .and_then(|()| files::sync_directory(directory))
            .map_err(|error| Failure::io(format_args!("cannot remove {}", path.display()), &error)),
    }
}
