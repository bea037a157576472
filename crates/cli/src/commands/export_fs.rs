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
use crate::output::{self, Out, counted};
use crate::tree::{Folder, Kind, Tree};

/// How often --watch looks whether anything was written.
const INTERVAL: Duration = Duration::from_millis(200);

/// Write the entries of a namespace into files, one each
///
/// DIR/PROJECT/NAMESPACE/KEY.json, and with a context DIR/PROJECT/NAMESPACE/CONTEXT/KEY.json; each holds the line that export
/// --format jsonl writes. Files that are there and say something else stay as they are and are listed, and the exit code is
/// 3; with --overwrite they are replaced, one by one. Links are not followed.
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

    /// Also when entries were made, when they end, and who wrote them
    #[arg(long)]
    with_meta: bool,
}

impl Run for ExportFs {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = namespace(cx, self.ns.as_deref())?;
        let store = cx.open_existing()?;
        let mut export = Export::new(&self, cx, &store, &namespace);
        let (first, second) = self.shown();
        // Whatever is in the way is found before anything is written.
        let mut done = export.pass(&mut cx.out, Tree::open(&self.root)?.as_ref(), Task::Compare, first)?;
        if !self.dry_run && (!self.watch || done.kept == 0) {
            let tree = Tree::make(&self.root)?;
            tree.lock()?;
            let seen = store.revision()?;
            done = export.pass(&mut cx.out, Some(&tree), Task::Write, second)?;
            tree.sync()?;
            if self.watch {
                export.keep_in_step(&mut cx.out, &tree, seen)?;
            }
        }
        output::note(&done.told(self.dry_run));
        if done.kept == 0 {
            return Ok(Code::Done);
        }
        output::note("files that say something else were kept; --overwrite replaces them");
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
    store: &'e Session,
    namespace: &'e Namespace,
    folders: [String; 2],
    options: ReadOptions,
    overwrite: bool,
    with_meta: bool,
    is_watching: bool,
    /// When the next of the entries expires.
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
    fn new(flags: &ExportFs, cx: &Context, store: &'e Session, namespace: &'e Namespace) -> Self {
        Self {
            store,
            namespace,
            folders: tree::folders_of(namespace),
            options: read_options(cx, namespace, flags.with_meta),
            overwrite: flags.overwrite,
            with_meta: flags.with_meta,
            is_watching: flags.watch,
            next_expiry: None,
        }
    }

    /// Goes through the namespace once.
    fn pass(
        &mut self,
        out: &mut Out,
        tree: Option<&Tree>,
        task: Task,
        shown: Shown,
    ) -> Result<Done, Failure> {
        self.next_expiry = None;
        let query = Query { fields: Fields::All, ..Query::default() };
        let (store, namespace) = (self.store, self.namespace);
        let (rows, done, progress) = (Vec::new(), Done::default(), Progress::begin());
        let mut pass = Pass { export: self, out, tree, task, shown, rows, done, progress, failure: None };
        store.list(namespace, &query, &mut pass)?;
        if pass.export.is_watching {
            pass.find_orphans()?;
        }
        pass.out.flush()?;
        pass.failure.take().map_or(Ok(pass.done), Err)
    }

    /// Writes whatever changes after the revision that was `seen`, until the process is interrupted.
    fn keep_in_step(&mut self, out: &mut Out, tree: &Tree, mut seen: Version) -> Result<(), Failure> {
        self.overwrite = true;
        loop {
            let revision = self.store.revision()?;
            if revision != seen || self.next_expiry.is_some_and(|at| at <= self.store.now()) {
                match self.pass(out, Some(tree), Task::Write, Shown::All) {
                    Ok(_) => seen = revision,
                    // Somebody is at work on a file; the next round finds it finished.
                    Err(failure) if failure.retryable => {}
                    Err(failure) => return Err(failure),
                }
            }
            thread::sleep(INTERVAL);
        }
    }
}

