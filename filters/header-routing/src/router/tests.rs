//! Decisions on whole requests.

use super::*;

fn router(json: &str) -> Router {
    Router::new(&serde_json::from_str(json).unwrap()).unwrap()
}

fn with<T>(fields: &[(&str, &[u8])], look: impl Fn(View<'_>) -> T) -> T {
    let fields = fields.iter().map(|(n, v)| (n.as_bytes(), *v));
    look(View::new(fields, None, PathOptions::default()))
}

const TWO: &str = r#"{
    "strip_request_headers": ["x-route"],
    "rules": [
        {"name": "quiet", "mode": "SHADOW", "match": [{"path": {"prefix": "/"}}], "action": {"respond": {"status": 500}}},
        {"name": "off", "mode": "DISABLED", "action": {"respond": {"status": 500}}},
        {"name": "beta", "match": [{"headers": [{"name": "x-beta", "exact": "1"}]}, {"cookies": [{"name": "beta"}]}],
         "action": {"request_headers": {"set": {"x-route": "v2"}}, "response_headers": {"add": {"x-was": "beta"}}}}
    ],
    "default": {"request_headers": {"set": {"X-Route": "v1"}}}
}"#;

#[test]
fn the_first_rule_that_fits_acts() {
    let router = router(TWO);
    for fields in
        [&[(":path", &b"/"[..]), ("x-beta", b"1")][..], &[(":path", b"/"), ("cookie", b"a=1; beta=")]]
    {
        let decision = with(fields, |view| {
            let d = router.decide(view);
            (d.rule, d.shadow.clone(), d.request[0].set[0].1.clone(), d.response.unwrap().add.len(), d.answer)
        });
        assert_eq!(decision, (Some("beta"), vec!["quiet"], "v2".to_owned(), 1, None));
    }
    let set = with(&[(":path", b"/"), ("x-beta", b"2")], |view| {
        (router.decide(view.clone()).rule, router.decide(view).request[0].set.clone())
    });
    assert_eq!(set, (Some("default"), vec![("x-route".to_owned(), "v1".to_owned())]));
}

#[test]
fn what_clients_may_not_send_is_invisible_and_goes() {
    let router = router(
        r#"{"strip_request_headers":["x_route"],"rules":[{"name":"a","match":[{"headers":[{"name":"x-route"}]}],"action":{}}]}"#,
    );
    let fields: &[(&str, &[u8])] =
        &[("x-route", b"v2"), ("x_route", b"v2"), ("x-route", b"\xff"), ("x-routes", b"1")];
    let strip = with(fields, |view| (router.decide(view.clone()).rule, router.decide(view).strip));
    assert_eq!(strip, (None, vec![b"x-route".to_vec(), b"x_route".to_vec(), b"x-route".to_vec()]));
}

