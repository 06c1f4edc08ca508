//! The request of an exchange.

use crate::Result;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::headers::Headers;
use std::rc::Rc;
use tamis_abi::MapType;

/// A request that is held, until it is given to [`Next::run`](crate::Next::run). With it goes the way to its headers.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// async fn only_get(mut request: Request, next: Next) -> Result<Response> {
///     if request.method() != b"GET" {
///         return Ok(Reply::new(405).header("allow", "GET").into());
///     }
///     let path = request.path_without_query().unwrap_or_default().to_vec();
///     request.headers_mut().set("x-path", path)?;
///     next.run(request).await
/// }
/// ```
///
/// ```compile_fail,E0382
/// use tamis_sdk::prelude::*;
///
/// async fn late(mut request: Request, next: Next) -> Result<Response> {
///     let response = next.run(request).await?;
///     request.headers_mut().set("x-late", "1")?; // they have left
///     Ok(response)
/// }
/// ```
pub struct Request(Headers);

impl Request {
    pub(crate) fn new(exchange: Rc<Exchange>) -> Self {
        Self(Headers::of(exchange, MapType::HttpRequestHeaders))
    }

    pub(crate) fn into_exchange(self) -> Option<Rc<Exchange>> {
        self.0.into_exchange()
    }

    /// The headers, `:method`, `:path`, `:authority` and `:scheme` among them.
    pub fn headers(&self) -> &Headers {
        &self.0
    }

    /// The headers, to change them. Envoy chooses the route with the changed headers.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.0
    }

    /// `:method`; empty when there is none.
    pub fn method(&self) -> &[u8] {
        self.headers().get(":method").unwrap_or_default()
    }

    /// `:path` with its query. `CONNECT` has none.
    pub fn path(&self) -> Option<&[u8]> {
        self.headers().get(":path")
    }

    /// `:path` up to the `?`. As the client wrote it: `//`, `..` and `%2f` are still there.
    pub fn path_without_query(&self) -> Option<&[u8]> {
        self.path().map(|path| split_query(path).0)
    }

    /// What follows the `?`.
    pub fn query(&self) -> Option<&[u8]> {
        self.path().and_then(|path| split_query(path).1)
    }

    /// `:authority`, which is `host` in HTTP/1.
    pub fn authority(&self) -> Option<&[u8]> {
        self.headers().get(":authority")
    }

    /// `:scheme`.
    pub fn scheme(&self) -> Option<&[u8]> {
        self.headers().get(":scheme")
    }

    /// True for gRPC: `content-type` begins with `application/grpc`.
    pub fn is_grpc(&self) -> bool {
        self.headers().get("content-type").is_some_and(|value| value.starts_with(b"application/grpc"))
    }

    /// What to call this exchange in logs: `x-request-id`, which Envoy gives each request and which traces know, else a
    /// number of this worker's.
    pub fn id(&self) -> String {
        match self.headers().text("x-request-id") {
            Ok(Some(id)) if !id.is_empty() => id.to_owned(),
            _ => format!("stream {}", self.0.exchange().map_or(0, Exchange::id)),
        }
    }

    /// False when the headers are the whole request.
    pub fn has_body(&self) -> bool {
        self.0.exchange().is_some_and(|exchange| !exchange.request.bodiless.get())
    }

    /// Hooks for the body, which flows after the headers have left.
    pub fn body(&mut self) -> Body<'_> {
        crate::host::mark_request_body();
        Body::new(self.0.exchange(), |exchange| &exchange.request)
    }

    /// Shows the trailers when they come, to look at or change. Most requests have none.
    ///
    /// ```
    /// use tamis_sdk::prelude::*;
    ///
    /// fn strip(request: &mut Request) {
    ///     request.on_trailers(|trailers| Ok(trailers.remove("x-debug")?));
    /// }
    /// ```
    pub fn on_trailers(&mut self, hook: impl FnOnce(&mut Headers) -> Result<()> + 'static) {
        crate::host::mark_request_trailers();
        if let Some(exchange) = self.0.exchange() {
            exchange.request.trailers.set(Some(Box::new(hook)));
            exchange.look_closer();
        }
    }
}

fn split_query(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|b| *b == b'?') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}
