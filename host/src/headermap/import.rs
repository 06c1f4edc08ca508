//! How the headers of a recording come into a map.

use super::{MapKind, append, is_inline, join, key};
use tamis_traffic::Headers;

/// Fills `out` as Envoy's codec fills its map from the wire: in order, in lower case, with a second value of
/// a one-slot header joined (docs/envoy.md 2.1.1-2.1.5).
///
/// What Envoy recorded has been through this already and is taken as it is, in one copy; only a capture that
/// was written by hand or by another proxy is put right field by field.
pub(crate) fn import(from: &Headers, kind: MapKind, out: &mut Headers) {
    if is_settled(from, kind) {
        out.clone_from(from);
        return;
    }
    out.clear();
    for (name, value) in from.iter() {
        let name = key(kind, name);
        match out.position(&name) {
            Some(index) if is_inline(kind, &name) => join(out, index, value),
            _ => append(out, &name, value),
        }
    }
}

/// True when nothing needs joining, lower-casing, renaming or moving. May say false for a list that does not.
fn is_settled(headers: &Headers, kind: MapKind) -> bool {
    let mut seen = [0u64; 16];
    let mut regular = false;
    for (name, _) in headers.iter() {
        let pseudo = name.first() == Some(&b':');
        if (pseudo && regular) || name.iter().any(u8::is_ascii_uppercase) {
            return false;
        }
        regular |= !pseudo;
        if kind == MapKind::RequestHeaders && name == b"host" {
            return false;
        }
        let slot = slot(name);
        let bit = 1 << (slot & 63);
        if seen[slot >> 6] & bit != 0 && is_inline(kind, name) {
            return false;
        }
        seen[slot >> 6] |= bit;
    }
    true
}

/// A number below 1024 that differs for most names of one message.
fn slot(name: &[u8]) -> usize {
    let at = |index: usize| name.get(index).copied().map_or(0, usize::from);
    let len = name.len();
    (len * 131 + at(len / 2) * 37 + at(len.saturating_sub(1)) * 17 + at(len / 3) * 7 + at(0)) & 1023
}