/// Handles entries a page at a time.
struct Pass<'p, 'e> {
    export: &'p mut Export<'e>,
    out: &'p mut Out,
    tree: Option<&'p Tree>,
    task: Task,
    shown: Shown,
    rows: Vec<(String, Record)>,
    done: Done,
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
        match settled.and_then(|()| self.out.flush()) {
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
        let next = self.export.next_expiry;
        self.export.next_expiry = [next, record.head.expires].into_iter().flatten().min();
        let (context, file) = tree::place_of(&EntryName::parse(name).map_err(prontodb_core::Error::from)?);
        let path: Vec<String> = self.export.folders.iter().cloned().chain(context).collect();
        let folder = self.folder(&path)?;
        let present = match &folder {
            Some(folder) => folder.read(&file, self.export.options.max_line_bytes as u64)?,
            None => None,
        };
        match present.map(|present| self.compare(&present, name, record)) {
            Some(Found::Same) => self.done.same += 1,
            Some(Found::Other) if self.export.overwrite => self.write('~', &path, &file, (name, record))?,
            Some(Found::Other | Found::OfAnotherKey) => {
                self.done.kept += 1;
                self.tell(Shown::Kept, '~', &path, &file);
            }
            None => self.write('+', &path, &file, (name, record))?,
        }
        Ok(())
    }

    fn folder(&self, path: &[String]) -> Result<Option<Folder>, Failure> {
        match (self.tree, self.task) {
            (None, _) => Ok(None),
            (Some(tree), Task::Compare) => tree.folder(path),
            (Some(tree), Task::Write) => tree.make_folder(path).map(Some),
        }
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

    fn write(
        &mut self,
        mark: char,
        path: &[String],
        file: &str,
        (name, record): (&str, &Record),
    ) -> Result<(), Failure> {
        self.done.written += 1;
        self.tell(Shown::All, mark, path, file);
        if let (Task::Write, Some(tree)) = (self.task, self.tree) {
            let mut bytes = Vec::new();
            let meta = self.export.with_meta.then_some(&record.head);
            tree::push(&mut bytes, name, &record.value, meta);
            tree.make_folder(path)?.write(file, &bytes)?;
        }
        Ok(())
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
                Kind::File => self.find_orphan(&folder, &path, &name)?,
                Kind::Other => {}
            }
        }
        Ok(())
    }

    fn find_orphans_in(&mut self, folder: &Folder, path: &[String]) -> Result<(), Failure> {
        let files = entries_of(folder)?.into_iter().filter(|(_, kind)| *kind == Kind::File);
        files.map(|(name, _)| name).try_for_each(|name| self.find_orphan(folder, path, &name))
    }

    fn find_orphan(&mut self, folder: &Folder, path: &[String], file: &str) -> Result<(), Failure> {
        if !tree::is_entry(file) {
            return Ok(());
        }
        let Some(bytes) = folder.read(file, self.export.options.max_line_bytes as u64)? else {
            return Ok(());
        };
        let Ok((name, ..)) = tree::read(&bytes, &self.export.options) else { return Ok(()) };
        let (context, own_file) = tree::place_of(&name);
        let own_path: Vec<String> = self.export.folders.iter().cloned().chain(context).collect();
        let address = Address { namespace: self.export.namespace.clone(), name };
        if own_file != file || own_path != path || self.export.store.head(&address)?.is_some() {
            return Ok(());
        }
        if !self.export.overwrite {
            self.done.kept += 1;
            self.tell(Shown::Kept, '-', path, file);
            return Ok(());
        }
        self.done.removed += 1;
        self.tell(Shown::All, '-', path, file);
        if self.task == Task::Write { folder.remove(file) } else { Ok(()) }
    }

    /// Prints a difference, if those of its kind are shown.
    fn tell(&mut self, kind: Shown, mark: char, path: &[String], file: &str) {
        if self.shown == Shown::All || self.shown == kind {
            self.out.line(&format!("{mark} {}/{file}", path.join("/")));
        }
    }
}

/// What a folder holds; names that are not UTF-8 are none of ours.
fn entries_of(folder: &Folder) -> Result<Vec<(String, Kind)>, Failure> {
    let entries = folder.list()?.into_iter();
    Ok(entries.filter_map(|(name, kind)| Some((name.into_string().ok()?, kind))).collect())
}

/// What a file holds where an entry is to be.
enum Found {
    Same,
    Other,
    OfAnotherKey,
}

impl Done {
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
