//! Bodies, which flow after the headers have left.
//!
//! A proxy hands a body out piece by piece. While headers are held it hands out nothing (Envoy's default,
//! docs/envoy.md 2.3), so a filter can not look into a body before it lets the headers go; it can look at, change or
//! refuse the body afterwards. Without a hook no byte is copied.

use crate::exchange::Exchange;
use crate::headers::Headers;
use crate::{Error, Result, host};
use std::cell::{Cell, RefCell};
use std::fmt;
use tamis_abi::{BufferType, MapType};

type Each<T> = Box<dyn FnMut(T, bool) -> Result<()>>;
type Change = Box<dyn FnMut(&mut Vec<u8>, bool) -> Result<()>>;
type Rewrite = Box<dyn FnOnce(Vec<u8>) -> Result<Vec<u8>>>;
type Trailers = Box<dyn FnOnce(&mut Headers) -> Result<()>>;

/// What an author wants with a body.
pub(crate) enum Hook {
    Inspect(Each<Piece>),
    Each(Change),
    Whole { limit: usize, rewrite: Rewrite },
}

/// One piece of a body, to look at.
pub(crate) struct Piece(Vec<u8>);

impl std::ops::Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A body is larger than the filter wants to hold.
///
/// ```
/// use tamis_sdk::body::BodyTooLarge;
///
/// let error = tamis_sdk::Error::from(BodyTooLarge { limit: 1024 });
/// assert_eq!(error.downcast_ref(), Some(&BodyTooLarge { limit: 1024 }));
/// assert_eq!(error.to_string(), "the body is larger than 1024 bytes");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyTooLarge {
    /// The limit given to [`Body::rewrite`], in bytes.
    pub limit: usize,
}

impl fmt::Display for BodyTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body is larger than {} bytes", self.limit)
    }
}

impl std::error::Error for BodyTooLarge {}

/// Pieces of the body came while the headers were held (`allow_on_headers_stop_iteration`), so a hook that
/// was set afterwards would miss them.
///
/// ```
/// use tamis_sdk::body::BodyMissed;
///
/// assert!(BodyMissed.to_string().contains("allow_on_headers_stop_iteration"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyMissed;

impl fmt::Display for BodyMissed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "body came while the headers were held: a body hook needs `allow_on_headers_stop_iteration` off",
        )
    }
}

impl std::error::Error for BodyMissed {}

/// One direction's body.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) hook: RefCell<Option<Hook>>,
    pub(crate) trailers: Cell<Option<Trailers>>,
    /// The headers said that nothing follows.
    pub(crate) bodiless: Cell<bool>,
    /// Pieces came while the headers were held.
    pub(crate) missed: Cell<bool>,
}

/// What the proxy shall do with the piece in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    On,
    Hold,
}

impl Side {
    /// Drops the hooks.
    pub(crate) fn drop_hooks(&self) {
        // Taken out first, so that nothing is borrowed while they are dropped.
        let hooks = (self.hook.take(), self.trailers.take());
        drop(hooks);
    }

    /// True when a hook was set too late to see all of the body.
    pub(crate) fn is_late(&self) -> bool {
        self.missed.get() && self.hook.borrow().is_some()
    }

    /// Takes `content-length` away when the body will have another length: hosts never repair it
    /// (docs/envoy.md 2.3), and a wrong one corrupts the connection.
    pub(crate) fn prepare(&self, map: MapType) {
        let changes = matches!(&*self.hook.borrow(), Some(Hook::Each(_) | Hook::Whole { .. }));
        if changes && !self.bodiless.get() {
            // An absent header is fine, and a refusal shows on the wire at worst as it was.
            let _ = host::header_remove(map, b"content-length");
        }
    }

