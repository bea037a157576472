use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use prontodb_core::engine::{Fields, Row};
use prontodb_core::store::{Query, Sink};
use prontodb_core::transfer::{Format, ReadOptions, tree};
use prontodb_core::{Address, EntryName, Millis, Namespace, Record, Result as CoreResult, Version};

use super::{Addressing, Run};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output::progress::Progress;
use crate::output::{self, counted};
use crate::tree::differences::{Differences, Form};
use crate::tree::known::Known;
use crate::tree::{Folder, Kind, Tree};

/// How often --watch looks whether anything was written.
const INTERVAL: Duration = Duration::from_millis(200);

/// Write the entries of a namespace into files, one each
///
/// DIR/PROJECT/NAMESPACE/KEY.json, and with a context DIR/PROJECT/NAMESPACE/CONTEXT/KEY.json; each holds the line that export
/// --format jsonl writes. Files that are there and say something else stay as they are and are listed, and the exit code is
/// 3; with --overwrite they are replaced, one by one. The same goes for files that somebody else changes or makes during
/// --watch, each of which is listed once. Links are not followed.
#[derive(clap::Args)]
pub struct ExportFs {
    /// The folder of the tree; made when it is not there
    #[arg(long, value_name = "DIR")]
    root: PathBuf,

    /// The namespace; or -p and -n
    #[arg(long, value_name = "PROJECT.NAMESPACE")]
    ns: Option<OsString>,

    /// Replace files that say something else
    #[arg(long)]
    overwrite: bool,

    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Keep the files in step until it is interrupted, and print what changes; files of entries that have gone are removed
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,

    /// Also when entries were made, when they end, who wrote them, and metakeys
    #[arg(long)]
    with_meta: bool,
}

impl Run for ExportFs {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = namespace(cx, self.ns.as_deref())?;
        let options = read_options(cx, &namespace, self.with_meta);
        let mut store = cx.open_existing()?;
        if self.watch && !cx.place()?.exists() {
            return Err(
                Failure::invalid("there is no database to watch yet").hint("the first write makes it")
            );
        }
        let told = Differences::new(&mut cx.out, self.form(cx.globals.json), "path");
        let told = told.without_reader(!self.watch && !self.dry_run);
        let mut export = Export::new(&self, &namespace, options, told);
        let (first, second) = self.shown();
        // Whatever is in the way is found before anything is written.
        let mut done = export.pass(&store, Tree::open(&self.root)?.as_ref(), Task::Compare, first)?;
        if done.is_empty() {
            output::note("there is nothing to export");
        }
        if !self.dry_run && (!self.watch || done.kept == 0) {
            let mut tree = Tree::make(&self.root)?;
            tree.lock()?;
            let seen = store.revision()?;
            done = export.pass(&store, Some(&tree), Task::Write, second)?;
            tree.sync()?;
            if self.watch {
                export.keep_in_step(&mut store, &mut tree, seen)?;
            }
        }
        export.told.end()?;
        output::note(&done.told(self.dry_run));
        if done.kept == 0 {
            return Ok(Code::Done);
        }
        output::note(match self.overwrite {
            true => "files that hold other keys were kept; nothing replaces those",
            false => "files that say something else were kept; --overwrite replaces them",
        });
        Ok(Code::Conflict)
    }
}

impl ExportFs {
    /// What is printed by the pass that compares, and by the one that writes.
    fn shown(&self) -> (Shown, Shown) {
        match (self.dry_run, self.watch) {
            (true, _) => (Shown::All, Shown::Nothing),
            (false, true) => (Shown::Kept, Shown::All),
            (false, false) => (Shown::Nothing, Shown::Kept),
        }
    }

    fn form(&self, is_json: bool) -> Form {
        match (is_json, self.watch) {
            (false, _) => Form::Text,
            (true, false) => Form::Array,
            (true, true) => Form::Lines,
        }
    }
}

/// The namespace of `--ns`, or of `-p` and `-n`.
pub fn namespace(cx: &Context, ns: Option<&std::ffi::OsStr>) -> Result<Namespace, Failure> {
    let words: Vec<OsString> = ns.map(ToOwned::to_owned).into_iter().collect();
    match cx.take_namespace(&words)? {
        (namespace, []) => Ok(namespace),
        _ => Err(Failure::usage("--ns and -p or -n exclude each other")),
    }
}

