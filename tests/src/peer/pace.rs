//! How long peers wait for what may still come.

use std::time::Duration;

/// The patience of a client and its upstreams.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two pieces of a body, so that each arrives alone.
    pub between: Duration,
    /// Silence that ends a message: what comes later is no longer part of it. Without any, bytes beyond a
    /// content-length are not looked for.
    pub quiet: Duration,
    /// A connection serves one exchange after another.
    pub keeps: bool,
    /// How long a client waits for an answer to start.
    pub first: Duration,
    /// The idle timeout of the proxy's streams: how long one lasts that nothing wakes.
    pub idle: Duration,
}

/// Everything is seen, on a busy machine too. An answer may take longer than Envoy's idle timeout in the rows.
pub const CAREFUL: Pace = Pace {
    between: Duration::from_millis(30),
    quiet: Duration::from_millis(40),
    keeps: false,
    first: Duration::from_millis(2500),
    idle: Duration::from_millis(1000),
};

/// As [`CAREFUL`], but what nothing wakes ends before an upstream loses its patience and answers half a request.
pub const SOON_IDLE: Pace = Pace { idle: Duration::from_millis(200), ..CAREFUL };

/// As fast as it goes. What differs is played again with [`CAREFUL`].
pub const BRISK: Pace = Pace {
    between: Duration::from_millis(10),
    quiet: Duration::ZERO,
    keeps: true,
    first: Duration::from_millis(1500),
    idle: Duration::from_millis(200),
};
