//! Decisions on whole requests.

use super::*;
use tamis_sdk::testing;

fn limiter(json: &str) -> Limiter {
    Limiter::new(&serde_json::from_str(json).unwrap()).unwrap()
}

fn ask(limiter: &Limiter, fields: &[(&str, &str)], now: u64) -> Decision {
    let fields = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    limiter.decide(&View::new(fields, None, PathOptions::default()), [1, 2], now)
}

fn header<'a>(decision: &'a Decision, name: &str) -> Option<&'a str> {
    decision.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn kinds(decision: &Decision) -> Vec<EventKind> {
    decision.events.iter().map(|e| e.kind).collect()
}

const ONE: &str = r#"{"rules":[{"name":"u","key":[{"header":"x-u"}],"limit":{"requests":2,"per":"4s"}}],
    "headers":{"x_ratelimit":true}}"#;

#[test]
fn row_4_2_22_headers_say_what_is_left_and_when() {
    testing::clean();
    let limiter = limiter(ONE);
    let first = ask(&limiter, &[("x-u", "a")], 0);
    assert_eq!(first.refused_by, None);
    assert_eq!(header(&first, "ratelimit-policy"), Some("\"u\";q=2;w=4"));
    assert_eq!(header(&first, "ratelimit"), Some("\"u\";r=1;t=2"));
    assert_eq!(header(&first, "retry-after"), None);
    ask(&limiter, &[("x-u", "a")], 0);
    let refused = ask(&limiter, &[("x-u", "a")], SECOND / 2);
    assert_eq!((refused.refused_by, kinds(&refused)), (Some(0), vec![EventKind::Refused]));
    assert_eq!(header(&refused, "ratelimit"), Some("\"u\";r=0;t=2"));
    assert_eq!(header(&refused, "retry-after"), Some("2"));
    assert_eq!(header(&refused, "x-ratelimit-limit"), Some("2"));
    assert_eq!(header(&refused, "x-ratelimit-remaining"), Some("0"));
    assert_eq!(ask(&limiter, &[("x-u", "a")], SECOND / 2 + 2 * SECOND).refused_by, None);
    assert_eq!(ask(&limiter, &[("x-u", "b")], SECOND / 2).refused_by, None);
}

#[test]
fn retry_after_is_at_least_a_second() {
    let limiter = limiter(r#"{"rules":[{"name":"u","limit":{"requests":1,"per":"1ms"}}]}"#);
    testing::clean();
    ask(&limiter, &[], 0);
    let refused = ask(&limiter, &[], 0);
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    assert_eq!(header(&refused, "ratelimit-policy"), Some("\"u\";q=1"));
}

#[test]
fn several_rules_admit_together_or_not_at_all() {
    let limiter = limiter(
        r#"{"rules":[{"name":"wide","limit":{"requests":10,"per":"10s"}},
            {"name":"narrow","key":[{"header":"x-u"}],"limit":{"requests":1,"per":"10s"}}]}"#,
    );
    testing::clean();
    let first = ask(&limiter, &[("x-u", "a")], 0);
    assert_eq!(header(&first, "ratelimit-policy"), Some("\"wide\";q=10;w=10, \"narrow\";q=1;w=10"));
    assert_eq!(header(&first, "ratelimit"), Some("\"narrow\";r=0;t=10"));
    for _ in 0..20 {
        assert_eq!(ask(&limiter, &[("x-u", "a")], 0).refused_by, Some(1));
    }
    // The refused ones took nothing from the wide limit.
    let other = ask(&limiter, &[("x-u", "b")], 0);
    assert_eq!(other.refused_by, None);
    assert_eq!(ask(&limiter, &[("x-u", "c")], 0).refused_by, None);
}

#[test]
fn row_4_2_5_requests_without_a_key() {
    let of = |how: &str| {
        limiter(&format!(
            r#"{{"rules":[{{"name":"u","key":[{{"header":"x-u"}}],"on_missing_key":"{how}","limit":{{"requests":1,"per":"1s"}}}}]}}"#
        ))
    };
    testing::clean();
    let shared = of("SHARED");
    assert_eq!(kinds(&ask(&shared, &[], 0)), [EventKind::MissingKey, EventKind::Admitted]);
    assert_eq!(ask(&shared, &[], 0).refused_by, Some(0));
    assert_eq!(
        ask(&of("SKIP"), &[], 0),
        Decision { events: vec![Event { rule: 0, kind: EventKind::MissingKey }], ..Decision::default() }
    );
    assert_eq!(kinds(&ask(&of("DENY"), &[], 0)), [EventKind::MissingKey, EventKind::Refused]);
}

#[test]
fn row_4_2_21_shadow_only_counts() {
    let shadow = limiter(r#"{"rules":[{"name":"u","mode":"SHADOW","limit":{"requests":1,"per":"1s"}}]}"#);
    testing::clean();
    ask(&shadow, &[], 0);
    let second = ask(&shadow, &[], 0);
    assert_eq!(
        (second.refused_by, kinds(&second), second.headers.len()),
        (None, vec![EventKind::WouldRefuse], 0)
    );
    let all = limiter(r#"{"mode":"SHADOW","rules":[{"name":"u","limit":{"requests":1,"per":"1s"}}]}"#);
    assert_eq!(kinds(&ask(&all, &[], 0)), [EventKind::WouldRefuse]);
    let off = limiter(r#"{"mode":"DISABLED","rules":[{"name":"u","limit":{"requests":1,"per":"1s"}}]}"#);
    assert_eq!(ask(&off, &[], 0), Decision::default());
}

#[test]
fn row_4_2_9_when_the_state_cannot_be_written_the_rule_decides() {
    let of = |how: &str| {
        limiter(&format!(
            r#"{{"rules":[{{"name":"u","on_contention":"{how}","limit":{{"requests":1,"per":"1s"}}}}]}}"#
        ))
    };
    testing::clean();
    testing::refuse_shared_data();
    let refused = ask(&of("DENY"), &[], 0);
    assert_eq!((refused.refused_by, header(&refused, "retry-after")), (Some(0), Some("1")));
    assert_eq!(kinds(&ask(&of("ALLOW"), &[], 0)), [EventKind::Contention]);
}

#[test]
fn a_rule_with_a_match_leaves_the_rest_alone() {
    let limiter = limiter(
        r#"{"rules":[{"name":"u","match":[{"path":{"separated_prefix":"/api"}}],"limit":{"requests":1,"per":"1s"}}]}"#,
    );
    testing::clean();
    for _ in 0..3 {
        assert_eq!(ask(&limiter, &[(":path", "/web")], 0), Decision::default());
    }
    assert_eq!(ask(&limiter, &[(":path", "/api")], 0).refused_by, None);
    assert_eq!(ask(&limiter, &[(":path", "//api/x")], 0).refused_by, Some(0));
}
