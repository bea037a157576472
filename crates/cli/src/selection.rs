//! Which database a command works on, and what decided that: the one place that knows the order of precedence.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::args::Globals;
use crate::cursors::{Cursor, Cursors, check_name};
use crate::directory;
use crate::exit::Failure;
use crate::paths::{self, DEFAULT_DATABASE, Env, Roots};
use crate::user::User;

/// A database, and what chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The file of the database.
    pub path: PathBuf,
    /// The project of addresses that name none, if what chose the database says so.
    pub project: Option<String>,
    /// The namespace of addresses that name none, if what chose the database says so.
    pub namespace: Option<String>,
    /// What chose it.
    pub by: By,
    /// What a command that opens the database is to remember.
    memory: Memory,
}

/// What chose a database: a flag or variable, a file, or a flag by way of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    name: Option<&'static str>,
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Memory {
    Nothing,
    /// There is no active selection; the first write makes it.
    FirstUse,
    /// It was asked for, as the cursor of this name if it is one.
    Select {
        cursor: Option<String>,
        is_there: bool,
    },
}

/// What decides.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The flags.
    pub globals: &'a Globals,
    /// Who the command works for.
    pub user: &'a User,
    /// The environment.
    pub env: Env<'a>,
}

const SELECT: &str = "--select";

/// Says what it would choose, if it has something to say.
type Chooser = fn(Surroundings<'_>) -> Result<Option<Selection>, Failure>;

/// The strongest first: of the first four, the command line allows one.
const CHOOSERS: [Chooser; 9] = [
    by_file,
    by_name,
    by_cursor,
    by_select,
    by_user,
    by_variable,
    by_directory,
    by_active_cursor,
    by_default,
];

/// The database that the strongest of all choosers names.
///
/// # Errors
/// That one names nothing that makes sense.
pub fn choose(given: Surroundings<'_>) -> Result<Selection, Failure> {
    let choice = CHOOSERS.iter().find_map(|chooser| chooser(given).transpose());
    choice.unwrap_or_else(|| Err(Failure::invalid("nothing names a database")))
}

/// What the weaker choosers would have named, but for the last, which always says the same.
pub fn overruled(given: Surroundings<'_>) -> Vec<Result<Selection, Failure>> {
    let [choosers @ .., _] = &CHOOSERS;
    choosers.iter().filter_map(|chooser| chooser(given).transpose()).skip(1).collect()
}

fn by_file(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let file = given.globals.database_file.as_ref();
    Ok(file.map(|file| Selection::new(file.clone(), By::name("-d"))))
}

fn by_name(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(name) = &given.globals.database else { return Ok(None) };
    let path = given.roots().database_file(&name.to_string_lossy())?;
    Ok(Some(Selection::new(path, By::name("--database"))))
}

fn by_cursor(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(name) = &given.globals.cursor else { return Ok(None) };
    let cursors = given.cursors()?;
    let by = By { name: Some("--cursor"), file: Some(cursors.named_file(name)?) };
    Ok(Some(Selection::of_cursor(cursors.existing(name)?, by)))
}

fn by_select(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(word) = &given.globals.select else { return Ok(None) };
    find(given.roots(), &given.cursors()?, word).map(Some)
}

/// The active selection of a user; until there is one, the database of the same name.
fn by_user(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(user) = &given.user.value else { return Ok(None) };
    let cursors = given.cursors()?;
    let name = given.user.source.name();
    if let Some(cursor) = cursors.active()? {
        let by = By { name, file: Some(cursors.active_file()) };
        return Ok(Some(Selection::of_cursor(cursor, by)));
    }
    let path = given.roots().database_file(user)?;
    Ok(Some(Selection { memory: Memory::FirstUse, ..Selection::new(path, By { name, file: None }) }))
}

fn by_variable(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let file = paths::variable(given.env, "PRONTO_DB");
    Ok(file.map(|file| Selection::new(file.into(), By::name("PRONTO_DB"))))
}

fn by_directory(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(file) = directory::allowed(given.roots())? else { return Ok(None) };
    let wish = file.wish(given.roots())?;
    let by = By { name: None, file: Some(file.path) };
    let (project, namespace) = (wish.project, wish.namespace);
    Ok(Some(Selection { project, namespace, ..Selection::new(wish.database, by) }))
}

/// The active selection of nobody in particular; that of a user is looked at before.
fn by_active_cursor(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let cursors = Cursors::of(given.roots(), None)?;
    let by = By { name: None, file: Some(cursors.active_file()) };
    Ok(cursors.active()?.map(|cursor| Selection::of_cursor(cursor, by)))
}

fn by_default(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let path = given.roots().database_file(DEFAULT_DATABASE)?;
    let by = By { name: None, file: None };
    Ok(Some(Selection { memory: Memory::FirstUse, ..Selection::new(path, by) }))
}

/// What a word means that selects: with a `/` in it, a file; else the cursor of that name, the database, or the file, and
/// where there is none of them, a database to be made.
///
/// # Errors
/// A name that none of them can have, and cursors that are damaged.
pub fn find(roots: Roots<'_>, cursors: &Cursors, word: &OsStr) -> Result<Selection, Failure> {
    let by = By::name(SELECT);
    if word.as_encoded_bytes().contains(&b'/') {
        return Ok(Selection::of_path(absolute(Path::new(word))?, by));
    }
    let name = word.to_string_lossy();
    if check_name(&name).is_ok()
        && let Some(cursor) = cursors.named(&name)?
    {
        let by = By { file: Some(cursors.named_file(&name)?), ..by };
        let memory = Memory::Select { cursor: Some(name.into_owned()), is_there: true };
        return Ok(Selection { memory, ..Selection::of_cursor(cursor, by) });
    }
    let path = match roots.database_file(&name) {
        Ok(path) if path.is_file() || !Path::new(word).is_file() => path,
        Err(failure) if !Path::new(word).is_file() => return Err(failure),
        _ => absolute(Path::new(word))?,
    };
    Ok(Selection::of_path(path, by))
}

/// The file that a cursor is to point to.
///
/// # Errors
/// A path that only a shell would have understood, one of a directory, and no working directory.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let refused = |why: &str| Err(Failure::invalid(format!("`{}` is refused; {why}", path.display())));
    if paths::holds_template(path.as_os_str()) {
        return refused("it holds `${`, a variable that nobody filled in");
    }
    if path.starts_with("~") {
        return refused("no shell has put the home directory in the place of `~`");
    }
    if path.is_dir() {
        return refused("it is a directory, and a database is a file");
    }
    std::path::absolute(path)
        .map_err(|error| Failure::io(format_args!("cannot tell where {} is", path.display()), &error))
}

