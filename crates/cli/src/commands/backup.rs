use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

use prontodb_core::coding::Recipients;

use super::restore::{self, Restore};
use super::{Addressing, Run};
use crate::args::Globals;
use crate::backup::list::{self, Listed};
use crate::backup::names::Name;
use crate::backup::restore::{judge, require_admin_of};
use crate::backup::rotate::{self, Rules};
use crate::backup::{self, Given, Made, Order, Target, Unpacked, names};
use crate::context::{Context, text};
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::report::array;
use crate::paths::{DEFAULT_DATABASE, Databases, cannot_look};
use crate::replica::{self, FollowFlags};
use crate::{output, secret};

/// Flags that say how a backup is made, and mean nothing where none is.
const MAKING: [&str; 6] = ["all", "keep", "keep_days", "age_recipient", "new_pass_file", "passphrase"];

/// Write a database, the cursors and the configuration to an archive
///
/// Others read and write meanwhile. The archive holds one moment, is checked against what it was made from, and only then gets
/// its name, which is printed: prontodb_NAME_YYYYMMDD.tar.gz in the folder of backups, with _n01 and so on behind it for more of
/// a day. tar -xzf unpacks it, and prontodb restore puts it back. Nothing that is there is ever replaced.
#[derive(clap::Args)]
pub struct Backup {
    /// A folder for it, or its file: a name that ends in .tar.gz, or .tar.gz.age when it is encrypted
    #[arg(long, value_name = "DIR|FILE")]
    output: Option<PathBuf>,

    /// The same as --output
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "output", hide = true)]
    out: Option<PathBuf>,

    /// Every database that has a name, each in an archive of its own
    #[arg(long)]
    all: bool,

    /// Remove older backups of the same database afterwards, all but the newest N
    #[arg(long, value_name = "N", conflicts_with = "keep_days")]
    keep: Option<String>,

    /// The same for those that are more than N days old
    #[arg(long, value_name = "N")]
    keep_days: Option<String>,

    /// Encrypt it for whoever has the age identity of this recipient, age1…; may be repeated
    #[arg(long, value_name = "AGE1…")]
    age_recipient: Vec<String>,

    /// Encrypt it under the passphrase in this file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "age_recipient")]
    new_pass_file: Option<PathBuf>,

    /// Encrypt it under the passphrase of PRONTO_PASSPHRASE, PRONTO_PASSPHRASE_FILE or whoever sits there
    #[arg(long, conflicts_with_all = ["age_recipient", "new_pass_file"])]
    passphrase: bool,

    /// Tell what would be written and removed, or with --restore replaced, and do neither
    #[arg(long)]
    dry_run: bool,

    /// List the backups of all databases, or of the one that --database names
    #[arg(long, conflicts_with_all = MAKING, conflicts_with_all = ["dry_run", "verify", "restore"])]
    list: bool,

    /// Check a backup as a restore would, or the last moment of a replica, and restore nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = MAKING, conflicts_with_all = ["dry_run", "output", "out", "restore"])]
    verify: Option<PathBuf>,

    /// What prontodb restore FILE does
    #[arg(long, value_name = "FILE", conflicts_with_all = MAKING, conflicts_with_all = ["output", "out"])]
    restore: Option<PathBuf>,

    /// With --restore: where to, see prontodb help restore
    #[arg(long, value_name = "NAME|DIR", requires = "restore")]
    to: Option<OsString>,

    /// The file of the age identity that opens what --verify or --restore names; else that of age_identity
    #[arg(long, value_name = "FILE")]
    age_identity: Option<PathBuf>,

    #[command(flatten)]
    follow: FollowFlags,
}

impl Run for Backup {
    const ADDRESSING: Addressing = Addressing::Nothing;
    const IS_FENCED: bool = true;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::undecided(globals)
    }

    fn run(mut self, cx: &mut Context) -> Result<Code, Failure> {
        if let Some(file) = self.restore.take() {
            return Restore::of(file, self.to.take(), self.age_identity.take(), self.dry_run).run(cx);
        }
        if cx.globals.fence.is_some() {
            return Err(Failure::usage("--fence goes with --restore: a backup changes nothing"));
        }
        if let Some(file) = &self.verify {
            restore::refuse_choice(cx, "--verify looks at a file")?;
            return verify(cx, file, self.age_identity.as_deref());
        }
        if self.age_identity.is_some() {
            return Err(Failure::usage("--age-identity goes with --verify and --restore"));
        }
        if let Some(folder) = self.follow.folder() {
            return self.follow(cx, folder);
        }
        match self.list {
            true => self.list(cx),
            false => self.make(cx),
        }
    }
}

