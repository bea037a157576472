//! Where a command works: which database, which delimiter and defaults, who writes.

use std::cell::{Cell, OnceCell};
use std::env;
use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prontodb_core::address::{AddressError, Part, Short};
use prontodb_core::auth::{Credentials, Identity};
use prontodb_core::store::{OpId, Reason, Scope};
use prontodb_core::{Address, EntryName, ErrorKind, Listing, Namespace, Notation, Obstacle, Store};

use crate::args::Globals;
use crate::config::{ConfigFile, Flags, Setting, Settings, Source};
use crate::cursors::Cursors;
use crate::engines::{self, Access, Alone, Lifetime, OpenOptions};
use crate::exit::{Code, Failure};
use crate::fence;
use crate::output::{self, Out, report};
use crate::paths::{self, Roots};
use crate::renamed::{Renamed, refuse_old_name};
use crate::secret;
use crate::selection::{self, Selection, Surroundings};
use crate::user::{self, User};

/// The variable that says why entries are changed.
const REASON: &str = "PRONTO_REASON";

/// A store that is left open when the process exits: closing it would copy its log back, four fsyncs for each command.
pub type Session = ManuallyDrop<Store>;

/// What a command needs to know besides its own arguments.
pub struct Context {
    /// The flags that every command takes.
    pub globals: Globals,
    /// What flags, environment and configuration say.
    pub settings: Settings,
    /// Who it works for.
    pub user: User,
    /// The database it works on, once that has been asked for.
    selection: OnceCell<Selection>,
    /// The lease that it writes under, if it was given one.
    pub fence: Option<fence::Given>,
    /// The id of what it does, if it was given one.
    pub op: Option<OpId>,
    /// Why it changes entries, if that was said.
    reason: Option<Reason>,
    /// Whether it has been told that renaming the database was interrupted.
    is_rename_told: Cell<bool>,
    /// How addresses are read.
    pub notation: Notation,
    /// How long the process will live.
    pub lifetime: Lifetime,
    /// Whether the command line has a `--`, behind which `-` is no more than itself.
    pub has_dashes: bool,
    /// Where answers go.
    pub out: Out,
}

impl Context {
    /// Finds out all that does not need the database, and which one it is.
    pub fn new(globals: Globals) -> Result<Self, Failure> {
        let cx = Self::undecided(globals)?;
        let selection = cx.selection()?;
        selection.warning.iter().for_each(|warning| output::warn(warning));
        let notation = notation(&cx.globals, &cx.settings, Some(selection))?;
        Ok(Self { notation, ..cx })
    }

    /// The context of a command that works on no database, and so takes no flag that chooses one.
    pub fn without_database(globals: Globals) -> Result<Self, Failure> {
        refuse_database(&globals)?;
        Self::undecided(globals)
    }

    /// The context of a command about the program itself: no database, and every setting has its default.
    pub fn of_program(globals: Globals) -> Result<Self, Failure> {
        refuse_database(&globals)?;
        Self::unconfigured(globals)
    }

    /// A context in which the database is not chosen before it is asked for.
    pub fn undecided(globals: Globals) -> Result<Self, Failure> {
        let settings = load_settings(&globals)?;
        let user = user::find(&globals, &variable)?;
        let fence = fence::find(globals.fence.as_deref(), &variable)?;
        let op = globals.op_id.as_deref().map(|id| OpId::new(id, user.value.as_deref())).transpose()?;
        Ok(Self { fence, op, ..Self::of(globals, settings, user)? })
    }

    /// The context of a command that looks at the configuration: flags that choose a database are let be, but nothing is
    /// selected.
    pub fn of_configuration(globals: Globals) -> Result<Self, Failure> {
        refuse_select(&globals)?;
        Self::undecided(globals)
    }

