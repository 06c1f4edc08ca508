//! One reading of a path, or the reason why there is more than one.
//!
//! Envoy hands paths over raw unless its listener normalises them (docs/filters.md 0.11), and servers behind it
//! decode dots, slashes and parameters each in their own way. Rules are matched against the canonical form:
//! unreserved characters decoded, hex in upper case, empty and dot segments gone (RFC 3986 6.2.2).

use serde::Deserialize;
use std::borrow::Cow;

/// What to do with something in a path that servers read in different ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Tolerance {
    /// The path counts as ambiguous.
    #[default]
    Refuse,
    /// It stays in the canonical path as it is.
    Keep,
}

/// How strictly paths are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathOptions {
    /// `%2F` and `%5C`: some servers see a separator, some do not.
    pub escaped_slashes: Tolerance,
    /// `;`: some servers cut it off and what follows (`/admin;x`, `/public/..;/admin`).
    pub semicolons: Tolerance,
}

/// Why a path has no single reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathTrouble {
    /// There is none (CONNECT).
    Missing,
    /// It does not start with a slash.
    NotAbsolute,
    /// A `%` without two hex digits, or one whose decoding is again an escape (`%252e`).
    Escape,
    /// `%2F` or `%5C`.
    EscapedSlash,
    /// `%3F` or `%23`: a query or a fragment to servers that decode first.
    EscapedDelimiter,
    /// A backslash.
    Backslash,
    /// A semicolon.
    Semicolon,
    /// A control character or a byte that never is in UTF-8, plain or escaped.
    Control,
}

impl PathTrouble {
    /// A few words for logs and answers.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "no path",
            Self::NotAbsolute => "path without a leading slash",
            Self::Escape => "broken or doubled percent escape in the path",
            Self::EscapedSlash => "escaped slash in the path",
            Self::EscapedDelimiter => "escaped `?` or `#` in the path",
            Self::Backslash => "backslash in the path",
            Self::Semicolon => "semicolon in the path",
            Self::Control => "control character in the path",
        }
    }
}

/// The canonical form of a path without its query; most paths are their own.
///
/// # Errors
/// When servers could read the path in different ways.
pub fn canonical(path: &[u8], options: PathOptions) -> Result<Cow<'_, [u8]>, PathTrouble> {
    if path == b"*" || is_canonical(path) {
        return Ok(Cow::Borrowed(path));
    }
    rewritten(path, options).map(Cow::Owned)
}

/// True for a path of plain segments. False says nothing: the long way decides.
fn is_canonical(path: &[u8]) -> bool {
    let mut before = 0;
    path.first() == Some(&b'/')
        && path.iter().all(|byte| {
            // A dot or slash after a slash may be a segment that goes away.
            let good = match byte {
                b'/' | b'.' => before != b'/',
                _ => PLAIN[usize::from(*byte)],
            };
            before = *byte;
            good
        })
}

/// Bytes that stand for themselves in every reading: all but control characters, blank, `%`, `;`, `\`.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte <= 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[0x7f] = false;
    plain[b'%' as usize] = false;
    plain[b';' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

fn rewritten(path: &[u8], options: PathOptions) -> Result<Vec<u8>, PathTrouble> {
    if path.first() != Some(&b'/') {
        return Err(if path.is_empty() { PathTrouble::Missing } else { PathTrouble::NotAbsolute });
    }
    let decoded = decode(path, options)?;
    let mut out: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut ends_in_slash = false;
    for segment in decoded[1..].split(|b| *b == b'/') {
        // A trailing empty or dot segment leaves a trailing slash, as in RFC 3986 5.2.4.
        ends_in_slash = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => out.truncate(out.iter().rposition(|b| *b == b'/').unwrap_or(0)),
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if ends_in_slash || out.is_empty() {
        out.push(b'/');
    }
    Ok(out)
}

fn decode(path: &[u8], options: PathOptions) -> Result<Vec<u8>, PathTrouble> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => return Err(PathTrouble::Backslash),
            b';' if options.semicolons == Tolerance::Refuse => return Err(PathTrouble::Semicolon),
            0..=0x20 | 0x7f => return Err(PathTrouble::Control),
            b'%' => {
                let (value, digits) = escape(rest).ok_or(PathTrouble::Escape)?;
                rest = &rest[2..];
                match value {
                    b'/' | b'\\' if options.escaped_slashes == Tolerance::Refuse => {
                        return Err(PathTrouble::EscapedSlash);
                    }
                    b'?' | b'#' => return Err(PathTrouble::EscapedDelimiter),
                    b';' if options.semicolons == Tolerance::Refuse => return Err(PathTrouble::Semicolon),
                    b'%' if escape(rest).is_some() => return Err(PathTrouble::Escape),
                    // 0xC0 and 0xC1 only occur in overlong forms such as `%C0%AF` for a slash.
                    0..=0x1f | 0x7f | 0xc0 | 0xc1 => return Err(PathTrouble::Control),
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(value),
                    _ => out.extend_from_slice(&[b'%', digits[0], digits[1]]),
                }
            }
            _ => out.push(byte),
        }
    }
    Ok(out)
}