impl Backup {
    fn follow(&self, cx: &mut Context, folder: &Path) -> Result<Code, Failure> {
        if self.list {
            return replica::list(cx, folder);
        }
        let keep_days = self.rules(cx)?.days;
        self.follow.run(cx, folder, self.recipients(cx)?, keep_days)
    }

    fn list(&self, cx: &mut Context) -> Result<Code, Failure> {
        if cx.settings.security_local.value {
            let name = cx.globals.database.as_deref().map_or(Ok(DEFAULT_DATABASE), text)?;
            require_admin_of(cx, &cx.roots().database_file(name)?)?;
        }
        let folder = match self.output.as_ref().or(self.out.as_ref()) {
            Some(folder) => folder.clone(),
            None => backup::default_folder(cx)?,
        };
        let database = cx.globals.database.as_ref().map(|name| name.to_string_lossy().into_owned());
        let listed = list::all(&folder, database.as_deref())?;
        if listed.is_empty() {
            output::note(&format!("there is no backup in {}", folder.display()));
        }
        let is_json = cx.json();
        cx.out.list(is_json, &listed, |out, backup| match is_json {
            true => show_as_json(out.buffer(), backup),
            false => out.line(&shown(backup)),
        });
        cx.out.flush()?;
        Ok(Code::Done)
    }

    fn make(&self, cx: &mut Context) -> Result<Code, Failure> {
        let rules = self.rules(cx)?;
        let recipients = self.recipients(cx)?;
        let target = self.target(cx, recipients.is_some())?;
        let databases = self.databases(cx)?;
        let (mut done, mut late, mut failed) = (Vec::new(), Vec::new(), None);
        for failure in databases.hidden() {
            output::tell(&failure, cx.json());
            failed = Some(failure.code);
        }
        for (name, path) in &databases.found {
            let order = Order { path, name, target: &target, recipients: recipients.as_ref() };
            let one = match self.dry_run {
                true => would(cx, &order, rules),
                false => one(cx, &order, rules),
            };
            match one {
                Ok(mut answer) => {
                    late.extend(answer.failure.take());
                    done.push(answer);
                }
                Err(failure) if self.all => {
                    // The others are made all the same.
                    output::tell(&failure, cx.json());
                    failed = Some(failure.code);
                }
                Err(failure) => return Err(failure),
            }
        }
        self.answer(cx, &done)?;
        for failure in late {
            output::tell(&failure, cx.json());
            failed = Some(failure.code);
        }
        Ok(failed.unwrap_or(Code::Done))
    }

    fn answer(&self, cx: &mut Context, done: &[Answer]) -> Result<(), Failure> {
        let (is_json, is_dry) = (cx.json(), self.dry_run);
        match done {
            [one] if is_json && !self.all => {
                one.as_json(cx.out.buffer(), is_dry);
                cx.out.push(b"\n");
            }
            _ => cx.out.list(is_json, done, |out, one| match is_json {
                true => one.as_json(out.buffer(), is_dry),
                false => one.lines(is_dry).iter().for_each(|line| out.line(line)),
            }),
        }
        cx.out.flush()
    }

    /// What flags say of what is kept, else what the configuration says.
    fn rules(&self, cx: &Context) -> Result<Rules, Failure> {
        let number =
            |flag, text: &Option<String>, least: u64| match text.as_ref().map(|text| text.parse::<u64>()) {
                None => Ok(None),
                Some(Ok(number)) if number >= least => Ok(Some(number)),
                Some(_) => Err(Failure::usage(format!("{flag} needs a whole number, {least} or more"))),
            };
        let given = Rules {
            newest: number("--keep", &self.keep, 1)?,
            days: number("--keep-days", &self.keep_days, 0)?,
        };
        if given != Rules::default() {
            return Ok(given);
        }
        let set = |value: u64| Some(value).filter(|value| *value > 0);
        let settings = &cx.settings;
        Ok(Rules { newest: set(settings.backup_keep.value), days: set(settings.backup_keep_days.value) })
    }

