//! The only place where anything is decompressed, and never more than a cap.
//!
//! A cap on what was sent is none on what comes out: 16 KB of zstd can become 512 MiB. So output is taken in pieces,
//! and each piece is paid for from the budget of all requests before it is kept. The rest of the workspace cannot use the decoders below:
//! `clippy.toml` disallows their types.
#![allow(clippy::disallowed_types, reason = "this is the module that caps them")]

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status, bufread::MultiGzDecoder};

use crate::{answer::Refusal, budget::Hold};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    /// Reads the value of a `Content-Encoding` header. Encodings that are applied one over the other are not supported.
    pub(crate) fn parse(value: &str) -> Option<Encoding> {
        let value = value.trim();
        let named = |name| value.eq_ignore_ascii_case(name);
        match () {
            () if value.is_empty() || named("identity") => Some(Encoding::Identity),
            () if named("gzip") || named("x-gzip") => Some(Encoding::Gzip),
            () if named("deflate") => Some(Encoding::Deflate),
            () if named("zstd") => Some(Encoding::Zstd),
            () => None,
        }
    }
}

/// Largest window of a zstd frame: 8 MiB, which every decoder must support (RFC 8878, section 3.1.1.1.2).
const ZSTD_WINDOW_LOG: u32 = 23;
/// Output is taken in pieces of this size.
const PIECE: usize = 32 * 1024;

/// Decodes a body to at most `cap` bytes.
pub(crate) fn decompress(encoding: Encoding, body: &[u8], cap: usize, hold: &mut Hold) -> Result<Vec<u8>, Refusal> {
    let mut output = Output { bytes: Vec::with_capacity(body.len().saturating_mul(4).min(cap)), cap, hold };
    match encoding {
        Encoding::Identity => output.add(body)?,
        Encoding::Gzip => output.read_all(MultiGzDecoder::new(body))?,
        Encoding::Deflate => inflate(body, &mut output)?,
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(|_| Refusal::BadCompression)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| Refusal::BadCompression)?;
            output.read_all(decoder)?;
        }
    }
    Ok(output.bytes)
}

struct Output<'a> {
    bytes: Vec<u8>,
    cap: usize,
    hold: &'a mut Hold,
}

impl Output<'_> {
    fn add(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if self.bytes.len().saturating_add(piece.len()) > self.cap {
            return Err(Refusal::TooLarge);
        }
        self.hold.grow(piece.len())?;
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn read_all(&mut self, mut decoder: impl Read) -> Result<(), Refusal> {
        let mut piece = [0; PIECE];
        loop {
            let n = decoder.read(&mut piece).map_err(|_| Refusal::BadCompression)?;
            match piece.get(..n) {
                Some([]) | None => return Ok(()),
                Some(piece) => self.add(piece)?,
            }
        }
    }
}

