//! Members of a gzip file that hold a block as it is: how they lie, and what lies where in them.
//!
//! The library would make room for a compressor first, which takes longer than all that is done here.

use std::io::{self, ErrorKind, IoSlice, Write};

use flate2::Crc;

/// How a member begins that says nothing of itself: RFC 1952, section 2.3.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A checksum and a length end a member.
const TAIL_BYTES: usize = 8;
/// What one stored block of deflate holds here: RFC 1951, section 3.2.4, allows 65535. No page of a database but the largest
/// lies in two of them.
const PIECE: usize = 32 * 1024;
/// Whether it is the last, its length, and that once more inverted.
const PIECE_HEAD_BYTES: usize = 5;

/// The checksum that a member says its block has.
pub fn sum_of(block: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(block);
    sum.sum()
}

/// How long a member is that holds so many bytes as they are.
pub fn stored_length(bytes: usize) -> usize {
    HEAD.len() + bytes.div_ceil(PIECE) * PIECE_HEAD_BYTES + bytes + TAIL_BYTES
}

/// Where in such a member a byte of its block lies, and how many lie behind each other from there on, as long as the block goes on.
pub fn place_in_stored(at: usize) -> (usize, usize) {
    (HEAD.len() + (at / PIECE + 1) * PIECE_HEAD_BYTES + at, PIECE - at % PIECE)
}

/// Writes a member that holds a block as it is. `sum` is its checksum.
///
/// # Errors
/// Those of writing.
pub fn store(block: &[u8], sum: u32, to: &mut impl Write) -> io::Result<()> {
    let (pieces, tail) = (block.chunks(PIECE), tail(block.len(), sum));
    let last = pieces.len().saturating_sub(1);
    let heads: Vec<_> = pieces.clone().enumerate().map(|(i, piece)| piece_head(piece, i == last)).collect();
    let mut slices = Vec::with_capacity(2 + 2 * heads.len());
    slices.push(IoSlice::new(&HEAD));
    slices
        .extend(heads.iter().zip(pieces).flat_map(|(head, piece)| [IoSlice::new(head), IoSlice::new(piece)]));
    slices.push(IoSlice::new(&tail));
    write_all(&mut slices, to)
}

fn piece_head(piece: &[u8], is_last: bool) -> [u8; PIECE_HEAD_BYTES] {
    let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
    let ([a, b], [c, d]) = (length.to_le_bytes(), (!length).to_le_bytes());
    [u8::from(is_last), a, b, c, d]
}

fn tail(bytes: usize, sum: u32) -> [u8; TAIL_BYTES] {
    // Of longer blocks the length modulo 2^32 stands there.
    let [a, b, c, d] = sum.to_le_bytes();
    let [e, f, g, h] = (bytes as u32).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

fn write_all(mut slices: &mut [IoSlice<'_>], to: &mut impl Write) -> io::Result<()> {
    while !slices.is_empty() {
        match to.write_vectored(slices) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;

    use super::super::gzip::tests::noise;
    use super::*;

    fn stored(bytes: &[u8]) -> Vec<u8> {
        let mut member = Vec::new();
        store(bytes, sum_of(bytes), &mut member).unwrap();
        member
    }

    #[test]
    fn what_is_stored_lies_where_it_is_said_to_lie() {
        for length in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 8 * PIECE + 17] {
            let (bytes, mut back) = (noise(length), Vec::new());
            let member = stored(&bytes);
            assert_eq!(member.len(), stored_length(length));
            MultiGzDecoder::new(&member[..]).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{length}");
            for at in [0, length / 2, length - 1, PIECE.min(length - 1), (PIECE - 1).min(length - 1)] {
                let (place, behind) = place_in_stored(at);
                let behind = behind.min(length - at);
                assert!(member[place..place + behind] == bytes[at..at + behind], "{at} of {length}");
            }
        }
    }
}
