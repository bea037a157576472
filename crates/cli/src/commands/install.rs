use std::env;
use std::path::{Path, PathBuf};

use super::{Addressing, Run};
use crate::args::Globals;
use crate::config;
use crate::context::{Context, variable};
use crate::cursors::Cursors;
use crate::exit::{Code, Failure};
use crate::files::metadata;
use crate::output::json::Object;
use crate::output::report::array;
use crate::output::{self, printable};
use crate::paths::{self, DEFAULT_DATABASE, Roots, make_private_directory};
use crate::replace::{DirectoryTurn, create_new};
use crate::secret;
use crate::setup::record::{Known, Record};
use crate::setup::{self, Part, Places, There, put};
use crate::user;

/// Install this program for you: the binary, completions and manual pages, and the directories it works in
///
/// The binary goes to ~/.local/bin, the rest beside it. pronto.conf and the selection are made unless they are there; nothing
/// of the data is touched. The path of the binary is printed. What is there already stays as it is; --force replaces the
/// binary, the completions and the pages.
#[derive(clap::Args)]
pub struct Install {
    /// The directory of the binary
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    target: Option<PathBuf>,

    /// Replace what is there
    #[arg(long)]
    force: bool,

    /// Say nothing
    #[arg(long)]
    quiet: bool,
}

impl Run for Install {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::of_program(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let places = Places::of(cx.roots(), self.target.as_deref())?;
        let (path, bytes) = (places.program(), setup::own_bytes()?);
        let there = setup::look(&path, &bytes)?;
        if !self.force {
            setup::refuse_foreign(&path, &there)?;
        }
        let mut installer =
            Installer { places, force: self.force, record: Record::default(), told: Vec::new() };
        if there == There::Other && !self.force {
            let what = format!("{} is there already, from another build", path.display());
            installer.told.push(format!("{what}; nothing was changed, and --force replaces it"));
        } else {
            installer.install(cx, bytes, &there)?;
        }
        self.tell(cx, &path, &installer)?;
        Ok(Code::Done)
    }
}

impl Install {
    fn tell(&self, cx: &mut Context, path: &Path, installer: &Installer) -> Result<(), Failure> {
        if !self.quiet && !cx.json() {
            installer.told.iter().for_each(|line| output::note(line));
            tell_of_path(&installer.places.bin);
        }
        if cx.json() {
            let version = env!("CARGO_PKG_VERSION");
            let mut object = Object::begin(cx.out.buffer());
            object.text("path", &path.to_string_lossy()).text("version", version);
            object.raw("done", &array(&installer.told)).end();
            cx.out.push(b"\n");
        } else if !self.quiet {
            cx.out.line(&printable(&path.to_string_lossy()));
        }
        cx.out.flush()
    }
}

/// An installation on its way.
struct Installer {
    places: Places,
    force: bool,
    record: Record,
    /// What was done, a line a thing.
    told: Vec<String>,
}

impl Installer {
    fn install(&mut self, cx: &Context, program: Vec<u8>, there: &There) -> Result<(), Failure> {
        let roots = cx.roots();
        let beside = self.places.beside().map_err(|error| Failure::io("cannot make the manual", &error))?;
        self.make_directories(roots)?;
        let _turn = DirectoryTurn::begin(&roots.lib_dir()?, cx.patience())?;
        let remembered = Record::path(roots)?;
        let made = std::mem::take(&mut self.record.directories);
        let before = Record::read(&remembered)?.unwrap_or_default();
        self.record = before.clone();
        self.record.add_directories(made);
        // What has been put in place is remembered also when the rest fails.
        let put = self.put_all(program, there, &beside);
        if self.record != before {
            self.record.write(&remembered)?;
        }
        put?;
        self.make_configuration(roots)?;
        self.make_selection(cx)?;
        if self.told.is_empty() {
            self.told
                .push(format!("{} is there already; nothing was changed", self.places.program().display()));
        } else {
            self.tell_of_admin()?;
        }
        Ok(())
    }

    /// Those in which databases, the configuration and the rest lie, readable by their owner alone.
    fn make_directories(&mut self, roots: Roots<'_>) -> Result<(), Failure> {
        let configuration = roots.config_file()?;
        let configuration = configuration.parent().unwrap_or(&configuration).to_owned();
        for directory in [roots.data_dir()?, configuration, roots.lib_dir()?] {
            if directory.is_dir() {
                continue;
            }
            let fresh: Vec<_> = directory.ancestors().take_while(|folder| !folder.exists()).collect();
            let fresh: Vec<_> = fresh.into_iter().rev().map(Path::to_owned).collect();
            let made = make_private_directory(&directory);
            made.map_err(|error| cannot_make(&directory, &error))?;
            self.record.add_directories(fresh);
            self.told.push(format!("made the directory {}", directory.display()));
        }
        Ok(())
    }

