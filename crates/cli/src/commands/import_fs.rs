use std::ffi::OsString;
use std::path::{Path, PathBuf};

use prontodb_core::store::{Change, Life, Load, LoadOptions, OnConflict, Place};
use prontodb_core::transfer::{ReadOptions, tree};
use prontodb_core::{Address, EntryName, Namespace};

use super::{Addressing, Run, export_fs, import};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::progress::Progress;
use crate::tree::differences::{Differences, Form};
use crate::tree::{Folder, Kind, Tree, no_plain_file};

/// How many entries are printed at once.
const TOLD_AT_ONCE: usize = 1000;

/// Write the files of a tree into a namespace
///
/// What export-fs writes. All of it is checked before anything is written, and written in one transaction. Entries that are
/// there with another value stay as they are and are listed, and the exit code is 3; with --overwrite they are replaced.
/// Files whose names begin with a dot or do not end in .json are passed over; links and whatever else is neither file nor
/// folder are refused, whatever their names.
#[derive(clap::Args)]
pub struct ImportFs {
    /// The folder of the tree
    #[arg(long, value_name = "DIR")]
    root: PathBuf,

    /// The namespace; or -p and -n
    #[arg(long, value_name = "PROJECT.NAMESPACE")]
    ns: Option<OsString>,

    /// Replace entries that have another value
    #[arg(long)]
    overwrite: bool,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Take over when entries were made, when they end, who wrote them, and metakeys
    #[arg(long)]
    with_meta: bool,
}

impl Run for ImportFs {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let namespace = export_fs::namespace(cx, self.ns.as_deref())?;
        let folders = tree::folders_of(&namespace);
        let tree = Tree::open(&self.root)?;
        let top = tree.as_ref().map_or(Ok(None), |tree| tree.folder(&folders))?;
        let (Some(tree), Some(top)) = (tree, top) else {
            let what = format!("there is no folder {}/{}", self.root.display(), folders.join("/"));
            return Err(Failure::invalid(what).hint("export-fs makes such folders: --root/PROJECT/NAMESPACE"));
        };
        let mut reader = Reader {
            options: export_fs::read_options(cx, &namespace, self.with_meta),
            store: cx.open_to_look()?,
            load: Load::new(LoadOptions {
                spill_folder: Some(cx.spill_folder()?),
                on_conflict: if self.overwrite { OnConflict::Replace } else { OnConflict::Skip },
                unique: true,
                max_value_bytes: cx.settings.max_value_bytes.value,
                ..LoadOptions::default()
            }),
            namespace: &namespace,
            overwrite: self.overwrite,
            progress: Progress::begin(),
            kept: Vec::new(),
        };
        let read = reader.take(&tree, &folders, &top);
        let Reader { load, kept, mut progress, .. } = reader;
        let done = read.and_then(|()| import::finish(cx, load, self.dry_run, &mut progress));
        drop(progress);
        let loaded = done.map_err(|failure| import::explain(cx, &namespace, failure))?;
        output::note(&import::summary(self.dry_run, &loaded));
        tell(cx, &kept)?;
        if kept.is_empty() {
            return Ok(Code::Done);
        }
        output::note("entries that have another value were kept; --overwrite replaces them");
        Ok(Code::Conflict)
    }
}

/// Prints the entries that were kept, some at a time.
fn tell(cx: &mut Context, kept: &[Address]) -> Result<(), Failure> {
    let form = if cx.globals.json { Form::Array } else { Form::Text };
    let mut told = Differences::new(&mut cx.out, form, "address").without_reader(true);
    for some in kept.chunks(TOLD_AT_ONCE) {
        some.iter().for_each(|address| told.tell('~', &address.display(cx.notation.delimiter).to_string()));
        told.flush()?;
    }
    told.end()
}

/// Collects the entries of a tree.
struct Reader<'r> {
    options: ReadOptions,
    store: Session,
    load: Load,
    namespace: &'r Namespace,
    overwrite: bool,
    progress: Progress,
    /// Entries that say something else than their files, and stay.
    kept: Vec<Address>,
}

impl Reader<'_> {
    /// Reads all files of a namespace.
    fn take(&mut self, tree: &Tree, path: &[String], top: &Folder) -> Result<(), Failure> {
        for (name, kind) in entries_of(top)? {
            match kind {
                // No context is written so.
                Kind::Folder if tree::is_entry(&name) => return Err(no_plain_file(&top.shown().join(&name))),
                Kind::Folder => {
                    let path = [path, std::slice::from_ref(&name)].concat();
                    if let Some(folder) = tree.folder(&path)? {
                        self.take_context(&folder, &name)?;
                    }
                }
                _ => self.take_file(top, None, &name)?,
            }
        }
        Ok(())
    }

    fn take_context(&mut self, folder: &Folder, context: &str) -> Result<(), Failure> {
        for (name, kind) in entries_of(folder)? {
            if kind == Kind::Folder {
                let shown = folder.shown().join(&name);
                let what = format!("{} lies too deep: contexts are the last folders", shown.display());
                return Err(Failure::invalid(what));
            }
            self.take_file(folder, Some(context), &name)?;
        }
        Ok(())
    }

    fn take_file(&mut self, folder: &Folder, context: Option<&str>, file: &str) -> Result<(), Failure> {
        let shown = folder.shown().join(file);
        let Some(bytes) = folder.read(file, self.options.max_line_bytes as u64)? else { return Ok(()) };
        let read = tree::read(&bytes, &self.options).map_err(|error| of_file(&shown, error))?;
        let (own_context, own_file) = tree::place_of(&read.0);
        if own_context.as_deref() != context || own_file != file {
            let own = own_context.map_or(own_file.clone(), |context| format!("{context}/{own_file}"));
            let what =
                format!("{} holds the key `{}`, whose file is {own}", shown.display(), read.0.as_str());
            return Err(Failure::invalid(what).hint("k says which entry it is; move the file, or change k"));
        }
        self.push(read).map_err(|error| of_file(&shown, error))
    }

    fn push(&mut self, (name, value, life): (EntryName, Vec<u8>, Life)) -> prontodb_core::Result<()> {
        self.progress.show("read", self.load.len());
        let address = Address { namespace: self.namespace.clone(), name };
        match self.store.get(&address)? {
            Some(present) if present.value == value && life.is_of(&present.head) => return Ok(()),
            Some(_) if !self.overwrite => {
                self.kept.push(address);
                return Ok(());
            }
            _ => {}
        }
        // Each file is a source of its own, so lines say nothing.
        let change = Change::Set { value: &value, life };
        self.load.push(Place::default(), self.namespace, &address.name, change)
    }
}

/// The files that hold entries, and the folders.
///
/// Whatever is neither file nor folder is refused, since nobody knows what it stands for.
fn entries_of(folder: &Folder) -> Result<Vec<(String, Kind)>, Failure> {
    let mut entries = Vec::new();
    for (name, kind) in folder.list()? {
        let shown = folder.shown().join(&name);
        if kind == Kind::Other {
            return Err(no_plain_file(&shown));
        }
        if kind == Kind::File && !tree::is_entry(&name.to_string_lossy()) {
            continue;
        }
        let name = name.into_string();
        let not_text = |_| Failure::invalid(format!("the name {} is not UTF-8", shown.display()));
        entries.push((name.map_err(not_text)?, kind));
    }
    Ok(entries)
}

/// Says first which file it is about.
fn of_file(file: &Path, error: prontodb_core::Error) -> Failure {
    let mut failure = Failure::from(error);
    failure.message = format!("{}: {}", file.display(), failure.message);
    failure
}
