//! Files of a replica on their way in and out: compressed with Zstandard, then encrypted for who may read them.

use std::io::{self, Read, Write};

use prontodb_core::coding::{Recipients, open_stream, seal_stream};
use prontodb_core::store::Unlock;

use super::{Fill, names};
use crate::exit::Failure;

/// Fast enough to keep up with any writer, and smaller than what is faster.
const LEVEL: i32 = 3;

/// Writes what `fill` writes, as it is kept.
pub fn encode(
    sink: &mut dyn Write,
    recipients: Option<&Recipients>,
    fill: &mut Fill<'_>,
) -> Result<(), Failure> {
    let Some(recipients) = recipients else { return compress(sink, fill) };
    let mut sealer = seal_stream(sink, recipients)?;
    compress(&mut sealer, fill)?;
    sealer.finish().map(drop).map_err(|error| cannot_encode(&error))
}

fn compress(sink: &mut dyn Write, fill: &mut Fill<'_>) -> Result<(), Failure> {
    let mut encoder = zstd::Encoder::new(sink, LEVEL).map_err(|error| cannot_encode(&error))?;
    encoder.include_checksum(true).map_err(|error| cannot_encode(&error))?;
    fill(&mut encoder)?;
    encoder.finish().map(drop).map_err(|error| cannot_encode(&error))
}

fn cannot_encode(error: &io::Error) -> Failure {
    Failure::io("the replica cannot be written", error)
}

/// Reads a file that [`encode`] wrote.
pub fn decode<'r>(
    name: &str,
    source: Box<dyn Read + 'r>,
    unlock: &Unlock,
) -> Result<Box<dyn Read + 'r>, Failure> {
    let plain: Box<dyn Read + 'r> = match names::is_sealed(name) {
        true => Box::new(open_stream(source, unlock)?),
        false => source,
    };
    let decoder = zstd::Decoder::new(plain).map_err(|error| Failure::io("cannot unpack", &error))?;
    Ok(Box::new(decoder))
}
