//! Text forms shared by readers and writers: base64 and times.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Appends what `text` encodes, in either alphabet, padded or not (as JSON readers of protobuf must); false,
/// with nothing appended, when it is no base64.
pub(crate) fn push_base64(text: &[u8], into: &mut Vec<u8>) -> bool {
    let before = into.len();
    let url = memchr::memchr2(b'-', b'_', text).is_some();
    let decoded = if url { URL.decode_vec(text, into) } else { PLAIN.decode_vec(text, into) };
    if decoded.is_err() {
        into.truncate(before);
    }
    decoded.is_ok()
}

/// Base64 with padding (RFC 4648, 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads a time of RFC 3339 as nanoseconds since the epoch; none before it, after the year 2554, or when it is
/// no time.
pub(crate) fn nanos(text: &str) -> Option<u64> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    let seconds = u64::try_from(time.timestamp()).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(u64::from(time.timestamp_subsec_nanos()))
}

/// Writes nanoseconds since the epoch as RFC 3339, as short as it is exact.
pub(crate) fn rfc3339(nanos: u64) -> String {
    let second = i64::try_from(nanos / 1_000_000_000).unwrap_or_default();
    let time = chrono::DateTime::from_timestamp(second, (nanos % 1_000_000_000) as u32).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// Writes nanoseconds since the epoch as the `date` of a response has them (RFC 9110, 5.6.7).
pub fn http_date(nanos: u64) -> String {
    let second = i64::try_from(nanos / 1_000_000_000).unwrap_or_default();
    let time = chrono::DateTime::from_timestamp(second, 0).unwrap_or_default();
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_from_the_first_to_the_last_nanosecond() {
        for time in [0, 1, 999_999_999, 1_795_417_407_335_099_000, u64::MAX] {
            assert_eq!(nanos(&rfc3339(time)), Some(time));
        }
        assert_eq!(nanos("2026-11-23T08:03:27.335099+01:00"), Some(1_795_417_407_335_099_000));
        assert_eq!(nanos("1969-12-31T23:59:59Z"), None);
        assert_eq!(nanos("yesterday"), None);
    }

    #[test]
    fn a_date_has_29_bytes() {
        assert_eq!(http_date(784_111_777_000_000_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(u64::MAX).len(), 29);
    }

    #[test]
    fn base64_is_read_in_both_alphabets_with_and_without_padding() {
        for text in ["+/8=", "-_8=", "+/8", "-_8"] {
            let mut bytes = b"x".to_vec();
            assert!(push_base64(text.as_bytes(), &mut bytes), "{text}");
            assert_eq!(bytes, b"x\xfb\xff");
        }
        let mut bytes = b"x".to_vec();
        assert!(!push_base64(b"a*", &mut bytes));
        assert_eq!(bytes, b"x");
    }
}