    /// Who can read it, if not everybody who can read the file.
    fn recipients(&self, cx: &Context) -> Result<Option<Recipients>, Failure> {
        if !self.age_recipient.is_empty() {
            return Ok(Some(Recipients::Age(self.age_recipient.clone())));
        }
        if let Some(file) = &self.new_pass_file {
            return secret::passphrase_of(file).map(|phrase| Some(Recipients::Passphrase(phrase)));
        }
        if self.passphrase {
            // Nobody is asked for what is not used.
            return match self.dry_run {
                true => Ok(Some(Recipients::Age(Vec::new()))),
                false => secret::new_passphrase().map(|phrase| Some(Recipients::Passphrase(phrase))),
            };
        }
        let set = &cx.settings.backup_age_recipient.value;
        Ok((!set.is_empty()).then(|| Recipients::Age(vec![set.clone()])))
    }

    fn target(&self, cx: &Context, is_sealed: bool) -> Result<Target, Failure> {
        let Some(output) = self.output.as_ref().or(self.out.as_ref()) else {
            return Ok(Target::Folder(backup::default_folder(cx)?));
        };
        let path = absolute(output).map_err(|error| Failure::io("no such path", &error))?;
        let bytes = output.as_os_str().as_encoded_bytes();
        let ends = |suffix: &str| bytes.ends_with(suffix.as_bytes());
        let is_file = !path.is_dir() && (ends(names::PLAIN) || ends(names::SEALED));
        if !is_file {
            return Ok(Target::Folder(path));
        }
        let wanted = if is_sealed { names::SEALED } else { names::PLAIN };
        if !ends(wanted) {
            return Err(Failure::usage(format!("the name of this archive has to end in {wanted}")));
        }
        if self.all {
            return Err(Failure::usage("--all makes several archives, and needs a folder for them"));
        }
        if self.keep.is_some() || self.keep_days.is_some() {
            return Err(Failure::usage(
                "--keep and --keep-days go with a folder, where backups have names by their days",
            ));
        }
        Ok(Target::File(path))
    }

    /// What is backed up: names and files.
    fn databases(&self, cx: &Context) -> Result<Databases, Failure> {
        if !self.all {
            let selection = cx.selection()?;
            selection.warning.iter().for_each(|warning| output::warn(warning));
            selection.require(cx.surroundings())?;
            let path = absolute(cx.place()?).map_err(|error| Failure::io("no such path", &error))?;
            if !path.try_exists().map_err(|error| cannot_look(&path, &error))? {
                let what = format!("there is no database {} to back up yet", path.display());
                return Err(Failure::new(Code::Error, "no_database", what));
            }
            selection.select(cx.surroundings(), cx.patience())?;
            return Ok(Databases::of_one(backup::name_of(cx, &path), path));
        }
        restore::refuse_choice(cx, "--all is for every database")?;
        let found = cx.roots().databases()?;
        match found.is_empty() {
            true => Err(Failure::new(Code::Error, "no_database", "there is no database to back up yet")),
            false => Ok(found),
        }
    }
}

/// What came of a backup, or would.
struct Answer {
    path: PathBuf,
    made: Option<Made>,
    name: String,
    removed: Vec<PathBuf>,
    /// What went wrong once the archive was in its place.
    failure: Option<Failure>,
}

fn one(cx: &Context, order: &Order<'_>, rules: Rules) -> Result<Answer, Failure> {
    let mut made = backup::make(cx, order)?;
    let failure = made.failure.take();
    let mut removed = Vec::new();
    let name = made.path.file_name().and_then(Name::parse);
    // Where something went wrong, older ones may be needed.
    if let (Target::Folder(folder), Some(name), None) = (order.target, name, &failure) {
        removed = rotate::find(folder, &name, rules)?;
        // The backup is there, and said to be; that old ones are as well is worth a word.
        if let Err(failure) = rotate::remove(folder, &removed) {
            output::warn(&format!("old backups stay; {}", failure.message));
            removed.retain(|path| !path.exists());
        }
    }
    if !removed.is_empty() && !cx.json() {
        output::note(&format!(
            "{} removed",
            output::counted(removed.len() as u64, "old backup was", "old backups were")
        ));
    }
    let (path, name) = (made.path.clone(), order.name.to_owned());
    Ok(Answer { path, name, made: Some(made), removed, failure })
}

