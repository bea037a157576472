//! Files that something is restored from: what kind they are of, and how they are read.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use flate2::bufread::MultiGzDecoder;
use prontodb_core::coding::open_stream;
use prontodb_core::store::Unlock;

use super::broken::Broken;
use crate::exit::Failure;

/// What is decompressed at a time.
const PIECE: usize = 256 * 1024;
/// Pieces that may be waiting.
const AHEAD: usize = 4;

/// What something is restored from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An archive.
    Archive,
    /// An archive that is encrypted.
    Sealed,
    /// A database file.
    Database,
    /// A folder with the files of an archive in it.
    Folder,
}

impl Kind {
    /// What is at `path`, judged by how it begins.
    pub fn of(path: &Path) -> Result<Self, Broken> {
        let cannot = |error| Failure::io(format_args!("cannot read {}", path.display()), &error);
        let about = fs::metadata(path).map_err(cannot)?;
        if about.is_dir() {
            return Ok(Self::Folder);
        }
        if !about.is_file() {
            return Err(Broken::foreign("it is neither a file nor a folder"));
        }
        let mut start = Vec::new();
        File::open(path).and_then(|file| file.take(32).read_to_end(&mut start)).map_err(cannot)?;
        let kinds: [(&[u8], Self); 4] = [
            (b"\x1f\x8b", Self::Archive),
            (b"SQLite format 3\0", Self::Database),
            (b"age-encryption.org/", Self::Sealed),
            (b"-----BEGIN AGE ENCRYPTED", Self::Sealed),
        ];
        match kinds.iter().find(|(sign, _)| start.starts_with(sign)) {
            Some((_, kind)) => Ok(*kind),
            None if start.is_empty() => Err(Broken::damaged("it is empty")),
            None => Err(Broken::foreign("it is neither an archive nor a database of prontodb")),
        }
    }
}

/// Has `body` read an archive, which is decrypted and decompressed on another thread meanwhile.
pub fn read<T>(
    path: &Path,
    unlock: &Unlock,
    body: impl FnOnce(&mut dyn BufRead) -> Result<T, Broken>,
) -> Result<T, Broken> {
    let file = File::open(path);
    let file = file.map_err(|error| Failure::io(format_args!("cannot read {}", path.display()), &error))?;
    read_open(file, path, unlock, body)
}

/// The same of a file that is open.
pub fn read_open<T>(
    mut file: File,
    path: &Path,
    unlock: &Unlock,
    body: impl FnOnce(&mut dyn BufRead) -> Result<T, Broken>,
) -> Result<T, Broken> {
    let mut sign = [0; 2];
    let rewound = file.read(&mut sign).and_then(|_| file.rewind());
    rewound.map_err(|error| Broken::reading(&error, path))?;
    let from: Box<dyn Read + Send> = match &sign {
        b"\x1f\x8b" => Box::new(file),
        _ => Box::new(open_stream(file, unlock).map_err(|error| match error.kind() {
            prontodb_core::ErrorKind::Damaged => Broken::damaged(error.to_string()),
            _ => {
                let mut failure = Failure::from(error);
                failure.message = format!("cannot open the backup {}; {}", path.display(), failure.message);
                Broken::Failed(failure)
            }
        })?),
    };
    thread::scope(|scope| {
        let ((sender, pieces), (done, spare)) = (sync_channel(AHEAD), channel());
        scope.spawn(move || decompress(from, &sender, &spare));
        body(&mut Pieces { pieces, done, piece: Vec::new(), at: 0 })
    })
}

/// Sends what a gzip file holds, until nobody takes it any more.
fn decompress(from: impl Read, to: &SyncSender<io::Result<Vec<u8>>>, spare: &Receiver<Vec<u8>>) {
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(PIECE, from));
    loop {
        let mut piece = spare.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let (filled, read) = fill(&mut decoder, &mut piece);
        piece.truncate(filled);
        // What came before an error has to be seen, too.
        if filled > 0 && to.send(Ok(piece)).is_err() {
            return;
        }
        if let Err(error) = read {
            let _ = to.send(Err(error));
            return;
        }
        if filled < PIECE {
            return;
        }
    }
}

/// Fills a buffer, unless the end or an error comes before; how much of it. The standard library would clear it every time.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}

/// Reads what another thread sends.
struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Takes pieces that can be used again: fresh ones of this size come from the kernel page by page.
    done: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            let Ok(piece) = self.pieces.recv() else { return Ok(&[]) };
            let read = std::mem::replace(&mut self.piece, piece?);
            self.at = 0;
            // The thread may have come to its end already.
            let _ = self.done.send(read);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = buffer.len().min(piece.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}
