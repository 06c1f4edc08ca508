//! A keyed 128-bit hash: spreads client data over slots and variants without letting clients aim.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// SipHash-1-3 with 128 bits out, fed part by part; each part is preceded by its length, so that `a`+`bc`
/// and `ab`+`c` differ.
#[derive(Debug, Clone)]
pub struct KeyedHash(SipHasher13);

impl KeyedHash {
    /// A hash under a 128-bit key.
    pub fn new(key: [u64; 2]) -> Self {
        Self(SipHasher13::new_with_keys(key[0], key[1]))
    }

    /// Feeds one part.
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.write_u64(bytes.len() as u64);
        self.0.write(bytes);
    }

    /// The two halves of the hash.
    pub fn finish(&self) -> (u64, u64) {
        let hash = self.0.finish128();
        (hash.h1, hash.h2)
    }
}

/// A hash key made from a configured text: the same on every worker and every machine.
pub fn seed_from_text(text: &str) -> [u64; 2] {
    let mut hash = KeyedHash::new([0, 0]);
    hash.part(text.as_bytes());
    let (first, second) = hash.finish();
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let hash = |parts: &[&str]| {
            let mut hash = KeyedHash::new([1, 2]);
            parts.iter().for_each(|p| hash.part(p.as_bytes()));
            hash.finish()
        };
        assert_ne!(hash(&["a", "bc"]), hash(&["ab", "c"]));
        assert_eq!(hash(&["a", "bc"]), hash(&["a", "bc"]));
        assert_ne!(seed_from_text("a"), seed_from_text("b"));
    }
}
