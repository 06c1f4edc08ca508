//! The rest of the way: what follows this filter, up to the upstream.

use crate::exchange::Exchange;
use crate::{Request, Response, Result};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The way on. Taken by [`run`](Self::run), so that a request goes on once: a proxy that is told twice sends twice.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// async fn timed(request: Request, next: Next) -> Result<Response> {
///     let start = tamis_sdk::clock::monotonic()?;
///     let mut response = next.run(request).await?;
///     let took = tamis_sdk::clock::monotonic()?.saturating_sub(start);
///     response.headers_mut().set("x-took-ms", took.as_millis().to_string())?;
///     Ok(response)
/// }
/// ```
///
/// ```compile_fail,E0382
/// use tamis_sdk::prelude::*;
///
/// async fn twice(one: Request, two: Request, next: Next) -> Result<Response> {
///     next.run(one).await?;
///     next.run(two).await // `next` is gone
/// }
/// ```
///
/// It holds nothing: the request knows its exchange.
pub struct Next(PhantomData<Rc<()>>);

impl Next {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }

    /// Lets the request go on, once it is awaited, and waits for the response's headers.
    ///
    /// # Errors
    /// None today; a stream that ends early drops the future instead. Kept so that `?` stays right.
    pub fn run(self, request: Request) -> impl Future<Output = Result<Response>> {
        // Nothing else of it is needed any more, and a future that does not hold it is moved for less.
        Run(request.into_exchange())
    }
}

/// The wait for the response.
struct Run(Option<Rc<Exchange>>);

impl Future for Run {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.take() {
            Some(exchange) if exchange.let_go() => Poll::Ready(Ok(Response::upstream(exchange))),
            waits => {
                self.0 = waits;
                Poll::Pending
            }
        }
    }
}