    /// A context in which every setting has its default, whatever the environment and the configuration say.
    pub fn unconfigured(globals: Globals) -> Result<Self, Failure> {
        refuse_select(&globals)?;
        let (settings, _) = Settings::load(&Flags::default(), &|_| None, None)?;
        let user = user::find(&globals, &|_| None)?;
        Self::of(globals, settings, user)
    }

    fn of(globals: Globals, settings: Settings, user: User) -> Result<Self, Failure> {
        let (selection, notation, out) = (OnceCell::new(), Notation::default(), Out::stdout());
        Ok(Self {
            globals,
            settings,
            user,
            selection,
            fence: None,
            op: None,
            reason: None,
            is_rename_told: Cell::new(false),
            notation,
            lifetime: Lifetime::OneShot,
            has_dashes: false,
            out,
        })
    }

    /// Finds out why entries are changed: `--reason`, else `PRONTO_REASON`, which says it for whatever keeps history.
    pub fn find_reason(&mut self) -> Result<(), Failure> {
        let in_environment = || variable(REASON).filter(|reason| !reason.is_empty());
        self.reason = match (&self.globals.reason, in_environment()) {
            (Some(reason), _) => Some(Reason::new(reason, true)?),
            (None, Some(reason)) => {
                let named = |error: prontodb_core::Error| Failure::from(error.at(REASON));
                Some(Reason::new(text(&reason)?, false).map_err(named)?)
            }
            (None, None) => None,
        };
        Ok(())
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

    /// Says what was done: a line on stderr, or with --json an object on standard output.
    pub fn tell_done(&mut self, text: &str, lines: &[report::Line]) -> Result<(), Failure> {
        if !self.json() {
            output::note(text);
            return Ok(());
        }
        report::push(&mut self.out, true, lines);
        self.out.flush_done()
    }

    /// The cursors of whom it works for.
    pub fn cursors(&self) -> Result<Cursors, Failure> {
        self.surroundings().cursors()
    }

    /// What decides about the database.
    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { globals: &self.globals, user: &self.user, env: &variable }
    }

    /// The database that is selected, and what selected it.
    pub fn selection(&self) -> Result<&Selection, Failure> {
        if let Some(selection) = self.selection.get() {
            return Ok(selection);
        }
        let chosen = selection::choose(self.surroundings())?;
        Ok(self.selection.get_or_init(|| chosen))
    }

    /// The same, if it has been asked for before.
    pub fn known_selection(&self) -> Option<&Selection> {
        self.selection.get()
    }

    /// Opens the database for writing, and makes it if need be.
    pub fn open_to_write(&self) -> Result<Session, Failure> {
        self.open_to_write_as(self.local_identity()?)
    }

    /// The same for somebody who has proved who they are already.
    pub fn open_to_write_as(&self, identity: Option<Identity>) -> Result<Session, Failure> {
        let selection = self.selection()?;
        let store = self.make(selection)?;
        let store = store.map_err(|error| self.with_hint(chosen(error.into(), selection)))?;
        selection.remember(self.surroundings(), self.patience())?;
        Ok(self.configure(&selection.path, store, identity))
    }

    /// Opens a database to write, and makes it if it is nowhere, with the folder that one by name lies in. That folder goes when
    /// somebody renames or deletes the database at this moment, and is made anew then.
    fn make(&self, selection: &Selection) -> Result<Result<Store, prontodb_core::Error>, Failure> {
        let folder = selection.path.parent().filter(|_| self.roots().is_by_name(&selection.path));
        let is_settled = |opened: &Result<Store, _>| opened.is_ok() || folder.is_none_or(Path::exists);
        match self.open_there(&selection.path, Access::Change) {
            Err(error) if error.kind() == ErrorKind::NoDatabase => {}
            opened if is_settled(&opened) => return Ok(opened),
            _ => {}
        }
        loop {
            if folder.is_some() {
                make_folder(&selection.path)?;
            }
            let opened = engines::open(&self.open_options(selection.path.clone(), Access::Write));
            if is_settled(&opened) {
                return Ok(opened);
            }
        }
    }

