//! Where a command works: which database, which delimiter and defaults, who writes.

use std::env;
use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prontodb_core::address::{AddressError, Part};
use prontodb_core::{Address, EntryName, ErrorKind, Listing, Namespace, Notation, Store};

use crate::args::Globals;
use crate::config::{ConfigFile, Flags, Settings};
use crate::engines::{self, Access, Lifetime, OpenOptions};
use crate::exit::Failure;
use crate::output::{self, Out};
use crate::paths::{self, DEFAULT_DATABASE, Roots};

/// A store that is left open when the process exits: closing it would copy its log back, four fsyncs for each command.
pub type Session = ManuallyDrop<Store>;

/// What a command needs to know besides its own arguments.
pub struct Context {
    /// The flags that every command takes.
    pub globals: Globals,
    /// What flags, environment and configuration say.
    pub settings: Settings,
    /// How addresses are read.
    pub notation: Notation,
    /// Whether the command line has a `--`, behind which `-` is no more than itself.
    pub has_dashes: bool,
    /// Where answers go.
    pub out: Out,
}

impl Context {
    /// Finds out all that does not need the database.
    pub fn new(globals: Globals) -> Result<Self, Failure> {
        let flags = flags(&globals);
        let file = ConfigFile::find(&flags, Roots::new(&variable))?;
        let (settings, warnings) = Settings::load(&flags, &variable, file.as_ref())?;
        warnings.iter().for_each(|warning| output::warn(warning));
        Self::with_settings(globals, settings)
    }

    /// A context in which every setting has its default, whatever the configuration says.
    pub fn unconfigured(globals: Globals) -> Result<Self, Failure> {
        let (settings, _) = Settings::load(&Flags::default(), &|_| None, None)?;
        Self::with_settings(globals, settings)
    }

    fn with_settings(globals: Globals, settings: Settings) -> Result<Self, Failure> {
        let notation = notation(&globals, &settings)?;
        Ok(Self { globals, settings, notation, has_dashes: false, out: Out::stdout() })
    }

    /// The configuration flags, as the configuration wants them.
    pub fn flags(&self) -> Flags {
        flags(&self.globals)
    }