#[test]
fn shadow_and_disabled_filters_do_nothing() {
    let shadow = router(&TWO.replacen('{', r#"{"mode":"SHADOW","#, 1));
    assert_eq!(
        with(&[("x-beta", b"1")], |v| (shadow.decide(v.clone()).rule, shadow.decide(v).only_count)),
        (Some("beta"), true)
    );
    let disabled = router(&TWO.replacen('{', r#"{"mode":"DISABLED","#, 1));
    assert_eq!(
        with(&[("x-beta", b"1"), ("x-route", b"x")], |v| (
            disabled.decide(v.clone()).rule,
            disabled.decide(v).strip.len()
        )),
        (None, 0)
    );
}

#[test]
fn paths_are_rewritten_from_their_canonical_form_and_keep_the_query() {
    let prefix = router(
        r#"{"default":{"rewrite":{"prefix":{"from":"/api","to":"/v2/api/"},"authority":"v2.internal:80"}}}"#,
    );
    for (path, due) in [
        ("/api/x?q=1", Some("/v2/api/x?q=1")),
        ("//a/../api", Some("/v2/api")),
        ("/apis", None),
        ("/api%2f..", None),
        ("/api?", Some("/v2/api?")),
    ] {
        let got = with(&[(":path", path.as_bytes())], |v| prefix.decide(v).path);
        assert_eq!(got.as_deref(), due.map(str::as_bytes), "{path}");
    }
    assert_eq!(with(&[(":path", b"/")], |v| prefix.decide(v).authority), Some("v2.internal:80"));
    let root = router(r#"{"default":{"rewrite":{"prefix":{"from":"/api","to":"/"}}}}"#);
    assert_eq!(with(&[(":path", b"/api")], |v| root.decide(v).path).as_deref(), Some(&b"/"[..]));
    assert_eq!(with(&[(":path", b"/api/x")], |v| root.decide(v).path).as_deref(), Some(&b"/x"[..]));
    let whole = router(r#"{"default":{"rewrite":{"path":"/index"}}}"#);
    assert_eq!(with(&[(":path", b"/a/b?c")], |v| whole.decide(v).path).as_deref(), Some(&b"/index?c"[..]));
    assert_eq!(with(&[(":method", b"CONNECT")], |v| whole.decide(v).path), None);
}

#[test]
fn answers_and_redirects() {
    let respond = router(r#"{"default":{"respond":{"status":403,"body":"no","content_type":"text/html"}}}"#);
    let answer = with(&[], |v| respond.decide(v).answer.unwrap());
    assert_eq!((answer.status, answer.body.as_str(), answer.headers.len()), (403, "no", 1));
    let redirect = |json: &str, fields: &[(&str, &[u8])]| {
        let router = router(&format!(r#"{{"default":{{"redirect":{json}}}}}"#));
        let answer = with(fields, |v| router.decide(v).answer.unwrap());
        format!("{} {}", answer.status, String::from_utf8(answer.headers[0].1.clone()).unwrap())
    };
    let request: &[(&str, &[u8])] = &[(":scheme", b"http"), (":authority", b"a.b"), (":path", b"/x?y")];
    assert_eq!(redirect(r#"{"scheme":"https"}"#, request), "307 https://a.b/x?y");
    assert_eq!(redirect(r#"{"path":"/z","status":308}"#, request), "308 http://a.b/z?y");
    assert_eq!(redirect(r#"{"path":"/z?n","authority":"c:1"}"#, request), "307 http://c:1/z?n");
}

#[test]
fn a_split_is_fair_and_sticky() {
    let split = |first: u32, second: u32| {
        router(&format!(
            r#"{{"split_seed":"s","default":{{"split":{{"by":[{{"header":"x-user"}},{{"cookie":"uid"}}],"variants":[
                {{"name":"old","weight":{first}}},
                {{"name":"new","weight":{second},"request_headers":{{"set":{{"x-route":"new"}}}}}}]}}}}}}"#
        ))
    };
    let of = |router: &Router, user: u32| {
        let user = format!("user-{user}");
        with(&[("x-user", user.as_bytes())], |v| router.decide(v).variant == Some("new"))
    };
    let (five, ten) = (split(95, 5), split(90, 10));
    let news = |router: &Router| (0..10_000).filter(|u| of(router, *u)).count();
    assert!((400..600).contains(&news(&five)), "{}", news(&five));
    assert!((800..1200).contains(&news(&ten)), "{}", news(&ten));
    assert!((0..10_000).filter(|u| of(&five, *u)).all(|u| of(&ten, u)), "more weight moves nobody back");
    // A cookie of the same value falls on the same side; nothing at all does not panic.
    let by_cookie = |user: u32| {
        with(&[("cookie", format!("uid=user-{user}").as_bytes())], |v| five.decide(v).variant == Some("new"))
    };
    assert!((0..500).all(|u| of(&five, u) == by_cookie(u)));
    assert!(with(&[], |v| five.decide(v).variant.is_some()));
    let set = split(0, 1);
    assert_eq!(with(&[], |v| set.decide(v).request[0].set[0].1.clone()), "new");
}

#[test]
fn requests_without_a_user_spread_by_request_id() {
    let router =
        router(r#"{"default":{"split":{"variants":[{"name":"a","weight":1},{"name":"b","weight":1}]}}}"#);
    let a = (0..1000)
        .filter(|i| {
            with(&[("x-request-id", format!("{i}").as_bytes())], |v| router.decide(v).variant == Some("a"))
        })
        .count();
    assert!((400..600).contains(&a), "{a}");
}

#[test]
fn impossible_configurations_are_errors_with_a_place() {
    let error = |json: &str| Router::new(&serde_json::from_str(json).unwrap()).unwrap_err().to_string();
    let action = |action: &str| error(&format!(r#"{{"rules":[{{"name":"a","action":{action}}}]}}"#));
    assert_eq!(error(r#"{"rules":[{"name":"default","action":{}}]}"#), "rules[0].name: `default` is taken");
    assert_eq!(
        action(r#"{"redirect":{"status":300,"path":"/"}}"#),
        "rules[0].action.redirect.status: has to be 301, 302, 303, 307 or 308"
    );
    assert!(action(r#"{"redirect":{}}"#).starts_with("rules[0].action.redirect: needs one of"));
    assert!(
        action(r#"{"respond":{"status":200},"split":{"variants":[{"name":"a","weight":1}]}}"#)
            .starts_with("rules[0].action: a request that is answered")
    );
    assert_eq!(action(r#"{"rewrite":{"path":"x"}}"#), "rules[0].action.rewrite.path: has to start with `/`");
    assert_eq!(
        action(r#"{"request_headers":{"set":{"a":"b\r\nc: d"}}}"#),
        r"rules[0].action.request_headers.set.a: `b\r\nc: d` holds a control character"
    );
    assert_eq!(
        action(r#"{"request_headers":{"remove":[":path"]}}"#),
        "rules[0].action.request_headers.remove: `:path` is not a header name"
    );
    assert_eq!(
        action(r#"{"split":{"variants":[{"name":"a","weight":0}]}}"#),
        "rules[0].action.split.variants: all weights are zero"
    );
    assert_eq!(
        error(r#"{"rules":[{"name":"a","match":[{},{"path":{"regex":"["}}],"action":{}}]}"#)
            .split(": ")
            .next(),
        Some("rules[0].match[1].path.regex")
    );
}
