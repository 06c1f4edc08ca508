//! When a request is sent again, and how long to wait.

use super::http::Answer;
use crate::error::{Error, Kind};
use crate::watch::Watch;
use std::time::{Duration, SystemTime};

/// Attempts for one request.
const ATTEMPTS: usize = 5;

/// The first wait; it doubles.
const FIRST: Duration = Duration::from_millis(250);

/// The longest wait, whatever `Retry-After` says.
const LONGEST: Duration = Duration::from_secs(60);

/// Statuses that say "not now": what the Go registry library and oras repeat.
const AGAIN: [u16; 8] = [408, 429, 500, 502, 503, 504, 522, 499];

/// The attempts for one request.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    seen: Vec<String>,
}

impl Retry {
    /// True when the same request may be answered better later.
    pub(crate) fn worth(answer: &Answer) -> bool {
        AGAIN.contains(&answer.status)
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// When there have been enough, or the user asked to stop.
    pub(crate) fn again(
        &mut self,
        what: &str,
        why: String,
        after: Option<Duration>,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        self.seen.push(why);
        let count = self.seen.len();
        if count >= ATTEMPTS {
            let all_cut = self.seen.iter().all(|s| !s.starts_with(|c: char| c.is_ascii_digit()));
            let kind = if all_cut { Kind::Unreachable } else { Kind::Busy };
            let error = Error::new(kind, format!("{what} failed {count} times"));
            return Err(error.because(self.seen.join(", ")).hint("the same command may work later"));
        }
        let doubled = FIRST * (1 << (count - 1));
        let wait = after.unwrap_or(doubled).min(LONGEST);
        let last = self.seen.last().map_or("", String::as_str);
        watch.note(&format!("{what}: {last}; again in {} ms", wait.as_millis()));
        stop(watch)?;
        watch.wait(wait);
        stop(watch)
    }
}

/// Ends the work when the user asked for it.
pub(crate) fn stop(watch: &dyn Watch) -> Result<(), Error> {
    if watch.stopped() {
        return Err(
            Error::new(Kind::Interrupted, "stopped before it was done").hint("the same command goes on")
        );
    }
    Ok(())
}

/// `Retry-After`: seconds, or a date (RFC 9110 10.2.3).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = SystemTime::from(chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?);
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::time::UNIX_EPOCH;

    #[derive(Default)]
    struct Clock(RefCell<Vec<u64>>);

    impl Watch for Clock {
        fn wait(&self, time: Duration) {
            self.0.borrow_mut().push(u64::try_from(time.as_millis()).unwrap());
        }
    }

    #[test]
    fn waits_double_and_end_20() {
        let (clock, mut retry) = (Clock::default(), Retry::default());
        for _ in 0..4 {
            retry.again("a request", "503".into(), None, &clock).unwrap();
        }
        let error = retry.again("a request", "connection closed".into(), None, &clock).unwrap_err();
        assert_eq!(error.kind, Kind::Busy);
        assert_eq!(error.to_string(), "a request failed 5 times");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "503, 503, 503, 503, connection closed");
        assert_eq!(*clock.0.borrow(), [250, 500, 1000, 2000]);
    }

    #[test]
    fn the_registry_says_how_long_up_to_a_minute_20() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after("3", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:40 GMT", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        let (clock, mut retry) = (Clock::default(), Retry::default());
        retry.again("x", "429".into(), Some(Duration::from_secs(86_400)), &clock).unwrap();
        assert_eq!(*clock.0.borrow(), [60_000]);
    }
}
