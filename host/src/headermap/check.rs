//! What the router and the codecs refuse (docs/envoy.md 2.1.8, 2.1.9).

use std::fmt;
use tamis_traffic::Headers;

/// Why Envoy's router or codec does not send a message on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// No `:method`.
    NoMethod,
    /// No `:path`, so no route.
    NoPath,
    /// A `:path` that no route has.
    Path,
    /// No `x-forwarded-proto`, or an empty one, so no route (row 81 of the conformance table).
    NoProto,
    /// `:status` is missing or not a number of three digits.
    NoStatus,
    /// A name with a byte that no header name may have.
    Name(Vec<u8>),
    /// The value under this name holds a control character.
    Value(Vec<u8>),
}

impl BadHeader {
    /// The status that the client gets.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::NoPath | Self::Path | Self::NoProto => 404,
            Self::NoStatus => 502,
            Self::NoMethod | Self::Name(_) | Self::Value(_) => 503,
        }
    }
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMethod => f.write_str("missing required header: :method"),
            Self::NoPath => f.write_str("missing required header: :path"),
            Self::Path => f.write_str("the path does not begin with a slash"),
            Self::NoProto => f.write_str("missing required header: x-forwarded-proto"),
            Self::NoStatus => f.write_str("missing required header: :status"),
            Self::Name(name) => write!(f, "invalid header name: {}", name.escape_ascii()),
            Self::Value(name) => write!(f, "invalid header value for: {}", name.escape_ascii()),
        }
    }
}

/// Whether request headers have a route. `proto`: the request came with `x-forwarded-proto`, as every request does
/// that Envoy's connection manager has seen.
///
/// # Errors
/// Why there is none. A path of a route begins with `/`.
pub(crate) fn check_route(headers: &Headers, proto: bool) -> Result<(), BadHeader> {
    if proto && headers.get(FORWARDED_PROTO).unwrap_or_default().is_empty() {
        return Err(BadHeader::NoProto);
    }
    match headers.get(b":path") {
        _ if headers.get(b":method") == Some(b"CONNECT") => Ok(()),
        None => Err(BadHeader::NoPath),
        Some(path) if !path.starts_with(b"/") => Err(BadHeader::Path),
        Some(_) => Ok(()),
    }
}

/// What the router says about request headers after the filters, once it has a route for them.
///
/// # Errors
/// The first thing that it refuses.
pub(crate) fn check_request(headers: &Headers) -> Result<(), BadHeader> {
    if headers.position(b":method").is_none() {
        return Err(BadHeader::NoMethod);
    }
    for (name, value) in headers.iter() {
        // An empty name goes through.
        if !is_name(name) && !name.is_empty() {
            return Err(BadHeader::Name(name.to_vec()));
        }
        if !is_value(value) {
            return Err(BadHeader::Value(name.to_vec()));
        }
    }
    Ok(())
}

/// The scheme that the router writes where a filter left none that it knows (row 195).
pub(crate) fn scheme_of(headers: &Headers) -> Option<&'static str> {
    let known = |name: &[u8]| {
        let value = headers.get(name).unwrap_or_default();
        ["http", "https"].into_iter().find(|known| value.eq_ignore_ascii_case(known.as_bytes()))
    };
    if known(b":scheme").is_some() { None } else { Some(known(FORWARDED_PROTO).unwrap_or("http")) }
}

/// Without it Envoy finds no route.
const FORWARDED_PROTO: &[u8] = b"x-forwarded-proto";

/// What the codec says about response headers after the filters.
///
/// # Errors
/// When `:status` is missing or no number.
pub(crate) fn check_response(headers: &Headers) -> Result<(), BadHeader> {
    let number = headers
        .get(b":status")
        .is_some_and(|s| !s.is_empty() && s.len() <= 10 && s.iter().all(u8::is_ascii_digit));
    if number { Ok(()) } else { Err(BadHeader::NoStatus) }
}

/// Letters, digits and the marks of RFC 9110 5.6.2, in lower case; a colon in front for pseudo headers.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b":").unwrap_or(name);
    !rest.is_empty() && rest.iter().all(|b| NAME_BYTES[usize::from(*b)])
}

/// Any byte but control characters; a tab is fine, and so are bytes from 0x80 on.
pub(crate) fn is_value(value: &[u8]) -> bool {
    value.iter().all(|b| VALUE_BYTES[usize::from(*b)])
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128u8 {
        let mark = matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        table[byte as usize] = mark || byte.is_ascii_lowercase() || byte.is_ascii_digit();
        byte += 1;
    }
    table
};

const VALUE_BYTES: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < 32 {
        table[byte] = byte == b'\t' as usize;
        byte += 1;
    }
    table[127] = false;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[(&str, &[u8])], want: Option<(u16, &str)>) {
        let headers: Headers = fields.iter().copied().collect();
        let checked = check_route(&headers, false).and_then(|()| check_request(&headers));
        let got = checked.err().map(|e| (e.status(), e.to_string()));
        assert_eq!(got, want.map(|(status, text)| (status, text.to_owned())));
    }

    #[test]
    fn envoy_2_1_8_names_and_values_that_die_at_the_router() {
        let ok = [(":method", &b"GET"[..]), (":path", b"/"), ("x", b"\xff\t ok")];
        check(&ok, None);
        let with = |name, value| [(":method", &b"GET"[..]), (":path", b"/"), (name, value)];
        check(&with("a b", b""), Some((503, "invalid header name: a b")));
        check(&with("", b""), None);
        for value in [&b"a\r"[..], b"\n", b"\0"] {
            check(&with("x", value), Some((503, "invalid header value for: x")));
        }
    }

    #[test]
    fn envoy_2_1_9_missing_pseudo_headers() {
        check(&[(":path", b"/")], Some((503, "missing required header: :method")));
        check(&[(":method", b"GET")], Some((404, "missing required header: :path")));
        check(&[(":method", b"GET"), (":path", b"/")], None);
        check(&[(":method", b"GET"), (":path", b"x")], Some((404, "the path does not begin with a slash")));
        let without = [(":path", &b"/"[..])].into_iter().collect();
        assert_eq!(check_route(&without, true), Err(BadHeader::NoProto));
        let status =
            |value: Option<&str>| check_response(&value.map(|v| (":status", v)).into_iter().collect());
        assert_eq!(status(Some("200")), Ok(()));
        for bad in [None, Some(""), Some("2x0"), Some("-1")] {
            assert_eq!(status(bad).unwrap_err().status(), 502);
        }
    }
}
