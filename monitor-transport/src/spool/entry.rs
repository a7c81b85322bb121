//! One envelope as bytes and back.
//!
//! ```text
//!  0        1                 5
//!  ┌────────┬─────────────────┬──────────────────────────────┐
//!  │ format │ length of the   │ one LZ4 block:               │
//!  │ 0x01   │ JSON, u32 LE    │ the envelope as JSON (UTF-8) │
//!  └────────┴─────────────────┴──────────────────────────────┘
//! ```
//!
//! The CRC-32 of all of it is a column of its own, checked before anything is decoded.

use std::cell::RefCell;

use monitor_core::{BoxError, Envelope};

/// First byte of the only format there is so far.
const LZ4_JSON: u8 = 1;
const HEADER: usize = 5;
/// No sender can make an envelope this large; a length above it is damage.
const MAX_JSON: usize = 1 << 30;
/// Scratch memory above this is given back after use.
const SCRATCH: usize = 1 << 20;

thread_local! {
    /// The JSON text and the compressed bytes of the envelope being encoded.
    static BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// An envelope ready to be inserted.
pub(crate) struct Encoded {
    pub(crate) project: String,
    pub(crate) events: u32,
    /// Length of the JSON text, bytes.
    pub(crate) json: u32,
    pub(crate) crc: u32,
    pub(crate) payload: Vec<u8>,
}

impl Encoded {
    /// What the entry counts against the limits, bytes.
    pub(crate) fn len(&self) -> u64 {
        self.payload.len() as u64
    }
}

/// Runs in the task of whoever sends, so that the one writer thread does not have to.
pub(crate) fn encode(envelope: &Envelope) -> Result<Encoded, BoxError> {
    BUFFERS.with_borrow_mut(|(text, packed)| {
        text.clear();
        serde_json::to_writer(&mut *text, envelope)?;
        let json = u32::try_from(text.len()).ok().filter(|&len| len as usize <= MAX_JSON).ok_or("the envelope is too large")?;
        let room = lz4_flex::block::get_maximum_output_size(text.len());
        if packed.len() < room {
            packed.resize(room, 0);
        }
        let len = lz4_flex::block::compress_into(text, packed)?;
        let mut payload = Vec::with_capacity(HEADER + len);
        payload.push(LZ4_JSON);
        payload.extend_from_slice(&json.to_le_bytes());
        payload.extend_from_slice(packed.get(..len).ok_or("the compressor overran its buffer")?);
        for buffer in [text, packed] {
            if buffer.capacity() > SCRATCH {
                *buffer = Vec::new();
            }
        }
        Ok(Encoded {
            project: envelope.origin.project.clone(),
            events: u32::try_from(envelope.events.len())?,
            json,
            crc: crc32fast::hash(&payload),
            payload,
        })
    })
}

/// What an entry cannot be read for; a stable word.
pub(crate) type Damage = &'static str;

/// The envelope of a stored payload.
pub(crate) fn decode(payload: &[u8], crc: u32) -> Result<Envelope, Damage> {
    if crc32fast::hash(payload) != crc {
        return Err("checksum");
    }
    let Some((&[format, a, b, c, d], block)) = payload.split_first_chunk::<HEADER>() else {
        return Err("format");
    };
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    if format != LZ4_JSON || len > MAX_JSON {
        return Err("format");
    }
    let text = lz4_flex::block::decompress(block, len).map_err(|_| "compression")?;
    serde_json::from_slice(&text).map_err(|_| "json")
}

#[cfg(test)]
mod tests {
    use monitor_core::testing::envelope;

    use super::*;

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        let before = envelope(7, &["a", "b", "ü"]);
        let encoded = encode(&before).unwrap();
        let after = decode(&encoded.payload, encoded.crc).unwrap();
        assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&before).unwrap());
        assert_eq!((encoded.events, encoded.project.as_str()), (3, "shop"));
        assert_eq!(encoded.json as usize, serde_json::to_string(&before).unwrap().len());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let encoded = encode(&envelope(7, &["a"])).unwrap();
        for position in 0..encoded.payload.len() {
            for bit in 0..8 {
                let mut payload = encoded.payload.clone();
                payload[position] ^= 1 << bit;
                assert_eq!(decode(&payload, encoded.crc).unwrap_err(), "checksum");
                // Damage that happens to have the right checksum must not panic either.
                let _ = decode(&payload, crc32fast::hash(&payload));
            }
            assert!(decode(&encoded.payload[..position], encoded.crc).is_err());
            assert!(decode(&encoded.payload[..position], crc32fast::hash(&encoded.payload[..position])).is_err());
        }
    }
}
