//! Tests of the grammar and of what changes an exchange.

use super::*;
use crate::{Exchange, Headers, Message, Slot};
use proptest::prelude::*;

fn read(text: &str) -> Injection {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn every_kind_of_the_help_is_read_and_shown_as_written() {
    for (text, what) in [
        ("trap@request_headers:3", What::Trap(Entry { phase: "proxy_on_request_headers", number: 3 })),
        ("trap@log", What::Trap(Entry { phase: "proxy_on_log", number: 1 })),
        ("oom", What::OutOfMemory(Entry { phase: "proxy_on_request_headers", number: 1 })),
        ("oom@response_body:9", What::OutOfMemory(Entry { phase: "proxy_on_response_body", number: 9 })),
        ("slow-callout", What::SlowCallout),
        ("callout-503", What::Callout503),
        ("callout-reset", What::CalloutReset),
        ("odd-header-bytes", What::OddHeaderBytes),
        ("dup-header", What::DupHeader),
        ("split-chunks", What::SplitChunks),
        ("client-abort", What::ClientAbort(Moment::Waiting)),
        ("client-abort@response_body", What::ClientAbort(Moment::ResponseBody)),
    ] {
        let read = read(text);
        assert_eq!((read.what, read.share, &read.filter), (what, Share::ALL, &None), "{text}");
        assert_eq!(read.to_string(), text);
    }
    let words = |text: &str| text.split('@').next().unwrap_or_default().to_owned();
    for (kind, _) in KINDS {
        let text = if *kind == "trap@PHASE:N" { "trap@tick".to_owned() } else { words(kind) };
        read(&text);
    }
}

#[test]
fn rates_and_filters_stand_behind() {
    let one = read("callout-503:0.5%/auth");
    assert_eq!((one.share.millionths(), one.filter.as_deref()), (5_000, Some("auth")));
    assert_eq!(read("odd-header-bytes:100%").share, Share::ALL);
    assert_eq!(read("client-abort@request_body:10%").share.millionths(), 100_000);
    assert_eq!(read("trap@tick/a/b").filter.as_deref(), Some("a/b"));
}

#[test]
fn a_mistake_says_where_and_what_would_do() {
    for (text, column, what, hint) in [
        ("", 1, "unknown fault ``", "there are `trap`, `oom`"),
        ("tarp@log", 1, "unknown fault `tarp`", "did you mean `trap`?"),
        ("trap", 5, "needs a phase", "trap@request_headers:3"),
        ("trap@request_header:3", 6, "unknown phase `request_header`", "did you mean `request_headers`?"),
        ("trap@configure", 6, "before all traffic", "refused by Envoy"),
        ("trap@log:0", 10, "number of an entry, not `0`", "count from 1"),
        ("trap@log:5%", 10, "number of an entry, not `5%`", ""),
        ("trap@log/", 10, "name of a filter is missing", ""),
        ("dup-header@log", 11, "takes no phase", ""),
        ("dup-header/auth", 11, "not for one filter", ""),
        ("dup-header:10", 12, "rate up to 100%, not `10`", "`10%`"),
        ("dup-header:0%", 12, "rate", ""),
        ("dup-header:101%", 12, "rate", ""),
        ("dup-header:inf%", 12, "rate", ""),
        ("client-abort@tick", 14, "does not leave after `tick`", "`request_headers`"),
    ] {
        let error = text.parse::<Injection>().unwrap_err();
        assert_eq!(error.column(), column, "{text}: {error}");
        assert!(error.to_string().contains(what), "{text}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{text}: {:?}", error.hint());
    }
}

fn exchange(fields: &[(&str, &str)], body: &[u8]) -> Exchange {
    let headers: Headers = fields.iter().copied().collect();
    let mut request = Message { headers, ..Message::default() };
    request.body.bytes = body.to_vec();
    Exchange { request: Slot::some(request), ..Exchange::default() }
}

fn changed(spec: &str, exchange: &Exchange, seed: u64) -> (Message, Vec<usize>) {
    let (mut exchange, mut struck) = (exchange.clone(), Vec::new());
    Exchanges::new(&[read("callout-503"), read(spec)], seed).change(&mut exchange, &mut struck);
    (exchange.request.get().unwrap().clone(), struck)
}

#[test]
fn odd_bytes_are_legal_on_the_wire_and_no_utf8_and_touch_only_what_clients_set() {
    let plain =
        exchange(&[(":path", "/"), ("content-length", "0"), ("x-user", "me"), ("cookie", "a=b")], b"");
    for seed in 0..50 {
        let (message, struck) = changed("odd-header-bytes", &plain, seed);
        assert_eq!(struck, [1]);
        let odd: Vec<_> = message.headers.iter().filter(|(_, v)| std::str::from_utf8(v).is_err()).collect();
        let [(name, value)] = odd[..] else { panic!("{odd:?}") };
        assert!(name == b"x-user" || name == b"cookie");
        assert!(value.iter().all(|b| *b >= 0x20 && *b != 0x7f));
    }
    let bare = exchange(&[(":path", "/")], b"");
    assert!(changed("odd-header-bytes", &bare, 0).0.headers.get(b"x-client-note").is_some());
}

#[test]
fn a_doubled_field_has_two_values_side_by_side() {
    let plain = exchange(&[(":path", "/"), ("x-user", "me"), ("x-forwarded-proto", "http")], b"");
    let (message, struck) = changed("dup-header", &plain, 3);
    assert_eq!(struck, [1]);
    let want: Headers = [(":path", "/"), ("x-user", "me"), ("x-user", "me-2"), ("x-forwarded-proto", "http")]
        .into_iter()
        .collect();
    assert_eq!(message.headers, want);
}

#[test]
fn pieces_have_the_length_of_the_body_and_nothing_to_cut_is_not_struck() {
    for length in [2, 3, 64, 1000, 200_000] {
        let (message, struck) = changed("split-chunks", &exchange(&[], &vec![b'x'; length]), length as u64);
        assert_eq!(struck, [1]);
        let sum: usize = message.body.chunks.iter().map(|c| *c as usize).sum();
        assert_eq!((sum, message.body.bytes.len()), (length, length));
        assert!((2..=1024).contains(&message.body.chunks.len()));
    }
    assert!(changed("split-chunks", &exchange(&[], b"x"), 0).1.is_empty());
}

#[test]
fn a_rate_takes_about_its_share_and_the_same_ones_again() {
    let plain = exchange(&[("x-user", "me")], b"");
    let run = |seed| -> Vec<bool> {
        let mut exchanges = Exchanges::new(&[read("dup-header:10%")], seed);
        (0..2000)
            .map(|_| {
                let mut struck = Vec::new();
                exchanges.change(&mut plain.clone(), &mut struck);
                !struck.is_empty()
            })
            .collect()
    };
    let first = run(7);
    let count = first.iter().filter(|s| **s).count();
    assert!((140..260).contains(&count), "{count} of 2000");
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
        if let Err(error) = text.parse::<Injection>() {
            prop_assert!(error.column() <= text.chars().count() + 1);
        }
    }

    #[test]
    fn no_exchange_makes_an_injection_panic(
        fields in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..8),
        body in any::<Vec<u8>>(),
        seed in any::<u64>(),
    ) {
        let request = Message { headers: fields.into_iter().collect(), ..Message::default() };
        let mut exchange = Exchange { request: Slot::some(request), ..Exchange::default() };
        exchange.request.get_mut().unwrap().body.bytes = body;
        let all: Vec<_> = ["odd-header-bytes", "dup-header", "split-chunks"].map(read).to_vec();
        Exchanges::new(&all, seed).change(&mut exchange, &mut Vec::new());
    }
}
