//! Filters for TCP connections, which stand in front of Envoy's `tcp_proxy`.
//!
//! ```
//! use tamis_sdk::prelude::*;
//! use tamis_sdk::tcp::{Close, Connection, TcpFilter};
//!
//! struct NoHttp;
//!
//! impl TcpFilter for NoHttp {
//!     type Config = ();
//!
//!     fn new(_config: (), _root: &Root) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     async fn handle(self: Rc<Self>, mut connection: Connection) -> Result<()> {
//!         if let Some(first) = connection.read().await? {
//!             if first.starts_with(b"GET ") {
//!                 return Err(Close.into());
//!             }
//!             connection.forward(first);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! tamis_sdk::export!(tcp NoHttp);
//! # fn main() {}
//! ```
//!
//! What an `async fn` means to a connection: the upstream is not asked before the first [`Connection::read`].
//! What was read is held until it is forwarded; what was not read yet waits. So awaiting a callout holds the client's
//! side, and nothing passes that the filter has not seen. When `handle` returns, the rest passes untouched. What the
//! upstream sends goes through [`Connection::upstream`]. docs/decisions/0008-tcp-filters.md says why.

mod lane;
mod wire;

use crate::filter::{Kind, OnError, Part, Stream};
use crate::root::RootState;
use crate::{Error, Result, Root, host, others};
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::task::Poll;
use wire::Wire;

/// The most that a filter may hold of one side, in bytes: Envoy reads no further at its own limit, which is 1 MiB
/// unless `per_connection_buffer_limit_bytes` says otherwise, and a filter that waits for more would wait for ever.
pub const HELD_LIMIT: usize = 1 << 20;

/// A filter for TCP connections.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::tcp::{Connection, TcpFilter};
///
/// /// Lets a connection through after a service agreed.
/// struct Ask;
///
/// impl TcpFilter for Ask {
///     type Config = ();
///
///     fn new((): (), _root: &Root) -> Result<Self> {
///         Ok(Self)
///     }
///
///     async fn handle(self: Rc<Self>, _connection: Connection) -> Result<()> {
///         let reply = Callout::get("gate", "gate.test", "/open").send().await?;
///         if reply.is_success() { Ok(()) } else { Err(tamis_sdk::tcp::Close.into()) }
///     }
/// }
/// ```
pub trait TcpFilter: Sized + 'static {
    /// As [`Filter::Config`](crate::Filter::Config).
    type Config: DeserializeOwned;

    /// Makes the filter, as [`Filter::new`](crate::Filter::new).
    ///
    /// # Errors
    /// Refuses the configuration.
    fn new(config: Self::Config, root: &Root) -> Result<Self>;

    /// Handles one connection, from before the upstream is asked. Dropped when the connection is over.
    ///
    /// # Errors
    /// Meets [`on_error`](Self::on_error), except for [`Close`], which closes the connection without a word.
    fn handle(self: Rc<Self>, connection: Connection) -> impl Future<Output = Result<()>>;

    /// What a failure does: [`OnError::Deny`] closes the connection, both ends; with [`OnError::Pass`] what the
    /// proxy still holds goes on as it came, and so does the rest.
    fn on_error(&self) -> OnError {
        OnError::Deny
    }
}

/// Closes the connection when it is returned as an error: no failure, neither logged nor counted. What is held or
/// just being looked at does not leave.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::tcp::{Close, Connection};
///
/// async fn only_tls(connection: &mut Connection) -> Result<()> {
///     match connection.read().await? {
///         // A handshake record (RFC 8446 5.1).
///         Some(first) if first.first() == Some(&22) => connection.forward(first),
///         _ => return Err(Close.into()),
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close;

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the filter closes the connection")
    }
}

impl std::error::Error for Close {}

/// A filter waits for more while it holds [`HELD_LIMIT`].
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::tcp::{Close, Connection, HeldTooMuch, Piece};
///
/// /// A client that sends more than can be held is sent away.
/// async fn more(connection: &mut Connection) -> Result<Option<Piece>> {
///     match connection.read().await {
///         Err(HeldTooMuch) => Err(Close.into()),
///         Ok(piece) => Ok(piece),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldTooMuch;

