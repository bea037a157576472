//! Compression on two threads: a gzip file is any number of members behind each other, so that blocks can be compressed each
//! by itself.
//!
//! Two threads are the one exception from a program without any (docs/design/0015-backups.md): a backup of a large database
//! would otherwise take a multiple of the time of a copy.

use std::io::{self, Read as _, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// What is compressed at a time.
const BLOCK: usize = 256 * 1024;
const WORKERS: usize = 2;
/// Blocks on their way, so that nobody waits and memory stays bounded.
const AHEAD: usize = 2 * WORKERS;
/// What a member takes besides its block, when that is stored.
const ROOM: usize = 1024;
/// How much of a block is tried to find out whether it is worth compressing.
const SAMPLE: usize = 8 * 1024;
/// How a member begins that says nothing of itself: RFC 1952, section 2.3.
const MEMBER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// What one stored block of deflate holds at most: RFC 1951, section 3.2.4.
const MAX_STORED: usize = 65535;

/// What is written to it arrives compressed.
pub struct Compressor<W> {
    out: W,
    block: Vec<u8>,
    workers: Vec<Worker>,
    /// Buffers that can be used again: fresh ones of this size come from the kernel page by page.
    spare: Vec<Vec<u8>>,
    sent: usize,
    received: usize,
}

/// A thread that compresses blocks in the order they come.
struct Worker {
    /// Each block with a buffer for what it becomes.
    blocks: SyncSender<(Vec<u8>, Vec<u8>)>,
    /// The buffer of the block, and what it has become.
    members: Receiver<io::Result<(Vec<u8>, Vec<u8>)>>,
}

impl<W: Write> Compressor<W> {
    /// Compresses on threads of `scope`. With `proves`, each block is decompressed again and compared.
    pub fn on<'scope>(scope: &'scope Scope<'scope, '_>, out: W, proves: bool) -> Self {
        let workers = (0..WORKERS).map(|_| Worker::on(scope, proves)).collect();
        Self { out, block: Vec::with_capacity(BLOCK), workers, spare: Vec::new(), sent: 0, received: 0 }
    }

    /// Compresses what is left.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.send()?;
        }
        while self.received < self.sent {
            self.receive()?;
        }
        Ok(self.out)
    }

    fn send(&mut self) -> io::Result<()> {
        if self.sent - self.received == AHEAD {
            self.receive()?;
        }
        let (next, member) = (self.buffer(), self.buffer());
        let block = std::mem::replace(&mut self.block, next);
        self.workers[self.sent % WORKERS].blocks.send((block, member)).map_err(|_| gone())?;
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let (block, member) = self.workers[self.received % WORKERS].members.recv().map_err(|_| gone())??;
        self.received += 1;
        self.out.write_all(&member)?;
        self.spare.extend([block, member]);
        Ok(())
    }

    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK + ROOM));
        buffer.clear();
        buffer
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Worker {
    fn on<'scope>(scope: &'scope Scope<'scope, '_>, proves: bool) -> Self {
        let (blocks, taken) = sync_channel::<(Vec<u8>, Vec<u8>)>(AHEAD);
        let (done, members) = sync_channel(AHEAD);
        scope.spawn(move || {
            let mut trial = Trial::new();
            for (block, buffer) in taken {
                let member = match trial.is_worth_it(&block) {
                    true => compress(&block, buffer),
                    false => Ok(store(&block, buffer)),
                };
                let member = member.and_then(|member| match proves && !holds(&member, &block) {
                    true => Err(io::Error::other("what was compressed is not what comes out again")),
                    false => Ok((block, member)),
                });
                if done.send(member).is_err() {
                    break;
                }
            }
        });
        Self { blocks, members }
    }
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

fn compress(bytes: &[u8], buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(buffer, Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// A member that holds its block as it is. The library would make room for a compressor first, which takes longer than this.
fn store(bytes: &[u8], mut member: Vec<u8>) -> Vec<u8> {
    member.extend_from_slice(&MEMBER);
    let mut pieces = bytes.chunks(MAX_STORED).peekable();
    while let Some(piece) = pieces.next() {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        member.push(u8::from(pieces.peek().is_none()));
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(piece);
    }
    let mut sum = Crc::new();
    sum.update(bytes);
    member.extend_from_slice(&sum.sum().to_le_bytes());
    member.extend_from_slice(&sum.amount().to_le_bytes());
    member
}

/// Finds out whether blocks are worth compressing.
struct Trial {
    compress: Compress,
    sample: Vec<u8>,
    result: Vec<u8>,
}

impl Trial {
    fn new() -> Self {
        let compress = Compress::new(Compression::fast(), false);
        Self { compress, sample: Vec::with_capacity(2 * SAMPLE), result: Vec::with_capacity(4 * SAMPLE) }
    }

    /// Whether compression saves half of what is tried, from the start and from the middle. Where it saves less, to compress
    /// takes several times as long as to write what it would save.
    fn is_worth_it(&mut self, block: &[u8]) -> bool {
        let piece = |at: usize| &block[at..block.len().min(at + SAMPLE)];
        self.sample.clear();
        self.sample.extend_from_slice(piece(0));
        self.sample.extend_from_slice(piece(block.len() / 2));
        self.result.clear();
        let done = self.compress.compress_vec(&self.sample, &mut self.result, FlushCompress::Finish);
        if !matches!(done, Ok(Status::StreamEnd)) {
            // One that is reset before it was done panics (zlib-rs 0.6).
            self.compress = Compress::new(Compression::fast(), false);
            return false;
        }
        self.compress.reset();
        self.result.len() < self.sample.len() / 2
    }
}

/// Whether a member holds this block and nothing else.
fn holds(member: &[u8], block: &[u8]) -> bool {
    let mut decoder = GzDecoder::new(member);
    let mut buffer = vec![0; 64 * 1024];
    let mut rest = block;
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return rest.is_empty(),
            Ok(length) if rest.starts_with(&buffer[..length]) => rest = &rest[length..],
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn compressed(bytes: &[u8], proves: bool) -> Vec<u8> {
        thread::scope(|scope| {
            let mut compressor = Compressor::on(scope, Vec::new(), proves);
            compressor.write_all(bytes).unwrap();
            compressor.finish().unwrap()
        })
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn all_that_goes_in_comes_out_in_its_order() {
        let mut mixed = noise(3 * BLOCK / 2);
        mixed.extend(vec![7; 5 * BLOCK]);
        mixed.extend(noise(100));
        for bytes in [
            &b"x"[..],
            &noise(MAX_STORED),
            &noise(MAX_STORED + 1),
            &mixed[..BLOCK],
            &mixed[..BLOCK + 1],
            &mixed,
        ] {
            for proves in [false, true] {
                let mut back = Vec::new();
                MultiGzDecoder::new(&compressed(bytes, proves)[..]).read_to_end(&mut back).unwrap();
                assert!(back == bytes, "{} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn what_does_not_compress_is_hardly_longer() {
        let bytes = noise(4 * BLOCK);
        assert!(compressed(&bytes, false).len() < bytes.len() + 1024);
        assert!(compressed(&vec![0; 4 * BLOCK], false).len() < BLOCK / 10);
    }

    #[test]
    fn a_member_that_holds_something_else_is_noticed() {
        let member = compress(b"some text", Vec::new()).unwrap();
        assert!(holds(&member, b"some text"));
        assert!(
            !holds(&member, b"some tex")
                && !holds(&member, b"some text!")
                && !holds(&member[1..], b"some text")
        );
    }
}
