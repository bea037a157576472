//! Compression on two threads: a gzip file is any number of members behind each other, so that blocks can be compressed each
//! by itself.
//!
//! Two threads are the one exception from a program without any (docs/design/0015-backups.md): a backup of a large database
//! would otherwise take a multiple of the time of a copy.

use std::io::{self, Read as _, Write};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::member;

/// What is compressed at a time.
const BLOCK: usize = 256 * 1024;
const WORKERS: usize = 2;
/// Blocks on their way, so that nobody waits and memory stays bounded.
const AHEAD: usize = 2 * WORKERS;
/// How much of a block is tried to find out whether it is worth compressing.
const SAMPLE: usize = 8 * 1024;
/// Behind blocks that were not worth it at most so many are taken to be like them.
const ALIKE: usize = 15;

/// Where blocks go, in their order, once it is clear what becomes of them.
pub trait Take {
    /// Takes a block. Another buffer may be left in its place, and then a buffer is made anew less often.
    ///
    /// # Errors
    /// Those of writing.
    fn take(&mut self, block: &mut Vec<u8>, form: &Form) -> io::Result<()>;
}

/// Members are written behind each other, and that is all.
impl<W: Write> Take for W {
    fn take(&mut self, block: &mut Vec<u8>, form: &Form) -> io::Result<()> {
        form.write(block, self)
    }
}

/// What becomes of a block.
pub struct Form {
    /// The checksum of the block.
    pub sum: u32,
    /// The member that holds it; none where it is stored as it is.
    pub member: Option<Vec<u8>>,
}

impl Form {
    /// How long its member is.
    pub fn length(&self, block: &[u8]) -> usize {
        self.member.as_ref().map_or_else(|| member::stored_length(block.len()), Vec::len)
    }

    /// Writes its member.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, block: &[u8], to: &mut impl Write) -> io::Result<()> {
        match &self.member {
            Some(member) => to.write_all(member),
            None => member::store(block, self.sum, to),
        }
    }
}

/// What is written to it arrives compressed.
pub struct Compressor<T> {
    out: T,
    block: Vec<u8>,
    workers: Vec<Worker>,
    /// Buffers that can be used again, for blocks and for members: fresh ones of this size come from the kernel page by page.
    blocks: Vec<Vec<u8>>,
    members: Vec<Vec<u8>>,
    sent: usize,
    received: usize,
}

/// A thread that compresses blocks in the order they come.
struct Worker {
    /// Each block with a buffer for what it may become.
    blocks: SyncSender<(Vec<u8>, Vec<u8>)>,
    results: Receiver<io::Result<Worked>>,
}

/// A block, what becomes of it, and the buffer if that was not used.
struct Worked {
    block: Vec<u8>,
    form: Form,
    spare: Option<Vec<u8>>,
}

impl<T: Take> Compressor<T> {
    /// Compresses on threads of `scope`. With `proves`, each block is decompressed again and compared.
    pub fn on<'scope>(scope: &'scope Scope<'scope, '_>, out: T, proves: bool) -> Self {
        let workers = (0..WORKERS).map(|_| Worker::on(scope, proves)).collect();
        Self {
            out,
            block: Vec::with_capacity(BLOCK),
            workers,
            blocks: Vec::new(),
            members: Vec::new(),
            sent: 0,
            received: 0,
        }
    }

    /// Where blocks go.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.out
    }

    /// Compresses these bytes as a block of their own, and leaves another buffer in their place, whatever that holds.
    ///
    /// # Errors
    /// Those of writing.
    pub fn put(&mut self, block: &mut Vec<u8>) -> io::Result<()> {
        self.flush_block()?;
        let next = self.blocks.pop().unwrap_or_default();
        self.send(mem::replace(block, next))
    }

    /// Compresses what is left.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<T> {
        self.flush_block()?;
        while self.received < self.sent {
            self.receive()?;
        }
        Ok(self.out)
    }

    fn flush_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut next = self.blocks.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
        next.clear();
        let block = mem::replace(&mut self.block, next);
        self.send(block)
    }

    fn send(&mut self, block: Vec<u8>) -> io::Result<()> {
        if self.sent - self.received == AHEAD {
            self.receive()?;
        }
        let mut buffer = self.members.pop().unwrap_or_default();
        buffer.clear();
        self.workers[self.sent % WORKERS].blocks.send((block, buffer)).map_err(|_| gone())?;
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let worked = self.workers[self.received % WORKERS].results.recv().map_err(|_| gone())??;
        let Worked { mut block, form, spare } = worked;
        self.received += 1;
        self.out.take(&mut block, &form)?;
        self.blocks.push(block);
        self.members.extend(form.member.or(spare));
        Ok(())
    }
}

