//! Query parameters and cookies: reading all of them, and taking one out.

use crate::path::escape;

/// All decoded values of a query parameter, in order. `query` is what follows the `?`.
///
/// Names and values are percent-decoded and `+` is a blank (the form that browsers send); a broken escape
/// stays as it is.
pub fn query_values(query: &[u8], name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let (key, value) = halves(pair);
        (decode(key) == name).then(|| decode(value))
    })
}

/// `path` (with its query) without every parameter of that name.
pub fn without_query(path: &[u8], name: &[u8]) -> Vec<u8> {
    let Some(mark) = path.iter().position(|b| *b == b'?') else { return path.to_vec() };
    let mut out = path[..mark].to_vec();
    let mut joint = b'?';
    for pair in path[mark + 1..].split(|b| *b == b'&') {
        if decode(halves(pair).0) != name {
            out.push(joint);
            out.extend_from_slice(pair);
            joint = b'&';
        }
    }
    out
}

/// All values of a cookie in one `cookie` header value; quotes around a value are no part of it (RFC 6265 4.1.1).
pub fn cookie_values<'h>(header: &'h [u8], name: &[u8]) -> impl Iterator<Item = &'h [u8]> {
    header.split(|b| *b == b';').filter_map(move |crumb| {
        let (key, value) = halves(crumb.trim_ascii());
        (key.trim_ascii() == name).then(|| unquoted(value.trim_ascii()))
    })
}

/// A `cookie` header value without every cookie of that name; `None` when nothing is left.
pub fn without_cookie(header: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let kept: Vec<&[u8]> = header
        .split(|b| *b == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|crumb| !crumb.is_empty() && halves(crumb).0.trim_ascii() != name)
        .collect();
    (!kept.is_empty()).then(|| kept.join(&b"; "[..]))
}

fn halves(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|b| *b == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, escape(rest)) {
            (b'%', Some((value, _))) => {
                out.push(value);
                rest = &rest[2..];
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_parameter_is_seen() {
        let values: Vec<_> = query_values(b"a=1&b=2&%61=3&a&a=%zz", b"a").collect();
        assert_eq!(values, [&b"1"[..], b"3", b"", b"%zz"]);
    }

    #[test]
    fn a_parameter_is_taken_out_in_all_its_spellings() {
        assert_eq!(without_query(b"/p?a=1&k=x&%6b=y&b", b"k"), b"/p?a=1&b");
        assert_eq!(without_query(b"/p?k=x", b"k"), b"/p");
        assert_eq!(without_query(b"/p", b"k"), b"/p");
    }

    #[test]
    fn cookies_are_read_and_taken_out() {
        let header = b"a=1; k=\"v\";k=2 ; b";
        assert_eq!(cookie_values(header, b"k").collect::<Vec<_>>(), [&b"v"[..], b"2"]);
        assert_eq!(without_cookie(header, b"k").as_deref(), Some(&b"a=1; b"[..]));
        assert_eq!(without_cookie(b" k=1", b"k"), None);
        assert_eq!(cookie_values(b"kk=1; ak=2", b"k").count(), 0);
    }
}
