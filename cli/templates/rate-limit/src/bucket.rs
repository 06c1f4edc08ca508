//! A bucket of tokens in one number: plain Rust that knows no proxy.
//!
//! The number is the time at which the bucket is full again; each token taken puts it off. All times are nanoseconds of
//! one clock.

/// What a bucket is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Time in which one token comes back.
    interval: u64,
    /// Time in which an empty bucket is full again.
    window: u64,
}

impl Bucket {
    /// A bucket of `burst` tokens into which `requests` come back in each `per`; `None` where that is no limit.
    pub fn new(requests: u64, per: u64, burst: u64) -> Option<Self> {
        // Rounded up, so that rounding never admits more.
        let interval = (requests > 0).then(|| per.div_ceil(requests))?;
        let window = interval.checked_mul(burst)?;
        (window > 0).then_some(Self { interval, window })
    }

    /// Takes a token at `now` out of a bucket in this state (`None`: full). Gives the state afterwards.
    ///
    /// # Errors
    /// The time to wait until there is a token.
    pub fn take(&self, full_at: Option<u64>, now: u64) -> Result<u64, u64> {
        // A clock that was set back leaves no client without tokens for longer than an empty bucket does.
        let latest = now.saturating_add(self.window);
        let full_at = full_at
            .unwrap_or(now)
            .clamp(now, latest)
            .saturating_add(self.interval);
        if full_at <= latest {
            Ok(full_at)
        } else {
            Err(full_at - latest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_rules() {
        let bucket = Bucket::new(10, 1000, 2).expect("a limit");
        let first = bucket.take(None, 0).expect("full");
        let second = bucket.take(Some(first), 0).expect("one left");
        assert_eq!(bucket.take(Some(second), 0), Err(100));
        assert_eq!(bucket.take(Some(second), 99), Err(1));
        assert_eq!(bucket.take(Some(second), 100), Ok(second + 100));
        assert_eq!(
            bucket.take(Some(second), 10_000),
            Ok(10_100),
            "full again, and no fuller"
        );
    }

    #[test]
    fn no_clock_and_no_limit_breaks_it() {
        let bucket = Bucket::new(1, 1000, 3).expect("a limit");
        assert_eq!(
            bucket.take(Some(u64::MAX), 0),
            Err(1000),
            "the clock was set back"
        );
        assert_eq!(bucket.take(None, u64::MAX), Ok(u64::MAX));
        for (requests, per, burst) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, u64::MAX, 2)] {
            assert_eq!(
                Bucket::new(requests, per, burst),
                None,
                "{requests} in {per}, {burst} at once"
            );
        }
    }
}
