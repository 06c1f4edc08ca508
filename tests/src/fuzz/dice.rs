//! Chance from a seed: the same numbers on every machine.

use rand_xoshiro::Xoshiro256StarStar;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Spreads neighbouring numbers of cases over all seeds (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Dice of one case.
pub(super) struct Dice(Xoshiro256StarStar);

impl Dice {
    /// Those of the case with this number in the run with this seed.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        Self(Xoshiro256StarStar::seed_from_u64(seed ^ number.wrapping_mul(SPREAD)))
    }

    /// A number below `end`; 0 when that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % (end.max(1) as u64)) as usize
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, hundredths: usize) -> bool {
        self.below(100) < hundredths
    }

    /// One of these, all alike.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// One of these by weight.
    pub(super) fn weigh<T: Copy>(&mut self, from: &[(usize, T)]) -> T {
        let mut at = self.below(from.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in from {
            if at < *weight {
                return *one;
            }
            at -= weight;
        }
        from[0].1
    }
}