    /// Where things are kept.
    pub fn roots(&self) -> Roots<'static> {
        Roots::new(&variable)
    }

    /// Whether answers are to be JSON.
    pub fn json(&self) -> bool {
        self.globals.json
    }

    /// The file of the database that is selected, and what selected it.
    pub fn database(&self) -> Result<(PathBuf, &'static str), Failure> {
        let roots = self.roots();
        if let Some(file) = &self.globals.database_file {
            return Ok((file.clone(), "-d"));
        }
        if let Some(name) = &self.globals.database {
            return Ok((roots.database_file(&name.to_string_lossy())?, "--database"));
        }
        if let Some(file) = paths::variable(&variable, "PRONTO_DB") {
            return Ok((file.into(), "PRONTO_DB"));
        }
        Ok((roots.database_file(DEFAULT_DATABASE)?, "default"))
    }

    /// Opens the database for writing, and makes it if need be.
    pub fn open_to_write(&self) -> Result<Session, Failure> {
        let (path, source) = self.database()?;
        if source == "default" || source == "--database" {
            make_folder(&path)?;
        }
        self.store(path, Access::Write)
    }

    /// Opens the database as it is; one that does not exist answers as an empty one, and stderr says so.
    pub fn open_existing(&self) -> Result<Session, Failure> {
        let (path, _) = self.database()?;
        match engines::open(&self.open_options(path.clone(), Access::Read)) {
            Ok(store) => Ok(self.configure(store)),
            Err(error) if error.kind() == ErrorKind::NoDatabase => {
                output::note(&format!(
                    "there is no database {} yet; the first write makes it",
                    path.display()
                ));
                Ok(self.configure(Store::in_memory()))
            }
            Err(error) => Err(self.explain(error.into())),
        }
    }

    /// How the database at `path` is opened.
    pub fn open_options(&self, path: PathBuf, access: Access) -> OpenOptions {
        OpenOptions {
            access,
            busy_timeout: Duration::from_millis(self.settings.busy_timeout_ms.value),
            durability: self.settings.durability.value,
            lifetime: Lifetime::OneShot,
            ..OpenOptions::new(path)
        }
    }

    fn store(&self, path: PathBuf, access: Access) -> Result<Session, Failure> {
        let store =
            engines::open(&self.open_options(path, access)).map_err(|error| self.explain(error.into()))?;
        Ok(self.configure(store))
    }

    fn configure(&self, store: Store) -> Session {
        let store = store.with_max_value_bytes(self.settings.max_value_bytes.value).with_writer(writer());
        ManuallyDrop::new(store)
    }

    /// Adds to a failure what is known here and helps with it.
    pub fn explain(&self, failure: Failure) -> Failure {
        let hint = match failure.kind {
            "busy" => format!(
                "try again, or wait longer than {} ms with --busy-timeout-ms",
                self.settings.busy_timeout_ms.value
            ),
            "unsupported" => {
                "keep the database on a local disk: -d FILE, PRONTO_DB or XDG_DATA_HOME say where".to_owned()
            }
            "limit" if failure.message.contains("max_value_bytes") => {
                format!("max_value_bytes comes from {}", self.settings.max_value_bytes.source)
            }
            _ => return failure,
        };
        failure.hint(hint)
    }

    /// The address of a command and the word that goes with it; with `--key` the word is all there is.
    pub fn address_and_word(
        &self,
        first: Option<OsString>,
        second: Option<OsString>,
    ) -> Result<(Address, Option<OsString>), Failure> {
        match (&self.globals.key, first, second) {
            (Some(_), _, Some(_)) => Err(Failure::usage("--key and an address exclude each other")),
            (Some(key), word, None) => Ok((self.key(key)?, word)),
            (None, Some(address), word) => Ok((self.address(&address)?, word)),
            (None, None, _) => Err(Failure::usage("the address is missing")),
        }
    }

    /// Takes the addresses of a command that works on many.
    pub fn take_addresses(&self, words: &[OsString]) -> Result<Vec<Address>, Failure> {
        match &self.globals.key {
            Some(_) if !words.is_empty() => Err(Failure::usage("--key and an address exclude each other")),
            Some(key) => Ok(vec![self.key(key)?]),
            None if words.is_empty() => Err(Failure::usage("the address is missing")),
            None => words.iter().map(|word| self.address(word)).collect(),
        }
    }

    /// Takes the one address of a command, and nothing else.
    pub fn take_only_address(&self, words: &[OsString]) -> Result<Address, Failure> {
        let mut addresses = self.take_addresses(words)?;
        match addresses.pop() {
            Some(address) if addresses.is_empty() => Ok(address),
            _ => Err(Failure::usage("one address is wanted")),
        }
    }

    fn key(&self, key: &str) -> Result<Address, Failure> {
        self.refuse_many_contexts()?;
        let name = self.notation.key(key).map_err(|error| self.address_failure(&error))?;
        Ok(Address { namespace: self.notation.defaults.clone(), name })
    }

    /// Reads an address.
    pub fn address(&self, word: &OsStr) -> Result<Address, Failure> {
        self.refuse_many_contexts()?;
        self.notation.address(text(word)?).map_err(|error| self.address_failure(&error))
    }

    /// Reads what a listing covers.
    pub fn listing(&self, word: Option<&OsStr>) -> Result<Listing, Failure> {
        self.refuse_many_contexts()?;
        let word = word.map(text).transpose()?;
        let listing = match (&self.globals.key, word) {
            (Some(_), Some(_)) => return Err(Failure::usage("--key and a prefix exclude each other")),
            (Some(key), None) => {
                Notation { keys_stand_alone: true, ..self.notation.clone() }.listing(Some(key))
            }
            (None, word) => self.notation.listing(word),
        };
        listing.map_err(|error| self.address_failure(&error))
    }

    /// The context that entries of a listing must have.
    pub fn listed_context(&self) -> Result<Option<String>, Failure> {
        let Some(context) = &self.notation.context else { return Ok(None) };
        EntryName::with_context("key", context).map_err(|error| self.address_failure(&error))?;
        Ok(Some(context.clone()))
    }

    fn refuse_many_contexts(&self) -> Result<(), Failure> {
        match &self.notation.context {
            Some(contexts) if contexts.contains(',') => {
                Err(Failure::usage("several contexts are for get --fallback alone"))
            }
            _ => Ok(()),
        }
    }

    /// Reads `project.namespace`; with both flags there is nothing to read.
    pub fn namespace(&self, word: &OsStr) -> Result<Namespace, Failure> {
        Namespace::parse(text(word)?, self.notation.delimiter).map_err(|error| self.address_failure(&error))
    }

    /// An address as this command's user writes it.
    pub fn show(&self, address: &Address) -> String {
        address.display(self.notation.delimiter)
    }

    fn address_failure(&self, error: &AddressError) -> Failure {
        let failure = Failure::invalid(error.to_string());
        let delimiter = self.notation.delimiter;
        match error {
            AddressError::TooManyParts { .. } => failure.hint(format!(
                "write `_` for `{delimiter}` in the key, or take another delimiter with --ns-delim"
            )),
            AddressError::Delimiter { part: Part::Key | Part::Prefix, .. }
                if self.notation.keys_stand_alone =>
            {
                failure
                    .hint("with -p or -n the argument is the key alone; --ns-delim takes another delimiter")
            }
            _ => failure,
        }
    }
}

