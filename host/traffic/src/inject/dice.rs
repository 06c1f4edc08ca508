//! Chance that is the same in every run of a seed.

use super::Share;
use rand_xoshiro::Xoshiro256StarStar;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// The chance of one injected fault. Each fault of a replay has a sequence of its own, so that one more fault
/// does not move the others.
#[derive(Debug, Clone)]
pub struct Dice(Xoshiro256StarStar);

impl Dice {
    /// The sequence of the fault with this number in a replay of this seed.
    pub fn new(seed: u64, number: usize) -> Self {
        // An odd constant keeps the sequences of neighbouring numbers apart (the golden ratio, as SplitMix64 has it).
        Self(Xoshiro256StarStar::seed_from_u64(
            seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ))
    }

    /// Whether this occasion is one of the share.
    pub fn takes(&mut self, share: Share) -> bool {
        share == Share::ALL || self.below(Share::ALL.millionths() as usize) < share.millionths() as usize
    }

    /// A number below `limit`; 0 for 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % (limit.max(1) as u64)) as usize
    }
}