/// How files of entries are read.
pub fn read_options(cx: &Context, namespace: &Namespace, with_meta: bool) -> ReadOptions {
    ReadOptions {
        format: Format::JsonLines,
        with_meta,
        namespace: namespace.clone(),
        delimiter: cx.notation.delimiter,
        max_line_bytes: Format::JsonLines.longest_entry(cx.settings.max_value_bytes.value),
    }
}

/// What a pass over the namespace is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    /// To see what differs.
    Compare,
    /// To write it, too.
    Write,
}

/// Which differences a pass prints.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// Those that stay.
    Kept,
    All,
}

/// A namespace on its way into a tree.
struct Export<'e> {
    namespace: &'e Namespace,
    folders: [String; 2],
    options: ReadOptions,
    told: Differences<'e>,
    overwrite: bool,
    with_meta: bool,
    is_watching: bool,
    /// The files of the tree, while it is watched.
    known: Known,
    /// When the next of the entries expires that the last whole pass has seen.
    next_expiry: Option<Millis>,
}

/// What a pass has done, or would do.
#[derive(Default)]
struct Done {
    written: u64,
    removed: u64,
    same: u64,
    kept: u64,
}

impl<'e> Export<'e> {
    fn new(flags: &ExportFs, namespace: &'e Namespace, options: ReadOptions, told: Differences<'e>) -> Self {
        Self {
            namespace,
            folders: tree::folders_of(namespace),
            options,
            told,
            overwrite: flags.overwrite,
            with_meta: flags.with_meta,
            is_watching: flags.watch,
            known: Known::default(),
            next_expiry: None,
        }
    }

    /// Goes through the namespace once.
    fn pass(
        &mut self,
        store: &Session,
        tree: Option<&Tree>,
        task: Task,
        shown: Shown,
    ) -> Result<Done, Failure> {
        let query = Query { fields: Fields::All, ..Query::default() };
        let namespace = self.namespace;
        self.known.begin();
        let mut pass = Pass {
            export: self,
            store,
            tree,
            task,
            shown,
            rows: Vec::new(),
            done: Done::default(),
            next_expiry: None,
            progress: Progress::begin(),
            failure: None,
        };
        store.list(namespace, &query, &mut pass)?;
        if let Some(failure) = pass.failure.take() {
            return Err(failure);
        }
        pass.end()
    }

