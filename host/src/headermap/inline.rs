//! The headers that Envoy 1.40 keeps in one slot, by map (docs/envoy.md 2.1a, measured on the stock binary).

use super::MapKind;
use super::words::Word;
use tamis_abi::one_slot;

/// True when a second value of this lower-case name joins the first.
pub(super) fn is_inline(kind: MapKind, name: &[u8]) -> bool {
    slot_of(kind, name, Word::of(name)).is_some()
}

/// The number, below [`SLOTS`], of the slot that this lower-case name has; `word` is what it was made of.
#[inline]
pub(super) fn slot_of(kind: MapKind, name: &[u8], word: Word) -> Option<usize> {
    match kind {
        MapKind::RequestHeaders => REQUEST.find(name, word),
        MapKind::ResponseHeaders => RESPONSE.find(name, word),
        MapKind::RequestTrailers => None,
        MapKind::ResponseTrailers => RESPONSE_TRAILERS.find(name, word),
    }
}

/// Most slots of one map.
pub(super) const SLOTS: usize = 128;

/// Out of the loop that calls it, which then needs no registers for the call.
#[inline(never)]
fn same(known: &str, name: &[u8]) -> bool {
    known.as_bytes() == name
}

/// Names, found by a hash: a replay asks for every header of every message.
struct Table<const N: usize> {
    names: [&'static str; N],
    words: [Word; N],
    /// Index of a name + 1 at its hash or, when that is taken, behind it; 0 is none.
    index: [u8; 512],
}

impl<const N: usize> Table<N> {
    const fn new(names: [&'static str; N]) -> Self {
        assert!(N < SLOTS);
        let mut words = [Word::of(b""); N];
        let mut index = [0; 512];
        let mut number = 0;
        while number < N {
            words[number] = Word::of(names[number].as_bytes());
            let mut at = words[number].slot();
            while index[at] != 0 {
                at = (at + 1) % 512;
            }
            number += 1;
            index[at] = number as u8;
        }
        Self { names, words, index }
    }

    #[inline(always)]
    fn find(&self, name: &[u8], word: Word) -> Option<usize> {
        let mut at = word.slot();
        loop {
            // Most headers of applications end here.
            let number = usize::from(self.index[at % 512]).checked_sub(1)?;
            if self.words[number] == word && (word.is_whole() || same(self.names[number], name)) {
                return Some(number);
            }
            at += 1;
        }
    }
}

static RESPONSE_TRAILERS: Table<2> = Table::new(one_slot::RESPONSE_TRAILERS);

static REQUEST: Table<65> = Table::new(one_slot::REQUEST);

static RESPONSE: Table<36> = Table::new(one_slot::RESPONSE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_its_like_is_not() {
        fn check<const N: usize>(kind: MapKind, table: &Table<N>) {
            for (number, name) in table.names.iter().enumerate() {
                let find = |name: &str| slot_of(kind, name.as_bytes(), Word::of(name.as_bytes()));
                assert_eq!(find(name), Some(number), "{name}");
                for at in 0..name.len() {
                    let mut other = name.to_string();
                    other.replace_range(at..=at, "#");
                    assert_eq!(find(&other), None, "{other}");
                }
                assert_eq!(find(&format!("{name}#")), None);
            }
        }
        check(MapKind::RequestHeaders, &REQUEST);
        check(MapKind::ResponseHeaders, &RESPONSE);
        check(MapKind::ResponseTrailers, &RESPONSE_TRAILERS);
    }

    #[test]
    fn envoy_2_1a_joined_and_separate_headers() {
        for name in
            [":path", "te", "x-forwarded-for", "x-envoy-upstream-rq-per-try-timeout-ms", "authorization"]
        {
            assert!(is_inline(MapKind::RequestHeaders, name.as_bytes()), "{name}");
        }
        for name in ["cookie", "accept-language", "traceparent", "date", "vary", "x-custom", ""] {
            assert!(!is_inline(MapKind::RequestHeaders, name.as_bytes()), "{name}");
        }
        for name in [":status", "vary", "grpc-message", "access-control-max-age"] {
            assert!(is_inline(MapKind::ResponseHeaders, name.as_bytes()), "{name}");
        }
        for name in ["set-cookie", "www-authenticate", "link", "user-agent", "x-forwarded-for"] {
            assert!(!is_inline(MapKind::ResponseHeaders, name.as_bytes()), "{name}");
        }
        assert!(is_inline(MapKind::ResponseTrailers, b"grpc-status"));
        assert!(!is_inline(MapKind::ResponseTrailers, b"content-type"));
        assert!(!is_inline(MapKind::RequestTrailers, b"grpc-status"));
    }
}