impl fmt::Display for HeldTooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {HELD_LIMIT} bytes of the connection are held")
    }
}

impl std::error::Error for HeldTooMuch {}

/// A connection, seen from between its two ends.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::tcp::{Connection, Flow};
///
/// async fn count(mut connection: Connection) -> Result<()> {
///     connection.upstream(|_bytes, _end| {
///         tamis_sdk::metrics::counter("pieces_down").add(1);
///         Ok(Flow::On)
///     });
///     while let Some(piece) = connection.read().await? {
///         tamis_sdk::metrics::counter("pieces_up").add(1);
///         connection.forward(piece);
///     }
///     Ok(())
/// }
/// ```
pub struct Connection(Rc<Wire>);

/// What the client sent, in the filter's hand. What is in hand does not go on; a piece that is dropped never does.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::tcp::Connection;
///
/// async fn shout(connection: &mut Connection) -> Result<()> {
///     if let Some(mut first) = connection.read().await? {
///         first.make_ascii_uppercase();
///         connection.forward(first);
///     }
///     Ok(())
/// }
/// ```
pub struct Piece {
    bytes: Vec<u8>,
    /// Where it began in the proxy's buffer, and how long it was.
    at: usize,
    len: usize,
    edited: bool,
    wire: Option<Rc<Wire>>,
}

/// What becomes of bytes from the upstream.
///
/// ```
/// use tamis_sdk::tcp::{Connection, Flow};
///
/// /// Lines of the upstream go on whole.
/// fn by_line(connection: &mut Connection) {
///     connection.upstream(|bytes, _end| Ok(if bytes.ends_with(b"\n") { Flow::On } else { Flow::Hold }));
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They go to the client.
    On,
    /// They are shown again, with what came behind them. Nothing else lets them go: hosts cannot go on with this side
    /// later (docs/envoy.md 2.13). At the end they go on all the same.
    Hold,
}

impl Connection {
    /// What the client sent and nobody has read yet; waits until there is something. `None`: the client sends
    /// nothing more. A network filter behind this one that holds bytes makes Envoy show them again.
    ///
    /// # Errors
    /// [`HeldTooMuch`] when as much is in hand.
    pub async fn read(&mut self) -> Result<Option<Piece>, HeldTooMuch> {
        poll_fn(|context| match self.0.read() {
            Some(read) => Poll::Ready(read),
            None => {
                self.0.wait(context.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Lets a piece go to the upstream, with its changes. It leaves when nothing else is in hand or unread, in the
    /// order of these calls.
    pub fn forward(&mut self, mut piece: Piece) {
        if let Some(wire) = piece.wire.take() {
            wire.forward(piece.at, piece.len, piece.edited, &piece.bytes);
        }
    }

    /// Shows what the upstream sends to `look`, as it comes, to change; the flag is true at its end. Set before the
    /// first [`read`](Self::read) it sees all of it. A second hook replaces the first. It has to decide at once; a
    /// failure is one of `handle`.
    pub fn upstream(&mut self, look: impl FnMut(&mut Vec<u8>, bool) -> Result<Flow> + 'static) {
        host::mark_upstream_data();
        self.0.hook(Box::new(look));
    }
}

impl Deref for Piece {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Piece {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        self.edited = true;
        &mut self.bytes
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece(\"{}\")", self.bytes.escape_ascii())
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            wire.discard(self.len);
        }
    }
}

pub(crate) fn make<T: TcpFilter>(config: &[u8], root: &Root) -> Result<Part> {
    host::mark_connection();
    others::begin();
    Ok(Part::Other(Rc::new(Serves(Rc::new(T::new(crate::config::parse(config)?, root)?)))))
}

struct Serves<T>(Rc<T>);

impl<T: TcpFilter> Kind for Serves<T> {
    fn open(&self, id: u32, root: &Rc<RootState>) -> Rc<dyn Stream> {
        let filter = self.0.clone();
        Wire::open(id, root, |wire| Box::pin(filter.handle(Connection(wire))))
    }

    fn on_error(&self) -> OnError {
        self.0.on_error()
    }
}

/// True for the error that closes and is no failure.
fn is_close(error: &Error) -> bool {
    error.downcast_ref::<Close>().is_some()
}
