//! Header maps with Envoy's manners: lower case, joining, the `host` alias, order (docs/envoy.md 2.1).
//!
//! The data is [`Headers`]; everything here is what Envoy's header map does on top of it.

mod check;
mod import;
mod inline;
mod words;

pub(crate) use check::{BadHeader, check_request, check_response, check_route, is_name, is_value, scheme_of};
pub(crate) use import::{import, settle};

use crate::world::LimitReached;
use inline::is_inline;
use std::borrow::Cow;
use tamis_traffic::Headers;

/// Largest map that a filter may build, in bytes (4 MiB): four times what one `set_header_map_pairs` can
/// carry. Envoy has no limit here and its codec refuses far less; beyond it the playback ends with a fault.
pub(crate) const MAP_LIMIT: usize = 4 << 20;
/// Most fields of a map that a filter may build. Codecs refuse more than 100 by default.
pub(crate) const FIELDS_LIMIT: usize = 4096;

/// Which map it is; what joins depends on it (docs/envoy.md 2.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapKind {
    /// Headers of a request, also of one that a filter sends out.
    RequestHeaders,
    /// Trailers of a request.
    RequestTrailers,
    /// Headers of a response.
    ResponseHeaders,
    /// Trailers of a response.
    ResponseTrailers,
}

/// Index of the first entry of a name in any case.
pub(crate) fn position(headers: &Headers, kind: MapKind, name: &[u8]) -> Option<usize> {
    headers.position(&key(kind, name))
}

/// Appends a value: to the one that is there for a header that Envoy keeps in one slot, else as an entry.
///
/// # Errors
/// When the map would outgrow its limits; then nothing changes.
pub(crate) fn add(
    headers: &mut Headers,
    kind: MapKind,
    name: &[u8],
    value: &[u8],
) -> Result<(), LimitReached> {
    let name = key(kind, name);
    has_room(headers, name.len() + value.len() + 1)?;
    if is_inline(kind, &name)
        && let Some(index) = headers.position(&name)
    {
        join(headers, index, value);
        return Ok(());
    }
    append(headers, &name, value);
    Ok(())
}

/// Takes out every entry of the name and appends one.
///
/// # Errors
/// When the map would outgrow its limits; then nothing changes.
pub(crate) fn replace(
    headers: &mut Headers,
    kind: MapKind,
    name: &[u8],
    value: &[u8],
) -> Result<(), LimitReached> {
    let name = key(kind, name);
    has_room(headers, name.len() + value.len())?;
    headers.remove(&name);
    append(headers, &name, value);
    Ok(())
}

/// Takes out every entry of the name; none is fine.
pub(crate) fn remove(headers: &mut Headers, kind: MapKind, name: &[u8]) {
    headers.remove(&key(kind, name));
}

/// Makes the map what the encoded pairs say. Bytes that do not decode are an empty list (docs/envoy.md 1.3), which
/// wipes it.
///
/// # Errors
/// Never for the decoder's limits; they are below the map's.
pub(crate) fn set_pairs(headers: &mut Headers, kind: MapKind, pairs: &[u8]) -> Result<(), LimitReached> {
    headers.clear();
    let Ok(pairs) = tamis_abi::pairs::decode(pairs) else { return Ok(()) };
    for (name, value) in pairs {
        add(headers, kind, name, value)?;
    }
    Ok(())
}

/// The name as the map has it: lower case, and `:authority` for the `host` of a request.
pub(crate) fn key(kind: MapKind, name: &[u8]) -> Cow<'_, [u8]> {
    if kind == MapKind::RequestHeaders && name.len() == 4 && name.eq_ignore_ascii_case(b"host") {
        return Cow::Borrowed(b":authority");
    }
    if words::has_upper(name) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

/// Behind the last entry; a pseudo header behind the last pseudo header, so that these stay in front.
pub(crate) fn append(headers: &mut Headers, name: &[u8], value: &[u8]) {
    if name.first() != Some(&b':') {
        headers.push(name, value);
        return;
    }
    let pseudo = headers.iter().take_while(|(name, _)| name.first() == Some(&b':')).count();
    headers.insert(pseudo, name, value);
}

/// `old,new`, without a space; an empty side brings no comma.
fn join(headers: &mut Headers, index: usize, value: &[u8]) {
    let Some((_, old)) = headers.at(index) else { return };
    if value.is_empty() {
        return;
    }
    let joined = if old.is_empty() { value.to_vec() } else { [old, b",", value].concat() };
    headers.set_value(index, &joined);
}

fn has_room(headers: &Headers, more: usize) -> Result<(), LimitReached> {
    if headers.len() >= FIELDS_LIMIT {
        return Err(LimitReached { what: "header map", limit: FIELDS_LIMIT, unit: "fields" });
    }
    if more > MAP_LIMIT || headers.byte_len() > MAP_LIMIT - more {
        return Err(LimitReached { what: "header map", limit: MAP_LIMIT, unit: "bytes" });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
