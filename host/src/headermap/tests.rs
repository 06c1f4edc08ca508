//! The manners of Envoy's maps, rule by rule.

use super::MapKind::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use super::*;
use proptest::prelude::*;

fn request() -> Headers {
    let fields = [
        (":authority", "shop"),
        (":path", "/foo"),
        (":method", "GET"),
        ("accept", "*/*"),
        ("x", "1"),
        ("x", "2"),
    ];
    fields.into_iter().collect()
}

fn get<'h>(headers: &'h Headers, kind: MapKind, name: &[u8]) -> Option<&'h [u8]> {
    headers.at(position(headers, kind, name)?).map(|(_, value)| value)
}

fn names(headers: &Headers) -> Vec<String> {
    headers.iter().map(|(n, v)| format!("{}={}", n.escape_ascii(), v.escape_ascii())).collect()
}

#[test]
fn envoy_2_1_1_names_are_lowered_and_values_are_not() {
    let mut h = request();
    add(&mut h, RequestHeaders, b"X-New", b"VaLuE").unwrap();
    assert_eq!(h.at(6), Some((&b"x-new"[..], &b"VaLuE"[..])));
    assert_eq!(get(&h, RequestHeaders, b"X-NEW"), Some(&b"VaLuE"[..]));
    replace(&mut h, RequestHeaders, b"X-New", b"v").unwrap();
    remove(&mut h, RequestHeaders, b"x-NEW");
    assert_eq!(h, request());
}

#[test]
fn envoy_2_1_4_host_is_the_authority_of_requests_only() {
    let mut h = request();
    assert_eq!(get(&h, RequestHeaders, b"Host"), Some(&b"shop"[..]));
    add(&mut h, RequestHeaders, b"host", b"two").unwrap();
    assert_eq!(get(&h, RequestHeaders, b":authority"), Some(&b"shop,two"[..]));
    replace(&mut h, RequestHeaders, b"host", b"new").unwrap();
    assert_eq!(get(&h, RequestHeaders, b":authority"), Some(&b"new"[..]));
    remove(&mut h, RequestHeaders, b"host");
    assert_eq!(get(&h, RequestHeaders, b":authority"), None);
    let mut h = Headers::new();
    add(&mut h, ResponseHeaders, b"host", b"x").unwrap();
    assert_eq!(names(&h), ["host=x"]);
}

#[test]
fn envoy_2_1_5_inline_headers_join_in_place_and_others_stay_apart() {
    let mut h = request();
    add(&mut h, RequestHeaders, b":path", b"/dup").unwrap();
    add(&mut h, RequestHeaders, b"accept", b"text/html").unwrap();
    add(&mut h, RequestHeaders, b"x", b"3").unwrap();
    let want =
        [":authority=shop", ":path=/foo,/dup", ":method=GET", "accept=*/*,text/html", "x=1", "x=2", "x=3"];
    assert_eq!(names(&h), want);
    assert_eq!(get(&h, RequestHeaders, b"x"), Some(&b"1"[..]), "the first only");
    let mut h = Headers::new();
    for kind in [RequestTrailers, ResponseTrailers] {
        h.clear();
        add(&mut h, kind, b"grpc-status", b"0").unwrap();
        add(&mut h, kind, b"grpc-status", b"1").unwrap();
        assert_eq!(h.len(), if kind == ResponseTrailers { 1 } else { 2 });
    }
}

#[test]
fn envoy_2_1_6_replace_moves_to_the_end_of_its_block() {
    let mut h = request();
    replace(&mut h, RequestHeaders, b":authority", b"a").unwrap();
    replace(&mut h, RequestHeaders, b"x", b"9").unwrap();
    replace(&mut h, RequestHeaders, b"accept", b"b").unwrap();
    replace(&mut h, RequestHeaders, b"new", b"n").unwrap();
    assert_eq!(names(&h), [":path=/foo", ":method=GET", ":authority=a", "x=9", "accept=b", "new=n"]);
    remove(&mut h, RequestHeaders, b"absent");
    assert_eq!(h.len(), 6);
}

#[test]
fn envoy_2_1_7_an_empty_value_is_there() {
    let mut h = request();
    replace(&mut h, RequestHeaders, b"e", b"").unwrap();
    assert_eq!(get(&h, RequestHeaders, b"e"), Some(&b""[..]));
    assert_eq!(get(&h, RequestHeaders, b"absent"), None);
}

#[test]
fn envoy_2_1_10_set_pairs_replaces_all_and_bad_pairs_wipe() {
    let pairs = |fields: &[(&str, &str)]| {
        let headers: Headers = fields.iter().copied().collect();
        let mut out = vec![0; tamis_abi::pairs::encoded_len(headers.iter())];
        tamis_abi::pairs::encode(headers.iter(), &mut out).unwrap();
        out
    };
    let mut h = request();
    set_pairs(
        &mut h,
        RequestHeaders,
        &pairs(&[("b", "1"), (":path", "/"), ("ACCEPT", "x"), ("accept", "y"), ("b", "2")]),
    )
    .unwrap();
    assert_eq!(names(&h), [":path=/", "b=1", "accept=x,y", "b=2"]);
    let whole = pairs(&[("a", "1")]);
    for bad in [&whole[..whole.len() - 1], b"\x01\0\0\0", b""] {
        h = request();
        set_pairs(&mut h, RequestHeaders, bad).unwrap();
        assert!(h.is_empty());
    }
}

#[test]
fn import_takes_what_envoy_wrote_and_puts_the_rest_right() {
    let mut out = Headers::new();
    import(&request(), RequestHeaders, &mut out);
    assert_eq!(out, request());
    let odd = [
        ("Accept", "a"),
        (":path", "/"),
        ("host", "shop"),
        ("accept", "b"),
        ("cookie", "1"),
        ("cookie", "2"),
    ];
    import(&odd.into_iter().collect(), RequestHeaders, &mut out);
    assert_eq!(names(&out), [":path=/", ":authority=shop", "accept=a,b", "cookie=1", "cookie=2"]);
}

#[test]
fn a_map_has_an_end() {
    let mut h = Headers::new();
    let large = vec![b'v'; MAP_LIMIT / 2];
    add(&mut h, RequestHeaders, b"accept", &large).unwrap();
    assert!(add(&mut h, RequestHeaders, b"accept", &large).is_err());
    assert!(replace(&mut h, RequestHeaders, b"x", &vec![0; MAP_LIMIT + 1]).is_err());
    h.clear();
    for _ in 0..FIELDS_LIMIT {
        add(&mut h, RequestHeaders, b"x", b"").unwrap();
    }
    assert!(add(&mut h, RequestHeaders, b"x", b"").is_err());
}

/// Import in one copy and import field by field are the same.
fn slow_import(from: &Headers, kind: MapKind) -> Headers {
    let mut out = Headers::new();
    for (name, value) in from.iter() {
        add(&mut out, kind, name, value).unwrap();
    }
    out
}

proptest! {
    #[test]
    fn import_is_adding_one_by_one(picks in prop::collection::vec((0usize..12, "[a-z]{0,3}"), 0..20)) {
        const NAMES: [&str; 12] = [
            ":path", ":status", "accept", "Accept", "host", "cookie", "x-a", "x-b", "via", "te", "grpc-status", "vary",
        ];
        let from: Headers = picks.iter().map(|(name, value)| (NAMES[*name], value)).collect();
        for kind in [RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers] {
            let mut out = Headers::new();
            import(&from, kind, &mut out);
            prop_assert_eq!(&out, &slow_import(&from, kind));
        }
    }
}