/// The value of two leading hex digits, and the digits in upper case.
pub(crate) fn escape(rest: &[u8]) -> Option<(u8, [u8; 2])> {
    let [high, low, ..] = rest else { return None };
    let digit = |b: &u8| (*b as char).to_digit(16).map(|d| d as u8);
    Some((digit(high)? << 4 | digit(low)?, [high.to_ascii_uppercase(), low.to_ascii_uppercase()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(path: &str) -> Result<String, PathTrouble> {
        canonical(path.as_bytes(), PathOptions::default()).map(|p| String::from_utf8(p.into_owned()).unwrap())
    }

    #[test]
    fn variants_of_one_path_have_one_form() {
        for path in [
            "/admin",
            "//admin",
            "/a/../admin",
            "/./admin",
            "/%61dmin",
            "/a/%2e%2e/admin",
            "/../admin",
            "/a/.%2E//admin",
        ] {
            assert_eq!(text(path).as_deref(), Ok("/admin"), "{path}");
        }
        assert_eq!(text("/").as_deref(), Ok("/"));
        assert_eq!(text("/a/").as_deref(), Ok("/a/"));
        assert_eq!(text("/a/..").as_deref(), Ok("/"));
        assert_eq!(text("/a/b/..").as_deref(), Ok("/a/"));
        assert_eq!(text("/a%20b%e4").as_deref(), Ok("/a%20b%E4"));
        assert_eq!(text("*").as_deref(), Ok("*"));
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (path, trouble) in [
            ("", PathTrouble::Missing),
            ("admin", PathTrouble::NotAbsolute),
            ("http://h/admin", PathTrouble::NotAbsolute),
            ("/public/..%2fadmin", PathTrouble::EscapedSlash),
            ("/public/..%5cadmin", PathTrouble::EscapedSlash),
            ("/a\\..\\admin", PathTrouble::Backslash),
            ("/public/..;/admin", PathTrouble::Semicolon),
            ("/admin%3bx", PathTrouble::Semicolon),
            ("/public/%252e%252e/admin", PathTrouble::Escape),
            ("/%zz", PathTrouble::Escape),
            ("/%4", PathTrouble::Escape),
            ("/admin%00", PathTrouble::Control),
            ("/admin%3f", PathTrouble::EscapedDelimiter),
            ("/a/%c0%ae%c0%ae/admin", PathTrouble::Control),
        ] {
            assert_eq!(text(path), Err(trouble), "{path}");
        }
    }

    #[test]
    fn a_lenient_reading_keeps_what_it_was_told_to() {
        let lenient = PathOptions { escaped_slashes: Tolerance::Keep, semicolons: Tolerance::Keep };
        assert_eq!(canonical(b"/a%2fb;v=1/c", lenient), Ok(Cow::Borrowed(&b"/a%2Fb;v=1/c"[..])));
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_stable(path in "/[a-c./%2eE5Ff;\\\\A]{0,24}") {
            if let Ok(once) = canonical(path.as_bytes(), PathOptions::default()) {
                prop_assert_eq!(canonical(&once, PathOptions::default()), Ok(once.clone()));
                prop_assert!(!once.windows(2).any(|w| w == b"//"));
                prop_assert!(!once.split(|b| *b == b'/').any(|s| s == b".." || s == b"."));
            }
        }

        #[test]
        fn the_short_way_and_the_long_way_agree(path in "/[a-c./%2eE5Ff;\\\\A\t\u{e4}]{0,24}") {
            if is_canonical(path.as_bytes()) {
                let long = rewritten(path.as_bytes(), PathOptions::default());
                prop_assert_eq!(long, Ok(path.into_bytes()));
            }
        }

        #[test]
        fn no_bytes_panic(path in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = canonical(&path, PathOptions::default());
        }
    }
}
