//! The layout of pairs, held against docs/envoy.md 1.3 and against itself.

use proptest::prelude::*;
use tamis_abi::pairs::{self, DecodeError, MAX_BYTES, MAX_PAIRS};

type Owned = Vec<(Vec<u8>, Vec<u8>)>;

fn borrowed(list: &Owned) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
    list.iter().map(|(k, v)| (k.as_slice(), v.as_slice()))
}

fn encoded(list: &Owned) -> Vec<u8> {
    let mut out = vec![0xAA; pairs::encoded_len(borrowed(list))];
    assert_eq!(pairs::encode(borrowed(list), &mut out), Some(out.len()));
    out
}

#[test]
fn layout_is_counts_then_bytes_with_zeros() {
    let bytes = encoded(&vec![(b"ab".to_vec(), b"c".to_vec())]);
    assert_eq!(bytes, [1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'a', b'b', 0, b'c', 0]);
}

#[test]
fn no_pairs_are_no_bytes() {
    assert!(encoded(&vec![]).is_empty());
    assert_eq!(pairs::decode(&[]).expect("no bytes are a list").len(), 0);
}

/// A count of zero that stands alone is a list too: nothing is left over.
#[test]
fn count_of_zero_is_empty() {
    assert_eq!(pairs::decode(&[0, 0, 0, 0]).expect("empty").len(), 0);
}

#[test]
fn limits_of_envoy_are_exact() {
    let pair = (b"k".to_vec(), b"v".to_vec());
    assert_eq!(pairs::decode(&encoded(&vec![pair.clone(); MAX_PAIRS])).map(|p| p.len()), Ok(MAX_PAIRS));
    assert_eq!(
        pairs::decode(&encoded(&vec![pair; MAX_PAIRS + 1])).map(|p| p.len()),
        Err(DecodeError::TooManyPairs)
    );
    let room = MAX_BYTES - encoded(&vec![(vec![], vec![])]).len();
    assert!(pairs::decode(&encoded(&vec![(vec![], vec![b'x'; room])])).is_ok());
    assert_eq!(
        pairs::decode(&encoded(&vec![(vec![], vec![b'x'; room + 1])])).map(|p| p.len()),
        Err(DecodeError::TooLarge)
    );
}

#[test]
fn damage_is_refused() {
    let good = encoded(&vec![(b"ab".to_vec(), b"c".to_vec())]);
    for cut in 1..good.len() {
        assert!(pairs::decode(&good[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(pairs::decode(&longer).map(|p| p.len()), Err(DecodeError::BadLength));
    let mut no_zero = good;
    no_zero[14] = b'x';
    assert_eq!(pairs::decode(&no_zero).map(|p| p.len()), Err(DecodeError::MissingZero));
}

#[test]
fn a_short_buffer_takes_nothing() {
    let list = vec![(b"ab".to_vec(), b"c".to_vec())];
    assert_eq!(pairs::encode(borrowed(&list), &mut [0; 16]), None);
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(list in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..40)) {
        let bytes = encoded(&list);
        let back: Owned = pairs::decode(&bytes).expect("own encoding").map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
        prop_assert_eq!(back, list);
    }

    #[test]
    fn any_bytes_are_pairs_or_an_error(bytes in prop::collection::vec(0u8..4, 0..64)) {
        if let Ok(found) = pairs::decode(&bytes) {
            let list: Owned = found.map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
            if !list.is_empty() {
                prop_assert_eq!(encoded(&list), bytes);
            }
        }
    }
}
