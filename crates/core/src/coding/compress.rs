//! Compression with Zstandard (RFC 8878), each value a frame of its own with its length and a checksum.

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, get_frame_content_size};

use crate::error::{Error, ErrorKind, Result};

/// The fastest of the usual levels: a one-shot waits for it.
const LEVEL: i32 = 1;
/// No value can be longer: SQLite holds no more in a row. What claims to be is not unpacked.
const MAX_BYTES: u64 = 1_000_000_000;

/// The value compressed; `None` when that saves less than a tenth, which is not worth unpacking it at every read.
pub(crate) fn compress(value: &[u8]) -> Option<Vec<u8>> {
    let mut compressor = Compressor::new(LEVEL).ok()?;
    compressor.set_parameter(CParameter::ChecksumFlag(true)).ok()?;
    let frame = compressor.compress(value).ok()?;
    (frame.len() < value.len() - value.len() / 10).then_some(frame)
}

/// The value that was compressed to `frame`.
///
/// # Errors
/// [`ErrorKind::Damaged`] for a frame that is not what [`compress`] makes.
pub(crate) fn decompress(frame: &[u8]) -> Result<Vec<u8>> {
    let size = get_frame_content_size(frame).ok().flatten().filter(|size| *size <= MAX_BYTES);
    let size = size.and_then(|size| usize::try_from(size).ok()).ok_or_else(damaged)?;
    zstd::bulk::decompress(frame, size).map_err(|error| damaged().because(error))
}

fn damaged() -> Error {
    Error::new(ErrorKind::Damaged, "a compressed value cannot be unpacked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        for value in [vec![b'a'; 10_000], b"twelve bytes".repeat(1000), vec![0; 1 << 20]] {
            let frame = compress(&value).unwrap();
            assert!(frame.len() < value.len() / 10);
            assert_eq!(decompress(&frame).unwrap(), value);
        }
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        let mut noise = vec![0; 100_000];
        getrandom::fill(&mut noise).unwrap();
        assert_eq!(compress(&noise), None);
        assert_eq!(compress(b""), None);
        assert_eq!(compress(b"short"), None);
    }

    #[test]
    fn a_damaged_frame_is_found_out() {
        let frame = compress(&b"some text that repeats ".repeat(100)).unwrap();
        for at in 0..frame.len() {
            let mut broken = frame.clone();
            broken[at] ^= 0x10;
            match decompress(&broken) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged),
                // One bit of the header has no meaning (RFC 8878, section 3.1.1.1.1.3).
                Ok(unpacked) => assert_eq!((at, unpacked), (4, decompress(&frame).unwrap())),
            }
            assert!(decompress(&frame[..at]).is_err(), "cut off at {at}");
        }
        assert!(decompress(b"").is_err());
    }

    #[test]
    fn a_frame_that_claims_too_much_is_not_unpacked() {
        // A header with a content size of eight bytes: 2^40, then an empty last block.
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
        bomb.extend_from_slice(&(1_u64 << 40).to_le_bytes());
        bomb.extend_from_slice(&[1, 0, 0]);
        assert!(decompress(&bomb).is_err());
    }
}