    /// Shows the body in the host's buffer to the hook. The hook is gone after a failure.
    pub(crate) fn run(&self, buffer: BufferType, size: usize, end: bool) -> Result<Flow> {
        // Taken out, so that a hook may set another one.
        let Some(hook) = self.hook.borrow_mut().take() else { return Ok(Flow::On) };
        let (flow, hook) = match hook {
            Hook::Inspect(mut look) => {
                look(Piece(read(buffer, size)?), end)?;
                (Flow::On, Some(Hook::Inspect(look)))
            }
            Hook::Each(mut change) => {
                let before = read(buffer, size)?;
                let mut after = before.clone();
                change(&mut after, end)?;
                if after != before {
                    write(buffer, before.len(), &after)?;
                }
                (Flow::On, Some(Hook::Each(change)))
            }
            Hook::Whole { limit, .. } if size > limit => return Err(BodyTooLarge { limit }.into()),
            Hook::Whole { limit, rewrite } if !end => (Flow::Hold, Some(Hook::Whole { limit, rewrite })),
            Hook::Whole { rewrite, .. } => {
                let before = read(buffer, size)?;
                let length = before.len();
                write(buffer, length, &rewrite(before)?)?;
                (Flow::On, None)
            }
        };
        let mut slot = self.hook.borrow_mut();
        if slot.is_none() {
            *slot = hook;
        }
        Ok(flow)
    }

    /// Trailers end a body without an ending piece: what is held is read and written now (docs/envoy.md 2.3).
    pub(crate) fn finish(&self, buffer: BufferType, map: MapType) -> Result<()> {
        let is_held = matches!(&*self.hook.borrow(), Some(Hook::Whole { .. }));
        if is_held {
            let size = host::buffer_size(buffer).unwrap_or_default();
            self.run(buffer, size, true)?;
        }
        match self.trailers.take() {
            Some(hook) => hook(&mut Headers::of_host(map)),
            None => Ok(()),
        }
    }
}

fn read(buffer: BufferType, size: usize) -> Result<Vec<u8>> {
    Ok(crate::error::told("read the body", host::buffer(buffer, size))?)
}

fn write(buffer: BufferType, old: usize, new: &[u8]) -> Result<()> {
    Ok(crate::error::told("change the body", host::set_buffer(buffer, old, new))?)
}

/// Sets the hook of one body. A second one replaces the first. A hook that fails with a
/// [`Reply`](crate::Reply) answers the request with it, as long as no response headers have left; a response
/// whose headers have left is cut off.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// /// At most this much of a body is held, bytes.
/// const MOST: usize = 64 * 1024;
///
/// fn wrap(request: &mut Request) {
///     // `content-length` goes, since the length is known too late: the proxy sends chunks.
///     request.body().rewrite(MOST, |body| {
///         let text = std::str::from_utf8(&body).map_err(|_| Error::from(Reply::new(400)))?;
///         Ok(format!("{{\"wrapped\": {text:?}}}").into_bytes())
///     });
/// }
/// ```
pub struct Body<'a>(Option<(&'a Exchange, &'a Side)>);

impl<'a> Body<'a> {
    pub(crate) fn new(exchange: Option<&'a Exchange>, side: fn(&Exchange) -> &Side) -> Self {
        Self(exchange.map(|exchange| (exchange, side(exchange))))
    }

    /// Shows each piece as it passes; the flag is true for the last one, which may be empty. Trailers take
    /// the place of a last one.
    pub fn inspect(self, mut look: impl FnMut(&[u8], bool) -> Result<()> + 'static) {
        self.put(Hook::Inspect(Box::new(move |piece, end| look(&piece, end))));
    }

    /// Gives each piece as it passes, to change. `content-length` is taken away.
    pub fn transform(self, change: impl FnMut(&mut Vec<u8>, bool) -> Result<(), Error> + 'static) {
        self.put(Hook::Each(Box::new(change)));
    }

    /// Holds the body until it is complete, then replaces it. `content-length` is taken away. More than
    /// `limit` bytes are a [`BodyTooLarge`] failure. Envoy itself answers 413 above its own limit, 1 MiB by
    /// default.
    pub fn rewrite(self, limit: usize, rewrite: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, Error> + 'static) {
        self.put(Hook::Whole { limit, rewrite: Box::new(rewrite) });
    }

    fn put(self, hook: Hook) {
        if let Some((exchange, side)) = self.0 {
            *side.hook.borrow_mut() = Some(hook);
            exchange.look_closer();
        }
    }
}
