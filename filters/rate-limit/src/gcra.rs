//! The generic cell rate algorithm: one timestamp a key, exact, and nothing to refill.
//!
//! The state is the theoretical arrival time (TAT): the moment at which the bucket would be full again.
//! Times are nanoseconds of a monotonic clock.

/// A limit, in the terms of the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// Time that one unit of cost takes to come back, ns; rounded up, so that rounding never admits more.
    pub interval: u64,
    /// Units that may be spent at once.
    pub burst: u64,
}

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// True when the request may pass.
    pub admitted: bool,
    /// The state after this request; the same as before when it was refused.
    pub tat: u64,
    /// Whole units that could still be spent now.
    pub remaining: u64,
    /// When refused: the wait after which the same request would be admitted, ns; 0 when admitted.
    pub retry_after: u64,
    /// The wait after which the full burst is there again, ns.
    pub reset: u64,
}

impl Gcra {
    /// A limit of `requests` per `per` ns with a burst; `None` when it cannot be expressed: no requests, no
    /// burst, more than one request a nanosecond, or a burst that takes longer than 2^62 ns to come back.
    pub fn new(requests: u64, per: u64, burst: u64) -> Option<Self> {
        let interval = (requests > 0).then(|| per.div_ceil(requests))?;
        let fits = interval.checked_mul(burst).is_some_and(|window| window < 1 << 62);
        (interval > 0 && burst > 0 && per >= requests && fits).then_some(Self { interval, burst })
    }

    /// The time in which a spent burst comes back, ns.
    pub fn window(&self) -> u64 {
        self.interval * self.burst
    }

    /// Decides on `cost` units at `now`, given the stored state (`None`: a key never seen).
    ///
    /// A state further ahead than a spent burst comes from an older configuration or another clock: it counts
    /// as a spent burst, so a key is never locked out for longer than that (docs/filters.md 2).
    pub fn decide(&self, state: Option<u64>, now: u64, cost: u64) -> Outcome {
        let window = self.window();
        let tat = state.unwrap_or(now).clamp(now, now.saturating_add(window));
        let wanted = tat.saturating_add(self.interval.saturating_mul(cost));
        let latest = now.saturating_add(window);
        let admitted = wanted <= latest;
        let after = if admitted { wanted } else { tat };
        Outcome {
            admitted,
            tat: after,
            remaining: (latest - after) / self.interval,
            retry_after: wanted.saturating_sub(latest),
            reset: after - now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_the_rate_rules() {
        let limit = Gcra::new(10, SECOND, 3).unwrap();
        let mut state = None;
        let mut ask = |now| {
            let outcome = limit.decide(state, now, 1);
            state = Some(outcome.tat);
            outcome
        };
        assert_eq!(
            ask(0),
            Outcome { admitted: true, tat: SECOND / 10, remaining: 2, retry_after: 0, reset: SECOND / 10 }
        );
        assert!(ask(0).admitted);
        assert_eq!(ask(0).remaining, 0);
        let refused = ask(0);
        assert!(!refused.admitted);
        assert_eq!(refused.retry_after, SECOND / 10);
        assert!(!ask(SECOND / 10 - 1).admitted);
        assert!(ask(SECOND / 10).admitted);
    }

    #[test]
    fn limits_that_cannot_be_expressed_are_refused() {
        for (requests, per, burst) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (2, 1, 1), (1, u64::MAX, 2)] {
            assert_eq!(Gcra::new(requests, per, burst), None, "{requests} per {per}, burst {burst}");
        }
    }

    #[test]
    fn row_4_2_11_a_clock_that_steps_does_no_harm() {
        let limit = Gcra::new(1, SECOND, 5).unwrap();
        // Backwards by an hour: at most a spent burst has to come back.
        let back = limit.decide(Some(3600 * SECOND), 0, 1);
        assert_eq!(back.retry_after, SECOND);
        // Forwards by an hour: a full burst, no more.
        assert_eq!(limit.decide(Some(0), 3600 * SECOND, 1).remaining, 4);
        assert!(limit.decide(Some(u64::MAX), u64::MAX, 1).remaining <= 5);
    }

    #[test]
    fn row_4_2_12_a_cost_above_the_burst_never_passes() {
        let limit = Gcra::new(1, SECOND, 5).unwrap();
        assert!(!limit.decide(None, 0, 6).admitted);
        assert!(!limit.decide(None, 0, u64::MAX).admitted);
        assert!(limit.decide(None, 0, 5).admitted);
    }

    proptest! {
        #[test]
        fn rows_4_2_8_and_15_never_more_than_burst_and_rate(
            requests in 1u64..1000, per in 1_000_000u64..10_000_000_000, burst in 1u64..50,
            steps in proptest::collection::vec((0u64..100_000_000, 1u64..4), 1..200),
        ) {
            let limit = Gcra::new(requests, per, burst).unwrap();
            let (mut now, mut state, mut spent) = (1u64, None, 0u128);
            for (step, cost) in steps {
                now += step;
                let outcome = limit.decide(state, now, cost);
                if outcome.admitted {
                    spent += u128::from(cost);
                } else {
                    prop_assert_eq!(Some(outcome.tat.max(now)), state.map(|s: u64| s.max(now)).or(Some(now)));
                }
                state = Some(outcome.tat);
                let due = u128::from(burst) + u128::from(requests) * u128::from(now - 1) / u128::from(per);
                prop_assert!(spent <= due, "{} spent, {} due", spent, due);
                prop_assert!(outcome.remaining <= burst);
            }
        }

        #[test]
        fn row_4_2_22_the_wait_is_exact(
            requests in 1u64..1000, per in 1_000_000u64..10_000_000_000, burst in 1u64..50,
            state in proptest::option::of(0u64..20_000_000_000), now in 0u64..20_000_000_000, cost in 1u64..50,
        ) {
            let limit = Gcra::new(requests, per, burst).unwrap();
            let outcome = limit.decide(state, now, cost);
            if !outcome.admitted && cost <= burst {
                prop_assert!(outcome.retry_after > 0);
                let later = now + outcome.retry_after;
                prop_assert!(limit.decide(Some(outcome.tat), later, cost).admitted);
                prop_assert!(!limit.decide(Some(outcome.tat), later - 1, cost).admitted);
            }
            let spent = limit.decide(Some(outcome.tat), now, outcome.remaining);
            prop_assert!(spent.admitted, "what remains can be spent");
            prop_assert!(!limit.decide(Some(outcome.tat), now, outcome.remaining + 1).admitted);
            prop_assert_eq!(limit.decide(Some(outcome.tat), now + outcome.reset, 0).remaining, burst);
        }
    }
}
