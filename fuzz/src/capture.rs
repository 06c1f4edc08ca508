//! Captures, and the pairs in which header maps travel.

use crate::whole;
use std::io::Cursor;
use tamis_traffic::{Exchange, Headers, read, write};

/// Whatever decodes encodes to the same bytes again, and Envoy's limits hold.
pub fn pairs(data: &[u8]) {
    let Ok(pairs) = tamis_abi::pairs::decode(data) else { return };
    let headers: Headers = pairs.collect();
    assert!(headers.len() <= tamis_abi::pairs::MAX_PAIRS);
    let mut again = vec![0; tamis_abi::pairs::encoded_len(headers.iter())];
    let used = tamis_abi::pairs::encode(headers.iter(), &mut again);
    assert_eq!(used, Some(again.len()));
    // A count of zero is the one long form of nothing.
    assert!(again == data || headers.is_empty());
}

/// Reads a capture of one format to its end. `head` is a first record that tells the format.
///
/// Every exchange is counted, its body pieces sum up, and our own form gives it back as it was.
pub fn capture(head: &[u8], data: &[u8]) {
    let bytes = [head, data].concat();
    let Ok(mut reader) = read::from_reader(Cursor::new(bytes), &read::ReadOptions::default()) else { return };
    let mut exchange = Exchange::default();
    let mut taken = 0;
    let mut out = write::JsonLines::new(Vec::new());
    let mut first = None;
    while let Ok(true) = reader.next(&mut exchange) {
        taken += 1;
        for message in [&exchange.request, &exchange.response].into_iter().filter_map(|m| m.get()) {
            whole(&message.body);
        }
        out.write(&exchange).expect("a Vec takes everything");
        first.get_or_insert_with(|| exchange.clone());
    }
    assert_eq!(reader.tally().taken, taken);
    let Some(first) = first else { return };
    let own = out.finish().expect("a Vec takes everything");
    let mut reader =
        read::from_reader(Cursor::new(own), &read::ReadOptions::default()).expect("our own form");
    let mut again = Exchange::default();
    assert!(reader.next(&mut again).expect("our own form"));
    assert_eq!((&again.request, &again.response), (&first.request, &first.response));
    assert_eq!(
        (again.protocol, again.started, &again.attributes),
        (first.protocol, first.started, &first.attributes)
    );
}
