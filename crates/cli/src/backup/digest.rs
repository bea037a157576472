//! Checksums of what passes by, made on a thread of their own.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};

use super::hex;
use super::manifest::Item;

/// Pieces that may be waiting.
const AHEAD: usize = 4;

/// Makes the checksum of what it is given, while whoever gives it goes on.
pub struct Digester {
    pieces: SyncSender<Vec<u8>>,
    /// Pieces that can be used again.
    spare: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
    bytes: u64,
}

impl Digester {
    /// One that has seen nothing.
    pub fn new() -> Self {
        let (pieces, taken) = sync_channel(AHEAD);
        let (done, spare) = channel();
        let thread = thread::spawn(move || digest(&taken, &done));
        Self { pieces, spare, thread, bytes: 0 }
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut piece: Vec<u8> = self.spare.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        self.send(piece);
    }

    /// Goes on with all of a buffer, for which another one comes back, whatever that holds.
    pub fn give(&mut self, piece: Vec<u8>) -> Vec<u8> {
        self.send(piece);
        self.spare.try_recv().unwrap_or_default()
    }

    fn send(&mut self, piece: Vec<u8>) {
        self.bytes += piece.len() as u64;
        // The thread ends with this sender, and not before.
        let _ = self.pieces.send(piece);
    }

    /// What a manifest says of all that was given, under this name.
    pub fn finish(self, name: &str) -> Item {
        drop(self.pieces);
        let digest = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Item { name: name.to_owned(), bytes: self.bytes, sha256: hex(&digest.finalize()) }
    }
}

fn digest(pieces: &Receiver<Vec<u8>>, done: &Sender<Vec<u8>>) -> Sha256 {
    let mut digest = Sha256::new();
    for piece in pieces {
        digest.update(&piece);
        // Who has given it may be done.
        let _ = done.send(piece);
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::super::item_of;
    use super::*;

    #[test]
    fn the_checksum_is_that_of_all_bytes_in_their_order() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n >> 3) as u8).collect();
        let mut digester = Digester::new();
        bytes.chunks(77_777).for_each(|piece| digester.update(piece));
        assert_eq!(digester.finish("x"), item_of("x", &bytes));
        assert_eq!(Digester::new().finish("y"), item_of("y", b""));
    }
}
