//! The archive as it lies on disk: a tar file of a manifest and the files that it names, in their order and no others.
//!
//! Writing makes what `tar` reads. Reading takes nothing but that: a header that is not the one that has to come next ends
//! it, so that no name, link or length of an archive is ever acted upon.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::iter;
use std::mem;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::broken::Broken;
use super::manifest::{MANIFEST, MAX_BYTES, Manifest};

/// What lengths in a tar file are rounded up to.
const BLOCK: usize = 512;
/// What is read at a time.
const PIECE: usize = 128 * 1024;
/// Names that are longer stand in an entry of their own.
const LONGEST_NAME: usize = 100;
/// What an entry is called that holds the name of the next one.
const LONG_LINK: &[u8] = b"././@LongLink";

/// What a file of an archive is made from.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Content {
    /// Reads it from its beginning.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Bytes(bytes) => Box::new(&bytes[..]),
        })
    }
}

/// Writes an archive of a manifest and of what its files hold.
///
/// # Errors
/// Those of reading and writing.
pub fn write<W: Write>(manifest: &Manifest, contents: &[Content], seconds: u64, mut out: W) -> io::Result<W> {
    out.write_all(&head(manifest, manifest.to_json().len(), seconds)?)?;
    if let (Some(database), Some(content)) = (manifest.files.first(), contents.first()) {
        copy(database.bytes, content.open()?, &mut out)?;
    }
    write_rest(manifest, contents.get(1..).unwrap_or_default(), seconds, out)
}

/// What is in front of the database: the manifest, filled up with blanks to so many bytes, and a header.
///
/// # Errors
/// A manifest that is longer.
pub fn head(manifest: &Manifest, room: usize, seconds: u64) -> io::Result<Vec<u8>> {
    let Some(database) = manifest.files.first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut text = manifest.to_json();
    let blanks = room.checked_sub(text.len()).ok_or(io::ErrorKind::InvalidInput)?;
    text.splice(text.len() - 1..text.len() - 1, iter::repeat_n(b' ', blanks));
    let mut builder = tar::Builder::new(Vec::new());
    append(&mut builder, MANIFEST, text.len() as u64, seconds, &text[..])?;
    // Names of databases are never long.
    let mut head = mem::take(builder.get_mut());
    head.extend_from_slice(header(&database.name, database.bytes, seconds)?.as_bytes());
    Ok(head)
}

/// Writes what is behind the database: what its last block is filled up with, the other files, and the end.
///
/// # Errors
/// Those of reading and writing.
pub fn write_rest<W: Write>(
    manifest: &Manifest,
    others: &[Content],
    seconds: u64,
    mut out: W,
) -> io::Result<W> {
    if let Some(database) = manifest.files.first() {
        out.write_all(&[0; BLOCK][..padding_of(database.bytes)])?;
    }
    let mut builder = tar::Builder::new(out);
    for (item, content) in manifest.files.iter().skip(1).zip(others) {
        append(&mut builder, &item.name, item.bytes, seconds, content.open()?)?;
    }
    builder.into_inner()
}

fn header(name: &str, bytes: u64, seconds: u64) -> io::Result<Header> {
    let mut header = unnamed_header(bytes, seconds);
    header.set_path(name)?;
    header.set_cksum();
    Ok(header)
}

fn unnamed_header(bytes: u64, seconds: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(seconds);
    header
}

fn append<W: Write>(
    builder: &mut tar::Builder<W>,
    name: &str,
    bytes: u64,
    seconds: u64,
    content: impl Read,
) -> io::Result<()> {
    if name.len() > LONGEST_NAME {
        return builder.append_data(&mut unnamed_header(bytes, seconds), name, content.take(bytes));
    }
    // The builder would copy in pieces of 8 KiB.
    let out = builder.get_mut();
    out.write_all(header(name, bytes, seconds)?.as_bytes())?;
    copy(bytes, content, out)?;
    out.write_all(&[0; BLOCK][..padding_of(bytes)])
}

fn copy(bytes: u64, mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let (mut left, mut buffer) = (bytes, vec![0; PIECE]);
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        from.read_exact(&mut buffer[..length])?;
        to.write_all(&buffer[..length])?;
        left -= length as u64;
    }
    Ok(())
}

/// How many bytes fill up the last block.
fn padding_of(bytes: u64) -> usize {
    (bytes.next_multiple_of(BLOCK as u64) - bytes) as usize
}

/// What is done with the files of an archive as they are read.
pub trait Visit {
    /// The manifest has been read.
    fn manifest(&mut self, manifest: &Manifest) -> Result<(), Broken>;
    /// The file of this number begins.
    fn begin(&mut self, number: usize) -> Result<(), Broken>;
    /// It goes on with these bytes.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken>;
    /// It is complete.
    fn end(&mut self, number: usize) -> Result<(), Broken>;
}

/// Reads all of an archive, which lies at `path`, in a form that is neither compressed nor encrypted any more.
///
/// # Errors
/// Whatever is not exactly an archive of ours, and those of `visit`.
pub fn read(from: impl BufRead, path: &Path, visit: &mut dyn Visit) -> Result<Manifest, Broken> {
    let mut reader = Reader { from, path };
    let manifest = reader.manifest()?;
    visit.manifest(&manifest)?;
    for (number, item) in manifest.files.iter().enumerate() {
        reader.expect(&item.name, item.bytes)?;
        visit.begin(number)?;
        reader.pass(item.bytes, &mut |bytes| visit.bytes(bytes))?;
        visit.end(number)?;
    }
    reader.end()?;
    Ok(manifest)
}

