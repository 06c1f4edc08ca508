//! Access logs: a look at each exchange when it is over.
//!
//! ```
//! use tamis_sdk::access_log::{AccessLog, LogEntry};
//! use tamis_sdk::{metrics, prelude::*};
//!
//! struct Statuses;
//!
//! impl AccessLog for Statuses {
//!     type Config = ();
//!
//!     fn new(_config: (), _root: &Root) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn log(&self, entry: &LogEntry) {
//!         metrics::counter(&format!("status_{}", entry.status().unwrap_or(0))).add(1);
//!     }
//! }
//!
//! tamis_sdk::export!(log Statuses);
//! # fn main() {}
//! ```
//!
//! It may stand in a chain of HTTP filters, where it costs nothing until the end, or be an access logger of the
//! proxy (`envoy.access_loggers.wasm`). There is nothing to answer any more: a reply in this phase crashes Envoy
//! 1.40 (docs/envoy.md 2.5), so none can be made here.

use crate::filter::{Kind, OnError, Part, Stream};
use crate::headers::Headers;
use crate::root::RootState;
use crate::{Result, Root, host, others, tasks};
use serde::de::DeserializeOwned;
use std::rc::Rc;
use tamis_abi::MapType;

/// A filter that only looks at what is over.
///
/// ```
/// use tamis_sdk::access_log::{AccessLog, LogEntry};
/// use tamis_sdk::{log, prelude::*};
///
/// struct Slow;
///
/// impl AccessLog for Slow {
///     type Config = ();
///
///     fn new((): (), _root: &Root) -> Result<Self> {
///         Ok(Self)
///     }
///
///     fn log(&self, entry: &LogEntry) {
///         if entry.status() == Some(504) {
///             log::warn!("{:?} was too slow", entry.request().text(":path"));
///         }
///     }
/// }
/// ```
pub trait AccessLog: Sized + 'static {
    /// As [`Filter::Config`](crate::Filter::Config).
    type Config: DeserializeOwned;

    /// Makes the log, as [`Filter::new`](crate::Filter::new).
    ///
    /// # Errors
    /// Refuses the configuration.
    fn new(config: Self::Config, root: &Root) -> Result<Self>;

    /// An exchange is over. Properties such as `response.code_details` and `request.duration` are here, also
    /// where headers are not. What takes time goes to [`Root::spawn`]; callouts from there outlive the exchange.
    fn log(&self, entry: &LogEntry);
}

/// What an exchange was, to read. Trailers of requests are missing: Envoy 1.40 shows them to nobody any more
/// (docs/envoy.md 2.1).
///
/// ```
/// use tamis_sdk::access_log::LogEntry;
///
/// fn is_failed_call(entry: &LogEntry) -> bool {
///     // Of a call that ends at once gRPC has its status in the headers.
///     let status = entry.response_trailers().get("grpc-status").or(entry.response().get("grpc-status"));
///     status.is_some_and(|status| status != b"0")
/// }
/// ```
#[derive(Debug)]
pub struct LogEntry {
    request: Headers,
    response: Headers,
    trailers: Headers,
}

impl LogEntry {
    fn new() -> Self {
        let live = Headers::of_host;
        Self {
            request: live(MapType::HttpRequestHeaders),
            response: live(MapType::HttpResponseHeaders),
            trailers: live(MapType::HttpResponseTrailers),
        }
    }

    /// The request's headers, as they were when they left the last filter; none for a TCP connection.
    pub fn request(&self) -> &Headers {
        &self.request
    }

    /// The response's headers, as the client got them; none when it left before there were any.
    pub fn response(&self) -> &Headers {
        &self.response
    }

    /// The response's trailers.
    pub fn response_trailers(&self) -> &Headers {
        &self.trailers
    }

    /// `:status`; `None` when there was no response.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.response.get(":status")?).ok()?.parse().ok()
    }
}

pub(crate) fn make<L: AccessLog>(config: &[u8], root: &Root) -> Result<Part> {
    host::mark_log();
    others::begin();
    Ok(Part::Other(Rc::new(Logs(Rc::new(L::new(crate::config::parse(config)?, root)?)))))
}

struct Logs<L>(Rc<L>);

impl<L: AccessLog> Kind for Logs<L> {
    fn open(&self, id: u32, root: &Rc<RootState>) -> Rc<dyn Stream> {
        Rc::new(Entry { log: self.0.clone(), id, root: root.id() })
    }

    /// As an access logger of the proxy: the root has no streams, it is told itself (docs/envoy.md 1.5).
    fn log(&self, root: u32) {
        tell(&*self.0, root, root);
    }

    fn on_error(&self) -> OnError {
        OnError::Pass
    }
}

/// One exchange, until it is logged.
struct Entry<L> {
    log: Rc<L>,
    id: u32,
    root: u32,
}

impl<L: AccessLog> Stream for Entry<L> {
    fn log(&self) {
        tell(&*self.log, self.id, self.root);
    }

    /// Log comes behind it on TCP connections (docs/envoy.md 1.5).
    fn done(&self) -> bool {
        false
    }
}

fn tell<L: AccessLog>(log: &L, id: u32, root: u32) {
    tasks::enter(id, root);
    log.log(&LogEntry::new());
    tasks::drain();
}
