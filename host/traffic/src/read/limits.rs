//! Limits on what a capture may hold. A capture is input that somebody else shaped.

/// Longest record (tap message, JSON object, log line) in bytes: 16 MiB. A tap with the largest body limits in
/// use stays below; anything longer is skipped without being held and counted as [`crate::Skip::TooLong`].
pub const MAX_RECORD: usize = 16 << 20;

/// Most fields of one header list: 4,096, forty times what Envoy lets through by default. A record above it is
/// counted as [`crate::Skip::TooManyHeaders`].
pub const MAX_FIELDS: usize = 4096;

/// Most streams of a streamed tap that are open at once: 4,096. One more and the oldest comes out as it is,
/// with [`crate::Gap::Unfinished`].
pub const MAX_OPEN_STREAMS: usize = 4096;

/// Most bytes that all open streams together may hold: 256 MiB. Above it the oldest come out early, as for
/// [`MAX_OPEN_STREAMS`].
pub const MAX_OPEN_BYTES: usize = 256 << 20;

/// Longest body of one direction put together from streamed pieces: 16 MiB. What follows is dropped and the
/// body is marked as truncated.
pub const MAX_BODY: usize = 16 << 20;

/// How much of the start of a file is looked at to tell its format: 256 KiB. A log whose first access line
/// comes later is not recognised.
pub const SNIFF: usize = 256 << 10;
