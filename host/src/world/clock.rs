//! The clock of a stage.

#[cfg(test)]
use std::time::Duration;

/// Monotonic time at the start: as if the machine were up for an hour, so that a filter which counts a few
/// minutes back from now does not underflow here and nowhere else.
const MONOTONIC_START: u64 = 3_600_000_000_000;

/// Wall and monotonic time in nanoseconds. Stands still unless its owner moves it; never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VirtualClock {
    wall: u64,
    monotonic: u64,
}

impl VirtualClock {
    /// A clock that shows `wall`, nanoseconds since the Unix epoch.
    pub(crate) const fn new(wall: u64) -> Self {
        Self { wall, monotonic: MONOTONIC_START }
    }

    /// Nanoseconds since the Unix epoch.
    pub(crate) const fn wall(&self) -> u64 {
        self.wall
    }

    /// Nanoseconds on a clock that is not set by anybody.
    pub(crate) const fn monotonic(&self) -> u64 {
        self.monotonic
    }

    /// Moves both clocks on; they stop at the end of 64 bits (the year 2554).
    #[cfg(test)]
    pub(crate) fn advance(&mut self, by: Duration) {
        self.forward(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Moves both clocks on until the wall shows `wall`; an earlier time leaves them as they are.
    pub(crate) fn advance_to(&mut self, wall: u64) {
        self.forward(wall.saturating_sub(self.wall));
    }

    fn forward(&mut self, by: u64) {
        self.wall = self.wall.saturating_add(by);
        self.monotonic = self.monotonic.saturating_add(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_move_together_and_never_back() {
        let mut clock = VirtualClock::new(1_000);
        let start = clock.monotonic();
        clock.advance(Duration::from_nanos(5));
        clock.advance_to(1_003);
        assert_eq!((clock.wall(), clock.monotonic() - start), (1_005, 5));
        clock.advance_to(2_000);
        assert_eq!((clock.wall(), clock.monotonic() - start), (2_000, 1_000));
    }

    #[test]
    fn the_end_of_time_is_not_a_panic() {
        let mut clock = VirtualClock::new(u64::MAX - 1);
        clock.advance(Duration::MAX);
        assert_eq!((clock.wall(), clock.monotonic()), (u64::MAX, u64::MAX));
    }
}
