//! The cases of docs/filters.md 4.1 that are about whole requests, by row.

use super::*;
use crate::jwt::tests::{NOW, claims, configs, es256};
use serde_json::{Value, json};

const KEY: &str = "a-random-api-key";

fn base() -> Value {
    use base64ct::Encoding;
    use sha2::Digest;
    let mut issuers = configs();
    issuers[0]["claims_to_headers"] =
        json!([{"claim": "sub", "header": "x-jwt-sub"}, {"claim": "roles", "header": "x-jwt-roles"}]);
    let hash = base64ct::Base64::encode_string(&sha2::Sha256::digest(KEY));
    json!({
        "issuers": issuers,
        "api_keys": {"keys": [{"client": "robot", "sha256": hash, "scopes": ["read"]}], "client_header": "x-client-id",
            "from": [{"header": "x-api-key"}, {"query": "key"}, {"cookie": "key"}]},
        "strip_request_headers": ["x-user-*"],
        "rules": [
            {"match": [{"path": {"exact": "/healthz"}}, {"path": {"separated_prefix": "/public"}}], "require": "NONE"},
            {"match": [{"path": {"separated_prefix": "/admin"}}], "require": "REQUIRED", "scopes": ["admin"]},
            {"match": [{"path": {"separated_prefix": "/reports"}}], "require": "REQUIRED", "scopes": ["read"]},
            {"match": [{"path": {"separated_prefix": "/humans"}}], "require": "REQUIRED", "accept": ["ec"], "claims": [{"claim": "roles", "values": ["dev"]}]},
            {"match": [{"path": {"separated_prefix": "/maybe"}}], "require": "OPTIONAL"},
            {"match": [{"path": {"separated_prefix": "/never"}}], "require": "DENY"}
        ]
    })
}

fn guard(change: impl FnOnce(&mut Value)) -> Guard {
    let mut config = base();
    change(&mut config);
    Guard::new(&serde_json::from_value(config).unwrap()).unwrap()
}

fn ask(guard: &Guard, path: &str, fields: &[(&str, &str)]) -> Decision {
    let bytes: Vec<(&[u8], &[u8])> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    ask_bytes(guard, Some(path), &bytes)
}

fn ask_bytes(guard: &Guard, path: Option<&str>, fields: &[(&[u8], &[u8])]) -> Decision {
    let all = path.map(|p| (&b":path"[..], p.as_bytes())).into_iter().chain(fields.iter().copied());
    guard.decide(View::new(all, None, guard.path), NOW, &mut Cache::default())
}

fn status(decision: &Decision) -> u16 {
    decision.refusal.as_ref().map_or(0, |refusal| refusal.status)
}