/// A command-line word that has to be text.
pub fn text(word: &OsStr) -> Result<&str, Failure> {
    word.to_str().ok_or_else(|| Failure::invalid(format!("`{}` is not UTF-8", word.display())))
}

/// A variable of this process's environment.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

fn flags(globals: &Globals) -> Flags {
    Flags {
        ns_delim: globals.ns_delim.clone(),
        busy_timeout_ms: globals.busy_timeout_ms.clone(),
        durable: globals.durable,
        config: globals.config.clone(),
    }
}

fn notation(globals: &Globals, settings: &Settings) -> Result<Notation, Failure> {
    let named = |flag: &Option<String>, setting: &String| flag.clone().unwrap_or_else(|| setting.clone());
    let project = named(&globals.project, &settings.default_project.value);
    let namespace = named(&globals.namespace, &settings.default_namespace.value);
    let notation = Notation {
        delimiter: settings.ns_delim.value,
        keys_stand_alone: globals.project.is_some() || globals.namespace.is_some(),
        context: globals.context.clone(),
        ..Notation::default()
    };
    let invalid = |error: AddressError| Failure::invalid(error.to_string());
    notation.refuse_delimiter(Part::Project, &project).map_err(invalid)?;
    notation.refuse_delimiter(Part::Namespace, &namespace).map_err(invalid)?;
    let defaults = Namespace::new(project, namespace).map_err(invalid)?;
    Ok(Notation { defaults, ..notation })
}

/// Who writes: the user that the system's environment names.
fn writer() -> Option<String> {
    let is_name = |user: &String| !user.is_empty() && !user.contains(char::is_control);
    ["USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok().filter(is_name))
}

/// Makes the folder of a database in the data directory, readable by its owner alone.
fn make_folder(database: &Path) -> Result<(), Failure> {
    let Some(folder) = database.parent().filter(|folder| !folder.is_dir()) else { return Ok(()) };
    let made = paths::make_private_directory(folder);
    made.map_err(|error| Failure::io(format_args!("cannot make the directory {}", folder.display()), &error))
}
