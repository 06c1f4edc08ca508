//! Properties by name and type, as Envoy 1.40 has them (docs/envoy.md 2.9 says in which phases).

use super::{PropertyError, bytes, flag, number, text};
use std::net::SocketAddr;
use std::time::Duration;

/// A type that a property may have.
///
/// ```
/// use tamis_sdk::property::PropertyError;
/// use tamis_sdk::property::known::{FromProperty, Property};
///
/// /// The namespace in a SPIFFE identity, `spiffe://DOMAIN/ns/NAMESPACE/sa/NAME`.
/// struct Namespace(String);
///
/// impl FromProperty for Namespace {
///     fn ask(path: &[&str]) -> Result<Self, PropertyError> {
///         let identity = String::ask(path)?;
///         let namespace = identity.split('/').nth(4).ok_or(PropertyError::WrongType)?;
///         Ok(Self(namespace.to_owned()))
///     }
/// }
///
/// const PEER: Property<Namespace> = Property::new(&["connection", "uri_san_peer_certificate"]);
/// # let _ = PEER.get().map(|namespace| namespace.0);
/// ```
pub trait FromProperty: Sized {
    /// Asks for it.
    ///
    /// # Errors
    /// As [`bytes`], and when it is of another type.
    fn ask(path: &[&str]) -> Result<Self, PropertyError>;
}

impl FromProperty for Vec<u8> {
    fn ask(path: &[&str]) -> Result<Self, PropertyError> {
        bytes(path)
    }
}

impl FromProperty for String {
    fn ask(path: &[&str]) -> Result<Self, PropertyError> {
        text(path)
    }
}

impl FromProperty for i64 {
    fn ask(path: &[&str]) -> Result<Self, PropertyError> {
        number(path)
    }
}

impl FromProperty for bool {
    fn ask(path: &[&str]) -> Result<Self, PropertyError> {
        flag(path)
    }
}

/// Nanoseconds; a time is one since 1970-01-01 UTC.
impl FromProperty for Duration {
    fn ask(path: &[&str]) -> Result<Self, PropertyError> {
        u64::try_from(number(path)?).map(Duration::from_nanos).map_err(|_| PropertyError::WrongType)
    }
}

/// `IP:PORT`. What is no such address, a pipe for instance, is of another type.
impl FromProperty for SocketAddr {
    fn ask(path: &[&str]) -> Result<Self, PropertyError> {
        text(path)?.parse().map_err(|_| PropertyError::WrongType)
    }
}

/// A property whose path and type are known.
///
/// ```
/// use tamis_sdk::property::known;
///
/// /// At most a minute behind the request's start.
/// fn is_fresh(now: std::time::Duration) -> bool {
///     known::REQUEST_TIME.get().is_ok_and(|start| now.saturating_sub(start).as_secs() < 60)
/// }
/// ```
pub struct Property<T: 'static> {
    path: &'static [&'static str],
    ask: fn(&[&str]) -> Result<T, PropertyError>,
}

impl<T: FromProperty> Property<T> {
    /// Names one more.
    ///
    /// ```
    /// use tamis_sdk::property::known::Property;
    ///
    /// const MESH_ID: Property<String> = Property::new(&["xds", "node", "metadata", "MESH_ID"]);
    /// # let _ = MESH_ID.get();
    /// ```
    pub const fn new(path: &'static [&'static str]) -> Self {
        Self { path, ask: T::ask }
    }

    /// Its value now.
    ///
    /// # Errors
    /// [`PropertyError::NotHere`] in a phase that does not have it, [`PropertyError::Absent`] when there is none.
    pub fn get(&self) -> Result<T, PropertyError> {
        (self.ask)(self.path)
    }
}

macro_rules! known {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $path:literal;)*) => {$(
        #[doc = concat!("`", $path, "`:")]
        $(#[$doc])*
        pub const $name: Property<$type> = Property::new(&{
            const PARTS: ([&str; 3], usize) = split($path);
            const SEGMENTS: [&str; PARTS.1] = first(PARTS.0);
            SEGMENTS
        });
    )*};
}

/// The segments of a path with dots, three at most, and how many there are.
const fn split(path: &'static str) -> ([&'static str; 3], usize) {
    let mut parts = [""; 3];
    let (mut count, mut rest, mut at) = (0, path, 0);
    while at < rest.len() {
        if rest.as_bytes()[at] == b'.' {
            let (part, tail) = rest.split_at(at);
            parts[count] = part;
            count += 1;
            rest = tail.split_at(1).1;
            at = 0;
        } else {
            at += 1;
        }
    }
    parts[count] = rest;
    (parts, count + 1)
}

