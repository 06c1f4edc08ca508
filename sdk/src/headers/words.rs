//! Eight bytes at a time: what can be told of all of them at once.

/// True when all bytes fit, word by word. So do none.
#[inline(always)]
pub(crate) fn all(bytes: &[u8], fits: impl Fn(u64) -> bool) -> bool {
    // The last word may overlap the one before it.
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        return fits(short(bytes));
    };
    fits(u64::from_le_bytes(*first))
        && fits(u64::from_le_bytes(*last))
        && (bytes.len() <= 16
            || bytes[8..bytes.len() - 1].as_chunks().0.iter().all(|w| fits(u64::from_le_bytes(*w))))
}

/// Fewer bytes than a word as one: each of them somewhere in it, and small letters.
#[inline(never)]
fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    let mut word = eight(b'a');
    for byte in bytes {
        word = word << 8 | u64::from(*byte);
    }
    word
}

/// True when both are the same; false for bytes of different lengths.
#[inline]
pub(super) fn are_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() || one.len() < 8 {
        return one.len() == other.len() && short(one) == short(other);
    }
    // As words: slices of bytes are compared byte by byte.
    let same = |(one, other): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*one) == u64::from_le_bytes(*other);
    one.last_chunk().zip(other.last_chunk()).is_some_and(same)
        && one.as_chunks().0.iter().zip(other.as_chunks().0).all(same)
}

/// This byte in all eight places.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bit of each byte.
const HIGH: u64 = eight(0x80);

/// The high bit where a byte lies in `from..=to`, below 0x80. Of a word in which one lies above, nothing is true.
const fn within(word: u64, from: u8, to: u8) -> u64 {
    // Neither sum reaches the next byte.
    word.wrapping_add(eight(0x80 - from)) & !word.wrapping_add(eight(0x7f - to))
}

/// True when all are small letters or hyphens.
pub(super) fn are_usual(word: u64) -> bool {
    (within(word, b'a', b'z') | within(word, b'-', b'-')) & !word & HIGH == HIGH
}

/// True only when all are of a name: visible, of ASCII, no slash; a few such words give false.
pub(crate) fn are_name(word: u64) -> bool {
    let ends = word.wrapping_sub(eight(b' ' + 1)) | word.wrapping_add(eight(0x80 - 0x7f)) | word;
    let other = word ^ eight(b'/');
    let slash = other.wrapping_sub(eight(1)) & !other;
    (ends | slash) & HIGH == 0
}

/// True only when all are of ASCII and above CR; a few such words give false.
pub(super) fn are_text(word: u64) -> bool {
    (word.wrapping_sub(eight(b'\r' + 1)) | word) & HIGH == 0
}

/// True only when all are above CR; a few such words give false.
pub(super) fn are_high(word: u64) -> bool {
    word.wrapping_sub(eight(b'\r' + 1)) & !word & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte in each place, beside others that fit.
    fn each(fits: fn(u64) -> bool, other: u8) -> impl Iterator<Item = (u8, bool)> {
        (0..=255_u8).flat_map(move |byte| {
            (0..8).map(move |at| {
                let mut word = [other; 8];
                word[at] = byte;
                (byte, fits(u64::from_le_bytes(word)))
            })
        })
    }

    #[test]
    fn usual_bytes_are_those_of_most_names() {
        for (byte, usual) in [b'a', b'z', b'-'].into_iter().flat_map(|other| each(are_usual, other)) {
            assert_eq!(usual, matches!(byte, b'a'..=b'z' | b'-'), "{byte:#x}");
        }
    }

    #[test]
    fn no_byte_is_left_out() {
        for len in 0..40 {
            let good = vec![b'a'; len];
            assert!(all(&good, are_usual), "{len}");
            for at in 0..len {
                let mut bad = good.clone();
                bad[at] = b'A';
                assert!(!all(&bad, are_usual), "{at} of {len}");
            }
        }
    }

    #[test]
    fn a_byte_that_differs_is_seen() {
        for len in 0..40 {
            let one: Vec<u8> = (0..len).collect();
            assert!(are_same(&one, &one.clone()));
            assert!(!are_same(&one, &[one.clone(), vec![0]].concat()));
            for at in 0..one.len() {
                let mut other = one.clone();
                other[at] ^= 0x20;
                assert!(!are_same(&one, &other), "{at} of {len}");
            }
        }
    }

    #[test]
    fn no_low_byte_is_missed_and_text_is_high() {
        for (byte, high) in each(are_high, b'a') {
            assert_eq!(high, byte > b'\r', "{byte:#x}");
        }
        for (byte, name) in each(are_name, b'a') {
            assert_eq!(name, byte.is_ascii_graphic() && byte != b'/', "{byte:#x}");
        }
        for (byte, text) in each(are_text, b'a') {
            assert_eq!(text, byte > b'\r' && byte.is_ascii(), "{byte:#x}");
        }
        assert!(!are_high(u64::from_le_bytes(*b"\0\xff\0\xff\0\xff\0\xff")));
    }
}