/// Reads the manifest of an archive and nothing else.
///
/// # Errors
/// Whatever does not begin as an archive of ours.
pub fn read_manifest(from: impl BufRead, path: &Path) -> Result<Manifest, Broken> {
    Reader { from, path }.manifest()
}

struct Reader<'a, R> {
    from: R,
    path: &'a Path,
}

impl<R: BufRead> Reader<'_, R> {
    fn manifest(&mut self) -> Result<Manifest, Broken> {
        let is_ours = |header: &Header| {
            header.path_bytes().as_ref() == MANIFEST.as_bytes() && header.entry_type() == EntryType::Regular
        };
        let Some(header) = self.header()?.filter(is_ours) else {
            // A damaged archive may look like that, too: the checksum stands behind.
            for _ in 0..2 {
                let length = self.piece()?.len();
                self.from.consume(length);
            }
            return Err(Broken::foreign("it holds no archive of prontodb"));
        };
        let bytes = size_of(&header)?;
        if bytes > MAX_BYTES {
            return Err(Broken::damaged("its manifest is too long"));
        }
        let mut text = Vec::with_capacity(bytes as usize);
        self.pass(bytes, &mut |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        Manifest::parse(&text)
    }

    /// Takes the header of this file, and no other.
    fn expect(&mut self, name: &str, bytes: u64) -> Result<(), Broken> {
        let mut header = self.tar_header()?;
        let mut shown = name.as_bytes();
        if name.len() > LONGEST_NAME {
            // The name comes first, as the content of another entry.
            let is_name = header.path_bytes().as_ref() == LONG_LINK
                && header.entry_type() == EntryType::GNULongName
                && size_of(&header)? == name.len() as u64 + 1;
            let mut found = Vec::new();
            if is_name {
                self.pass(name.len() as u64 + 1, &mut |bytes| {
                    found.extend_from_slice(bytes);
                    Ok(())
                })?;
            }
            if found.strip_suffix(b"\0") != Some(name.as_bytes()) {
                return Err(Broken::damaged(format!("{name} is missing in its place")));
            }
            shown = &name.as_bytes()[..LONGEST_NAME];
            header = self.tar_header()?;
        }
        if header.path_bytes().as_ref() != shown || header.entry_type() != EntryType::Regular {
            return Err(Broken::damaged(format!("{name} is missing in its place")));
        }
        match size_of(&header)? {
            found if found == bytes => Ok(()),
            _ => Err(Broken::damaged(format!("{name} has another length than the manifest says"))),
        }
    }

    fn tar_header(&mut self) -> Result<Header, Broken> {
        self.header()?.ok_or_else(|| Broken::damaged("a header of tar is not right"))
    }

    /// The next block as a header, if it is one.
    fn header(&mut self) -> Result<Option<Header>, Broken> {
        let mut header = Header::new_old();
        self.from.read_exact(header.as_mut_bytes()).map_err(|error| Broken::reading(&error, self.path))?;
        let sum: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
        let noted = &header.as_bytes()[148..156];
        // The sum is made as if blanks stood in its own place.
        let blank = sum - noted.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ');
        let is_tar = &header.as_bytes()[257..262] == b"ustar" && header.cksum().is_ok_and(|sum| sum == blank);
        Ok(is_tar.then_some(header))
    }

    /// Hands on so many bytes, and passes what fills up their last block.
    fn pass(
        &mut self,
        bytes: u64,
        hand_on: &mut dyn FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut left = bytes;
        while left > 0 {
            let piece = self.piece()?;
            if piece.is_empty() {
                return Err(Broken::reading(&io::ErrorKind::UnexpectedEof.into(), self.path));
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            hand_on(&piece[..length])?;
            self.from.consume(length);
            left -= length as u64;
        }
        let padding = &mut [0; BLOCK][..padding_of(bytes)];
        self.from.read_exact(padding).map_err(|error| Broken::reading(&error, self.path))?;
        nothing_but_zeros(padding)
    }

    /// Two blocks of zeros end an archive; more may follow, for some programs fill up a larger unit.
    fn end(&mut self) -> Result<(), Broken> {
        let mut ending = [0; 2 * BLOCK];
        self.from.read_exact(&mut ending).map_err(|error| Broken::reading(&error, self.path))?;
        nothing_but_zeros(&ending)?;
        loop {
            let piece = match self.from.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(piece) => piece,
                Err(error) => return Err(self.behind_end(&error)),
            };
            nothing_but_zeros(piece).map_err(|_| Broken::damaged(BEHIND_END))?;
            let length = piece.len();
            self.from.consume(length);
        }
    }

    /// What it means that something behind the end cannot be read: a few bytes may be the beginning of anything.
    fn behind_end(&self, error: &io::Error) -> Broken {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Broken::damaged(format!("the last of it has been cut off, or {BEHIND_END}"))
            }
            _ if error.to_string().contains("header") => Broken::damaged(BEHIND_END),
            _ => Broken::reading(error, self.path),
        }
    }

    /// What comes next and is in memory; empty at the end.
    fn piece(&mut self) -> Result<&[u8], Broken> {
        self.from.fill_buf().map_err(|error| Broken::reading(&error, self.path))
    }
}

/// What is wrong with an archive that somebody has appended to.
const BEHIND_END: &str = "other bytes stand behind its end";

fn size_of(header: &Header) -> Result<u64, Broken> {
    header.entry_size().map_err(|_| Broken::damaged("a header of tar is not right"))
}

fn nothing_but_zeros(bytes: &[u8]) -> Result<(), Broken> {
    match bytes.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(Broken::damaged("something stands where nothing may be")),
    }
}