impl<T: Take> Write for Compressor<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.flush_block()?;
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
        let (done, results) = sync_channel(AHEAD);
        scope.spawn(move || {
            let mut trial = Trial::new();
            for (block, buffer) in taken {
                if done.send(work(block, buffer, &mut trial, proves)).is_err() {
                    break;
                }
            }
        });
        Self { blocks, results }
    }
}

fn work(block: Vec<u8>, mut buffer: Vec<u8>, trial: &mut Trial, proves: bool) -> io::Result<Worked> {
    let sum = member::sum_of(&block);
    let member = if trial.is_worth_it(&block) {
        compress(&block, buffer)?
    } else if proves {
        member::store(&block, sum, &mut buffer)?;
        buffer
    } else {
        return Ok(Worked { block, form: Form { sum, member: None }, spare: Some(buffer) });
    };
    if proves && !holds(&member, &block) {
        return Err(io::Error::other("what was compressed is not what comes out again"));
    }
    Ok(Worked { block, form: Form { sum, member: Some(member) }, spare: None })
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

fn compress(block: &[u8], buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(buffer, Compression::fast());
    encoder.write_all(block)?;
    encoder.finish()
}

/// Finds out whether blocks are worth compressing.
struct Trial {
    compress: Compress,
    sample: Vec<u8>,
    result: Vec<u8>,
    /// How many blocks are taken to be like the one that was last not worth it: twice as many each time.
    alike: usize,
    /// How many of them are still to come.
    untried: usize,
}

impl Trial {
    fn new() -> Self {
        let compress = Compress::new(Compression::fast(), false);
        let (sample, result) = (Vec::with_capacity(2 * SAMPLE), Vec::with_capacity(4 * SAMPLE));
        Self { compress, sample, result, alike: 0, untried: 0 }
    }

    /// Whether compression saves half of what is tried, from the start and from the middle. Where it saves less, to compress
    /// takes several times as long as to write what it would save.
    fn is_worth_it(&mut self, block: &[u8]) -> bool {
        if self.untried > 0 {
            self.untried -= 1;
            return false;
        }
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
        let is_worth_it = self.result.len() < self.sample.len() / 2;
        self.alike = if is_worth_it { 0 } else { ALIKE.min(2 * self.alike + 1) };
        self.untried = self.alike;
        is_worth_it
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
pub(super) mod tests {
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

    /// Bytes that nothing compresses, the same each time.
    pub fn noise(length: usize) -> Vec<u8> {
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
        for bytes in [&b"x"[..], &noise(65_535), &noise(65_536), &mixed[..BLOCK], &mixed[..BLOCK + 1], &mixed]
        {
            for proves in [false, true] {
                let mut back = Vec::new();
                MultiGzDecoder::new(&compressed(bytes, proves)[..]).read_to_end(&mut back).unwrap();
                assert!(back == bytes, "{} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn what_compresses_is_noticed_behind_what_does_not() {
        let blocks = (2 * ALIKE + 2) * WORKERS;
        let compressing = vec![7; 2 * ALIKE * WORKERS * BLOCK];
        let length = compressed(&[noise(blocks * BLOCK), compressing].concat(), false).len();
        assert!(length < (blocks + (ALIKE + 1) * WORKERS) * BLOCK, "{length}");
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
