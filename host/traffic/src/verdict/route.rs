//! The name under which exchanges are grouped.

use crate::{Exchange, Headers};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Bytes of a route name that are kept, so that a path of megabytes makes no table of megabytes; a longer
/// one ends in `…`.
pub const MAX_ROUTE: usize = 200;

/// The name of all TCP connections.
const CONNECTION: &str = "TCP";

/// Names that Istio gives to every route of a sidecar; they tell nothing apart.
const NAMELESS: [&str; 5] = ["", "-", "default", "allow_any", "block_all"];

/// The route of an exchange, to group by: the recorded `xds.route_name` where it tells routes apart, for gRPC
/// `/Service/Method`, else the method and the path without query, with ids folded (`GET /orders/{id}`).
///
/// Segments that count as ids: digits only, a UUID, hexadecimal of 16 or more digits, and upper-case letters
/// mixed with digits from 8 characters on. How many groups there may be is the caller's to bound.
pub fn route_of(exchange: &Exchange) -> Cow<'_, str> {
    if let Some(known) = borrowed(exchange) {
        return Cow::Borrowed(known);
    }
    let mut route = String::new();
    folded(exchange, &mut route);
    Cow::Owned(route)
}

/// [`route_of`] into a reused string.
pub fn route_into(exchange: &Exchange, route: &mut String) {
    route.clear();
    match borrowed(exchange) {
        Some(known) => route.push_str(known),
        None => folded(exchange, route),
    }
}

fn borrowed(exchange: &Exchange) -> Option<&str> {
    if let Some(name) = exchange.attributes.route_name.as_deref()
        && !NAMELESS.contains(&name)
        && name.len() <= MAX_ROUTE
    {
        return Some(name);
    }
    if exchange.events.is_some() {
        return Some(CONNECTION);
    }
    let headers = &exchange.request.get()?.headers;
    let path = headers.text(":path")?;
    (is_grpc(headers) && path.len() <= MAX_ROUTE && !path.contains('?')).then_some(path)
}

/// `application/grpc`, alone or with a suffix (`+proto`) or parameter: gRPC over HTTP/2, "Content-Type".
fn is_grpc(headers: &Headers) -> bool {
    headers
        .get(b"content-type")
        .and_then(|value| value.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

fn folded(exchange: &Exchange, route: &mut String) {
    let Some(request) = exchange.request.get() else {
        return route.push_str("(no request)");
    };
    let lossy = |name: &[u8]| request.headers.get(name).map(String::from_utf8_lossy);
    if !is_grpc(&request.headers) {
        let _ = write!(route, "{} ", lossy(b":method").as_deref().unwrap_or("?"));
    }
    let Some(path) = lossy(b":path") else {
        return route.push_str("(no path)");
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            route.push('/');
        }
        route.push_str(if is_id(segment) { "{id}" } else { segment });
        if route.len() > MAX_ROUTE {
            route.truncate(route.floor_char_boundary(MAX_ROUTE));
            return route.push('…');
        }
    }
}

fn is_id(segment: &str) -> bool {
    let s = segment.as_bytes();
    let all = |test: fn(&u8) -> bool| !s.is_empty() && s.iter().all(test);
    let digit = s.iter().any(u8::is_ascii_digit);
    let uuid = s.len() == 36
        && s.iter().enumerate().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => *c == b'-',
            _ => c.is_ascii_hexdigit(),
        });
    uuid || all(u8::is_ascii_digit)
        || (digit && s.len() >= 16 && all(u8::is_ascii_hexdigit))
        || (digit && s.len() >= 8 && all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Slot};

    fn exchange(fields: &[(&str, &str)]) -> Exchange {
        let headers = fields.iter().copied().collect();
        Exchange { request: Slot::some(Message { headers, ..Message::default() }), ..Exchange::default() }
    }

    #[test]
    fn routes() {
        #[track_caller]
        fn check(fields: &[(&str, &str)], want: &str) {
            let exchange = exchange(fields);
            assert_eq!(route_of(&exchange), want);
            let mut reused = "old".to_owned();
            route_into(&exchange, &mut reused);
            assert_eq!(reused, want);
        }
        let get = |path| [(":method", "GET"), (":path", path)];
        check(&get("/"), "GET /");
        check(&get("/cart?item=7#x"), "GET /cart");
        check(&get("/orders/17/lines/2"), "GET /orders/{id}/lines/{id}");
        check(&get("/u/6f1c2b64-3d0a-4a57-9d0e-2c8b0d6a7f10/"), "GET /u/{id}/");
        check(&get("/product/OLJCESPC7Z"), "GET /product/{id}");
        check(&get("/blob/0123456789abcdef"), "GET /blob/{id}");
        check(&get("/v1/deadbeefdeadbeef/static"), "GET /v1/deadbeefdeadbeef/static");
        check(&[(":path", "/x")], "? /x");
        check(&[(":method", "GET")], "GET (no path)");
        let grpc = ("content-type", "application/grpc+proto");
        check(&[(":method", "POST"), (":path", "/hip.Cart/Get"), grpc], "/hip.Cart/Get");
        check(&[(":method", "POST"), (":path", "/hip.Cart/Get?x"), grpc], "/hip.Cart/Get");
        check(&[(":method", "POST"), (":path", "/a"), ("content-type", "application/grpc-web")], "POST /a");
        check(&get(&format!("/{}", "é".repeat(300))), &format!("GET /{}…", "é".repeat(97)));
    }

    #[test]
    fn a_recorded_route_name_wins_unless_it_is_the_same_for_all() {
        for (name, want) in [("checkout", "checkout"), ("default", "GET /a"), ("", "GET /a")] {
            let mut exchange = exchange(&[(":method", "GET"), (":path", "/a")]);
            exchange.attributes.route_name = Some(name.to_owned());
            assert_eq!(route_of(&exchange), want);
        }
        assert_eq!(route_of(&Exchange::default()), "(no request)");
    }
}