    /// Writes whatever changes after the revision that was `seen`, until the process is interrupted.
    fn keep_in_step(
        &mut self,
        store: &mut Session,
        tree: &mut Tree,
        mut seen: Version,
    ) -> Result<(), Failure> {
        loop {
            thread::sleep(INTERVAL);
            match self.catch_up(store, tree, seen) {
                Ok(revision) => seen = revision,
                // Somebody is at work on a file; the next round finds it finished.
                Err(failure) if failure.retryable => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Brings the tree up to date if it is not, and says which revision it shows.
    fn catch_up(&mut self, store: &mut Session, tree: &mut Tree, seen: Version) -> Result<Version, Failure> {
        // What is written during the pass has a later one.
        let revision = store.revision()?;
        let has_expired = self.next_expiry.is_some_and(|at| at <= store.now());
        if revision != seen || has_expired {
            store.renew_identity()?;
            tree.renew()?;
            self.pass(store, Some(tree), Task::Write, Shown::All)?;
        }
        Ok(revision)
    }
}

/// Handles entries a page at a time.
struct Pass<'p, 'e> {
    export: &'p mut Export<'e>,
    store: &'p Session,
    tree: Option<&'p Tree>,
    task: Task,
    shown: Shown,
    rows: Vec<(String, Record)>,
    done: Done,
    next_expiry: Option<Millis>,
    progress: Progress,
    failure: Option<Failure>,
}

impl Sink for Pass<'_, '_> {
    fn row(&mut self, row: Row<'_>) {
        if let Some(head) = row.head {
            let record = Record { head: head.clone(), value: row.value.to_owned() };
            self.rows.push((row.name.to_owned(), record));
        }
    }

    fn page(&mut self) -> CoreResult<ControlFlow<()>> {
        self.progress.show("exported", self.done.written + self.done.same);
        let rows = std::mem::take(&mut self.rows);
        let settled = rows.iter().try_for_each(|(name, record)| self.settle(name, record));
        match settled.and_then(|()| self.export.told.flush()) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(failure) => {
                self.failure = Some(failure);
                Ok(ControlFlow::Break(()))
            }
        }
    }
}

impl Pass<'_, '_> {
    /// Brings the file of an entry up to date, as far as that is wanted.
    fn settle(&mut self, name: &str, record: &Record) -> Result<(), Failure> {
        self.next_expiry = [self.next_expiry, record.head.expires].into_iter().flatten().min();
        let spot = self.spot_of(&EntryName::parse(name).map_err(prontodb_core::Error::from)?);
        let Some(present) = self.read(&spot)? else { return self.write('+', &spot, name, record) };
        match self.compare(&present, name, record) {
            Found::Same => {
                self.done.same += 1;
                self.remember(&spot, &present);
                Ok(())
            }
            Found::Other if self.may_replace(&spot, &present) => self.write('~', &spot, name, record),
            Found::Other | Found::OfAnotherKey => {
                self.keep('~', &spot);
                Ok(())
            }
        }
    }

    /// Where the file of an entry belongs.
    fn spot_of(&self, name: &EntryName) -> Spot {
        let (context, file) = tree::place_of(name);
        Spot { path: self.export.folders.iter().cloned().chain(context).collect(), file }
    }

    fn read(&self, spot: &Spot) -> Result<Option<Vec<u8>>, Failure> {
        let folder = match (self.tree, self.task) {
            (None, _) => None,
            (Some(tree), Task::Compare) => tree.folder(&spot.path)?,
            (Some(tree), Task::Write) => Some(tree.make_folder(&spot.path)?),
        };
        let max_bytes = self.export.options.max_line_bytes as u64;
        folder.map_or(Ok(None), |folder| folder.read(&spot.file, max_bytes))
    }

    fn compare(&self, present: &[u8], name: &str, record: &Record) -> Found {
        match tree::read(present, &self.export.options) {
            Ok((there, value, life)) if there.as_str() == name => {
                let is_same = value == record.value && life.is_of(&record.head);
                if is_same { Found::Same } else { Found::Other }
            }
            // Two names are one to this file system, or somebody has moved a file.
            Ok(_) => Found::OfAnotherKey,
            Err(_) => Found::Other,
        }
    }

    /// Whether a file may go: because that was said, or because nobody else has touched it.
    fn may_replace(&self, spot: &Spot, present: &[u8]) -> bool {
        self.export.overwrite || self.export.known.is_own(&spot.shown(), present)
    }

    fn write(&mut self, mark: char, spot: &Spot, name: &str, record: &Record) -> Result<(), Failure> {
        self.done.written += 1;
        if let (Task::Write, Some(tree)) = (self.task, self.tree) {
            let mut bytes = Vec::new();
            let meta = self.export.with_meta.then_some(&record.head);
            tree::push(&mut bytes, name, &record.value, meta);
            tree.make_folder(&spot.path)?.write(&spot.file, &bytes)?;
            self.remember(spot, &bytes);
        }
        self.tell(mark, spot);
        Ok(())
    }

    /// Remembers what a file holds that is as it should be.
    fn remember(&mut self, spot: &Spot, bytes: &[u8]) {
        if self.export.is_watching {
            self.export.known.settle(&spot.shown(), bytes);
        }
    }

    /// Leaves a file as it is; whoever watches is told once.
    fn keep(&mut self, mark: char, spot: &Spot) {
        self.done.kept += 1;
        let is_new = !self.export.is_watching || self.export.known.keep(&spot.shown());
        if is_new && self.shown != Shown::Nothing {
            self.export.told.tell(mark, &spot.shown());
        }
    }

    /// Prints what is written or removed, if that is shown.
    fn tell(&mut self, mark: char, spot: &Spot) {
        if self.shown == Shown::All {
            self.export.told.tell(mark, &spot.shown());
        }
    }

    /// Handles what entries do not ask for, and ends the pass.
    fn end(mut self) -> Result<Done, Failure> {
        if self.export.is_watching {
            self.find_orphans()?;
            self.export.known.end();
        }
        self.export.next_expiry = self.next_expiry;
        self.export.told.flush()?;
        Ok(self.done)
    }

    /// Removes the files of entries that have gone; where nothing may be replaced, they only count.
    fn find_orphans(&mut self) -> Result<(), Failure> {
        let Some(tree) = self.tree else { return Ok(()) };
        let path = self.export.folders.to_vec();
        let Some(folder) = tree.folder(&path)? else { return Ok(()) };
        for (name, kind) in entries_of(&folder)? {
            match kind {
                Kind::Folder => {
                    let path = [path.as_slice(), &[name]].concat();
                    if let Some(folder) = tree.folder(&path)? {
                        self.find_orphans_in(&folder, &path)?;
                    }
                }
                Kind::File => self.find_orphan(&folder, Spot { path: path.clone(), file: name })?,
                Kind::Other => {}
            }
        }
        Ok(())
    }

    fn find_orphans_in(&mut self, folder: &Folder, path: &[String]) -> Result<(), Failure> {
        let files = entries_of(folder)?.into_iter().filter(|(_, kind)| *kind == Kind::File);
        files
            .map(|(file, _)| Spot { path: path.to_vec(), file })
            .try_for_each(|spot| self.find_orphan(folder, spot))
    }

    fn find_orphan(&mut self, folder: &Folder, spot: Spot) -> Result<(), Failure> {
        if !tree::is_entry(&spot.file) || self.export.known.is_met(&spot.shown()) {
            return Ok(());
        }
        let Some(bytes) = folder.read(&spot.file, self.export.options.max_line_bytes as u64)? else {
            return Ok(());
        };
        match self.owner(&spot, &bytes)? {
            Owner::Entry => {}
            Owner::Nobody if self.may_replace(&spot, &bytes) => self.remove(folder, &spot)?,
            Owner::Somebody if self.export.overwrite || !self.export.known.has(&spot.shown()) => {}
            // What is in the way at first is told as what would be done to it.
            Owner::Nobody | Owner::Somebody => {
                self.keep(if self.task == Task::Compare { '-' } else { '~' }, &spot);
            }
        }
        Ok(())
    }

    fn owner(&self, spot: &Spot, bytes: &[u8]) -> Result<Owner, Failure> {
        let Ok((name, ..)) = tree::read(bytes, &self.export.options) else { return Ok(Owner::Somebody) };
        if self.spot_of(&name) != *spot {
            return Ok(Owner::Somebody);
        }
        let address = Address { namespace: self.export.namespace.clone(), name };
        Ok(if self.store.head(&address)?.is_some() { Owner::Entry } else { Owner::Nobody })
    }

    fn remove(&mut self, folder: &Folder, spot: &Spot) -> Result<(), Failure> {
        self.done.removed += 1;
        if self.task == Task::Write {
            folder.remove(&spot.file)?;
            self.export.known.forget(&spot.shown());
        }
        self.tell('-', spot);
        Ok(())
    }
}

/// What a folder holds; names that are not UTF-8 are none of ours.
fn entries_of(folder: &Folder) -> Result<Vec<(String, Kind)>, Failure> {
    let entries = folder.list()?.into_iter();
    Ok(entries.filter_map(|(name, kind)| Some((name.into_string().ok()?, kind))).collect())
}

/// A place in the tree for a file.
#[derive(PartialEq, Eq)]
struct Spot {
    path: Vec<String>,
    file: String,
}

impl Spot {
    fn shown(&self) -> String {
        format!("{}/{}", self.path.join("/"), self.file)
    }
}

/// What a file holds where an entry is to be.
enum Found {
    Same,
    Other,
    OfAnotherKey,
}

/// Whose file it is that no entry has asked for.
enum Owner {
    /// That of an entry, made meanwhile.
    Entry,
    /// That of an entry that has gone.
    Nobody,
    /// None of an entry.
    Somebody,
}

impl Done {
    /// Whether there was nothing to do, nor anything done before.
    fn is_empty(&self) -> bool {
        self.written + self.removed + self.same + self.kept == 0
    }

    fn told(&self, is_dry_run: bool) -> String {
        let verb = if is_dry_run { "would write" } else { "wrote" };
        let mut text = format!("{verb} {}", counted(self.written, "file", "files"));
        for (count, what) in
            [(self.removed, "removed"), (self.same, "as they should be"), (self.kept, "kept")]
        {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    }
}
