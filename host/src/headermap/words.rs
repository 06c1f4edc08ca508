//! Header names eight bytes at a time: a replay looks at every name of every message.

/// The first and the last eight bytes of a name, and its length. They overlap below sixteen bytes; below eight
/// each has all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    first: u64,
    last: u64,
    len: usize,
}

impl Word {
    #[inline]
    pub(super) const fn of(name: &[u8]) -> Self {
        let len = name.len();
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            return Self { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last), len };
        }
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            let all = u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << 32;
            return Self { first: all, last: all, len };
        }
        let (mut all, mut at) = (0, len);
        while at > 0 {
            at -= 1;
            all = all << 8 | name[at] as u64;
        }
        Self { first: all, last: all, len }
    }

    /// True when the word says all that there is to say of a name: no byte lies between first and last.
    #[inline]
    pub(super) const fn is_whole(self) -> bool {
        self.len <= 16
    }

    /// True when the name begins with this byte.
    #[inline]
    pub(super) fn starts_with(self, byte: u8) -> bool {
        self.first as u8 == byte && self.len > 0
    }

    /// A number below 512 that differs for most names.
    #[inline]
    pub(super) const fn slot(self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(23)).wrapping_add(self.len as u64);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
    }

    /// False when the name surely has no capital letter. `name` is what the word was made of.
    #[inline]
    pub(super) fn may_have_upper(self, name: &[u8]) -> bool {
        let mut found = capitals(self.first) | capitals(self.last);
        if self.is_whole() {
            return found != 0;
        }
        let mut at = 8;
        while let Some(chunk) = name.get(at..).and_then(|rest| rest.first_chunk()) {
            found |= capitals(u64::from_le_bytes(*chunk));
            at += 8;
        }
        found != 0
    }
}

/// True when a name has a letter that Envoy would lower.
#[inline]
pub(super) fn has_upper(name: &[u8]) -> bool {
    Word::of(name).may_have_upper(name) && name.iter().any(u8::is_ascii_uppercase)
}

/// Not 0 when one of eight bytes lies in `0x40..0x60`, where the capital letters are (and a few marks).
#[inline]
fn capitals(word: u64) -> u64 {
    const BIT: u64 = 0x4040_4040_4040_4040;
    // Bit 6 set, bit 5 and bit 7 clear; the shifts bring those to bit 6 of the same byte.
    word & !(word << 1) & !(word >> 1) & BIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_at_every_place_is_seen() {
        for len in 1..40 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut name = vec![b'a'; len];
                    name[at] = byte;
                    assert_eq!(has_upper(&name), byte.is_ascii_uppercase(), "{byte:#x} at {at} of {len}");
                }
            }
        }
        assert!(!has_upper(b""));
        assert!(!Word::of(b"").starts_with(0));
    }

    proptest! {
        #[test]
        fn has_upper_is_what_it_says(name: Vec<u8>) {
            prop_assert_eq!(has_upper(&name), name.iter().any(u8::is_ascii_uppercase));
            prop_assert_eq!(Word::of(&name).starts_with(b':'), name.first() == Some(&b':'));
        }
    }
}
