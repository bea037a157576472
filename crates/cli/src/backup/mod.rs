//! Backups: archives of a database with the cursors and the configuration, and what is restored from them.
//!
//! `make` is how one comes about: `direct` writes it while the database is read, `sealed` of a copy where it is encrypted, and `proof`
//! compares. `archive` knows how it lies on disk, `gzip`, `member` and `source` how it is compressed and read,
//! `manifest` what it says of itself, `names` what it is called. `unpack` takes one apart and checks it, `restore` puts it in
//! place; `rotate` and `list` look at folders of them, `partial` keeps what is not whole yet. `digest` and `pace` are what both
//! do with large files as they pass by.

mod archive;
mod broken;
mod digest;
mod direct;
mod gzip;
pub mod list;
mod make;
mod manifest;
mod member;
pub mod names;
mod pace;
pub mod partial;
mod proof;
pub mod restore;
pub mod rotate;
mod sealed;
mod source;
mod unpack;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use prontodb_core::coding::Recipients;
use sha2::{Digest as _, Sha256};

use self::archive::Content;
use self::manifest::{CONFIGURATION, CURSOR, CURSORS, Item, MAX_SMALL};
use crate::config;
use crate::context::Context;
use crate::cursors::Selected;
use crate::exit::Failure;
use crate::files;
use crate::output;

pub use self::make::{Made, make, next_name};
pub use self::unpack::{Given, Unpacked};

/// Where a backup goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// To a folder, under the next name of its database and day.
    Folder(PathBuf),
    /// To this file, which is not there yet.
    File(PathBuf),
}

/// A backup that is to be made.
pub struct Order<'a> {
    /// The file of the database.
    pub path: &'a Path,
    /// What the database is called.
    pub name: &'a str,
    /// Where it goes.
    pub target: &'a Target,
    /// Who can read it; `None` is everybody who can read the file.
    pub recipients: Option<&'a Recipients>,
}

/// What a database is called in backups and replicas: its own name, or one made of the path of its file, so that no two
/// have the same.
pub fn name_of(cx: &Context, path: &Path) -> String {
    let real = files::real_path(path);
    own_name(cx, path).or_else(|| own_name(cx, &real)).unwrap_or_else(|| names::of_path(&real))
}

/// The name of a database in the data directory.
fn own_name(cx: &Context, path: &Path) -> Option<String> {
    let name = path.parent()?.file_name()?.to_str()?;
    let file = cx.roots().database_file(name).ok()?;
    (file == path || files::real_path(&file) == path).then(|| name.to_owned())
}

/// The folder of backups that none is named for.
pub fn default_folder(cx: &Context) -> Result<PathBuf, Failure> {
    match cx.settings.backup_directory.value.as_str() {
        "" => Ok(cx.roots().backups_dir()?),
        folder => Ok(folder.into()),
    }
}

/// Cursors and configuration as they are now, with their names in a backup, in its order. What no command can read is left
/// out: no restore would take it.
fn small_files(cx: &Context) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut found = cursors(&cx.roots().cursors_dir()?)?;
    found.sort();
    let path = config::path_in_use(&cx.flags(), cx.roots())?;
    let bytes = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if files::is_absent(&error) => None,
        Err(error) => return Err(cannot_read(&path, &error)),
    };
    match bytes {
        Some(bytes) if bytes.len() as u64 > MAX_SMALL => {
            output::warn(&format!("{} is longer than {MAX_SMALL} bytes, and is left out", path.display()));
        }
        Some(bytes) => match config::check(&path, bytes.clone()) {
            Ok(()) => found.push((CONFIGURATION.to_owned(), bytes)),
            Err(failure) => output::warn(&format!("the configuration is left out; {}", failure.message)),
        },
        None => {}
    }
    Ok(found)
}

fn cursors(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if files::is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(cannot_read(folder, &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| cannot_read(folder, &error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_cursor(name))
        else {
            continue;
        };
        match files::read_small(&path) {
            Ok(Some(bytes)) => match Selected::parse(&bytes) {
                Ok(_) => found.push((format!("{CURSORS}{name}"), bytes)),
                Err(why) => {
                    output::warn(&format!("the cursor file {} is left out; {why}", path.display()));
                }
            },
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                output::warn(&format!("the cursor file {} is left out; {error}", path.display()));
            }
            Err(error) => return Err(cannot_read(&path, &error)),
        }
    }
    Ok(found)
}

/// Whether a file among the cursors is one.
fn is_cursor(name: &str) -> bool {
    name.ends_with(CURSOR)
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What the manifest says of these bytes.
fn item_of(name: &str, bytes: &[u8]) -> Item {
    Item { name: name.to_owned(), bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
}

/// What the manifest says of this file.
fn item_of_file(name: &str, path: &Path) -> Result<Item, Failure> {
    let item = File::open(path).and_then(|mut file| item_of_open(name, &mut file));
    item.map_err(|error| cannot_read(path, &error))
}

fn item_of_open(name: &str, file: &mut File) -> io::Result<Item> {
    let (mut digest, mut buffer, mut bytes) = (Sha256::new(), vec![0; 128 * 1024], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Item { name: name.to_owned(), bytes, sha256: hex(&digest.finalize()) }),
            Ok(length) => {
                digest.update(&buffer[..length]);
                bytes += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The items of the manifest for these files, and their contents.
fn with_items(files: Vec<(String, Vec<u8>)>) -> (Vec<Item>, Vec<Content>) {
    files.into_iter().map(|(name, bytes)| (item_of(&name, &bytes), Content::Bytes(bytes))).unzip()
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot read {}", path.display()), error)
}