    /// Opens the database as it is; one that does not exist answers as an empty one, and stderr says so.
    pub fn open_existing(&self) -> Result<Session, Failure> {
        let (store, is_there) = self.open_as_it_is()?;
        if !is_there {
            note_missing(self.selection()?);
        }
        Ok(store)
    }

    /// The same, and says whether it exists in place of telling.
    pub fn open_as_it_is(&self) -> Result<(Session, bool), Failure> {
        if let Some(store) = self.open_if_there()? {
            return Ok((store, true));
        }
        let identity = self.local_identity()?;
        let selection = self.selection()?;
        selection.require(self.surroundings())?;
        selection.select(self.surroundings(), self.patience())?;
        Ok((self.configure(&selection.path, Store::in_memory(), identity), false))
    }

    /// Opens the database to change what is there. Under the id of an operation it is made if need be, to remember the answer.
    pub fn open_to_change(&self) -> Result<Session, Failure> {
        if self.op.is_some() { self.open_to_write() } else { self.open_existing() }
    }

    /// Refuses the id of an operation for what is not done.
    pub fn refuse_op_of_dry_run(&self, is_dry_run: bool) -> Result<(), Failure> {
        match is_dry_run && self.op.is_some() {
            true => Err(Failure::usage("--op-id and --dry-run exclude each other")),
            false => Ok(()),
        }
    }

    /// Opens the database as it is; `None` when it does not exist.
    pub fn open_if_there(&self) -> Result<Option<Session>, Failure> {
        let identity = self.local_identity()?;
        let selection = self.selection()?;
        match self.open_there(&selection.path, Access::Read) {
            Ok(store) => {
                selection.select(self.surroundings(), self.patience())?;
                Ok(Some(self.configure(&selection.path, store, identity)))
            }
            Err(error) if error.kind() == ErrorKind::NoDatabase => Ok(None),
            Err(error) => Err(self.with_hint(chosen(error.into(), selection))),
        }
    }

    /// Opens the database as it is, to find out who somebody is; one that does not exist answers as an empty one.
    pub fn open_for_login(&self) -> Result<Session, Failure> {
        let path = &self.selection()?.path;
        Ok(self.configure(path, self.open_or_empty(path)?, None))
    }

    /// The same to look at what is there, for a command that tells what it would do.
    pub fn open_to_look(&self) -> Result<Session, Failure> {
        self.open_at_or_empty(&self.selection()?.path)
    }

    /// Opens a database that is not the selected one, and has to be there.
    pub fn open_at(&self, path: &Path) -> Result<Session, Failure> {
        let identity = self.local_identity_at(path)?;
        let store = self.open_path(path, Access::Read)?;
        Ok(self.configure(path, store, identity))
    }

    /// The same for one that answers as an empty one when it is not there.
    pub fn open_at_or_empty(&self, path: &Path) -> Result<Session, Failure> {
        let identity = self.local_identity_at(path)?;
        Ok(self.configure(path, self.open_or_empty(path)?, identity))
    }

    /// The same for one that is written, and made if need be.
    pub fn make_at(&self, path: &Path) -> Result<Session, Failure> {
        let identity = self.local_identity_at(path)?;
        refuse_old_name(self.roots(), path)?;
        if self.roots().is_by_name(path) {
            make_folder(path)?;
        }
        let store = self.open_path(path, Access::Write)?;
        Ok(self.configure(path, store, identity))
    }

    fn open_path(&self, path: &Path, access: Access) -> Result<Store, Failure> {
        let opened = match access {
            Access::Write => engines::open(&self.open_options(path.to_owned(), access)),
            access => self.open_there(path, access),
        };
        opened.map_err(|error| self.with_hint(error.into()))
    }

    /// A database that is not there is an empty one; one that cannot be opened is not.
    fn open_or_empty(&self, path: &Path) -> Result<Store, Failure> {
        match self.open_there(path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NoDatabase => Ok(Store::in_memory()),
            opened => opened.map_err(|error| self.with_hint(error.into())),
        }
    }

