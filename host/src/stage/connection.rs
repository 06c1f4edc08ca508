//! Playing a TCP connection.

use super::desk::Known;
use super::{Desk, Stage};
use tamis_traffic::{Connection, Playback};

impl Stage {
    /// Plays one TCP connection through the chain as network filters in front of Envoy's `tcp_proxy`
    /// (docs/envoy.md 2.13). The recorded upstream plays the upstream.
    ///
    /// The body of [`Playback::upstream`] is what reached the upstream, piece by piece, and that of
    /// [`Playback::reply`] what reached the client. [`Outcome::Reset`](tamis_traffic::Outcome::Reset) says that a
    /// filter closed the connection, or that its policy did. Never fails and never panics.
    pub fn play_connection(&mut self, connection: &Connection, playback: &mut Playback) {
        self.open(connection.started, playback);
        self.player(playback).run_connection(connection);
        self.take_back(playback);
    }
}

impl Desk {
    /// Takes over what the recording knows beside the data.
    #[cold]
    pub(crate) fn know_connection(&mut self, connection: &Connection) {
        if self.follows_recording
            && let Some(started) = connection.started
        {
            self.clock.advance_to(started);
        }
        self.known = Known {
            started: self.clock.wall(),
            duration: Some(connection.duration),
            source: connection.source.clone(),
            destination: connection.destination.clone(),
            upstream: connection.upstream.clone(),
            attributes: connection.attributes.clone(),
            ..Known::default()
        };
    }
}
