//! What in a message is a secret, and how it looks without it.

use std::borrow::Cow;

/// Headers whose whole value is a secret, or that have a shape of their own (see [`redact_value`]).
pub const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-forwarded-client-cert",
    "x-auth-token",
    "x-amz-security-token",
    "x-csrf-token",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "x-jwt-payload",
];

/// Query parameters that carry a secret; compared without case, with `-` as `_`.
pub const SECRET_PARAMETERS: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "assertion",
    "auth",
    "client_secret",
    "code",
    "id_token",
    "jwt",
    "key",
    "password",
    "refresh_token",
    "secret",
    "session",
    "sig",
    "signature",
    "token",
    "x_amz_credential",
    "x_amz_security_token",
    "x_amz_signature",
];

/// Headers whose value is, or holds, an address with a query.
const WITH_QUERY: &[&str] = &[":path", "location", "referer", "x-envoy-original-path", "x-original-url"];

/// A header value (or `:path`) without its secrets. Its shape stays: the scheme of `authorization`, names and
/// attributes of cookies, keys of `x-forwarded-client-cert`, the other parameters of a query. In the place of
/// a secret stands its length. Borrowed when there was nothing to take out.
pub fn redact_value<'a>(name: &[u8], value: &'a [u8]) -> Cow<'a, [u8]> {
    let is = |names: &[&str]| names.iter().any(|n| n.as_bytes().eq_ignore_ascii_case(name));
    if is(WITH_QUERY) {
        return query(value);
    }
    if value.is_empty() || !is(SECRET_HEADERS) {
        return Cow::Borrowed(value);
    }
    let name = name.to_ascii_lowercase();
    Cow::Owned(match name.as_slice() {
        b"authorization" | b"proxy-authorization" => scheme(value),
        b"cookie" => joined(value, b';', |_, pair| pairs(pair, |_| true)),
        // The first pair is the cookie, the rest are attributes (RFC 6265, 4.1.1).
        b"set-cookie" => {
            joined(value, b';', |i, pair| if i == 0 { pairs(pair, |_| true) } else { pair.to_vec() })
        }
        b"x-forwarded-client-cert" => joined(value, b',', |_, element| {
            joined(element, b';', |_, pair| pairs(pair, |key| !key.eq_ignore_ascii_case(b"uri")))
        }),
        _ => hidden(value),
    })
}

/// `Bearer eyJ…` keeps its scheme. What is not a known scheme may be a part of the secret.
fn scheme(value: &[u8]) -> Vec<u8> {
    const KNOWN: [&str; 9] =
        ["bearer", "basic", "digest", "negotiate", "apikey", "token", "dpop", "hawk", "aws4-hmac-sha256"];
    match value.iter().position(|c| *c == b' ') {
        Some(at) if KNOWN.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(&value[..at])) => {
            [&value[..=at], &hidden(&value[at + 1..])].concat()
        }
        _ => hidden(value),
    }
}

fn hidden(secret: &[u8]) -> Vec<u8> {
    format!("[redacted, {} bytes]", secret.len()).into_bytes()
}

fn joined(value: &[u8], separator: u8, each: impl Fn(usize, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let parts: Vec<_> = value.split(|c| *c == separator).enumerate().map(|(i, part)| each(i, part)).collect();
    parts.join(&separator)
}

/// `key=secret` keeps its key; what has no key is all secret.
fn pairs(pair: &[u8], secret: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    match pair.iter().position(|c| *c == b'=') {
        Some(at) if !secret(pair[..at].trim_ascii()) => pair.to_vec(),
        Some(at) => [&pair[..=at], &hidden(&pair[at + 1..])].concat(),
        None if pair.trim_ascii().is_empty() => pair.to_vec(),
        None => hidden(pair),
    }
}

fn query(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(at) = value.iter().position(|c| *c == b'?') else {
        return Cow::Borrowed(value);
    };
    let (path, query) = value.split_at(at + 1);
    let secret = |part: &[u8]| {
        let key = part.split(|c| *c == b'=').next().unwrap_or_default();
        let key: Vec<u8> =
            key.iter().map(|c| if *c == b'-' { b'_' } else { c.to_ascii_lowercase() }).collect();
        part.len() > key.len() + 1 && SECRET_PARAMETERS.iter().any(|name| name.as_bytes() == key)
    };
    if !query.split(|c| *c == b'&').any(secret) {
        return Cow::Borrowed(value);
    }
    let query =
        joined(query, b'&', |_, part| if secret(part) { pairs(part, |_| true) } else { part.to_vec() });
    Cow::Owned([path, &query].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacts_and_keeps_the_shape() {
        #[track_caller]
        fn check(name: &str, value: &str, want: &str) {
            let got = redact_value(name.as_bytes(), value.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), want);
        }
        check("authorization", "Bearer abc.def", "Bearer [redacted, 7 bytes]");
        check("authorization", "open sesame", "[redacted, 11 bytes]");
        check("Authorization", "s3cret", "[redacted, 6 bytes]");
        check("authorization", "", "");
        check("cookie", "sid=abc; theme=dark", "sid=[redacted, 3 bytes]; theme=[redacted, 4 bytes]");
        check("cookie", "lonely", "[redacted, 6 bytes]");
        check("set-cookie", "sid=abc; Path=/; HttpOnly", "sid=[redacted, 3 bytes]; Path=/; HttpOnly");
        check("x-api-key", "k-123", "[redacted, 5 bytes]");
        check(
            "x-forwarded-client-cert",
            "By=spiffe://a;Hash=9f;URI=spiffe://td/ns/x/sa/y",
            "By=[redacted, 10 bytes];Hash=[redacted, 2 bytes];URI=spiffe://td/ns/x/sa/y",
        );
        check(":path", "/cb?code=42&x=1&token=", "/cb?code=[redacted, 2 bytes]&x=1&token=");
        check(":path", "/a?X-Amz-Signature=ff", "/a?X-Amz-Signature=[redacted, 2 bytes]");
        check(":path", "/a?page=2", "/a?page=2");
        check("x-other", "Bearer abc", "Bearer abc");
    }
}