fn token(extra: &str) -> String {
    es256(r#"{"alg":"ES256"}"#, &claims(extra), 1)
}

fn bearer(extra: &str) -> String {
    format!("Bearer {}", token(extra))
}

#[test]
fn a_token_says_who_it_was_and_goes() {
    let decision =
        ask(&guard(|_| ()), "/", &[("authorization", &bearer(r#","sub":"ann","roles":["a","b"]"#))]);
    assert_eq!(decision.refusal, None);
    assert_eq!(
        decision.set,
        [("x-jwt-sub".to_owned(), "ann".to_owned()), ("x-jwt-roles".to_owned(), "a,b".to_owned())]
    );
    assert_eq!(decision.removal, Some(Removal::Header("authorization".into())));
    let kept = guard(|c| c["issuers"][0]["forward"] = json!(true));
    assert_eq!(ask(&kept, "/", &[("authorization", &bearer(""))]).removal, None);
}

#[test]
fn refusals_carry_the_challenges_of_rfc_6750() {
    let guard = guard(|_| ());
    let challenges = |decision: Decision| decision.refusal.unwrap().challenges;
    assert_eq!(challenges(ask(&guard, "/", &[])), [r#"Bearer realm="api""#, r#"ApiKey realm="api""#]);
    assert_eq!(
        challenges(ask(&guard, "/", &[("authorization", "Bearer x")])),
        [r#"Bearer realm="api", error="invalid_token""#, r#"ApiKey realm="api""#]
    );
    let poor = ask(&guard, "/admin", &[("authorization", &bearer(r#","scope":"read superadmin""#))]);
    assert_eq!(status(&poor), 403);
    assert_eq!(challenges(poor), [r#"Bearer realm="api", error="insufficient_scope", scope="admin""#]);
    assert_eq!(status(&ask(&guard, "/admin", &[("authorization", &bearer(r#","scope":"read admin""#))])), 0);
    assert_eq!(challenges(ask(&guard, "/never", &[])), Vec::<String>::new());
}

#[test]
fn reasons_are_told_on_request_only() {
    let told = guard(|c| c["expose_reason"] = json!(true));
    let refusal = ask(&told, "/", &[("authorization", "Bearer x")]).refusal.unwrap();
    assert_eq!(
        refusal.challenges[0],
        r#"Bearer realm="api", error="invalid_token", error_description="token malformed""#
    );
}

#[test]
fn rows_4_1_26_to_29_the_authorization_header() {
    let guard = guard(|_| ());
    let good = bearer("");
    let of = |values: &[&[u8]]| {
        let fields: Vec<(&[u8], &[u8])> = values.iter().map(|v| (&b"authorization"[..], *v)).collect();
        status(&ask_bytes(&guard, Some("/"), &fields))
    };
    let good = good.as_bytes();
    assert_eq!(of(&[good]), 0);
    assert_eq!(of(&[good, good]), 400);
    assert_eq!(of(&[good, b"Bearer x"]), 400);
    assert_eq!(of(&[b"Basic x", good]), 400);
    assert_eq!(of(&[&[good, b",", good].concat()]), 400);
    assert_eq!(of(&[&[b"Bearer x,", good].concat()]), 400);
    assert_eq!(of(&[&[b"Basic x,", good].concat()]), 401);
    for scheme in ["bearer", "BEARER"] {
        assert_eq!(of(&[&[scheme.as_bytes(), &good[6..]].concat()]), 0, "{scheme}");
    }
    for (bad, due) in [
        (&b"Bearer"[..], 400),
        (b"Bearer ", 400),
        (b"BearerX", 401),
        (b"Token x", 401),
        (b"", 401),
        (b"Bearer \xff\xfe", 400),
        (b"\xff", 401),
    ] {
        assert_eq!(of(&[bad]), due, "{bad:?}");
    }
    assert_eq!(of(&[&[good, b" extra"].concat()]), 400);
}

#[test]
fn row_4_1_30_credentials_in_other_places() {
    let elsewhere = guard(|c| c["issuers"][0]["from"] = json!([{"query": "token"}, {"cookie": "jwt"}]));
    let token = token("");
    assert_eq!(
        status(&ask(&guard(|_| ()), &format!("/?token={token}"), &[("cookie", &format!("jwt={token}"))])),
        401
    );
    let in_query = ask(&elsewhere, &format!("/x?a=1&token={token}"), &[]);
    assert_eq!((status(&in_query), in_query.removal), (0, Some(Removal::Path(b"/x?a=1".to_vec()))));
    let in_cookie = ask(&elsewhere, "/", &[("cookie", "a=1"), ("cookie", &format!("jwt={token}; b=2"))]);
    assert_eq!(
        (status(&in_cookie), in_cookie.removal),
        (0, Some(Removal::Cookies(vec![b"a=1".to_vec(), b"b=2".to_vec()])))
    );
    assert_eq!(status(&ask(&elsewhere, &format!("/?token={token}&token={token}"), &[])), 400);
    assert_eq!(
        status(&ask(&elsewhere, &format!("/?token={token}"), &[("cookie", &format!("jwt={token}"))])),
        400
    );
    assert_eq!(status(&ask(&elsewhere, "/", &[("cookie", &format!("jwt={token}; jwt={token}"))])), 400);
    // The header belongs to the other issuers only.
    assert_eq!(status(&ask(&elsewhere, "/", &[("authorization", &format!("Bearer {token}"))])), 401);
}

#[test]
fn rows_4_1_31_and_32_optional_and_spoofed_identities() {
    let guard = guard(|_| ());
    let spoofed = [
        ("x-jwt-sub", "root"),
        ("x_jwt_sub", "root"),
        ("x-jwt-sub", "again"),
        ("x-client-id", "root"),
        ("x-user-name", "root"),
        ("x-users", "kept"),
    ];
    let stripped: Vec<Vec<u8>> = ["x-jwt-sub", "x_jwt_sub", "x-jwt-sub", "x-client-id", "x-user-name"]
        .map(|n| n.as_bytes().to_vec())
        .into();
    for path in ["/maybe", "/healthz"] {
        let decision = ask(&guard, path, &spoofed);
        assert_eq!((status(&decision), &decision.strip, decision.set.len()), (0, &stripped, 0), "{path}");
    }
    assert_eq!(ask(&guard, "/", &spoofed).strip, stripped);
    assert_eq!(status(&ask(&guard, "/maybe", &[("authorization", "Bearer bad")])), 401);
    assert_eq!(status(&ask(&guard, "/maybe", &[("authorization", "Basic eA==")])), 0);
}

#[test]
fn rows_4_1_35_and_36_no_spelling_of_a_path_gets_the_weaker_rule() {
    let guard = guard(|c| c["default"] = json!("NONE"));
    for path in [
        "/admin",
        "/admin/",
        "/admin/x",
        "/x/../admin",
        "//admin",
        "/%61dmin",
        "/ADMIN",
        "/Admin/x",
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public/..%5cadmin",
        "/public/..\\admin",
        "/public//../admin",
        "/public/..;/admin",
        "/admin;x=1",
        "/public/%252e%252e/admin",
        "/public/..%00/admin",
        "/admin%3fx",
        "/admin%3Bx",
        "http://h/admin",
        "/./admin",
        "/admin?x",
        "/admin/.",
        "/public/.%2e/admin",
        "/%c0%afadmin",
    ] {
        assert!([400, 401].contains(&status(&ask(&guard, path, &[]))), "{path}");
    }
    for path in ["/public/x", "/healthz", "/healthz?x", "/else", "/administration"] {
        assert_eq!(status(&ask(&guard, path, &[])), 0, "{path}");
    }
    let strict = self::guard(|_| ());
    for path in ["/healthz/", "/healthz/x", "/HEALTHZ", "/PUBLIC/x", "/publicity"] {
        assert_eq!(status(&ask(&strict, path, &[])), 401, "{path}");
    }
}

#[test]
fn row_4_1_37_preflights_and_overrides() {
    let guard = guard(|c| c["allow_preflight"] = json!(true));
    let method = |method: &'static str, more: &[(&'static str, &'static str)]| {
        let fields: Vec<_> = [(":method", method)].into_iter().chain(more.iter().copied()).collect();
        status(&ask(&guard, "/", &fields))
    };
    let preflight = [("origin", "https://a"), ("access-control-request-method", "PUT")];
    assert_eq!(method("OPTIONS", &preflight), 0);
    assert_eq!(method("OPTIONS", &preflight[..1]), 401);
    assert_eq!(method("GET", &preflight), 401);
    let overriding = ask(
        &guard,
        "/healthz",
        &[("x-original-url", "/admin"), ("x-http-method-override", "DELETE"), ("x_rewrite_url", "/admin")],
    );
    assert_eq!((status(&overriding), overriding.strip.len()), (0, 3), "the upstream never sees them");
    assert_eq!(status(&ask(&guard, "/admin", &[("x-original-url", "/healthz")])), 401);
}

#[test]
fn rows_4_1_38_to_40_connect_and_odd_methods() {
    let guard = guard(|c| c["default"] = json!("NONE"));
    assert_eq!(status(&ask_bytes(&guard, None, &[(b":method", b"CONNECT"), (b":authority", b"h:1")])), 400);
    for method in ["HEAD", "TRACE", "BREW", ""] {
        assert_eq!(status(&ask(&guard, "/admin", &[(":method", method)])), 401, "{method}");
    }
    let socket = [("upgrade", "websocket"), ("sec-websocket-protocol", "bearer, x")];
    assert_eq!(status(&ask(&guard, "/admin", &socket)), 401);
}

#[test]
fn rows_4_1_44_and_45_api_keys_on_requests() {
    let guard = guard(|_| ());
    let good = ask(&guard, "/reports", &[("x-api-key", KEY)]);
    assert_eq!((status(&good), good.set), (0, vec![("x-client-id".to_owned(), "robot".to_owned())]));
    assert_eq!(good.removal, Some(Removal::Header("x-api-key".into())));
    for (fields, due) in [
        (&[("x-api-key", "")][..], 400),
        (&[("x-api-key", "a-random-api-ke")], 401),
        (&[("x-api-key", "A-random-api-key")], 401),
        (&[("x-api-key", KEY), ("x-api-key", KEY)], 400),
        (&[("x-api-key", "x"), ("x-api-key", KEY)], 400),
        (&[("x-api-key", "a-random-api-key,a-random-api-key")], 401),
        (&[("x-api-key", "a-random- api-key")], 401),
        (&[("cookie", "a=1"), ("cookie", "key=a-random-api-key")], 0),
        (&[("cookie", "key=\"a-random-api-key\"")], 0),
    ] {
        assert_eq!(status(&ask(&guard, "/reports", fields)), due, "{fields:?}");
    }
    assert_eq!(status(&ask(&guard, "/reports?key=%61-random-api-key", &[])), 0);
    assert_eq!(status(&ask(&guard, "/reports?key=x&key=a-random-api-key", &[])), 400);
    assert_eq!(status(&ask(&guard, "/reports?x;key=a-random-api-key", &[])), 401);
    assert_eq!(
        ask(&guard, "/reports?key=a-random-api-key", &[]).removal,
        Some(Removal::Path(b"/reports".to_vec()))
    );
    assert_eq!(status(&ask(&guard, "/reports", &[("x-api-key", KEY), ("authorization", &bearer(""))])), 400);
    assert_eq!(status(&ask(&guard, "/admin", &[("x-api-key", KEY)])), 403);
}

#[test]
fn rules_accept_kinds_and_claims() {
    let guard = guard(|_| ());
    assert_eq!(status(&ask(&guard, "/humans", &[("x-api-key", KEY)])), 403);
    assert_eq!(status(&ask(&guard, "/humans", &[("authorization", &bearer(r#","roles":["dev"]"#))])), 0);
    assert_eq!(
        status(&ask(&guard, "/humans", &[("authorization", &bearer(r#","roles":["developer"]"#))])),
        403
    );
    assert_eq!(status(&ask(&guard, "/never", &[("authorization", &bearer(""))])), 403);
}

#[test]
fn a_token_from_the_cache_expires_all_the_same() {
    let guard = guard(|_| ());
    let (mut cache, header) = (Cache::default(), bearer(""));
    let mut at = |now| {
        let fields = [(&b":path"[..], &b"/"[..]), (b"authorization", header.as_bytes())];
        status(&guard.decide(View::new(fields, None, guard.path), now, &mut cache))
    };
    assert_eq!((at(NOW), at(NOW + 159.0), at(NOW + 160.0)), (0, 0, 401));
}

#[test]
fn row_4_1_49_no_decision_shows_a_secret() {
    let guard = guard(|c| c["expose_reason"] = json!(true));
    let token = token(r#","sub":"secret-claim""#);
    for fields in
        [[("authorization", format!("Bearer {token}x"))], [("x-api-key", "wrong-secret".to_owned())]]
    {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let shown = format!("{:?}", ask(&guard, "/", &fields));
        assert!(!shown.contains("secret") && !shown.contains(&token[..20]), "{shown}");
    }
    let guard = format!("{guard:?}");
    assert!(!guard.contains(KEY) && !guard.contains("0123456789abcdef"), "keys are not in debug output");
}

#[test]
fn impossible_configurations_are_errors_with_a_place() {
    let error = |change: &dyn Fn(&mut Value)| {
        let mut config = base();
        change(&mut config);
        Guard::new(&serde_json::from_value(config).unwrap()).unwrap_err().to_string()
    };
    assert_eq!(
        error(&|c| c["realm"] = json!("a\"b")),
        "realm: has to be plain ASCII without quotes and backslashes"
    );
    assert_eq!(error(&|c| c["issuers"][1]["name"] = json!("ec")), "issuers[1].name: `ec` is empty or taken");
    assert_eq!(
        error(&|c| c["issuers"][1]["issuer"] = json!("https://ec.test/")),
        "issuers[1].issuer: is the issuer of another entry"
    );
    assert_eq!(
        error(&|c| c["rules"][3]["accept"] = json!(["nobody"])),
        "rules[3].accept: `nobody` is neither an issuer nor `api_keys` in use"
    );
    assert_eq!(
        error(&|c| c["rules"][0]["scopes"] = json!(["a"])),
        "rules[0].require: `accept`, `scopes` and `claims` need `REQUIRED` or `OPTIONAL`"
    );
    assert_eq!(
        error(&|c| c["api_keys"]["from"] = json!([{"header": "a", "query": "b"}])),
        "api_keys.from[0]: needs one of `header`, `query`, `cookie`"
    );
    assert_eq!(
        error(&|c| c["strip_request_headers"] = json!(["a b"])),
        "strip_request_headers[0]: `a b` is not a header name"
    );
    let nobody = Guard::new(&serde_json::from_str("{}").unwrap()).unwrap_err().to_string();
    assert!(nobody.starts_with("nobody could pass"), "{nobody}");
}