const fn first<const N: usize>(parts: [&'static str; 3]) -> [&'static str; N] {
    let mut out = [""; N];
    let mut at = 0;
    while at < N {
        out[at] = parts[at];
        at += 1;
    }
    out
}

known! {
    /// `:path` with its query. Request headers and log only.
    REQUEST_PATH: String = "request.path";
    /// `:path` without its query. Request headers and log only.
    REQUEST_URL_PATH: String = "request.url_path";
    /// What follows the `?`. Request headers and log only.
    REQUEST_QUERY: String = "request.query";
    /// `:authority`. Request headers and log only.
    REQUEST_HOST: String = "request.host";
    /// `:method`. Request headers and log only.
    REQUEST_METHOD: String = "request.method";
    /// `:scheme`. Request headers and log only.
    REQUEST_SCHEME: String = "request.scheme";
    /// `x-request-id`. Request headers and log only.
    REQUEST_ID: String = "request.id";
    /// `HTTP/1.1`, `HTTP/2` and so on. In all phases.
    REQUEST_PROTOCOL: String = "request.protocol";
    /// When it came, since 1970-01-01 UTC. In all phases.
    REQUEST_TIME: Duration = "request.time";
    /// How long it took. In the log and after it.
    REQUEST_DURATION: Duration = "request.duration";
    /// Bytes of its body: what `content-length` says, later what came. In all phases.
    REQUEST_SIZE: i64 = "request.size";
    /// The status. From the response's headers on.
    RESPONSE_CODE: i64 = "response.code";
    /// Why it has that status, `via_upstream` for instance. From the response's headers on.
    RESPONSE_CODE_DETAILS: String = "response.code_details";
    /// Envoy's response flags, a bit each. In all phases.
    RESPONSE_FLAGS: i64 = "response.flags";
    /// `grpc-status`, 2 on what is no gRPC. From the response's headers on.
    RESPONSE_GRPC_STATUS: i64 = "response.grpc_status";
    /// Bytes of the body that went out so far. In all phases.
    RESPONSE_SIZE: i64 = "response.size";
    /// The client. In all phases.
    SOURCE_ADDRESS: String = "source.address";
    /// The client, when it is one on the internet. In all phases.
    SOURCE_SOCKET: SocketAddr = "source.address";
    /// Where the client connected to. In all phases.
    DESTINATION_ADDRESS: String = "destination.address";
    /// The port that the client connected to. In all phases.
    DESTINATION_PORT: i64 = "destination.port";
    /// Counts connections of this proxy. In all phases.
    CONNECTION_ID: i64 = "connection.id";
    /// The client showed a certificate that was accepted. In all phases.
    CONNECTION_MTLS: bool = "connection.mtls";
    /// SNI. In all phases, empty without one.
    CONNECTION_SERVER_NAME: String = "connection.requested_server_name";
    /// `TLSv1.3` for instance. Absent without TLS.
    CONNECTION_TLS_VERSION: String = "connection.tls_version";
    /// The client's identity, in Istio `spiffe://cluster.local/ns/…`. Absent without a certificate.
    CONNECTION_PEER_URI: String = "connection.uri_san_peer_certificate";
    /// Where the request was sent to. From the request's body on.
    UPSTREAM_ADDRESS: String = "upstream.address";
    /// Why TLS to the upstream failed. From the request's body on, empty when it did not.
    UPSTREAM_FAILURE: String = "upstream.transport_failure_reason";
    /// How often the router tried. In all phases.
    UPSTREAM_ATTEMPTS: i64 = "upstream.request_attempt_count";
    /// The cluster of the route. In all phases; of the old route until the callback that changed headers is over.
    CLUSTER_NAME: String = "xds.cluster_name";
    /// The route, as [`CLUSTER_NAME`].
    ROUTE_NAME: String = "xds.route_name";
    /// 0 unknown, 1 inbound, 2 outbound. In all phases.
    LISTENER_DIRECTION: i64 = "xds.listener_direction";
    /// The proxy's id. In all phases, on the root too.
    NODE_ID: String = "xds.node.id";
    /// The proxy's cluster, in Istio the workload. In all phases, on the root too.
    NODE_CLUSTER: String = "xds.node.cluster";
    /// The name of this filter in the proxy's configuration. In all phases, on the root too.
    PLUGIN_NAME: String = "plugin_name";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::testing;

    fn put(path: &[u8], value: &[u8]) {
        host::set_property(path, value).expect("stored");
    }

    #[test]
    fn too_early_and_not_there_are_two_things() {
        testing::clean();
        assert_eq!(REQUEST_PATH.get(), Err(PropertyError::NotHere));
        put(b"request\0method", b"CONNECT");
        assert_eq!(REQUEST_PATH.get(), Err(PropertyError::Absent), "CONNECT has none");
        assert_eq!(RESPONSE_CODE.get(), Err(PropertyError::NotHere));
        assert_eq!(REQUEST_DURATION.get(), Err(PropertyError::NotHere));
        assert_eq!(CONNECTION_TLS_VERSION.get(), Err(PropertyError::Absent));
        assert_eq!(UPSTREAM_ADDRESS.get(), Err(PropertyError::NotHere));
    }

    #[test]
    fn values_have_the_type_that_envoy_gives_them() {
        testing::clean();
        put(b"xds\0node\0id", b"sidecar");
        put(b"response\0code", &204_i64.to_le_bytes());
        put(b"request\0time", &1_500_000_000_i64.to_le_bytes());
        put(b"connection\0mtls", &[1]);
        put(b"source\0address", b"[::1]:8080");
        assert_eq!(NODE_ID.get(), Ok("sidecar".into()));
        assert_eq!(RESPONSE_CODE.get(), Ok(204));
        assert_eq!(REQUEST_TIME.get(), Ok(Duration::from_millis(1500)));
        assert_eq!(CONNECTION_MTLS.get(), Ok(true));
        assert_eq!(SOURCE_SOCKET.get().map(|s| s.port()), Ok(8080));
        put(b"source\0address", b"@pipe");
        assert_eq!(SOURCE_SOCKET.get(), Err(PropertyError::WrongType));
        put(b"response\0code", b"204");
        assert_eq!(RESPONSE_CODE.get(), Err(PropertyError::WrongType));
    }
}
