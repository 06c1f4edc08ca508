//! Header maps with Envoy's manners: lower case, joining, the `host` alias, order (docs/envoy.md 2.1).

use super::{Pairs, Result, encode, world};
use tamis_abi::{MapType, Status, one_slot};

fn map<T>(kind: MapType, f: impl FnOnce(&mut Pairs) -> T) -> Result<T> {
    world(|w| w.maps.get_mut(&kind).map(f).ok_or(Status::BadArgument))
}

fn key(kind: MapType, name: &[u8]) -> Vec<u8> {
    let name = name.to_ascii_lowercase();
    if kind == MapType::HttpRequestHeaders && name == b"host" { b":authority".to_vec() } else { name }
}

/// A second value of this lower-case name joins the first.
fn joins(kind: MapType, name: &[u8]) -> bool {
    let names: &[&str] = match kind {
        MapType::HttpRequestHeaders => &one_slot::REQUEST,
        MapType::HttpResponseHeaders | MapType::HttpCallResponseHeaders => &one_slot::RESPONSE,
        MapType::HttpResponseTrailers | MapType::HttpCallResponseTrailers => &one_slot::RESPONSE_TRAILERS,
        _ => &[],
    };
    names.iter().any(|known| known.as_bytes() == name)
}

/// `old,new`, without a space, an empty side brings no comma; else behind the last entry, or the last pseudo header.
fn add(list: &mut Pairs, kind: MapType, name: &[u8], value: &[u8]) {
    let name = key(kind, name);
    if joins(kind, &name)
        && let Some((_, old)) = list.iter_mut().find(|(known, _)| *known == name)
    {
        if !old.is_empty() && !value.is_empty() {
            old.push(b',');
        }
        return old.extend_from_slice(value);
    }
    append(list, name, value);
}

fn append(list: &mut Pairs, name: Vec<u8>, value: &[u8]) {
    let is_pseudo = |name: &[u8]| name.first() == Some(&b':');
    let at = match is_pseudo(&name) {
        true => list.iter().take_while(|(known, _)| is_pseudo(known)).count(),
        false => list.len(),
    };
    list.insert(at, (name, value.to_vec()));
}

/// As they come into a map from the wire.
pub(crate) fn settled(kind: MapType, from: Pairs) -> Pairs {
    let mut list = Pairs::new();
    from.iter().for_each(|(name, value)| add(&mut list, kind, name, value));
    list
}

/// An unavailable map is empty, not an error (docs/envoy.md 1.2).
pub(crate) fn header_pairs(kind: MapType) -> Result<Vec<u8>> {
    Ok(map(kind, |list| encode(list)).unwrap_or_default())
}

pub(crate) fn header_add(kind: MapType, name: &[u8], value: &[u8]) -> Result<()> {
    map(kind, |list| add(list, kind, name, value))
}

/// What is replaced moves to the end.
pub(crate) fn header_replace(kind: MapType, name: &[u8], value: &[u8]) -> Result<()> {
    header_remove(kind, name)?;
    map(kind, |list| append(list, key(kind, name), value))
}

pub(crate) fn header_remove(kind: MapType, name: &[u8]) -> Result<()> {
    let name = key(kind, name);
    map(kind, |list| list.retain(|(known, _)| *known != name))
}
