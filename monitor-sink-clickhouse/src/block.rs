//! One block of rows in ClickHouse's `Native` format, as the body of an `INSERT … FORMAT Native`.
//!
//! ```text
//! block      = varint columns | varint rows | column…
//! column     = text name | text type | values
//! text       = varint length | bytes
//! fixed      = rows × little-endian bytes
//! map        = rows × u64 end offset | keys | values           (each as a column of texts)
//! dictionary = u64 1 | u64 flags and width | u64 count | count × text | u64 rows | rows × index of 1, 2 or 4 bytes
//! ```
//!
//! The `clickhouse` crate has a block builder too. It is not used because it sends every text of 128 bytes or more as a
//! piece of its own (one for each row's `data`) and cannot write dictionaries, which most of our columns are.

use std::collections::{HashMap, hash_map::Entry};

/// Version of the dictionary layout: keys travel with the block.
const SHARED_DICTIONARY: u64 = 1;
/// Says that the keys follow (bit 9) and are all there are (bit 10); the low byte is the index width.
const KEYS_FOLLOW: u64 = 0b110 << 8;

/// Writes columns one after the other. Every column must have as many values as the block has rows.
pub(crate) struct Block {
    rows: usize,
    columns: usize,
    out: Vec<u8>,
}

impl Block {
    /// `capacity` is a guess of the encoded size, bytes.
    pub(crate) fn new(rows: usize, capacity: usize) -> Block {
        Block { rows, columns: 0, out: Vec::with_capacity(capacity) }
    }

    fn begin(&mut self, name: &str, kind: &str) {
        self.columns += 1;
        text(&mut self.out, name);
        text(&mut self.out, kind);
    }

    /// A column of numbers: `N` little-endian bytes each.
    pub(crate) fn fixed<const N: usize>(&mut self, name: &str, kind: &str, values: impl Iterator<Item = [u8; N]>) {
        self.begin(name, kind);
        values.for_each(|value| self.out.extend_from_slice(&value));
    }

    /// A column of texts.
    pub(crate) fn texts<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a str>) {
        self.begin(name, "String");
        values.for_each(|value| text(&mut self.out, value));
    }

    /// A column of texts of which there are few different ones.
    pub(crate) fn dictionary<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a str>) {
        self.begin(name, "LowCardinality(String)");
        let mut keys: HashMap<&str, u32> = HashMap::new();
        let mut encoded = Vec::new();
        let mut indexes: Vec<u32> = Vec::with_capacity(self.rows);
        let mut last: Option<(&str, u32)> = None;
        for value in values {
            let index = match last {
                // Neighbours are mostly of one request and share the very same text.
                Some((text, index)) if std::ptr::eq(text, value) || text == value => index,
                _ => {
                    // A block has fewer rows than 2^32, so a dictionary has fewer keys.
                    let next = u32::try_from(keys.len()).unwrap_or(u32::MAX);
                    match keys.entry(value) {
                        Entry::Occupied(known) => *known.get(),
                        Entry::Vacant(new) => {
                            text(&mut encoded, value);
                            *new.insert(next)
                        }
                    }
                }
            };
            last = Some((value, index));
            indexes.push(index);
        }
        let width = match keys.len() {
            0..=0x100 => 0,
            0x101..=0x1_0000 => 1,
            _ => 2,
        };
        self.number(SHARED_DICTIONARY);
        self.number(KEYS_FOLLOW | width);
        self.number(keys.len() as u64);
        self.out.extend_from_slice(&encoded);
        self.number(indexes.len() as u64);
        // The first bytes of a little-endian number are the number in fewer bytes.
        match width {
            0 => self.out.extend(indexes.iter().map(|index| index.to_le_bytes()[0])),
            1 => indexes.iter().for_each(|index| self.out.extend_from_slice(&index.to_le_bytes()[..2])),
            _ => indexes.iter().for_each(|index| self.out.extend_from_slice(&index.to_le_bytes())),
        }
    }

    /// A column of text maps; `entries` gives one row's pairs.
    pub(crate) fn maps<'a, R, I>(&mut self, name: &str, rows: &'a [R], entries: impl Fn(&'a R) -> I)
    where
        I: Iterator<Item = (&'a str, &'a str)>,
    {
        self.begin(name, "Map(String, String)");
        let mut end = 0u64;
        let mut keys = Vec::new();
        let mut values = Vec::new();
        for row in rows {
            for (key, value) in entries(row) {
                text(&mut keys, key);
                text(&mut values, value);
                end += 1;
            }
            self.number(end);
        }
        self.out.extend_from_slice(&keys);
        self.out.extend_from_slice(&values);
    }

    fn number(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// The two parts of the encoded block, to be sent one after the other.
    pub(crate) fn finish(self) -> [Vec<u8>; 2] {
        let mut head = Vec::with_capacity(20);
        varint(&mut head, self.columns);
        varint(&mut head, self.rows);
        [head, self.out]
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Seven bits a byte, lowest first, the high bit says that more follow.
fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_holds_each_text_once_and_indexes_grow_with_it() {
        let mut block = Block::new(3, 0);
        block.dictionary("k", ["b", "a", "b"].into_iter());
        let [head, body] = block.finish();
        assert_eq!(head, [1, 3]);
        let mut expected = b"\x01k\x16LowCardinality(String)".to_vec();
        for number in [1u64, 0x600, 2] {
            expected.extend(number.to_le_bytes());
        }
        expected.extend(b"\x01b\x01a");
        expected.extend(3u64.to_le_bytes());
        expected.extend([0, 1, 0]);
        assert_eq!(body, expected);

        for (keys, width) in [(256usize, 1), (257, 2), (65_536, 2), (65_537, 4)] {
            let texts: Vec<String> = (0..keys).map(|n| n.to_string()).collect();
            let mut block = Block::new(keys, 0);
            block.dictionary("k", texts.iter().map(String::as_str));
            let [_, body] = block.finish();
            let fixed = 25 + 4 * 8;
            let encoded: usize = texts.iter().map(|text| text.len() + 1).sum();
            assert_eq!(body.len(), fixed + encoded + keys * width, "{keys} keys");
        }
    }

    #[test]
    fn long_texts_carry_long_lengths() {
        let mut out = Vec::new();
        text(&mut out, &"x".repeat(300));
        assert_eq!(out[..2], [0xac, 0x02]);
        assert_eq!(out.len(), 302);
    }
}
