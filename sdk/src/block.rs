//! Header fields in the form that hosts take, made while they are added: one piece of memory, and nothing is copied twice.
//!
//! That form (see `tamis_abi::pairs`) has all lengths in front. So there is room for some of them, and what is left of it
//! in the end lies before the first byte that the host is given.

use std::fmt;
use std::ops::Deref;
use tamis_abi::pairs::{MAX_BYTES, MAX_PAIRS, Pairs};

/// Bytes of one length, and of the count.
const WORD: usize = 4;
/// Fields that there is room for at first: those that each callout has, and one more.
const ROOM: usize = 4;
/// Bytes for the names and values of as many.
const TEXT: usize = 180;

/// See the file's head.
#[derive(Clone, Default)]
pub(crate) struct Block {
    /// The count, the lengths, the fields.
    bytes: Vec<u8>,
    count: usize,
    room: usize,
}

impl Block {
    /// One more. The name is one of small letters.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        // More than a `u32` holds does not exist in 32 bits of memory; natively it is left out.
        let (Ok(key_len), Ok(value_len)) = (u32::try_from(name.len()), u32::try_from(value.len())) else {
            return;
        };
        if self.count == self.room {
            self.grow();
        }
        let at = self.lengths();
        if let Some(lengths) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<8>) {
            *lengths = (u64::from(key_len) | u64::from(value_len) << 32).to_le_bytes();
        }
        self.count += 1;
        self.bytes.reserve(name.len() + value.len() + 2);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
        self.bytes.push(0);
    }

    /// Where the lengths of the next one go.
    fn lengths(&self) -> usize {
        WORD + self.count * 2 * WORD
    }

    #[cold]
    fn grow(&mut self) {
        let room = (self.room * 2).max(ROOM);
        let (old, head) = (WORD + self.room * 2 * WORD, WORD + room * 2 * WORD);
        let data = self.bytes.get(old..).unwrap_or_default();
        let mut bytes = Vec::with_capacity(head + data.len() + TEXT);
        bytes.extend(self.bytes.iter().take(old));
        bytes.resize(head, 0);
        bytes.extend_from_slice(data);
        (self.bytes, self.room) = (bytes, room);
    }

    /// True when a host would take them as none: more than 1024, or more than 1 MiB.
    pub(crate) fn is_too_much(&self) -> bool {
        self.count > MAX_PAIRS || self.bytes.len() - (self.room - self.count) * 2 * WORD > MAX_BYTES
    }

    /// Moves the lengths to the fields, and gives what the host takes.
    pub(crate) fn finish(mut self) -> Finished {
        let start = (self.room - self.count) * 2 * WORD;
        let head = self.lengths().min(self.bytes.len());
        self.bytes.copy_within(..head, start);
        if let (Some(count), Ok(known)) =
            (self.bytes.get_mut(start..).and_then(<[u8]>::first_chunk_mut), u32::try_from(self.count))
        {
            *count = known.to_le_bytes();
        }
        Finished { bytes: self.bytes, start }
    }

    /// The value of the first one.
    pub(crate) fn first(&self) -> &[u8] {
        let head = WORD + self.room * 2 * WORD;
        let lengths = self.bytes.get(WORD..).and_then(<[u8]>::first_chunk);
        let lengths = lengths.map_or(0, |lengths| u64::from_le_bytes(*lengths));
        let (name, value) = (lengths as u32 as usize, (lengths >> 32) as usize);
        self.bytes.get(head + name + 1..head + name + 1 + value).unwrap_or_default()
    }
}

/// What a host takes.
pub(crate) struct Finished {
    bytes: Vec<u8>,
    start: usize,
}

impl Deref for Finished {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// The list of them, bytes escaped.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let all = self.clone().finish();
        f.debug_list()
            .entries(Pairs::of_checked(&all).map(|(name, value)| (text(name), text(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_abi::pairs;

    #[test]
    fn what_was_added_is_what_a_host_reads() {
        let mut block = Block::default();
        assert!(block.clone().finish().is_empty() && block.first().is_empty());
        for count in 0..40_usize {
            let all = block.clone().finish();
            let read: Vec<_> = pairs::decode(&all).expect("as a host reads it").collect();
            assert_eq!(read.len(), count);
            for (at, (name, value)) in read.iter().enumerate() {
                assert_eq!((*name, value.len()), (format!("name-{at}").as_bytes(), at * 7));
            }
            block.push(format!("name-{count}").as_bytes(), &vec![b'v'; count * 7]);
        }
        let mut block = Block::default();
        block.push(b":method", b"GET");
        block.push(b":path", b"/");
        assert_eq!(block.first(), b"GET");
        assert_eq!(format!("{block:?}"), r#"[(":method", "GET"), (":path", "/")]"#);
    }

    #[test]
    fn what_a_host_would_not_take_is_too_much() {
        let mut block = Block::default();
        (0..MAX_PAIRS).for_each(|_| block.push(b"a", b"b"));
        assert!(!block.is_too_much() && pairs::decode(&block.clone().finish()).is_ok());
        block.push(b"a", b"b");
        assert!(block.is_too_much() && pairs::decode(&block.finish()).is_err());
        for (size, too_much) in [(MAX_BYTES - 15, false), (MAX_BYTES - 14, true)] {
            let mut block = Block::default();
            block.push(b"a", &vec![b'v'; size]);
            assert_eq!(block.is_too_much(), too_much);
            assert_eq!(pairs::decode(&block.finish()).is_err(), too_much);
        }
    }
}
