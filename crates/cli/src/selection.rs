//! Which database a command works on, and what decided that: the one place that knows the order of precedence.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::Globals;
use crate::config::Source;
use crate::cursors::{Cursor, Cursors, Selected, check_name};
use crate::directory;
use crate::exit::Failure;
use crate::files;
use crate::paths::{self, DEFAULT_DATABASE, Env, Roots, database_path};
use crate::renamed::Renamed;
use crate::user::User;

/// A database, and what chose it.
#[derive(Debug)]
pub struct Selection {
    /// The file of the database.
    pub path: PathBuf,
    /// The project of addresses that name none, if what chose the database says so.
    pub project: Option<String>,
    /// The namespace of addresses that name none, if what chose the database says so.
    pub namespace: Option<String>,
    /// What chose it.
    pub by: By,
    /// What looks wrong about it.
    pub warning: Option<String>,
    memory: Memory,
}

/// What chose a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The flag, variable or file.
    pub source: Source,
    /// The file that a flag or variable led to.
    through: Option<PathBuf>,
}

/// What a command that opens the database is to remember.
#[derive(Debug)]
enum Memory {
    Nothing,
    /// Nothing is selected; the first write selects this.
    FirstUse,
    /// To select a cursor.
    Cursor(String),
    /// To select a database, of this name if it has one.
    Database {
        name: Option<String>,
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

/// Says what it would choose, if it has something to say.
type Choose = fn(Surroundings<'_>) -> Result<Option<Selection>, Failure>;

/// Who is asked, the strongest first, and what each is called. Of the first four, the command line allows one. Where none
/// has anything to say, it is [`by_default`].
const CHOOSERS: [(&str, Choose); 8] = [
    ("-d", by_file),
    ("--database", by_name),
    ("--cursor", by_cursor),
    (SELECT, by_select),
    ("--user", by_user),
    ("PRONTO_DB", by_variable),
    (directory::NAME, by_directory),
    ("default.cursor", by_active_cursor),
];

const SELECT: &str = "--select";

/// The database that the strongest of all choosers names.
///
/// # Errors
/// That one names nothing that makes sense.
pub fn choose(given: Surroundings<'_>) -> Result<Selection, Failure> {
    let chosen = CHOOSERS.iter().find_map(|(_, choose)| choose(given).transpose());
    chosen.unwrap_or_else(|| by_default(given))
}

/// What the weaker choosers would have named, or why they could not, each with its name.
pub fn overruled(
    given: Surroundings<'_>,
) -> impl Iterator<Item = (&'static str, Result<Selection, Failure>)> {
    let choices = CHOOSERS.iter().filter_map(move |(name, choose)| Some((*name, choose(given).transpose()?)));
    choices.skip(1)
}

fn by_file(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(file) = &given.globals.database_file else { return Ok(None) };
    paths::refuse_directory(file)?;
    Ok(Some(Selection::new(file.clone(), By::flag("-d"))))
}

fn by_name(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(name) = &given.globals.database else { return Ok(None) };
    let path = given.roots().database_file(&name.to_string_lossy())?;
    Ok(Some(Selection::new(path, By::flag("--database"))))
}

fn by_cursor(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(name) = &given.globals.cursor else { return Ok(None) };
    let cursors = given.cursors()?;
    let by = By { through: Some(cursors.named_file(name)?), ..By::flag("--cursor") };
    Ok(Some(Selection::of_cursor(cursors.existing(name)?, by)))
}

fn by_select(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(word) = &given.globals.select else { return Ok(None) };
    find(given, word).map(Some)
}

/// What a user has selected; until that is something, the database of the same name.
fn by_user(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(user) = &given.user.value else { return Ok(None) };
    let cursors = given.cursors()?;
    let by = By { source: given.user.source.clone(), through: None };
    if let Some(active) = cursors.active()? {
        let by = By { through: Some(cursors.active_file()), ..by };
        return Ok(Some(Selection::of_active(given, active, by)));
    }
    Ok(Some(Selection::first_use(given.roots().database_file(user)?, by)))
}

fn by_variable(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(file) = paths::variable(given.env, "PRONTO_DB") else { return Ok(None) };
    paths::refuse_directory(Path::new(&file))?;
    let by = By { source: Source::Env("PRONTO_DB"), through: None };
    Ok(Some(Selection::new(file.into(), by)))
}

fn by_directory(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let Some(file) = directory::allowed(given.roots())? else { return Ok(None) };
    let wish = file.wish(given.roots())?;
    let by = By { source: Source::File(file.path), through: None };
    let (project, namespace) = (wish.project, wish.namespace);
    Ok(Some(Selection { project, namespace, ..Selection::new(wish.database, by) }))
}

/// What nobody in particular has selected; a user was asked before.
fn by_active_cursor(given: Surroundings<'_>) -> Result<Option<Selection>, Failure> {
    let cursors = Cursors::of(given.roots(), None)?;
    let Some(active) = cursors.active()? else { return Ok(None) };
    let by = By { source: Source::File(cursors.active_file()), through: None };
    Ok(Some(Selection::of_active(given, active, by)))
}

fn by_default(given: Surroundings<'_>) -> Result<Selection, Failure> {
    let by = By { source: Source::Default, through: None };
    Ok(Selection::first_use(given.roots().database_file(DEFAULT_DATABASE)?, by))
}

/// What a word means that selects: with a `/` in it, a file; else the cursor of that name, else the database.
///
/// # Errors
/// A name that none of them can have, and cursors that are damaged.
pub fn find(given: Surroundings<'_>, word: &OsStr) -> Result<Selection, Failure> {
    if word.as_encoded_bytes().contains(&b'/') {
        let path = database_path(&paths::working_directory()?, Path::new(word))?;
        return Ok(Selection::of_database(path, None));
    }
    let (name, cursors) = (word.to_string_lossy(), given.cursors()?);
    if check_name(&name).is_ok()
        && let Some(cursor) = cursors.named(&name)?
    {
        let by = By { through: Some(cursors.named_file(&name)?), ..By::flag(SELECT) };
        let memory = Memory::Cursor(name.into_owned());
        return Ok(Selection { memory, ..Selection::of_cursor(cursor, by) });
    }
    let path = given.roots().database_file(&name)?;
    let path = Renamed::from(given.roots(), &path).map_or(path, |renamed| renamed.path);
    let selection = Selection::of_database(path, Some(&name));
    if selection.is_missing() && Path::new(word).is_file() {
        let what = format!("there is no cursor and no database {name}; a file is named with a `/`");
        return Err(Failure::invalid(what).hint(format!("write ./{name}")));
    }
    Ok(selection)
}

impl Selection {
    fn new(path: PathBuf, by: By) -> Self {
        Self { path, project: None, namespace: None, by, warning: None, memory: Memory::Nothing }
    }

    fn first_use(path: PathBuf, by: By) -> Self {
        Self { memory: Memory::FirstUse, ..Self::new(path, by) }
    }

    /// A database that is to be selected.
    fn of_database(path: PathBuf, name: Option<&str>) -> Self {
        let memory = Memory::Database {
            name: name.map(str::to_owned),
            is_there: files::is_file(&path).unwrap_or(true),
        };
        Self { memory, ..Self::new(path, By::flag(SELECT)) }
    }

    fn of_cursor(cursor: Cursor, by: By) -> Self {
        let Cursor { database, project, namespace, .. } = cursor;
        Self { project, namespace, ..Self::new(database, by) }
    }

    /// A selection that was made by itself and leads to another data directory has come with a copy of this one.
    fn of_active(given: Surroundings<'_>, active: Selected, by: By) -> Self {
        let is_foreign = active.name.is_none() && is_of_another_home(given.roots(), &active.cursor.database);
        let warning = is_foreign.then(|| {
            let path = active.cursor.database.display();
            format!("{by} leads to {path}, in another data directory; if this one is a copy, prontodb cursor NAME selects here")
        });
        Self { warning, ..Self::of_cursor(active.cursor, by) }
    }

    /// Whether it is to be selected, and is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self.memory, Memory::Database { is_there: false, .. })
    }

    /// Whether it is what is used while nothing is selected.
    pub fn is_first_use(&self) -> bool {
        matches!(self.memory, Memory::FirstUse)
    }

    /// Refuses to select what is not there.
    ///
    /// # Errors
    /// It is not there; the failure says what makes it.
    pub fn require(&self, given: Surroundings<'_>) -> Result<(), Failure> {
        let Memory::Database { name, is_there: false } = &self.memory else { return Ok(()) };
        let (path, user) = (self.path.display(), given.cursors()?.user_flag());
        let what = match name {
            Some(name) => format!("there is no cursor and no database {name}; nothing is selected"),
            None => format!("there is no database {path}; nothing is selected"),
        };
        let name = name.as_deref().unwrap_or("NAME");
        Err(Failure::invalid(what).hint(format!("make a cursor with prontodb cursor set {name} PATH{user}")))
    }

    /// What a write remembers: what is to be selected, and the first use.
    ///
    /// # Errors
    /// Those of [`Selection::select`].
    pub fn remember(&self, given: Surroundings<'_>, patience: Duration) -> Result<(), Failure> {
        if self.is_first_use() {
            // Not worth a failure: the next command finds the same database without it.
            let _ = given.cursors()?.make_active(&self.path);
        }
        self.select(given, patience)
    }

    /// Selects what was asked for.
    ///
    /// # Errors
    /// It has gone meanwhile, or cannot be written; others change cursors for longer than `patience`.
    pub fn select(&self, given: Surroundings<'_>, patience: Duration) -> Result<(), Failure> {
        match &self.memory {
            Memory::Nothing | Memory::FirstUse => Ok(()),
            Memory::Cursor(name) => given.cursors()?.turn(patience)?.select_cursor(name),
            Memory::Database { .. } => given.cursors()?.turn(patience)?.select_database(&self.path),
        }
    }
}

/// Whether a database lies where some other data directory keeps it.
fn is_of_another_home(roots: Roots<'_>, path: &Path) -> bool {
    let is_by_name = path.file_name().is_some_and(|file| {
        file.as_encoded_bytes().starts_with(b"pronto.") && file.as_encoded_bytes().ends_with(b".prdb")
    });
    is_by_name && !roots.data_dir().is_ok_and(|data| path.starts_with(data))
}

impl By {
    fn flag(name: &'static str) -> Self {
        Self { source: Source::Flag(name), through: None }
    }

    /// The file that says so, if one does.
    pub fn file(&self) -> Option<&Path> {
        match (&self.through, &self.source) {
            (Some(file), _) | (None, Source::File(file)) => Some(file),
            _ => None,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.through {
            Some(file) => write!(f, "{}, {}", self.source, file.display()),
            None => self.source.fmt(f),
        }
    }
}

impl<'a> Surroundings<'a> {
    /// The directories of the environment.
    pub fn roots(self) -> Roots<'a> {
        Roots::new(self.env)
    }

    /// The cursors of whom the command works for.
    ///
    /// # Errors
    /// No data directory.
    pub fn cursors(self) -> Result<Cursors, Failure> {
        Cursors::of(self.roots(), self.user.value.as_deref())
    }
}
