//! The rest of the way: what follows this filter, up to the upstream.

use crate::body::Side;
use crate::exchange::Exchange;
use crate::{Request, Response, Result};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// What the exchange and its parts know together.
#[derive(Default)]
pub(crate) struct Shared {
    /// The author let the request go.
    pub(crate) forwarded: Cell<bool>,
    /// Response headers are here.
    pub(crate) answered: Cell<bool>,
    pub(crate) request: Side,
    pub(crate) response: Side,
}

impl Shared {
    /// As new.
    pub(crate) fn reset(&self) {
        self.forwarded.set(false);
        self.answered.set(false);
        self.request.reset();
        self.response.reset();
    }
}

/// The way on. Taken by [`run`](Self::run), so that a request goes on once: a proxy that is told twice sends twice.
///
/// ```compile_fail,E0382
/// use tamis_sdk::prelude::*;
///
/// async fn twice(one: Request, two: Request, next: Next) -> Result<Response> {
///     next.run(one).await?;
///     next.run(two).await // `next` is gone
/// }
/// ```
pub struct Next(pub(crate) Rc<Exchange>);

impl Next {
    /// Lets the request go on and waits for the response's headers.
    ///
    /// # Errors
    /// None today; a stream that ends early drops the future instead. Kept so that `?` stays right.
    pub async fn run(self, request: Request) -> Result<Response> {
        drop(request);
        self.0.shared.forwarded.set(true);
        poll_fn(|_| if self.0.shared.answered.get() { Poll::Ready(()) } else { Poll::Pending }).await;
        Ok(Response::upstream(self.0))
    }
}
