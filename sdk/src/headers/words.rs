//! Eight bytes at a time: what can be told of all of them at once.

/// True when all bytes fit, word by word. Fewer bytes than a word never do.
#[inline(always)]
pub(super) fn all(bytes: &[u8], fits: impl Fn(u64) -> bool) -> bool {
    // The last word may overlap the one before it.
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else { return false };
    fits(u64::from_le_bytes(*first))
        && fits(u64::from_le_bytes(*last))
        && (bytes.len() <= 16
            || bytes[8..bytes.len() - 1].as_chunks().0.iter().all(|w| fits(u64::from_le_bytes(*w))))
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
            assert_eq!(all(&good, are_usual), len >= 8, "{len}");
            for at in 0..len {
                let mut bad = good.clone();
                bad[at] = b'A';
                assert!(!all(&bad, are_usual), "{at} of {len}");
            }
        }
    }

    #[test]
    fn no_low_byte_is_missed_and_text_is_high() {
        for (byte, high) in each(are_high, b'a') {
            assert_eq!(high, byte > b'\r', "{byte:#x}");
        }
        assert!(!are_high(u64::from_le_bytes(*b"\0\xff\0\xff\0\xff\0\xff")));
    }
}
