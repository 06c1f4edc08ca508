//! What only one worker shall do.

use super::{SharedCell, SharedError};
use crate::clock;
use std::time::Duration;

/// Held by one VM of a proxy at a time: the main thread's and each worker's run the same filter, and some work wants to
/// be done once. Whoever holds it does the work and takes it again before it ends; when that VM is gone, another gets
/// it after the time.
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::shared::Lease;
///
/// fn refresh_keys(root: &Root) {
///     let lease = Lease::new("my-filter/refresh", Duration::from_secs(30));
///     root.every(Duration::from_secs(10), move || {
///         if lease.hold().unwrap_or(false) {
///             tamis_sdk::log::debug!("this worker refreshes the keys");
///         }
///     });
/// }
/// ```
pub struct Lease {
    cell: SharedCell<[u8; 24]>,
    owner: [u8; 16],
    time: Duration,
}

/// The clock that all VMs of a proxy share.
fn now() -> u64 {
    let time = clock::monotonic().unwrap_or_else(|_| clock::wall());
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Lease {
    /// A lease under a key, for so long at a time.
    pub fn new(key: &str, time: Duration) -> Self {
        let mut owner = [0; 16];
        if clock::random(&mut owner).is_err() {
            // Of two VMs that start in one nanosecond both would hold it.
            owner[..8].copy_from_slice(&now().to_le_bytes());
        }
        Self { cell: SharedCell::new(key), owner, time }
    }

    /// True when this VM holds it from now on, for the whole time again.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn hold(&self) -> Result<bool, SharedError> {
        let now = now();
        let end = now.saturating_add(u64::try_from(self.time.as_nanos()).unwrap_or(u64::MAX));
        self.put(now, end)
    }

    /// Gives it away early. Nothing happens when another VM holds it.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn release(&self) -> Result<(), SharedError> {
        self.put(now(), 0).map(|_| ())
    }

    fn put(&self, now: u64, end: u64) -> Result<bool, SharedError> {
        let mut ours = [0; 24];
        ours[..16].copy_from_slice(&self.owner);
        ours[16..].copy_from_slice(&end.to_le_bytes());
        let written = self.cell.update(|held| match held {
            Some(held)
                if held[..16] != self.owner
                    && held.last_chunk().is_some_and(|end| u64::from_le_bytes(*end) > now) =>
            {
                None
            }
            _ => Some(ours),
        });
        match written {
            // Another VM was faster each time: it has it.
            Err(SharedError::Contended) => Ok(false),
            written => Ok(written?.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn one_holds_it_until_its_time_is_over() {
        testing::clean();
        let time = Duration::from_secs(30);
        let (a, b) = (Lease::new("l", time), Lease::new("l", time));
        assert_eq!((a.hold(), b.hold()), (Ok(true), Ok(false)));
        testing::pass(Duration::from_secs(20));
        assert_eq!((a.hold(), b.hold()), (Ok(true), Ok(false)), "taken again");
        testing::pass(Duration::from_secs(29));
        assert_eq!(b.hold(), Ok(false));
        testing::pass(Duration::from_secs(1));
        assert_eq!((b.hold(), a.hold()), (Ok(true), Ok(false)));
        assert_eq!((a.release(), a.hold()), (Ok(()), Ok(false)), "not one's own");
        assert_eq!((b.release(), a.hold()), (Ok(()), Ok(true)));
    }
}