/// `deflate` is zlib by the standard (RFC 9110, section 8.4.1.2); some senders leave the zlib wrapper out.
///
/// The reading wrappers of flate2 take a stream that stops too early for a complete one, so this goes step by step.
fn inflate(body: &[u8], output: &mut Output<'_>) -> Result<(), Refusal> {
    let is_zlib = matches!(body, [cmf, flags, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flags)) % 31 == 0);
    let mut decoder = Decompress::new(is_zlib);
    let mut piece = [0; PIECE];
    loop {
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let rest = usize::try_from(read).ok().and_then(|read| body.get(read..)).unwrap_or_default();
        let status = decoder.decompress(rest, &mut piece, FlushDecompress::None).map_err(|_| Refusal::BadCompression)?;
        let n = usize::try_from(decoder.total_out() - written).unwrap_or(0);
        output.add(piece.get(..n).unwrap_or_default())?;
        if status == Status::StreamEnd {
            let is_whole = decoder.total_in() == body.len() as u64;
            return if is_whole { Ok(()) } else { Err(Refusal::BadCompression) };
        }
        if decoder.total_in() == read && n == 0 {
            return Err(Refusal::BadCompression);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;
    use crate::budget::Budget;

    const TEXT: &[u8] = br#"{"v":1,"events":[{"kind":"click"},{"kind":"click"}]}"#;
    const CAP: usize = 100_000;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).unwrap()
    }

    fn decode(encoding: Encoding, body: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut hold = Budget::new(10 * CAP).hold(0).unwrap();
        decompress(encoding, body, CAP, &mut hold).map_err(|refusal| refusal.told().code)
    }

    type Encoder = fn(&[u8]) -> Vec<u8>;
    const ENCODERS: [(Encoding, Encoder); 4] =
        [(Encoding::Gzip, gzip), (Encoding::Deflate, zlib), (Encoding::Deflate, raw), (Encoding::Zstd, zstd)];

    #[test]
    fn every_encoding_comes_back() {
        for (encoding, encode) in ENCODERS {
            assert_eq!(decode(encoding, &encode(TEXT)).unwrap(), TEXT, "{encoding:?}");
        }
    }

    #[test]
    fn a_stream_that_stops_early_is_refused_at_every_length() {
        for (encoding, encode) in ENCODERS {
            let whole = encode(TEXT);
            for len in 1..whole.len() {
                assert_eq!(decode(encoding, &whole[..len]), Err("bad_compression"), "{encoding:?} {len} of {}", whole.len());
            }
        }
    }

    #[test]
    fn what_follows_a_stream_is_refused() {
        for (encoding, encode) in ENCODERS {
            let mut longer = encode(TEXT);
            longer.extend_from_slice(b"garbage");
            assert_eq!(decode(encoding, &longer), Err("bad_compression"), "{encoding:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        for (encoding, encode, from_end) in [(Encoding::Gzip, gzip as Encoder, 8), (Encoding::Deflate, zlib, 1)] {
            let mut bad = encode(TEXT);
            let at = bad.len() - from_end;
            bad[at] ^= 1;
            assert_eq!(decode(encoding, &bad), Err("bad_compression"), "{encoding:?}");
        }
    }

    #[test]
    fn a_gzip_of_several_members_is_one_text() {
        let mut members = gzip(&TEXT[..10]);
        members.extend(gzip(&TEXT[10..]));
        assert_eq!(decode(Encoding::Gzip, &members).unwrap(), TEXT);
        let empty_first = [gzip(b""), gzip(TEXT), gzip(b"")].concat();
        assert_eq!(decode(Encoding::Gzip, &empty_first).unwrap(), TEXT);
    }

    #[test]
    fn a_body_of_empty_streams_is_soon_read() {
        let start = std::time::Instant::now();
        for (encoding, empty) in [(Encoding::Gzip, gzip(b"")), (Encoding::Zstd, zstd(b""))] {
            let body = empty.repeat(1024 * 1024 / empty.len());
            assert_eq!(decode(encoding, &body), Ok(Vec::new()), "{encoding:?}");
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn a_bomb_ends_at_the_cap() {
        let zeros = vec![0; 50 * CAP];
        for (encoding, encode) in ENCODERS {
            assert_eq!(decode(encoding, &encode(&zeros)), Err("too_large"), "{encoding:?}");
        }
    }

    #[test]
    fn a_zstd_window_beyond_8_mib_is_refused() {
        // Magic, a descriptor without single segment, a window of 2^(10+20) bytes, one empty last raw block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00];
        assert_eq!(decode(Encoding::Zstd, &frame), Err("bad_compression"));
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x01, 0x00, 0x00];
        assert_eq!(decode(Encoding::Zstd, &frame), Ok(Vec::new()));
    }

    #[test]
    fn output_is_paid_for_from_the_budget() {
        let budget = Budget::new(1_000);
        let mut hold = budget.hold(0).unwrap();
        let refusal = decompress(Encoding::Gzip, &gzip(&[7; 2_000]), CAP, &mut hold).unwrap_err();
        assert_eq!(refusal.told().code, "overloaded");
        drop(hold);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn nested_and_unknown_encodings_are_not_supported() {
        for value in ["gzip, gzip", "br", "snappy", "foo", "gzip,"] {
            assert_eq!(Encoding::parse(value), None, "{value}");
        }
        assert_eq!(Encoding::parse(" GZip "), Some(Encoding::Gzip));
    }
}