    fn put_all(&mut self, program: Vec<u8>, there: &There, beside: &[Part]) -> Result<(), Failure> {
        let path = self.places.program();
        let part = Part { path: path.clone(), bytes: program, mode: put::EXECUTABLE };
        match there {
            There::Same if !self.force => self.know(&part),
            There::Nothing => {
                self.put(&part)?;
                self.told.push(format!("installed {}", path.display()));
            }
            _ => {
                self.put(&part)?;
                self.told.push(format!("replaced {}", path.display()));
            }
        }
        let (mut pages, mut others) = (0, 0);
        for part in beside {
            if self.put_beside(part)? {
                let count = if part.path.starts_with(self.places.pages()) { &mut pages } else { &mut others };
                *count += 1;
            }
        }
        let share = self.places.share.display();
        if others > 0 {
            self.told.push(format!("put completions for bash, zsh, fish and PowerShell into {share}"));
        }
        if pages > 0 {
            self.told.push(format!("put {pages} manual pages into {}", self.places.pages().display()));
        }
        Ok(())
    }

    /// Puts completions or a page in place; whether that was necessary.
    fn put_beside(&mut self, part: &Part) -> Result<bool, Failure> {
        let cannot = |error| Failure::io(format_args!("cannot look at {}", part.path.display()), &error);
        let is_there = metadata(&part.path).map_err(cannot)?.is_some();
        let is_same = is_there && std::fs::read(&part.path).is_ok_and(|bytes| bytes == part.bytes);
        if is_same && !self.force {
            self.know(part);
            return Ok(false);
        }
        if is_there && !self.force {
            self.told.push(format!("left {} as it is; --force replaces it", part.path.display()));
            return Ok(false);
        }
        self.put(part)?;
        Ok(true)
    }

    fn put(&mut self, part: &Part) -> Result<(), Failure> {
        let folder = part.path.parent().unwrap_or(&part.path);
        let made = put::directory(folder).map_err(|error| cannot_make(folder, &error))?;
        self.record.add_directories(made);
        let written = put::file(&part.path, &part.bytes, part.mode);
        written.map_err(|error| {
            elsewhere(Failure::io(format_args!("cannot write {}", part.path.display()), &error))
        })?;
        self.know(part);
        Ok(())
    }

    fn know(&mut self, part: &Part) {
        self.record.add(Known::new(part.path.clone(), &part.bytes, &self.places.bin));
    }

    fn make_configuration(&mut self, roots: Roots<'_>) -> Result<(), Failure> {
        let path = roots.config_file()?;
        if is_missing(&path)? {
            create_new(&path, config::template().as_bytes())?;
            self.told.push(format!("made {}", path.display()));
        }
        Ok(())
    }

    /// As the first write would make it.
    fn make_selection(&mut self, cx: &Context) -> Result<(), Failure> {
        let (roots, user) = (cx.roots(), user::find(&cx.globals, &variable)?.value);
        let cursors = Cursors::of(roots, user.as_deref())?;
        let path = cursors.active_file();
        if is_missing(&path)? {
            cursors.make_active(&roots.database_file(user.as_deref().unwrap_or(DEFAULT_DATABASE))?)?;
            self.told.push(format!("made {}", path.display()));
        }
        Ok(())
    }

    /// There is a user before anybody has made one; nothing of that is written before it is used.
    fn tell_of_admin(&mut self) -> Result<(), Failure> {
        let user = secret::seed()?.user;
        let is_given = paths::variable(&variable, "PRONTO_ADMIN_PASS").is_some();
        let password = if is_given { "that of PRONTO_ADMIN_PASS" } else { "the one that everybody knows" };
        self.told.push(format!(
            "the user {user} may administer; until prontodb admin user passwd {user} changes it, the password is {password}"
        ));
        Ok(())
    }
}

fn is_missing(path: &Path) -> Result<bool, Failure> {
    let found = metadata(path);
    let found =
        found.map_err(|error| Failure::io(format_args!("cannot look at {}", path.display()), &error))?;
    Ok(found.is_none())
}

fn cannot_make(directory: &Path, error: &std::io::Error) -> Failure {
    elsewhere(Failure::io(format_args!("cannot make the directory {}", directory.display()), error))
}

fn elsewhere(failure: Failure) -> Failure {
    match failure.code {
        Code::Denied => failure.hint("--target DIR installs into a directory of yours"),
        _ => failure,
    }
}

fn tell_of_path(bin: &Path) {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).all(|folder| folder != bin) {
        let bin = bin.display();
        output::note(&format!("{bin} is not on your PATH; a shell needs: export PATH=\"{bin}:$PATH\""));
    }
}
