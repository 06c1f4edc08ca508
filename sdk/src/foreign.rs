//! Functions that a host has beside the ABI. Envoy 1.40 has those here (docs/envoy.md 2.10); another host may have none,
//! and then each says [`Status::NotFound`].
//!
//! ```
//! use tamis_sdk::foreign;
//!
//! fn small(body: &[u8]) -> Vec<u8> {
//!     foreign::compress(body).unwrap_or_else(|_| body.to_vec())
//! }
//! ```

use crate::error::{HostError, told};
use crate::host;
use crate::wire::Fields;
use tamis_abi::Status;

pub mod crypto;

/// Calls a function by its name, with bytes as the function wants them.
///
/// # Errors
/// What the function says; [`Status::NotFound`] when the host does not have it.
pub fn call(name: &str, arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    told("call a foreign function", host::foreign(name, arguments))
}

/// A zlib stream of these bytes (RFC 1950).
///
/// # Errors
/// When the host has no such function.
pub fn compress(bytes: &[u8]) -> Result<Vec<u8>, HostError> {
    call("compress", bytes)
}

/// What is in a zlib stream. Envoy gives all of it, however much that is: give it nothing that clients made unless you
/// would hold the result.
///
/// # Errors
/// [`Status::SerializationFailure`] when it is none or is cut.
pub fn uncompress(bytes: &[u8]) -> Result<Vec<u8>, HostError> {
    call("uncompress", bytes)
}

/// Has the route chosen anew. Changed request headers do that by themselves; this is for routes that look at filter
/// state or metadata.
///
/// # Errors
/// When the host has no such function (Envoy before 1.33).
pub fn clear_route_cache() -> Result<(), HostError> {
    call("clear_route_cache", &[]).map(|_| ())
}

/// How far filter state reaches.
///
/// ```
/// use tamis_sdk::foreign::{Span, set_filter_state};
///
/// /// Chooses the upstream of a TCP connection.
/// fn choose(cluster: &str) -> Result<(), tamis_sdk::HostError> {
///     set_filter_state("envoy.tcp_proxy.cluster", cluster, Span::Connection)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Span {
    /// This filter chain.
    #[default]
    Chain,
    /// The request as it comes in, beyond this filter chain.
    Request,
    /// The connection from the client.
    Connection,
}

/// Sets an object of Envoy's own in filter state, such as `envoy.tcp_proxy.cluster`: what can be set is what has a
/// factory (the list in docs/envoy.md 2.10).
///
/// # Errors
/// [`Status::NotFound`] for a path without a factory or outside a stream, [`Status::BadArgument`] for a value that the
/// factory refuses.
pub fn set_filter_state(path: &str, value: &str, span: Span) -> Result<(), HostError> {
    let fields =
        Fields::default().bytes(1, path.as_bytes()).bytes(2, value.as_bytes()).number(3, span as u64);
    call("set_envoy_filter_state", &fields.0).map(|_| ())
}

/// What a property is that a filter sets ([`property::set`](crate::property::set)).
///
/// ```
/// use tamis_sdk::foreign::{Kind, Span, declare_property};
/// use tamis_sdk::property;
///
/// /// In `Filter::new`.
/// fn declare() -> Result<(), tamis_sdk::HostError> {
///     declare_property("tenant", false, Kind::Text, Span::Request)
/// }
///
/// /// In `handle`; another filter, or an access log, reads it as `wasm.tenant`.
/// fn tell(tenant: &str) {
///     let _ = property::set("tenant", tenant.as_bytes());
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Bytes.
    #[default]
    Bytes,
    /// Text.
    Text,
}

/// Declares a property that this filter sets. Only in [`Filter::new`](crate::Filter::new), since only what the root
/// declared counts.
///
/// # Errors
/// [`Status::BadArgument`] when the name was declared before.
pub fn declare_property(name: &str, read_only: bool, kind: Kind, span: Span) -> Result<(), HostError> {
    let fields = Fields::default().bytes(1, name.as_bytes()).number(2, read_only.into());
    let fields = fields.number(3, kind as u64).number(5, span as u64);
    call("declare_property", &fields.0).map(|_| ())
}

/// A CEL expression that the host compiled. Dropping it frees it.
///
/// ```
/// use tamis_sdk::foreign::Expression;
///
/// fn is_admin() -> Option<bool> {
///     let expression = Expression::new("request.headers['x-role'] == 'admin'").ok()?;
///     Some(expression.evaluate().ok()? == [1])
/// }
/// ```
#[derive(Debug)]
pub struct Expression(Vec<u8>);

impl Expression {
    /// Compiles an expression, once, in [`Filter::new`](crate::Filter::new): it belongs to the root.
    ///
    /// # Errors
    /// [`Status::BadArgument`] when it is none.
    pub fn new(text: &str) -> Result<Self, HostError> {
        call("expr_create", text.as_bytes()).map(Self)
    }

    /// Its value now, in the bytes that a property of its type has.
    ///
    /// # Errors
    /// [`Status::InternalFailure`] when it can not be evaluated, for instance because a name is not there.
    pub fn evaluate(&self) -> Result<Vec<u8>, HostError> {
        call("expr_evaluate", &self.0)
    }
}

impl Drop for Expression {
    fn drop(&mut self) {
        let _ = host::foreign("expr_delete", &self.0);
    }
}

/// True when a function said that it is not there.
fn is_missing(error: &HostError) -> bool {
    matches!(error.status, Status::NotFound | Status::Unimplemented)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn arguments_are_what_envoy_reads() {
        testing::clean();
        let seen = Rc::<RefCell<Vec<u8>>>::default();
        for name in ["set_envoy_filter_state", "declare_property", "expr_delete"] {
            let seen = seen.clone();
            testing::foreign(name, move |arguments| {
                seen.replace(arguments.to_vec());
                Ok(Vec::new())
            });
        }
        testing::foreign("expr_create", |_| Ok(vec![3, 0, 0, 0]));
        testing::foreign("expr_evaluate", |token| Ok(token.to_vec()));
        set_filter_state("envoy.string", "v", Span::Connection).expect("there");
        assert_eq!(*seen.borrow(), b"\x0a\x0cenvoy.string\x12\x01v\x18\x02");
        declare_property("p", true, Kind::Text, Span::Chain).expect("there");
        assert_eq!(*seen.borrow(), b"\x0a\x01p\x10\x01\x18\x01");
        let expression = Expression::new("true").expect("compiled");
        assert_eq!(expression.evaluate(), Ok(vec![3, 0, 0, 0]));
        drop(expression);
        assert_eq!(*seen.borrow(), [3, 0, 0, 0], "freed");
        assert_eq!(compress(b"x").map_err(|error| error.status), Err(Status::NotFound));
    }
}
