//! The one trait that an author implements.

use crate::root::RootState;
use crate::{Next, Reply, Request, Response, Result, Root, response};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tamis_abi::Action;

/// What happens to an exchange whose `handle` or body hook failed. The failure is logged once and counted in
/// `tamis.filter_errors` either way.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// struct Careful;
///
/// impl Filter for Careful {
///     type Config = ();
///
///     fn new(_: (), _root: &Root) -> Result<Self> {
///         Ok(Self)
///     }
///
///     async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
///         next.run(request).await
///     }
///
///     fn on_error(&self) -> OnError {
///         OnError::Reply(Reply::new(503).header("retry-after", "1"))
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub enum OnError {
    /// The client gets 500; a response whose headers have left is cut off.
    #[default]
    Deny,
    /// The exchange goes on, with the edits made so far.
    Pass,
    /// The client gets this answer; a response whose headers have left is cut off.
    Reply(Reply),
}

/// A filter: what it is told once, and what it does to each exchange.
///
/// ```
/// use serde::Deserialize;
/// use tamis_sdk::prelude::*;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     tenant: String,
/// }
///
/// struct Tenant(Config);
///
/// impl Filter for Tenant {
///     type Config = Config;
///
///     fn new(config: Config, _root: &Root) -> Result<Self> {
///         Ok(Self(config))
///     }
///
///     async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
///         request.headers_mut().set("x-tenant", &self.0.tenant)?;
///         next.run(request).await
///     }
/// }
/// ```
pub trait Filter: Sized + 'static {
    /// What the deployment says. JSON; no configuration at all is read as `null`, then as `{}`.
    type Config: DeserializeOwned;

    /// Makes the filter. Envoy calls this on the main thread and again on every worker, and once more in a
    /// trial run, so that effects here happen several times.
    ///
    /// # Errors
    /// Refuses the configuration: Envoy then does not start, or keeps the old configuration.
    fn new(config: Self::Config, root: &Root) -> Result<Self>;

    /// Handles one exchange. See the crate's first page for what holds what.
    ///
    /// # Errors
    /// Meets [`on_error`](Self::on_error), except for a [`Reply`](crate::Reply), which is sent.
    fn handle(self: Rc<Self>, request: Request, next: Next) -> impl Future<Output = Result<Response>>;

    /// What a failure does.
    fn on_error(&self) -> OnError {
        OnError::Deny
    }
}

/// The seat of the future of one exchange after the other: its memory is used again.
pub(crate) trait Work {
    /// Makes the future, and polls it. One that was there is dropped.
    fn begin(&mut self, request: Request, waker: &Waker) -> Came;
    /// A future that is done is dropped.
    fn poll(&mut self, waker: &Waker) -> Came;
    /// Drops the future.
    fn clear(&mut self);
    /// What came [`Otherwise`](Came::Otherwise), once.
    fn ending(&mut self) -> Option<Ending>;
    fn on_error(&self) -> OnError;
}

/// What came of a poll.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Waits,
    /// The response of the upstream goes on.
    Upstream,
    /// See [`Work::ending`].
    Otherwise,
}

/// An answer of the filter, or a failure.
pub(crate) type Ending = Result<Box<Reply>>;

struct Seat<F, M, W> {
    filter: Rc<F>,
    handle: M,
    future: Pin<Box<Option<W>>>,
    ending: Option<Ending>,
}

impl<F, M, W> Work for Seat<F, M, W>
where
    F: Filter,
    M: Fn(Rc<F>, Request, Next) -> W,
    W: Future<Output = Result<Response>>,
{
    fn begin(&mut self, request: Request, waker: &Waker) -> Came {
        let future = (self.handle)(self.filter.clone(), request, Next::new());
        self.future.set(Some(future));
        self.poll(waker)
    }

    fn poll(&mut self, waker: &Waker) -> Came {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Came::Waits };
        let Poll::Ready(done) = future.poll(&mut Context::from_waker(waker)) else { return Came::Waits };
        self.future.set(None);
        let ending = match done {
            Ok(Response(response::Kind::Upstream(_))) => return Came::Upstream,
            Ok(Response(response::Kind::Reply(reply))) => Ok(reply),
            Err(error) => Err(error),
        };
        self.ending = Some(ending);
        Came::Otherwise
    }

    fn clear(&mut self) {
        self.future.set(None);
    }

    fn ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    fn on_error(&self) -> OnError {
        self.filter.on_error()
    }
}

/// As a function, since only inference can name the type of the future.
fn seat<F: Filter, M, W>(filter: Rc<F>, handle: M) -> Box<dyn Work>
where
    M: Fn(Rc<F>, Request, Next) -> W + 'static,
    W: Future<Output = Result<Response>> + 'static,
{
    Box::new(Seat { filter, handle, future: Box::pin(None), ending: None })
}

/// A filter without its type.
pub(crate) trait Handle {
    /// A seat for exchanges of this filter.
    fn work(self: Rc<Self>) -> Box<dyn Work>;
}

impl<F: Filter> Handle for F {
    fn work(self: Rc<Self>) -> Box<dyn Work> {
        seat(self, F::handle)
    }
}

/// What a configured filter is to the proxy. HTTP has a way of its own: it is the one that has to be short.
#[derive(Clone)]
pub(crate) enum Part {
    Http(Rc<dyn Handle>),
    Other(Rc<dyn Kind>),
}

/// A filter that is none for HTTP. Behind a table, so that a module has the code of its own kinds only.
pub(crate) trait Kind {
    /// The host has a new stream.
    fn open(&self, id: u32, root: &Rc<RootState>) -> Rc<dyn Stream>;

    /// `proxy_on_log` of the root itself.
    fn log(&self, _root: u32) {}

    fn on_error(&self) -> OnError;
}

/// A stream of such a filter: what the host says about it.
pub(crate) trait Stream {
    fn opened(&self) -> Action {
        Action::Continue
    }

    fn downstream(&self, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn upstream(&self, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn log(&self) {}

    /// The host is done with it; true when nothing will follow that matters.
    fn done(&self) -> bool;
}

/// Makes a filter from its configuration's bytes.
pub(crate) type Make = fn(&[u8], &Root) -> Result<Part>;

pub(crate) fn make<F: Filter>(config: &[u8], root: &Root) -> Result<Part> {
    crate::host::mark_http();
    Ok(Part::Http(Rc::new(F::new(crate::config::parse(config)?, root)?)))
}
