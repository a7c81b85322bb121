//! Messages of one partition, as they were read: the raw material of one batch.

use std::{ops::Range, time::Instant};

/// Contiguous messages, their bytes in one piece.
#[derive(Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    messages: Vec<Message>,
    checksum: crc32fast::Hasher,
    /// When the first message was read.
    since: Option<Instant>,
}

struct Message {
    offset: i64,
    /// When it was produced, ms since the Unix epoch.
    time: i64,
    key: Range<usize>,
    payload: Range<usize>,
}

/// One message of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw<'a> {
    pub(crate) offset: i64,
    pub(crate) time: i64,
    pub(crate) key: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Chunk {
    pub(crate) fn push(&mut self, message: Raw<'_>, now: Instant) {
        let mut keep = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let (key, payload) = (keep(message.key), keep(message.payload));
        self.checksum.update(&message.offset.to_le_bytes());
        self.checksum.update(message.payload);
        self.messages.push(Message { offset: message.offset, time: message.time, key, payload });
        self.since.get_or_insert(now);
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = Raw<'_>> {
        self.messages.iter().map(|message| self.raw(message))
    }

    /// The message at that position.
    pub(crate) fn message(&self, position: usize) -> Option<Raw<'_>> {
        self.messages.get(position).map(|message| self.raw(message))
    }

    fn raw(&self, message: &Message) -> Raw<'_> {
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        Raw { offset: message.offset, time: message.time, key: part(&message.key), payload: part(&message.payload) }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has memory for messages already.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.capacity() > 0
    }

    /// Empties it. Its memory stays for other messages: to get as much anew costs as much as to fill it.
    pub(crate) fn clear(&mut self) {
        let Chunk { bytes, messages, checksum, since } = self;
        bytes.clear();
        messages.clear();
        checksum.reset();
        *since = None;
    }

    /// Offsets of the first and the last message.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        Some((self.messages.first()?.offset, self.messages.last()?.offset))
    }

    /// When the first message was read.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Of offsets and payloads. Should a topic be made anew, or its log be cut and written again, then the same offsets hold
    /// other events, and a batch of them must not pass for the old one.
    pub(crate) fn checksum(&self) -> u32 {
        self.checksum.clone().finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(messages: &[(i64, &str)]) -> Chunk {
        let mut chunk = Chunk::default();
        for (offset, payload) in messages {
            chunk.push(Raw { offset: *offset, time: 5, key: b"k", payload: payload.as_bytes() }, Instant::now());
        }
        chunk
    }

    #[test]
    fn messages_come_back_as_they_were_read() {
        let chunk = chunk(&[(3, "a"), (4, ""), (9, "ccc")]);
        let raw: Vec<_> = chunk.messages().map(|raw| (raw.offset, raw.key, raw.payload)).collect();
        assert_eq!(raw, [(3, &b"k"[..], &b"a"[..]), (4, b"k", b""), (9, b"k", b"ccc")]);
        assert_eq!((chunk.bounds(), chunk.len(), chunk.bytes()), (Some((3, 9)), 3, 7));
        assert_eq!((chunk.message(2).map(|raw| raw.offset), chunk.message(3)), (Some(9), None));
        assert_eq!(Chunk::default().bounds(), None);
    }

    #[test]
    fn what_is_emptied_is_like_new_but_for_its_room() {
        let mut used = chunk(&[(3, "a"), (4, "b")]);
        used.clear();
        assert!(used.is_empty() && used.has_room() && !Chunk::default().has_room());
        assert_eq!((used.bounds(), used.since(), used.bytes()), (None, None, 0));
        used.push(Raw { offset: 7, time: 5, key: b"k", payload: b"c" }, Instant::now());
        assert_eq!((used.bounds(), used.checksum()), (Some((7, 7)), chunk(&[(7, "c")]).checksum()));
    }

    #[test]
    fn the_same_offsets_with_other_content_are_another_chunk() {
        let checksum = |messages| chunk(messages).checksum();
        assert_eq!(checksum(&[(3, "a"), (4, "b")]), checksum(&[(3, "a"), (4, "b")]));
        assert_ne!(checksum(&[(3, "a"), (4, "b")]), checksum(&[(3, "a"), (4, "c")]));
        assert_ne!(checksum(&[(3, "a"), (4, "b")]), checksum(&[(3, "a"), (5, "b")]));
    }
}
