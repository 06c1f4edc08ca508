//! How the headers of a recording come into a map.

use super::words::{Word, has_upper};
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

/// True when nothing needs joining, lower-casing, renaming or moving.
fn is_settled(headers: &Headers, kind: MapKind) -> bool {
    let mut seen = [0u64; 16];
    let (mut regular, mut late_pseudo, mut host, mut upper) = (false, false, false, false);
    for (index, (name, _)) in headers.iter().enumerate() {
        let word = Word::of(name);
        let pseudo = word.starts_with(b':');
        late_pseudo |= pseudo & regular;
        regular |= !pseudo;
        upper |= word.may_have_upper(name);
        host |= name == b"host";
        let slot = word.slot();
        let (seen, bit) = (&mut seen[slot >> 6], 1 << (slot & 63));
        if *seen & bit != 0 && is_inline(kind, name) && headers.position(name) != Some(index) {
            return false;
        }
        *seen |= bit;
    }
    let upper = upper && headers.iter().any(|(name, _)| has_upper(name));
    !(late_pseudo || upper || (host && kind == MapKind::RequestHeaders))
}
