//! One TCP connection, as recorded.

use crate::{Attributes, Peer};

/// A TCP connection between a client and an upstream, as a proxy that only passes bytes on saw it.
///
/// Played by `Stage::play_connection`, which fills a [`Playback`](crate::Playback): the body of its `upstream` is
/// what reached the upstream, the body of its `reply` what reached the client; neither has headers.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Connection {
    /// The capture's own name for it, or empty.
    pub id: String,
    /// When it began, nanoseconds since the Unix epoch.
    pub started: Option<u64>,
    /// How long it was open, nanoseconds. The client closes it then.
    pub duration: u64,
    /// What either side sent, in order.
    pub events: Vec<Event>,
    /// The downstream peer.
    pub source: Option<Peer>,
    /// The proxy's side of the downstream connection.
    pub destination: Option<Peer>,
    /// The host that was asked.
    pub upstream: Option<Peer>,
    /// What else the recording knows and a filter may ask for as a property.
    pub attributes: Attributes,
}

/// Who sent something.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The client: data goes downstream to upstream.
    #[default]
    Client,
    /// The upstream.
    Upstream,
}

/// One read of the proxy from one side.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the connection began, nanoseconds. Does not go back from one event to the next.
    pub at: u64,
    /// Who sent it.
    pub from: Party,
    /// What was read.
    pub bytes: Vec<u8>,
    /// This side sends no more.
    pub end: bool,
}
