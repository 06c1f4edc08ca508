//! What claims say: lookups, scopes, and values for headers.

use serde_json::{Map, Value};

/// Longest header value made from a claim, bytes. A longer claim gives no header.
const MAX_HEADER: usize = 4096;

/// A claim by its name, or by a way into objects: `realm.roles`.
pub fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.as_object()?.get(step))
}

/// A claim as a header value: text, numbers, booleans, and lists of them.
pub fn header_value(value: &Value) -> Option<String> {
    let text = match value {
        Value::Array(items) => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| scalar(item).filter(|i| !i.contains(','))).collect();
            items?.join(",")
        }
        value => scalar(value)?,
    };
    let plain = text.len() <= MAX_HEADER && !text.is_empty() && !text.bytes().any(|b| b < 0x20 || b == 0x7f);
    plain.then_some(text)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// True when the claims hold this scope as a whole word, in `scope` (words in a text, or a list) or `scp`.
pub fn has_scope(claims: &Map<String, Value>, scope: &str) -> bool {
    ["scope", "scp"].iter().filter_map(|name| claims.get(*name)).any(|value| match value {
        Value::String(words) => words.split(' ').any(|word| word == scope),
        Value::Array(items) => items.iter().any(|item| item == scope),
        _ => false,
    })
}

/// True when a claim is one of the values, or a list with one of them.
pub fn is_one_of(claims: &Map<String, Value>, name: &str, values: &[String]) -> bool {
    let one = |value: &Value| scalar(value).is_some_and(|text| values.contains(&text));
    match find(claims, name) {
        Some(Value::Array(items)) => items.iter().any(one),
        Some(value) => one(value),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn row_4_1_33_claims_that_are_no_header_values() {
        for (value, due) in [
            (json!("a b"), Some("a b")),
            (json!(7), Some("7")),
            (json!(true), Some("true")),
            (json!(["a", 1]), Some("a,1")),
            (json!("a\r\nx-admin: 1"), None),
            (json!("a\u{0}"), None),
            (json!({"a": 1}), None),
            (json!(["a", ["b"]]), None),
            (json!(["a,b"]), None),
            (json!(null), None),
            (json!(""), None),
            (json!("x".repeat(10 << 10)), None),
        ] {
            assert_eq!(header_value(&value).as_deref(), due, "{value}");
        }
    }

    #[test]
    fn row_4_1_34_scopes_are_whole_words() {
        assert!(has_scope(&claims(json!({"scope": "read admin"})), "admin"));
        assert!(has_scope(&claims(json!({"scp": ["read", "admin"]})), "admin"));
        for no in [
            json!({"scope": "superadmin"}),
            json!({"scope": "read superadmin"}),
            json!({"scope": 1}),
            json!({}),
        ] {
            assert!(!has_scope(&claims(no.clone()), "admin"), "{no}");
        }
    }

    #[test]
    fn claims_are_found_by_name_or_way() {
        let claims = claims(json!({"a.b": 1, "a": {"b": 2, "c": {"d": [3]}}}));
        assert_eq!(find(&claims, "a.b"), Some(&json!(1)));
        assert_eq!(find(&claims, "a.c.d"), Some(&json!([3])));
        assert_eq!(find(&claims, "a.x"), None);
        assert!(is_one_of(&claims, "a.c.d", &["3".into()]));
        assert!(!is_one_of(&claims, "a", &["2".into()]));
    }
}
