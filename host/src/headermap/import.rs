//! How the headers of a recording come into a map.

use super::inline::{SLOTS, slot_of};
use super::words::{Word, has_upper};
use super::{MapKind, append, is_inline, join, key};
use tamis_traffic::Headers;

/// Fills `out` as Envoy's codec fills its map from the wire: in order, in lower case, with a second value of
/// a one-slot header joined (docs/envoy.md 2.1.1-2.1.5).
///
/// What Envoy recorded has been through this already and is taken as it is, in one copy; only a capture that
/// was written by hand or by another proxy is put right field by field.
///
/// True when it was taken as it is.
pub(crate) fn import(from: &Headers, kind: MapKind, out: &mut Headers) -> bool {
    if is_settled(from, kind) {
        out.clone_from(from);
        return true;
    }
    out.clear();
    for (name, value) in from.iter() {
        let name = key(kind, name);
        match out.position(&name) {
            Some(index) if is_inline(kind, &name) => join(out, index, value),
            _ => append(out, &name, value),
        }
    }
    false
}

/// As [`import`], for headers that are kept where they are.
pub(crate) fn settle(headers: &mut Headers, kind: MapKind) {
    if !is_settled(headers, kind) {
        let from = std::mem::take(headers);
        import(&from, kind, headers);
    }
}

/// True when nothing needs joining, lower-casing, renaming or moving.
fn is_settled(headers: &Headers, kind: MapKind) -> bool {
    let mut seen = [0u64; SLOTS / 64];
    let (mut regular, mut unsettled) = (false, false);
    for name in headers.names() {
        let word = Word::of(name);
        let pseudo = word.starts_with(b':');
        unsettled |= pseudo & regular;
        regular |= !pseudo;
        unsettled |= match slot_of(kind, name, word) {
            Some(slot) => {
                let (seen, bit) = (&mut seen[slot / 64 % (SLOTS / 64)], 1 << (slot % 64));
                let again = *seen & bit != 0;
                *seen |= bit;
                again
            }
            None => {
                let host = kind == MapKind::RequestHeaders && name == b"host";
                host || (word.may_have_upper(name) && has_upper(name))
            }
        };
    }
    !unsettled
}
