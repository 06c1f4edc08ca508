//! The response of an exchange.

use crate::body::Body;
use crate::exchange::Exchange;
use crate::headers::Headers;
use crate::{Reply, Result};
use std::rc::Rc;
use tamis_abi::MapType;

/// What goes to the client: what came back from upstream, or a [`Reply`].
///
/// What came back may also be an answer of the proxy itself, such as 404 for no route or 503 for no upstream.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// async fn hide_errors(request: Request, next: Next) -> Result<Response> {
///     let mut response = next.run(request).await?;
///     if response.status().is_none_or(|status| status >= 500) {
///         return Ok(Reply::new(502).body("try again later").into());
///     }
///     response.headers_mut().remove("server")?;
///     Ok(response)
/// }
/// ```
pub struct Response(pub(crate) Kind);

pub(crate) enum Kind {
    /// Its headers know the exchange.
    Upstream(Headers),
    /// On the heap, so that the usual response is moved for less.
    Reply(Box<Reply>),
}

impl Response {
    pub(crate) fn upstream(exchange: Rc<Exchange>) -> Self {
        Self(Kind::Upstream(Headers::of(exchange, MapType::HttpResponseHeaders)))
    }

    /// The headers; of an upstream response `:status` among them.
    pub fn headers(&self) -> &Headers {
        match &self.0 {
            Kind::Upstream(headers) => headers,
            Kind::Reply(reply) => &reply.headers,
        }
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut Headers {
        match &mut self.0 {
            Kind::Upstream(headers) => headers,
            Kind::Reply(reply) => &mut reply.headers,
        }
    }

    /// The status code; `None` when the upstream sent none that is a number.
    pub fn status(&self) -> Option<u16> {
        match &self.0 {
            Kind::Upstream(_) => std::str::from_utf8(self.headers().get(":status")?).ok()?.parse().ok(),
            Kind::Reply(reply) => Some(reply.status()),
        }
    }

    /// Another status code. Codes below 200 are refused: Envoy 1.40 writes whatever it is told.
    ///
    /// # Errors
    /// When the code is not in 200..=599 or the host refuses.
    pub fn set_status(&mut self, status: u16) -> Result<()> {
        if !(200..=599).contains(&status) {
            return Err(crate::Error::msg(format!("status {status} is not in 200..=599")));
        }
        match &mut self.0 {
            Kind::Upstream(_) => self.headers_mut().set(":status", status.to_string())?,
            Kind::Reply(reply) => reply.status = status,
        }
        Ok(())
    }

    /// Hooks for the body, which flows after the headers have left; `None` for a [`Reply`].
    pub fn body(&mut self) -> Option<Body<'_>> {
        match &self.0 {
            Kind::Upstream(headers) => {
                crate::host::mark_response_body();
                Some(Body::new(headers.exchange(), |exchange| &exchange.response))
            }
            Kind::Reply(_) => None,
        }
    }

    /// Shows the trailers when they come, to look at or change. gRPC has its status there; an answer without trailers,
    /// and a [`Reply`], shows none.
    ///
    /// ```
    /// use tamis_sdk::prelude::*;
    ///
    /// fn count(response: &mut Response) {
    ///     response.on_trailers(|trailers| {
    ///         if trailers.get("grpc-status").is_some_and(|code| code != b"0") {
    ///             tamis_sdk::metrics::counter("grpc_failures").add(1);
    ///         }
    ///         Ok(())
    ///     });
    /// }
    /// ```
    pub fn on_trailers(&mut self, hook: impl FnOnce(&mut Headers) -> Result<()> + 'static) {
        if let Kind::Upstream(headers) = &self.0
            && let Some(exchange) = headers.exchange()
        {
            crate::host::mark_response_trailers();
            exchange.response.trailers.set(Some(Box::new(hook)));
            exchange.look_closer();
        }
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        Self(Kind::Reply(Box::new(reply)))
    }
}