impl Selection {
    fn new(path: PathBuf, by: By) -> Self {
        Self { path, project: None, namespace: None, by, memory: Memory::Nothing }
    }

    /// A file that is to be remembered.
    fn of_path(path: PathBuf, by: By) -> Self {
        let memory = Memory::Select { cursor: None, is_there: path.is_file() };
        Self { memory, ..Self::new(path, by) }
    }

    fn of_cursor(cursor: Cursor, by: By) -> Self {
        let Cursor { database, project, namespace, .. } = cursor;
        Self { project, namespace, ..Self::new(database, by) }
    }

    /// Refuses a selection of what is not there.
    ///
    /// # Errors
    /// There is nothing to select; the failure says what makes it.
    pub fn require(&self, cursors: impl FnOnce() -> Result<Cursors, Failure>) -> Result<(), Failure> {
        let Memory::Select { is_there: false, .. } = self.memory else { return Ok(()) };
        let (path, user) = (self.path.display(), cursors()?.user_flag());
        let what = format!("there is no such cursor and no database {path}; nothing is selected");
        Err(Failure::invalid(what).hint(format!("make a cursor with prontodb cursor set NAME PATH{user}")))
    }

    /// What a write remembers: a selection that was asked for, and the first use.
    ///
    /// # Errors
    /// Those of [`Selection::remember_if_asked`].
    pub fn remember(&self, cursors: impl FnOnce() -> Result<Cursors, Failure>) -> Result<(), Failure> {
        if self.memory == Memory::FirstUse {
            // Not worth a failure: the next command finds the same database without it.
            let _ = cursors()?.make_active(&self.path);
            return Ok(());
        }
        self.remember_if_asked(cursors)
    }

    /// Remembers a selection that was asked for.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember_if_asked(
        &self,
        cursors: impl FnOnce() -> Result<Cursors, Failure>,
    ) -> Result<(), Failure> {
        let Memory::Select { cursor, .. } = &self.memory else { return Ok(()) };
        let cursors = cursors()?;
        let saved = Cursor {
            project: self.project.clone(),
            namespace: self.namespace.clone(),
            ..Cursor::new(self.path.clone(), cursors.user().map(str::to_owned))
        };
        cursors.turn()?.select(&saved.selected_as(cursor.as_deref()))
    }
}

impl By {
    fn name(name: &'static str) -> Self {
        Self { name: Some(name), file: None }
    }

    /// Whether nothing chose: it is the default.
    pub fn is_default(&self) -> bool {
        self.name.is_none() && self.file.is_none()
    }

    /// The file that says so, if one does.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name, &self.file) {
            (Some(name), Some(file)) => write!(f, "{name}, {}", file.display()),
            (Some(name), None) => f.write_str(name),
            (None, Some(file)) => file.display().fmt(f),
            (None, None) => f.write_str("default"),
        }
    }
}

impl<'a> Surroundings<'a> {
    fn roots(self) -> Roots<'a> {
        Roots::new(self.env)
    }

    fn cursors(self) -> Result<Cursors, Failure> {
        Cursors::of(self.roots(), self.user.value.as_deref())
    }
}
