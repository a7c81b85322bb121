//! The only place that compresses and decompresses: HTTP content codings (gzip, deflate, zstd, LZ4 frames) and
//! ClickHouse's own block stream (`compress=1`, `decompress=1`).
//!
//! A block of ClickHouse's stream, numbers little endian:
//!
//! ```text
//! 16 bytes  CityHash128 (version 1.0.2) of all that follows, halves swapped
//!  1 byte   method: 0x82 LZ4, 0x90 zstd, 0x02 none
//!  4 bytes  length of what follows the checksum: 9 + payload
//!  4 bytes  length of the data once decompressed
//!  n bytes  payload
//! ```

use std::io::{self, Read, Write};

use cityhash_rs::cityhash_102_128;

/// Larger blocks are refused; real clients send at most a few MiB.
const MAX_BLOCK: usize = 64 << 20;
/// Size of the blocks written.
const BLOCK: usize = 1 << 20;
const CHECKSUM: usize = 16;
const HEADER: usize = 9;
const LZ4: u8 = 0x82;
const ZSTD: u8 = 0x90;
const NONE: u8 = 0x02;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Not at all.
    #[default]
    Identity,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Encoding: deflate` (with zlib's frame).
    Deflate,
    /// `Content-Encoding: zstd`.
    Zstd,
    /// `Content-Encoding: lz4`, LZ4's frame format.
    Lz4Frame,
    /// `compress=1` or `decompress=1`.
    Blocks,
}

impl Coding {
    /// Reads a `Content-Encoding`.
    pub(crate) fn of_request(header: &str) -> Option<Self> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            "lz4" => Some(Self::Lz4Frame),
            _ => None,
        }
    }

    /// Chooses the first coding of an `Accept-Encoding` that is supported; weights are not looked at, as ClickHouse does.
    pub(crate) fn of_accept(header: &str) -> Self {
        header
            .split(',')
            .filter_map(|part| Self::of_request(part.split(';').next().unwrap_or_default()))
            .find(|coding| *coding != Self::Identity)
            .unwrap_or(Self::Identity)
    }

    /// The value of the `Content-Encoding` header, if one is needed.
    pub(crate) fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity | Self::Blocks => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
            Self::Zstd => Some("zstd"),
            Self::Lz4Frame => Some("lz4"),
        }
    }
}

/// Decompresses a body. The caller limits how much it reads.
///
/// # Errors
/// The zstd context could not be made.
#[allow(clippy::disallowed_types, reason = "the helper is a process of its own; its callers cap what they read")]
pub(crate) fn decoder(coding: Coding, body: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    Ok(match coding {
        Coding::Identity => Box::new(body),
        Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Coding::Deflate => Box::new(flate2::read::ZlibDecoder::new(body)),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(body)?;
            // 2^27 bytes of window: what zstd's own tool accepts by default.
            decoder.window_log_max(27)?;
            Box::new(decoder)
        }
        Coding::Lz4Frame => Box::new(lz4_flex::frame::FrameDecoder::new(body)),
        Coding::Blocks => Box::new(BlockReader { source: body, block: Vec::new(), at: 0 }),
    })
}

/// Reads ClickHouse's block stream.
struct BlockReader<R> {
    source: R,
    block: Vec<u8>,
    at: usize,
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn length(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | usize::from(*byte))
}

/// The checksum as it stands in the stream.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    cityhash_102_128(bytes).rotate_left(64).to_le_bytes()
}

impl<R: Read> BlockReader<R> {
    /// Reads the next block; `false` at the end of the stream.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut head = [0; CHECKSUM + HEADER];
        let mut filled = 0;
        while filled < head.len() {
            match self.source.read(head.get_mut(filled..).unwrap_or_default())? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(invalid("a compressed block breaks off")),
                count => filled += count,
            }
        }
        let (expected, header) = head.split_at(CHECKSUM);
        let method = header.first().copied().unwrap_or_default();
        let compressed = length(header.get(1..5).unwrap_or_default());
        let decompressed = length(header.get(5..9).unwrap_or_default());
        if !(HEADER..=MAX_BLOCK).contains(&compressed) || decompressed > MAX_BLOCK {
            return Err(invalid("a compressed block has an impossible length"));
        }
        let mut bytes = header.to_vec();
        // Grows with what really arrives: a length alone must not make us allocate.
        let payload = (compressed - HEADER) as u64;
        if self.source.by_ref().take(payload).read_to_end(&mut bytes)? as u64 != payload {
            return Err(invalid("a compressed block breaks off"));
        }
        if checksum(&bytes) != expected {
            return Err(invalid("the checksum of a compressed block does not match"));
        }
        let payload = bytes.get(HEADER..).unwrap_or_default();
        self.block = match method {
            NONE => payload.to_vec(),
            LZ4 => lz4_flex::block::decompress(payload, decompressed).map_err(|_| invalid("an LZ4 block is damaged"))?,
            ZSTD => zstd::bulk::decompress(payload, decompressed).map_err(|_| invalid("a zstd block is damaged"))?,
            _ => return Err(invalid("a compressed block has an unknown method")),
        };
        if self.block.len() != decompressed {
            return Err(invalid("a compressed block has the wrong length"));
        }
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for BlockReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = self.block.get(self.at..).unwrap_or_default().read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// Compresses a body piece by piece; what is ready is taken out after each piece.
pub(crate) enum Encoder {
    /// Passes through.
    Identity(Vec<u8>),
    /// See [`Coding::Gzip`].
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    /// See [`Coding::Deflate`].
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    /// See [`Coding::Zstd`].
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// See [`Coding::Lz4Frame`].
    Lz4Frame(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    /// See [`Coding::Blocks`].
    Blocks(Vec<u8>),
}

impl Encoder {
    /// An encoder with each format's fast level: the way is loopback.
    ///
    /// # Errors
    /// The zstd context could not be made.
    pub(crate) fn new(coding: Coding) -> io::Result<Self> {
        let fast = flate2::Compression::fast();
        Ok(match coding {
            Coding::Identity => Self::Identity(Vec::new()),
            Coding::Gzip => Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), fast)),
            Coding::Deflate => Self::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), fast)),
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1)?),
            Coding::Lz4Frame => Self::Lz4Frame(Box::new(lz4_flex::frame::FrameEncoder::new(Vec::new()))),
            Coding::Blocks => Self::Blocks(Vec::new()),
        })
    }

    /// Compresses a piece and gives what is ready to send, possibly nothing.
    ///
    /// # Errors
    /// The compressor failed.
    pub(crate) fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        Ok(std::mem::take(match self {
            Self::Identity(ready) => {
                ready.extend_from_slice(piece);
                ready
            }
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Deflate(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Lz4Frame(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Blocks(ready) => {
                for block in piece.chunks(BLOCK) {
                    let payload = lz4_flex::block::compress(block);
                    let mut bytes = Vec::with_capacity(HEADER + payload.len());
                    bytes.push(LZ4);
                    for length in [HEADER + payload.len(), block.len()] {
                        let length = u32::try_from(length).map_err(|_| invalid("a block is too large"))?;
                        bytes.extend_from_slice(&length.to_le_bytes());
                    }
                    bytes.extend_from_slice(&payload);
                    ready.extend_from_slice(&checksum(&bytes));
                    ready.extend_from_slice(&bytes);
                }
                ready
            }
        }))
    }

    /// Gives the last bytes.
    ///
    /// # Errors
    /// The compressor failed.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity(ready) | Self::Blocks(ready) => Ok(ready),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Lz4Frame(encoder) => encoder.finish().map_err(io::Error::other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Coding; 6] = [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Zstd, Coding::Lz4Frame, Coding::Blocks];

    fn encoded(coding: Coding, data: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(coding).unwrap();
        let mut bytes: Vec<u8> = data.chunks(300_000).flat_map(|piece| encoder.push(piece).unwrap()).collect();
        bytes.extend(encoder.finish().unwrap());
        bytes
    }

    fn decoded(coding: Coding, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        decoder(coding, io::Cursor::new(bytes))?.read_to_end(&mut data)?;
        Ok(data)
    }

    #[test]
    fn every_coding_gives_back_what_it_took() {
        let data: Vec<u8> = (0..2_500_000u32).map(|number| (number / 7 % 251) as u8).collect();
        for coding in ALL {
            assert!(decoded(coding, encoded(coding, &data)).unwrap() == data, "{coding:?}");
            assert!(decoded(coding, encoded(coding, b"")).unwrap().is_empty(), "{coding:?}");
        }
    }

    #[test]
    fn damaged_blocks_are_refused() {
        let good = encoded(Coding::Blocks, &[7; 5000]);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decoded(Coding::Blocks, bad).is_err(), "byte {at}");
        }
        for length in 1..good.len() {
            assert!(decoded(Coding::Blocks, good[..length].to_vec()).is_err(), "length {length}");
        }
    }

    #[test]
    fn the_first_known_coding_is_chosen() {
        assert_eq!(Coding::of_accept("br, gzip;q=0.5, zstd"), Coding::Gzip);
        assert_eq!(Coding::of_accept("br"), Coding::Identity);
        assert_eq!(Coding::of_request("snappy"), None);
    }
}
