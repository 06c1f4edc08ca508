//! Randomness of a stage: the same seed gives the same bytes, on every machine and in every version.

use rand_xoshiro::Xoshiro256StarStar;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Seeded xoshiro256**: a published sequence, so a replay of next year draws the same numbers.
/// Not for secrets; nothing that leaves a replay needs any.
#[derive(Debug, Clone)]
pub(crate) struct Random(Xoshiro256StarStar);

impl Random {
    /// Begins the sequence of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256StarStar::seed_from_u64(seed))
    }

    /// Fills `out` with the next bytes.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// The next 64 bits.
    #[cfg(test)]
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence_for_ever() {
        // xoshiro256** seeded through SplitMix64, as its authors publish it.
        let mut random = Random::new(0);
        assert_eq!(random.next_u64(), 0x99ec_5f36_cb75_f2b4);
        let (mut a, mut b) = ([0; 40], [0; 40]);
        Random::new(7).fill(&mut a);
        Random::new(7).fill(&mut b);
        assert_eq!(a, b);
        Random::new(8).fill(&mut b);
        assert_ne!(a, b);
    }
}
