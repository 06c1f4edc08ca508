//! Randomness of the host in memory.

/// xoshiro256** seeded through SplitMix64, as its authors publish it (prng.di.unimi.it): what the test host draws too,
/// so that a seed means the same to both.
#[derive(Debug)]
pub(crate) struct Random([u64; 4]);

impl Default for Random {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Random {
    /// Begins the sequence of this seed.
    pub(crate) fn new(mut seed: u64) -> Self {
        Self([(); 4].map(|()| {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let drawn = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        drawn
    }

    /// Fills `out` with the next bytes; the last four or fewer are the upper half of a draw.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for piece in out.chunks_mut(8) {
            let drawn = self.next();
            let drawn = if piece.len() > 4 { drawn } else { drawn >> 32 };
            piece.copy_from_slice(&drawn.to_le_bytes()[..piece.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_the_published_sequence() {
        let mut bytes = [0; 8];
        Random::new(0).fill(&mut bytes);
        assert_eq!(u64::from_le_bytes(bytes), 0x99ec_5f36_cb75_f2b4);
    }
}
