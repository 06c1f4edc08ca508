//! The one trait that an author implements.

use crate::{Next, Request, Response, Result, Root};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// What happens to an exchange whose `handle` or body hook failed. The failure is logged once and counted in
/// `tamis.filter_errors` either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The client gets 500; a response whose headers have left is cut off.
    #[default]
    Deny,
    /// The exchange goes on, with the edits made so far.
    Pass,
}

/// A filter: what it is told once, and what it does to each exchange.
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

/// The future of one exchange.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Response>>>>;

/// A filter without its type.
pub(crate) trait Handle {
    fn handle(self: Rc<Self>, request: Request, next: Next) -> Work;
    fn on_error(&self) -> OnError;
}

impl<F: Filter> Handle for F {
    fn handle(self: Rc<Self>, request: Request, next: Next) -> Work {
        Box::pin(Filter::handle(self, request, next))
    }

    fn on_error(&self) -> OnError {
        Filter::on_error(self)
    }
}

/// Makes a filter from its configuration's bytes.
pub(crate) type Make = fn(&[u8], &Root) -> Result<Rc<dyn Handle>>;

pub(crate) fn make<F: Filter>(config: &[u8], root: &Root) -> Result<Rc<dyn Handle>> {
    Ok(Rc::new(F::new(crate::config::parse(config)?, root)?))
}
