//! Istio's access log as JSON (facts of captures, 2).

/// A line, maybe behind a prefix, that holds a JSON object of Istio's default access log.
pub(super) fn looks_like(line: &[u8]) -> bool {
    let Some(open) = memchr::memchr(b'{', line) else { return false };
    let object = &line[open..];
    let has = |key: &[u8]| memchr::memmem::find(object, key).is_some();
    has(b"\"response_code\"") && (has(b"\"start_time\"") || has(b"\"path\"") || has(b"\"method\""))
}
