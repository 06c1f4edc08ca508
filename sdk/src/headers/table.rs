//! A header map as the host gave it, plus what was changed since.
//!
//! Nothing is built for a read: a search walks the lengths at the head of the host's block and looks at a
//! name only when its length fits. That is a third of what an index of the map costs to make.

use super::words;
use tamis_abi::pairs::{Pairs, decode_lengths};

/// Bytes of one length.
const WORD: usize = 4;

/// First byte of a name that was taken away. No name begins with it, since none has it (RFC 9110 5.1).
const GONE: u8 = 0;

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The host's block; empty, or one whose lengths fit.
    block: Vec<u8>,
    /// What was added since, one after the other: length of the name, length of the value, name, value.
    added: Vec<u8>,
}

/// A header that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where its lengths are, and in which of the two.
    lengths: usize,
    is_added: bool,
    /// Where its name is.
    at: usize,
    name: usize,
    value: usize,
}

impl Table {
    /// Keeps the host's block. One that is none is no headers.
    pub(super) fn decode(mut block: Vec<u8>) -> Self {
        if decode_lengths(&block).is_err() {
            block.clear();
        }
        Self { block, added: Vec::new() }
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<Entry> {
        self.find_in_block(name, WORD, self.data()).or_else(|| self.find_in_added(name, 0))
    }

    pub(super) fn find_after(&self, entry: Entry, name: &[u8]) -> Option<Entry> {
        if entry.is_added {
            return self.find_in_added(name, entry.at + entry.name + entry.value);
        }
        let next = entry.at + entry.name + entry.value + 2;
        self.find_in_block(name, entry.lengths + 2 * WORD, next).or_else(|| self.find_in_added(name, 0))
    }

    /// Where the names and values of the block begin.
    fn data(&self) -> usize {
        match self.block.first_chunk() {
            Some(count) => WORD + u32::from_le_bytes(*count) as usize * 2 * WORD,
            None => 0,
        }
    }

    fn find_in_block(&self, name: &[u8], from: usize, mut at: usize) -> Option<Entry> {
        let (pairs, _) = self.block.get(from..self.data())?.as_chunks::<8>();
        for (index, pair) in pairs.iter().enumerate() {
            let (key, value) = lengths(pair);
            if key == name.len() && self.block.get(at..at + key).is_some_and(|known| is_same(known, name)) {
                let lengths = from + index * 2 * WORD;
                return Some(Entry { lengths, is_added: false, at, name: key, value });
            }
            at += key + value + 2;
        }
        None
    }

    fn find_in_added(&self, name: &[u8], mut from: usize) -> Option<Entry> {
        while let Some(pair) = self.added.get(from..).and_then(<[u8]>::first_chunk) {
            let (key, value) = lengths(pair);
            let at = from + 2 * WORD;
            if key == name.len() && self.added.get(at..at + key).is_some_and(|known| is_same(known, name)) {
                return Some(Entry { lengths: from, is_added: true, at, name: key, value });
            }
            from = at + key + value;
        }
        None
    }

    pub(super) fn name(&self, entry: Entry) -> &[u8] {
        let bytes = if entry.is_added { &self.added } else { &self.block };
        bytes.get(entry.at..entry.at + entry.name).unwrap_or_default()
    }

    pub(super) fn value(&self, entry: Entry) -> &[u8] {
        let (bytes, zero) = if entry.is_added { (&self.added, 0) } else { (&self.block, 1) };
        let start = entry.at + entry.name + zero;
        bytes.get(start..start + entry.value).unwrap_or_default()
    }

    /// All that are there, in order.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { block: Pairs::of_checked(&self.block), added: &self.added }
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        let mut next = self.find(name);
        while let Some(entry) = next {
            let bytes = if entry.is_added { &mut self.added } else { &mut self.block };
            if let Some(first) = bytes.get_mut(entry.at) {
                *first = GONE;
            }
            next = self.find_after(entry, name);
        }
    }

    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        // More than a `u32` holds does not exist in 32 bits of memory; natively it is left out.
        let (Ok(key_len), Ok(value_len)) = (u32::try_from(name.len()), u32::try_from(value.len())) else {
            return;
        };
        self.added.reserve(2 * WORD + name.len() + value.len());
        self.added.extend_from_slice(&key_len.to_le_bytes());
        self.added.extend_from_slice(&value_len.to_le_bytes());
        let start = self.added.len();
        self.added.extend_from_slice(name);
        self.added[start..].make_ascii_lowercase();
        self.added.extend_from_slice(value);
    }
}

/// All headers of a table, in order.
#[derive(Debug, Clone)]
pub(super) struct Iter<'a> {
    block: Pairs<'a>,
    added: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name, value) = match self.block.next() {
                Some(pair) => pair,
                None => {
                    let (pair, rest) = self.added.split_first_chunk()?;
                    let (key, value) = lengths(pair);
                    let (name, rest) = rest.split_at_checked(key)?;
                    let (value, rest) = rest.split_at_checked(value)?;
                    self.added = rest;
                    (name, value)
                }
            };
            if name.first() != Some(&GONE) {
                return Some((name, value));
            }
        }
    }

    /// The upper bound leaves what was added out when there is any, so that it is none then.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let (_, most) = self.block.size_hint();
        (0, most.filter(|_| self.added.is_empty()))
    }
}

fn lengths(pair: &[u8; 2 * WORD]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = *pair;
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
}

/// Names of one length, compared without case. What was taken away is no name.
fn is_same(known: &[u8], name: &[u8]) -> bool {
    (words::are_same(known, name) || known.eq_ignore_ascii_case(name)) && name.first() != Some(&GONE)
}
