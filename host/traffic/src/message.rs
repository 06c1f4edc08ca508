//! Protobuf messages written from values: what the proxy's configuration holds, as filters get its bytes.
//!
//! A map of a message has no order of its own; here it is the order of the value's keys.

use crate::PropertyValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

/// What the `@type` of a configuration begins with.
const TYPE: &str = "type.googleapis.com/google.protobuf.";

/// The configuration that an Envoy bootstrap writes as a message (docs/envoy.md 2.11), as the filter gets it: a
/// `StringValue` and a `BytesValue` are unwrapped, a `Struct`, a `Value` and a `ListValue` are their bytes.
///
/// None when the JSON is no such message: then it is the filter's own.
///
/// # Errors
/// What is wrong, in one line, when the `@type` is one of `google.protobuf` and cannot be written.
pub fn configuration(json: &Json) -> Option<Result<Vec<u8>, String>> {
    let name = json.get("@type")?.as_str()?.strip_prefix(TYPE)?;
    let value = json.get("value").unwrap_or(&Json::Null);
    Some(match (name, value) {
        ("StringValue", Json::String(text)) => Ok(text.clone().into_bytes()),
        ("BytesValue", Json::String(text)) => {
            STANDARD.decode(text).map_err(|e| format!("the value of a `BytesValue` is no base64: {e}"))
        }
        ("Struct", Json::Object(_)) => Ok(structure(&value.into())),
        ("ListValue", Json::Array(_)) => Ok(list(&value.into())),
        ("Value", _) => Ok(any(&value.into())),
        ("StringValue" | "BytesValue" | "Struct" | "ListValue", _) => {
            Err(format!("the `value` of a `{name}` has another type"))
        }
        _ => Err(format!("a configuration of type `{TYPE}{name}` cannot be written here")),
    })
}

/// `google.protobuf.Struct`; what is no map is an empty one.
pub fn structure(value: &PropertyValue) -> Vec<u8> {
    let mut out = Vec::new();
    entries(value, |key, value| put(&mut out, 1, &entry(key, &any(value))));
    out
}

/// `envoy.config.core.v3.Metadata` of a map with `filter_metadata`.
pub fn metadata(value: &PropertyValue) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(filters) = value.get(b"filter_metadata") {
        entries(filters, |key, value| put(&mut out, 1, &entry(key, &structure(value))));
    }
    out
}

/// `envoy.config.core.v3.Locality` of a map with `region`, `zone` and `sub_zone`.
pub fn locality(value: &PropertyValue) -> Vec<u8> {
    texts(value, &[(1, "region"), (2, "zone"), (3, "sub_zone")])
}

/// `envoy.config.core.v3.Node` of a map with its fields. A real one also lists the extensions of its Envoy.
pub fn node(value: &PropertyValue) -> Vec<u8> {
    let mut out = texts(value, &[(1, "id"), (2, "cluster")]);
    if let Some(own) = value.get(b"metadata") {
        put(&mut out, 3, &structure(own));
    }
    if let Some(own) = value.get(b"locality") {
        put(&mut out, 4, &locality(own));
    }
    out.extend(texts(value, &[(6, "user_agent_name"), (7, "user_agent_version")]));
    out
}

/// `google.protobuf.Value`.
fn any(value: &PropertyValue) -> Vec<u8> {
    let mut out = Vec::new();
    let mut number = |n: f64| {
        out.push(2 << 3 | 1);
        out.extend(n.to_le_bytes());
    };
    match value {
        PropertyValue::Int(n) | PropertyValue::Duration(n) | PropertyValue::Timestamp(n) => number(*n as f64),
        PropertyValue::Uint(n) => number(*n as f64),
        PropertyValue::Double(n) => number(*n),
        PropertyValue::Null => out.extend([1 << 3, 0]),
        PropertyValue::Bool(value) => out.extend([4 << 3, u8::from(*value)]),
        PropertyValue::Text(text) => put(&mut out, 3, text.as_bytes()),
        PropertyValue::Bytes(bytes) => put(&mut out, 3, bytes),
        PropertyValue::Message(message) => put(&mut out, 3, &message.bytes),
        PropertyValue::Map(_) => put(&mut out, 5, &structure(value)),
        PropertyValue::List(_) => put(&mut out, 6, &list(value)),
    }
    out
}

/// `google.protobuf.ListValue`; what is no list is an empty one.
fn list(value: &PropertyValue) -> Vec<u8> {
    let mut out = Vec::new();
    if let PropertyValue::List(items) = value {
        items.iter().for_each(|item| put(&mut out, 1, &any(item)));
    }
    out
}

/// An entry of a map field: key and value are always there.
fn entry(key: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, key.as_bytes());
    put(&mut out, 2, value);
    out
}

/// The entries of a map whose keys are texts.
fn entries(map: &PropertyValue, mut each: impl FnMut(&str, &PropertyValue)) {
    let PropertyValue::Map(entries) = map else { return };
    for (key, value) in entries {
        if let PropertyValue::Text(key) = key {
            each(key, value);
        }
    }
}

/// Fields that are texts; an empty one is not written.
fn texts(value: &PropertyValue, fields: &[(u8, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, name) in fields {
        if let Some(PropertyValue::Text(text)) = value.get(name.as_bytes())
            && !text.is_empty()
        {
            put(&mut out, *number, text.as_bytes());
        }
    }
    out
}

/// Adds a field of bytes, with its length in front.
pub fn put(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut len = bytes.len();
    while len > 0x7f {
        out.push(len as u8 & 0x7f | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(name: &str, value: Json) -> Option<Result<Vec<u8>, String>> {
        configuration(&json!({ "@type": format!("{TYPE}{name}"), "value": value }))
    }

    #[test]
    fn envoy_2_11_strings_and_bytes_are_unwrapped_and_a_struct_is_its_bytes() {
        assert_eq!(of("StringValue", json!("{}")), Some(Ok(b"{}".to_vec())));
        assert_eq!(of("BytesValue", json!("AP/+")), Some(Ok(vec![0, 255, 254])));
        assert_eq!(of("Struct", json!({})), Some(Ok(vec![])));
        assert_eq!(of("Struct", json!({ "a": "b" })), Some(Ok(b"\n\x08\n\x01a\x12\x03\x1a\x01b".to_vec())));
        assert_eq!(of("Value", json!(null)), Some(Ok(vec![8, 0])));
        assert_eq!(of("ListValue", json!([true])), Some(Ok(b"\n\x02\x20\x01".to_vec())));
    }

    #[test]
    fn what_is_no_message_is_the_filters_own_and_a_wrong_one_says_what_is_wrong() {
        for json in
            [json!({}), json!([1]), json!({ "@type": 7 }), json!({ "@type": "shop.Cart", "value": 1 })]
        {
            assert_eq!(configuration(&json), None, "{json}");
        }
        for (name, value) in
            [("Struct", json!(1)), ("StringValue", json!({})), ("BytesValue", json!("*")), ("Any", json!({}))]
        {
            assert!(of(name, value).is_some_and(|r| r.is_err()), "{name}");
        }
    }

    #[test]
    fn a_long_field_has_a_long_length() {
        let text = "x".repeat(300);
        let bytes = structure(&(&json!({ "k": text })).into());
        assert_eq!(bytes[..3], [0x0a, 0xb5, 0x02]);
        assert_eq!(bytes.len(), 300 + 12);
    }
}