fn would(cx: &Context, order: &Order<'_>, rules: Rules) -> Result<Answer, Failure> {
    cx.open_at(order.path)?.require_admin()?;
    let (path, removed) = match order.target {
        Target::File(file) => (file.clone(), Vec::new()),
        Target::Folder(folder) => {
            let name = backup::next_name(folder, order)?;
            let path = folder.join(name.to_string());
            (path, rotate::find(folder, &name, rules)?)
        }
    };
    Ok(Answer { path, made: None, name: order.name.to_owned(), removed, failure: None })
}

impl Answer {
    fn lines(&self, is_dry: bool) -> Vec<String> {
        let path = self.path.display();
        if !is_dry {
            return vec![path.to_string()];
        }
        let removed = self.removed.iter().map(|path| format!("remove {}", path.display()));
        std::iter::once(format!("write {path}")).chain(removed).collect()
    }

    fn as_json(&self, out: &mut Vec<u8>, is_dry: bool) {
        let removed: Vec<_> = self.removed.iter().map(|path| path.display().to_string()).collect();
        let mut object = Object::begin(out);
        object.text("path", &self.path.display().to_string()).text("database", &self.name);
        if let Some(made) = &self.made {
            object
                .text("created", &made.manifest.created)
                .number("revision", made.manifest.revision)
                .number("bytes", made.bytes)
                .raw("encrypted", if made.is_sealed { "true" } else { "false" });
        }
        object.raw("removed", &array(&removed));
        if is_dry {
            object.raw("dry_run", "true");
        }
        object.end();
    }
}

/// A line of the list: name, database, when, bytes, whether it is encrypted, revision.
fn shown(backup: &Listed) -> String {
    let Listed { name, bytes, manifest, .. } = backup;
    let (day, _) = &name.at;
    let created = manifest.as_ref().map_or_else(|| day.to_string(), |manifest| manifest.created.clone());
    let revision = manifest.as_ref().map_or_else(|| "-".to_owned(), |manifest| manifest.revision.to_string());
    let sealed = if name.is_sealed { "encrypted" } else { "plain" };
    format!("{name}\t{}\t{created}\t{bytes}\t{sealed}\t{revision}", name.database)
}

fn show_as_json(out: &mut Vec<u8>, backup: &Listed) {
    let Listed { name, path, bytes, manifest } = backup;
    let manifest = manifest.as_ref();
    Object::begin(out)
        .text("name", &name.to_string())
        .text("path", &path.display().to_string())
        .text("database", &name.database)
        .text("day", &name.at.0.to_string())
        .text_or_null("created", manifest.map(|manifest| manifest.created.as_str()))
        .number("bytes", *bytes)
        .raw("encrypted", if name.is_sealed { "true" } else { "false" })
        .number_or_null("revision", manifest.map(|manifest| manifest.revision))
        .end();
}

/// Checks a backup.
fn verify(cx: &mut Context, file: &Path, identity: Option<&Path>) -> Result<Code, Failure> {
    cx.require_proof()?;
    let unlock = restore::unlock(cx, identity);
    let given = Given { place: file, until: None, unlock: &unlock };
    let unpacked = Unpacked::of(&given, &cx.spill_folder()?, 0)?;
    judge(cx, &unpacked)?;
    unpacked.check_others(file)?;
    let manifest = unpacked.manifest.as_ref();
    let created = manifest.map(|manifest| manifest.created.as_str());
    if cx.json() {
        Object::begin(cx.out.buffer())
            .text("path", &file.display().to_string())
            .text("database", &unpacked.name)
            .text_or_null("created", created)
            .number("revision", unpacked.revision)
            .end();
        cx.out.push(b"\n");
    } else {
        let created = created.map_or_else(String::new, |created| format!(", made {created}"));
        let (name, revision) = (&unpacked.name, unpacked.revision);
        cx.out.line(&format!("{} is whole: database {name}, revision {revision}{created}", file.display()));
    }
    cx.out.flush()?;
    Ok(Code::Done)
}
