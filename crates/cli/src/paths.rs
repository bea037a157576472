//! Where things are kept: the data directory, the databases in it, and the configuration file.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::files;
use crate::names::Rule;

/// The database of commands that name none.
pub const DEFAULT_DATABASE: &str = "main";

/// Lies beside a database for as long as it is being renamed.
pub const RENAME_MARK: &str = ".renamed-from";
const DATABASE_NAMES: Rule = Rule { max: 64, marks: "._-" };
const MAX_PATH_BYTES: usize = 4095;
/// Directories beside the databases, which a database of that name would share.
pub const RESERVED: [&str; 2] = [CURSORS, "backups"];
const CURSORS: &str = "cursors";
const PROGRAM: &str = "odx/prontodb";
const CONFIG_FILE: &str = "pronto.conf";

/// Looks up one variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The value of a variable; an empty one counts as unset.
pub fn variable(env: Env<'_>, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

/// Why a directory is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootError {
    /// Nothing says where the home directory is.
    NoHome,
    /// `HOME` is no place to put things.
    BadHome(OsString),
    /// A variable that was set on purpose is no place to put things.
    Refused {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: OsString,
    },
}

impl fmt::Display for RootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variable, value) = match self {
            Self::NoHome => return f.write_str("the home directory is not known; HOME is not set"),
            Self::BadHome(value) => ("HOME", value),
            Self::Refused { variable, value } => (*variable, value),
        };
        write!(f, "{variable}={} is refused; {}", value.display(), why_refused(value))
    }
}

impl From<RootError> for Failure {
    fn from(error: RootError) -> Self {
        let failure = Self::invalid(error.to_string());
        match error {
            RootError::Refused { variable, .. } => {
                failure.hint(format!("set {variable} to an absolute path, or unset it"))
            }
            RootError::NoHome | RootError::BadHome(_) => failure
                .hint("set HOME or XDG_HOME to an absolute path, or name the files with -d and --config"),
        }
    }
}

fn why_refused(value: &OsStr) -> &'static str {
    if holds_template(value) {
        "it holds `${`, a variable that nobody filled in"
    } else {
        "it is not an absolute path"
    }
}

/// Whether a value was meant to be filled in by a shell, and was not.
pub fn holds_template(value: &OsStr) -> bool {
    value.as_encoded_bytes().windows(2).any(|pair| pair == b"${")
}

fn is_usable(value: &OsStr) -> bool {
    Path::new(value).is_absolute() && !holds_template(value)
}

/// The directories that the environment gives this program. Nothing is looked up before it is asked for.
#[derive(Clone, Copy)]
pub struct Roots<'a> {
    env: Env<'a>,
}

impl fmt::Debug for Roots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").finish_non_exhaustive()
    }
}

/// What there is of databases in the data directory.
#[derive(Debug, Default)]
pub struct Databases {
    /// Their names and files, sorted.
    pub found: Vec<(String, PathBuf)>,
    /// Files of databases that may be there, and why that cannot be told.
    hidden: Vec<(PathBuf, io::Error)>,
}

impl Databases {
    /// This one alone.
    pub fn of_one(name: String, path: PathBuf) -> Self {
        Self { found: vec![(name, path)], ..Self::default() }
    }

    /// Whether there is none, as far as can be told.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.hidden.is_empty()
    }

    /// A failure for each place that cannot be looked at.
    pub fn hidden(&self) -> impl Iterator<Item = Failure> {
        self.hidden.iter().map(|(path, error)| cannot_look(path, error))
    }
}

/// The failure of a look for a database that the system does not allow.
pub fn cannot_look(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot tell whether {} is there", path.display()), error)
}

impl<'a> Roots<'a> {
    /// The directories in the environment `env`.
    pub fn new(env: Env<'a>) -> Self {
        Self { env }
    }

    /// The directory of databases, cursors and backups.
    ///
    /// # Errors
    /// A variable that is refused, and no home directory.
    pub fn data_dir(&self) -> Result<PathBuf, RootError> {
        self.root("XDG_DATA_HOME", "data")
    }

    /// The directory of cursors, in that of the data.
    ///
    /// # Errors
    /// Those of [`Roots::data_dir`].
    pub fn cursors_dir(&self) -> Result<PathBuf, RootError> {
        let mut path = self.data_dir()?;
        path.push(CURSORS);
        Ok(path)
    }

    /// Whether `path` is where a database lies that goes by its name.
    pub fn is_by_name(&self, path: &Path) -> bool {
        let name = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
        name.is_some_and(|name| self.database_file(name).is_ok_and(|file| file == path))
    }

    /// The directory for what belongs to the program: what it remembers of its installation.
    ///
    /// # Errors
    /// A variable that is refused, and no home directory.
    pub fn lib_dir(&self) -> Result<PathBuf, RootError> {
        self.root("XDG_LIB_HOME", "lib")
    }

