//! The services behind Envoy: clusters that filters call. They give the same answers as the test host does, on the
//! wire and in real time.

mod http1;
mod http2;

use crate::chain::Cluster;
use crate::told::Board;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tamis_traffic::answers::{Answer, Answers};
use tamis_traffic::{Callout, Headers};

/// Whoever answers, shared by all connections.
type Shared = Arc<Mutex<Box<dyn Answers + Send>>>;

/// Between the parts of an answer that breaks off, so that the first has arrived.
const PAUSE: Duration = Duration::from_millis(30);

/// One cluster.
#[derive(Clone)]
pub(crate) struct Service {
    cluster: Cluster,
    answers: Shared,
    board: Arc<Board>,
    /// Bounds every wait for Envoy.
    idle: Duration,
}

impl Service {
    pub(crate) fn new(cluster: &Cluster, answers: &Shared, board: &Arc<Board>, idle: Duration) -> Self {
        Self { cluster: cluster.clone(), answers: Arc::clone(answers), board: Arc::clone(board), idle }
    }

    /// Serves one connection.
    pub(crate) fn serve(&self, stream: TcpStream) {
        // A connection that breaks off is the exchange's business.
        let _ = match self.cluster.http2 {
            true => http2::serve(stream, self),
            false => http1::serve(stream, self),
        };
    }

    fn answer(&self, callout: &Callout) -> Answer {
        self.answers.lock().unwrap_or_else(|e| e.into_inner()).answer(callout)
    }
}

/// Fields that the call itself has: without Envoy's own additions (docs/envoy.md 2.6) and what frames the message.
fn is_own(name: &[u8]) -> bool {
    name != b"host" && name != b"transfer-encoding" && !name.starts_with(b"x-envoy-")
}

/// Envoy tells it the peer, who then knows as much as the test host.
fn timeout(headers: &Headers) -> u32 {
    let said = headers.text("x-envoy-expected-rq-timeout-ms").and_then(|t| t.parse().ok());
    said.unwrap_or(0)
}