    /// Who this command acts for: the owner of the file, unless `security.local` asks for proof.
    fn local_identity(&self) -> Result<Option<Identity>, Failure> {
        self.local_identity_at(&self.selection()?.path)
    }

    /// The same for a database that is not the selected one.
    fn local_identity_at(&self, path: &Path) -> Result<Option<Identity>, Failure> {
        if !self.settings.security_local.value {
            return Ok(None);
        }
        let Some(credentials) = self.credentials()? else { return Ok(None) };
        let store = self.configure(path, self.open_or_empty(path)?, None);
        self.identify(&store, &credentials).map(Some)
    }

    /// What the environment proves; where `security.local` asks for proof, there has to be some.
    pub fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let given = secret::from_environment()?;
        let Setting { value: is_needed, source } = &self.settings.security_local;
        if given.is_some() || !is_needed {
            return Ok(given);
        }
        let message = format!("security.local asks for proof of who you are, from {source}");
        Err(Failure::new(Code::Denied, "denied", message)
            .hint("set PRONTO_API_KEY, or PRONTO_SESSION to what prontodb auth login USER prints"))
    }

    /// Refuses whoever may not administer the database at `path`. Leaves no connection to it open.
    pub fn require_admin_at(&self, path: &Path) -> Result<(), Failure> {
        self.admin_at(path).map(drop)
    }

    /// The same, and says who that is, where proof is asked for.
    pub fn admin_at(&self, path: &Path) -> Result<Option<Identity>, Failure> {
        if !self.settings.security_local.value {
            return Ok(None);
        }
        let Some(credentials) = self.credentials()? else { return Ok(None) };
        let store = self.configure(path, self.open_or_empty(path)?, None);
        let identity = self.identify(&store, &credentials)?;
        let store = ManuallyDrop::into_inner(store).act_as(identity.clone());
        store.require_admin()?;
        Ok(Some(identity))
    }

    /// Refuses whoever shows nothing, where everybody has to.
    pub fn require_proof(&self) -> Result<(), Failure> {
        match self.settings.security_local.value {
            true => self.credentials().map(drop),
            false => Ok(()),
        }
    }

    /// Opens a database to write for somebody who has proved who they are elsewhere.
    pub fn open_for(&self, path: &Path, identity: Identity) -> Result<Session, Failure> {
        Ok(self.configure(path, self.open_path(path, Access::Write)?, Some(identity)))
    }

    /// Takes the database at `path` for this process alone, which may have no other connection to it.
    pub fn hold_alone(&self, path: &Path) -> Result<Alone, Failure> {
        self.require_fence_at(path)?;
        let held = engines::hold_alone(&self.open_options(path.to_owned(), Access::Write));
        held.map_err(|error| self.with_hint(error.into()))
    }

    /// The same to remove it.
    pub fn hold_to_remove(&self, path: &Path) -> Result<Alone, Failure> {
        self.require_fence_at(path)?;
        let held = engines::hold_to_remove(&self.open_options(path.to_owned(), Access::Write));
        held.map_err(|error| self.with_hint(error.into()))
    }

    /// Refuses to go on under a lease that has ended. Leaves no connection open.
    fn require_fence_at(&self, path: &Path) -> Result<(), Failure> {
        if self.fence.as_ref().is_none_or(|fence| fence.at(path).is_empty()) {
            return Ok(());
        }
        let store = self.configure(path, self.open_or_empty(path)?, None);
        ManuallyDrop::into_inner(store).require_fence().map_err(|error| self.with_hint(error.into()))
    }

    /// Finds out whose credentials these are.
    pub fn identify(&self, store: &Session, credentials: &Credentials) -> Result<Identity, Failure> {
        let known = store.authenticate(credentials);
        known.map_err(|error| secret::with_hint(self.with_hint(error.into()), credentials))
    }

    /// Opens a database that has to be there, or that renaming has left elsewhere.
    fn open_there(&self, path: &Path, access: Access) -> Result<Store, prontodb_core::Error> {
        match engines::open(&self.open_options(path.to_owned(), access)) {
            Err(error) if error.kind() == ErrorKind::NoDatabase => match self.renamed(path) {
                Some(elsewhere) => engines::open(&self.open_options(elsewhere, access)),
                None => Err(error),
            },
            opened => opened,
        }
    }

    /// Where the selected database lies.
    pub fn place(&self) -> Result<PathBuf, Failure> {
        let path = &self.selection()?.path;
        Ok(self.renamed(path).unwrap_or_else(|| path.clone()))
    }

    /// Where the database lies that was to be at `path`, if renaming it was interrupted, which is told.
    fn renamed(&self, path: &Path) -> Option<PathBuf> {
        let renamed = Renamed::from(self.roots(), path)?;
        if !self.is_rename_told.replace(true) {
            output::warn(&format!("{}; {}", renamed.message(), renamed.hint()));
        }
        Some(renamed.path)
    }

    /// How long to wait for others.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.settings.busy_timeout_ms.value)
    }

    /// A folder for unnamed files next to the database, or as near to it as there is one.
    pub fn spill_folder(&self) -> Result<PathBuf, Failure> {
        Ok(paths::folder_near(&self.place()?))
    }

    /// How the database at `path` is opened.
    pub fn open_options(&self, path: PathBuf, access: Access) -> OpenOptions {
        OpenOptions {
            access,
            busy_timeout: self.patience(),
            durability: self.settings.durability.value,
            lifetime: self.lifetime,
            ..OpenOptions::new(path)
        }
    }

    fn configure(&self, path: &Path, store: Store, identity: Option<Identity>) -> Session {
        let store = store.with_fence(self.fence.iter().flat_map(|fence| fence.at(path)));
        let store = store.with_op(self.op.clone());
        let store = store.with_reason(self.reason.clone());
        let store = store.with_max_value_bytes(self.settings.max_value_bytes.value).with_origin("cli");
        let store = store.with_writer(self.writer().value).with_seed(secret::seed);
        let compress_above = Some(self.settings.compress_above_bytes.value).filter(|bytes| *bytes > 0);
        let store = store.with_compression_above(compress_above);
        let store = store.with_unlock(secret::unlock(self.settings.age_identity.value.clone()));
        ManuallyDrop::new(match identity {
            Some(identity) => store.with_writer(Some(identity.name.clone())).act_as(identity),
            None => store,
        })
    }

    /// Who is recorded as the writer: the user, else the one that the system's environment names.
    pub fn writer(&self) -> Setting<Option<String>> {
        if self.user.value.is_some() {
            return self.user.clone();
        }
        let is_name = |user: &String| !user.is_empty() && !user.contains(char::is_control);
        let found = ["USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| Some((name, env::var(name).ok().filter(is_name)?)));
        match found {
            Some((variable, user)) => Setting { value: Some(user), source: Source::Env(variable) },
            None => Setting { value: None, source: Source::Default },
        }
    }

    /// Adds to a failure what is known here and helps with it.
    pub fn with_hint(&self, failure: Failure) -> Failure {
        let hint = match (failure.kind, &failure.obstacle) {
            // The file that it waited for is gone, and no wait brings it back.
            ("busy", Some(Obstacle::Replaced)) => "run the command again".to_owned(),
            ("busy", _) => format!(
                "try again, or wait longer than {} ms with --busy-timeout-ms",
                self.settings.busy_timeout_ms.value
            ),
            (_, Some(Obstacle::FileSystem)) => {
                "keep the database on a local disk: -d FILE, PRONTO_DB or XDG_DATA_HOME say where".to_owned()
            }
            (_, Some(Obstacle::NoHistory(namespace))) => {
                let shown = namespace.display(self.notation.delimiter);
                format!("prontodb admin namespace set {shown} history=20 has it keep one from now on")
            }
            (_, Some(Obstacle::MaxValueBytes)) => {
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

    /// Takes the address from the front of a command's words; with `--key` that says it.
    pub fn take_address<'w>(&self, words: &'w [OsString]) -> Result<(Address, &'w [OsString]), Failure> {
        match (&self.globals.key, words) {
            (Some(key), words) => Ok((self.key(key)?, words)),
            (None, [address, rest @ ..]) => Ok((self.address(address)?, rest)),
            (None, []) => Err(Failure::usage("the address is missing")),
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

    /// Reads an address as listings print it, whatever context they are asked for.
    pub fn listed_address(&self, text: &str) -> Result<Address, Failure> {
        let notation = Notation { context: None, ..self.notation.clone() };
        notation.address(text).map_err(|error| self.address_failure(&error))
    }

    /// Refuses defaults that a cursor or `.prontodb` is to give, and that nobody could use.
    pub fn check_defaults(&self, project: Option<&str>, namespace: Option<&str>) -> Result<(), Failure> {
        let notation = Notation { delimiter: self.settings.ns_delim.value, ..Notation::default() };
        let defaults = Namespace::or_default(project, namespace);
        defaults
            .and_then(|defaults| {
                notation.refuse_delimiter(Part::Project, defaults.project())?;
                notation.refuse_delimiter(Part::Namespace, defaults.namespace())
            })
            .map_err(|error| Failure::invalid(error.to_string()))
    }

    /// Reads what a listing covers.
    pub fn listing(&self, word: Option<&OsStr>) -> Result<Listing, Failure> {
        self.refuse_many_contexts()?;
        let word = word.map(text).transpose()?;
        let listing = match (&self.globals.key, word) {
            (Some(_), Some(_)) => return Err(Failure::usage("--key and a prefix exclude each other")),
            (Some(key), None) => Notation { short: Short::Keys, ..self.notation.clone() }.listing(Some(key)),
            (None, word) => self.notation.listing(word),
        };
        listing.map_err(|error| self.address_failure(&error))
    }

    /// The entries that a listing covers, for commands that look at their changes.
    pub fn scope(&self, argument: Option<&OsStr>) -> Result<Scope, Failure> {
        Ok(Scope {
            listing: self.listing(argument)?,
            default_project: self.notation.defaults.project().to_owned(),
            context: self.listed_context()?,
        })
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

    /// Takes the namespace from the front of a command's words; with `-p` or `-n` the flags say it.
    pub fn take_namespace<'w>(&self, words: &'w [OsString]) -> Result<(Namespace, &'w [OsString]), Failure> {
        match words {
            words if self.notation.short == Short::Keys => Ok((self.notation.defaults.clone(), words)),
            [namespace, rest @ ..] => Ok((self.namespace(namespace)?, rest)),
            [] => Err(Failure::usage("the namespace is missing").hint("write it as project.namespace")),
        }
    }

    /// Reads what keys of a namespace start with.
    pub fn prefix(&self, word: &OsStr) -> Result<String, Failure> {
        let prefix = text(word)?;
        let checked = self.notation.refuse_delimiter(Part::Prefix, prefix);
        checked.map(|()| prefix.to_owned()).map_err(|error| self.address_failure(&error))
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
                if self.notation.short == Short::Keys =>
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

fn load_settings(globals: &Globals) -> Result<Settings, Failure> {
    let flags = flags(globals);
    let file = ConfigFile::find(&flags, Roots::new(&variable))?;
    let (settings, warnings) = Settings::load(&flags, &variable, file.as_ref())?;
    warnings.iter().for_each(|warning| output::warn(warning));
    Ok(settings)
}

fn notation(
    globals: &Globals,
    settings: &Settings,
    selection: Option<&Selection>,
) -> Result<Notation, Failure> {
    let defaults = Defaults::of(globals, settings, selection);
    let short = if globals.project.is_some() || globals.namespace.is_some() {
        Short::Keys
    } else if selection.is_some_and(|chosen| chosen.project.is_some() || chosen.namespace.is_some()) {
        Short::Prefixes
    } else {
        Short::Addresses
    };
    let delimiter = settings.ns_delim.value;
    let notation = Notation { delimiter, short, context: globals.context.clone(), ..Notation::default() };
    Ok(Notation { defaults: defaults.namespace(&notation)?, ..notation })
}

/// What fills the parts that an address leaves out.
pub struct Defaults {
    /// The project.
    pub project: Setting<String>,
    /// The namespace.
    pub namespace: Setting<String>,
}

impl Defaults {
    /// The namespace that they name in this notation.
    fn namespace(&self, notation: &Notation) -> Result<Namespace, Failure> {
        for (part, name) in [(Part::Project, &self.project), (Part::Namespace, &self.namespace)] {
            notation.refuse_delimiter(part, &name.value).map_err(|error| {
                Failure::invalid(format!("{error}; it comes from {}", name.source))
                    .hint("take another name, or another delimiter with --ns-delim")
            })?;
        }
        let namespace = Namespace::new(self.project.value.as_str(), self.namespace.value.as_str());
        namespace.map_err(|error| Failure::invalid(error.to_string()))
    }

    /// Flags, else what chose the database, else the configuration.
    pub fn of(globals: &Globals, settings: &Settings, selection: Option<&Selection>) -> Self {
        let from_selection = |name: fn(&Selection) -> &Option<String>| {
            let selection = selection?;
            let source = Source::File(selection.by.file()?.to_owned());
            Some(Setting { value: name(selection).clone()?, source })
        };
        let from_flag = |flag, value: &Option<String>| {
            Some(Setting { value: value.clone()?, source: Source::Flag(flag) })
        };
        Self {
            project: from_flag("--project", &globals.project)
                .or_else(|| from_selection(|selection| &selection.project))
                .unwrap_or_else(|| settings.default_project.clone()),
            namespace: from_flag("--namespace", &globals.namespace)
                .or_else(|| from_selection(|selection| &selection.namespace))
                .unwrap_or_else(|| settings.default_namespace.clone()),
        }
    }
}

/// Refuses flags that choose a database.
fn refuse_database(globals: &Globals) -> Result<(), Failure> {
    refuse_select(globals)?;
    let Globals { database, database_file, cursor, .. } = globals;
    let given =
        [("--database", database.is_some()), ("-d", database_file.is_some()), ("--cursor", cursor.is_some())];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Failure::usage(format!("{flag} means nothing to this command"))),
        None => Ok(()),
    }
}

/// Refuses to select something by the way, in a command that opens no database.
pub fn refuse_select(globals: &Globals) -> Result<(), Failure> {
    match globals.select {
        Some(_) => Err(Failure::usage("--select means nothing to this command")
            .hint("prontodb cursor NAME selects a cursor or database")),
        None => Ok(()),
    }
}

/// Says who chose a database that makes trouble, where that was no flag.
fn chosen(failure: Failure, selection: &Selection) -> Failure {
    match selection.by.file() {
        Some(_) if failure.hint.is_none() => {
            failure.hint(format!("the database was chosen by {}", selection.by))
        }
        _ => failure,
    }
}

fn note_missing(selection: &Selection) {
    let path = selection.path.display();
    let by = selection.by.file().map_or_else(String::new, |_| format!(", which {} names", selection.by));
    output::note_or_hint(&format!("there is no database {path} yet{by}; the first write makes it"));
}

/// Makes the folder of a database in the data directory, readable by its owner alone.
fn make_folder(database: &Path) -> Result<(), Failure> {
    let Some(folder) = database.parent().filter(|folder| !folder.is_dir()) else { return Ok(()) };
    let made = paths::make_private_directory(folder);
    made.map_err(|error| Failure::io(format_args!("cannot make the directory {}", folder.display()), &error))
}