    /// The directory that programs are called from.
    ///
    /// # Errors
    /// A variable that is refused, and no home directory.
    pub fn bin_dir(&self) -> Result<PathBuf, RootError> {
        Ok(self.common()?.join("bin"))
    }

    /// The directory of backups, in that of the data.
    ///
    /// # Errors
    /// Those of [`Roots::data_dir`].
    pub fn backups_dir(&self) -> Result<PathBuf, RootError> {
        Ok(self.data_dir()?.join(RESERVED[1]))
    }

    /// The databases of the data directory. Other things may lie there too.
    ///
    /// # Errors
    /// Those of [`Roots::data_dir`], and a directory that cannot be read.
    pub fn databases(&self) -> Result<Databases, Failure> {
        let data = self.data_dir()?;
        let cannot = |error| Failure::io(format_args!("cannot read {}", data.display()), &error);
        let mut databases = Databases::default();
        let entries = match fs::read_dir(&data) {
            Ok(entries) => entries,
            Err(error) if files::is_absent(&error) => return Ok(databases),
            Err(error) => return Err(cannot(error)),
        };
        for entry in entries {
            let Ok(name) = entry.map_err(cannot)?.file_name().into_string() else { continue };
            let Ok(path) = self.database_file(&name) else { continue };
            match path.metadata() {
                // An empty file is what is left of one that could not be made.
                Ok(file) if file.is_file() && file.len() > 0 => databases.found.push((name, path)),
                Ok(_) => {}
                Err(error) if files::is_absent(&error) => {}
                Err(error) => databases.hidden.push((path, error)),
            }
        }
        databases.found.sort();
        databases.hidden.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(databases)
    }

    /// The directory of what programs come with, shared by all of them.
    ///
    /// # Errors
    /// A variable that is refused, and no home directory.
    pub fn share_dir(&self) -> Result<PathBuf, RootError> {
        Ok(self.common()?.join("share"))
    }

    /// The directory for what can be made again, of which there is nothing yet.
    ///
    /// # Errors
    /// A variable that is refused, and no home directory.
    pub fn cache_dir(&self) -> Result<PathBuf, RootError> {
        self.root("XDG_CACHE_HOME", "cache")
    }

    /// The configuration file, whether it is there or not.
    ///
    /// # Errors
    /// A variable that is refused, and no home directory.
    pub fn config_file(&self) -> Result<PathBuf, RootError> {
        let mut path = self.root("XDG_CONFIG_HOME", "etc")?;
        path.push(CONFIG_FILE);
        Ok(path)
    }

    /// The file of the database called `name`.
    ///
    /// # Errors
    /// Names that are no database's, and those of [`Roots::data_dir`].
    pub fn database_file(&self, name: &str) -> Result<PathBuf, Failure> {
        check_database_name(name)?;
        let mut path = self.data_dir()?;
        path.push(name);
        path.push(format!("pronto.{name}.prdb"));
        Ok(path)
    }

    /// The directory that `own` names, else `folder` of the common root.
    fn root(&self, own: &'static str, folder: &str) -> Result<PathBuf, RootError> {
        let mut path = match self.directory(own)? {
            Some(directory) => directory,
            None => self.common()?.join(folder),
        };
        path.push(PROGRAM);
        Ok(path)
    }

    fn common(&self) -> Result<PathBuf, RootError> {
        match self.directory("XDG_HOME")? {
            Some(directory) => Ok(directory),
            None => Ok(self.home()?.join(".local")),
        }
    }

    fn directory(&self, variable: &'static str) -> Result<Option<PathBuf>, RootError> {
        match self::variable(self.env, variable) {
            Some(value) if is_usable(&value) => Ok(Some(value.into())),
            Some(value) => Err(RootError::Refused { variable, value }),
            None => Ok(None),
        }
    }

    fn home(&self) -> Result<PathBuf, RootError> {
        match variable(self.env, "HOME") {
            Some(value) if is_usable(&value) => Ok(value.into()),
            Some(value) => Err(RootError::BadHome(value)),
            None => Err(RootError::NoHome),
        }
    }
}

/// The working directory.
///
/// # Errors
/// It has gone, or may not be looked at: what decides there cannot be told.
pub fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Failure::io("cannot tell the working directory", &error)
            .hint("go to another directory, or name the database with -d, --database or PRONTO_DB")
    })
}

/// Makes a directory, and those it is in, readable by their owner alone; what is there stays as it is.
///
/// # Errors
/// Those of the file system.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    let fresh: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // A power cut must not undo the making of what will hold data.
    fresh.iter().filter_map(|folder| folder.parent()).try_for_each(|parent| File::open(parent)?.sync_all())
}

/// The folder that a file lies in, or the nearest one above it that is there.
pub fn folder_near(path: &Path) -> PathBuf {
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
    folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Refuses what cannot be the name of a database.
///
/// # Errors
/// Names with other characters than letters, digits, `.`, `_` and `-`, with a dot in front, longer than 64 bytes, or
/// reserved.
pub fn check_database_name(name: &str) -> Result<(), Failure> {
    let Some(why) = why_no_database_name(name) else { return Ok(()) };
    Err(Failure::invalid(format!("`{}` cannot be the name of a database; {why}", name.escape_debug())))
}

fn why_no_database_name(name: &str) -> Option<String> {
    if name.contains('/') {
        return Some("it is a path, and files are named with -d FILE".to_owned());
    }
    if let Some(why) = DATABASE_NAMES.why_not(name) {
        return Some(why);
    }
    if name.starts_with('.') {
        return Some("it may not start with a dot".to_owned());
    }
    let is_reserved = RESERVED.contains(&name);
    is_reserved.then(|| "the name is reserved for a directory beside the databases; take another".to_owned())
}

/// The file that a cursor or `.prontodb` is to name, as seen from `directory`.
///
/// # Errors
/// What no database file can be, and what only a shell would have understood.
pub fn database_path(directory: &Path, path: &Path) -> Result<PathBuf, Failure> {
    match why_no_database_path(directory, path) {
        Some(why) => Err(Failure::invalid(format!("the path `{}` is refused; {why}", path.display()))),
        None => {
            std::path::absolute(directory.join(path)).map_err(|error| Failure::io("no such path", &error))
        }
    }
}

/// Refuses a path that ends in `/`, of which SQLite would find neither file nor log.
///
/// # Errors
/// It is one.
pub fn refuse_directory(path: &Path) -> Result<(), Failure> {
    match path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        true => Err(Failure::invalid(format!("{} is a directory, and a database is a file", path.display()))),
        false => Ok(()),
    }
}

fn why_no_database_path(directory: &Path, path: &Path) -> Option<&'static str> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let full = directory.join(path);
    if bytes.is_empty() {
        Some("it is empty")
    } else if bytes.contains(&0) {
        Some("it holds the character NUL")
    } else if holds_template(path.as_os_str()) {
        Some("it holds `${`, a variable that nobody filled in")
    } else if path.starts_with("~") {
        Some("no shell has put the home directory in the place of `~`")
    } else if bytes.ends_with(b"/") || full.is_dir() {
        Some("it is that of a directory, and a database is a file")
    } else if full.as_os_str().len() > MAX_PATH_BYTES {
        Some("it is longer than 4095 bytes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_roots<T>(variables: &[(&str, &str)], body: impl FnOnce(Roots<'_>) -> T) -> T {
        body(Roots::new(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        }))
    }

    fn data_dir(variables: &[(&str, &str)]) -> Result<PathBuf, RootError> {
        with_roots(variables, |roots| roots.data_dir())
    }

    fn config_file(variables: &[(&str, &str)]) -> Result<PathBuf, RootError> {
        with_roots(variables, |roots| roots.config_file())
    }

    fn path(text: &str) -> Result<PathBuf, RootError> {
        Ok(text.into())
    }

    fn refused(variable: &'static str, value: &str) -> Result<PathBuf, RootError> {
        Err(RootError::Refused { variable, value: value.into() })
    }

    #[test]
    fn everything_is_below_local_in_the_home_directory() {
        let env = [("HOME", "/home/ada")];
        assert_eq!(data_dir(&env), path("/home/ada/.local/data/odx/prontodb"));
        assert_eq!(config_file(&env), path("/home/ada/.local/etc/odx/prontodb/pronto.conf"));
    }

    #[test]
    fn xdg_home_replaces_local() {
        let env = [("HOME", "/home/ada"), ("XDG_HOME", "/x")];
        assert_eq!(data_dir(&env), path("/x/data/odx/prontodb"));
        assert_eq!(config_file(&env), path("/x/etc/odx/prontodb/pronto.conf"));
    }

    #[test]
    fn each_root_has_a_variable_of_its_own() {
        let env = [("XDG_HOME", "/x"), ("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c")];
        assert_eq!(data_dir(&env), path("/d/odx/prontodb"));
        assert_eq!(config_file(&env), path("/c/odx/prontodb/pronto.conf"));
        assert_eq!(config_file(&env[..2]), path("/x/etc/odx/prontodb/pronto.conf"));
    }

    #[test]
    fn directories_that_hold_nothing_yet_follow_the_same_rules() {
        let lib = |env: &[(&str, &str)]| with_roots(env, |roots| roots.lib_dir());
        let cache = |env: &[(&str, &str)]| with_roots(env, |roots| roots.cache_dir());
        let home = ("HOME", "/home/ada");
        assert_eq!(lib(&[home]), path("/home/ada/.local/lib/odx/prontodb"));
        assert_eq!(cache(&[home, ("XDG_HOME", "/x")]), path("/x/cache/odx/prontodb"));
        assert_eq!(lib(&[home, ("XDG_LIB_HOME", "/l")]), path("/l/odx/prontodb"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "c")]), refused("XDG_CACHE_HOME", "c"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let env = [("HOME", "/home/ada"), ("XDG_HOME", ""), ("XDG_DATA_HOME", "")];
        assert_eq!(data_dir(&env), path("/home/ada/.local/data/odx/prontodb"));
        assert_eq!(data_dir(&[("HOME", "")]), Err(RootError::NoHome));
    }

    #[test]
    fn relative_and_unfilled_variables_are_refused() {
        let home = ("HOME", "/home/ada");
        for value in ["data", "./data", "~/data", "${HOME}/data", "/srv/${USER}"] {
            assert_eq!(data_dir(&[home, ("XDG_DATA_HOME", value)]), refused("XDG_DATA_HOME", value));
            assert_eq!(config_file(&[home, ("XDG_CONFIG_HOME", value)]), refused("XDG_CONFIG_HOME", value));
            assert_eq!(data_dir(&[home, ("XDG_HOME", value)]), refused("XDG_HOME", value));
            assert_eq!(data_dir(&[("HOME", value)]), Err(RootError::BadHome(value.into())));
        }
    }

    #[test]
    fn a_variable_that_is_not_used_is_not_looked_at() {
        let env = [("HOME", "home"), ("XDG_HOME", "x"), ("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "c")];
        assert_eq!(data_dir(&env), path("/d/odx/prontodb"));
    }

    #[test]
    fn a_refusal_says_why() {
        let message = |variable, value: &str| {
            let failure = Failure::from(RootError::Refused { variable, value: value.into() });
            (failure.message, failure.hint.unwrap())
        };
        let (why, hint) = message("XDG_HOME", "x/y");
        assert_eq!(why, "XDG_HOME=x/y is refused; it is not an absolute path");
        assert_eq!(hint, "set XDG_HOME to an absolute path, or unset it");
        let (why, _) = message("XDG_DATA_HOME", "/srv/${USER}");
        assert_eq!(
            why,
            "XDG_DATA_HOME=/srv/${USER} is refused; it holds `${`, a variable that nobody filled in"
        );
    }

    #[test]
    fn paths_that_no_database_can_have_are_refused() {
        let long = "a/".repeat(2048) + "b";
        for (path, why) in [
            ("", "empty"),
            ("a\0b", "NUL"),
            ("${HOME}/x", "`${`"),
            ("~/x", "`~`"),
            ("x/", "directory"),
            ("/", "directory"),
            (".", "directory"),
            (&long, "4095"),
        ] {
            let failure = database_path(Path::new("/"), Path::new(path)).unwrap_err();
            assert!(failure.message.contains(why), "{path:?}: {}", failure.message);
        }
        assert_eq!(database_path(Path::new("/w"), Path::new("./x.prdb")).unwrap(), Path::new("/w/x.prdb"));
        assert_eq!(database_path(Path::new("/w"), Path::new("/x.prdb")).unwrap(), Path::new("/x.prdb"));
    }

    #[test]
    fn a_database_has_a_directory_and_a_file_of_its_name() {
        let file = |name: &str| with_roots(&[("XDG_DATA_HOME", "/d")], |roots| roots.database_file(name));
        for name in ["main", "a", "7", "_x", "-x", "a.b-c_D9", "a..b", &"n".repeat(64)] {
            let wanted = format!("/d/odx/prontodb/{name}/pronto.{name}.prdb");
            assert_eq!(file(name).unwrap(), Path::new(&wanted));
        }
    }

    #[test]
    fn names_that_are_no_databases_are_refused() {
        let long = "n".repeat(65);
        for (name, why) in [
            ("", "1 to 64"),
            (long.as_str(), "1 to 64"),
            (".", "start with a dot"),
            ("..", "start with a dot"),
            (".hidden", "start with a dot"),
            ("a/b", "-d FILE"),
            ("../x", "-d FILE"),
            ("a b", "are allowed"),
            ("ä", "are allowed"),
            ("a\nb", "are allowed"),
            ("cursors", "reserved"),
            ("backups", "reserved"),
        ] {
            let failure = check_database_name(name).unwrap_err();
            assert!(failure.message.contains(why), "{name:?}: {}", failure.message);
            assert!(!failure.message.contains('\n'), "{name:?}");
        }
    }
}
