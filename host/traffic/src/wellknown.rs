//! Messages that Envoy shows as values: the well-known types of `google.protobuf`, and a locality.
//!
//! A property that was declared as protobuf and an expression that makes a message lead here (docs/envoy.md 2.10, rows
//! 196 and 197).

use crate::encode::{base64, rfc3339};
use crate::message::{locality, put};
use crate::read::wire::{Fields, Malformed, Value as Wire};
use crate::{MessageValue, PropertyValue};

/// Packages of types that every Envoy has, beside those that are known here.
const PACKAGES: [&str; 9] = [
    "envoy.",
    "google.",
    "xds.",
    "udpa.",
    "cel.",
    "opencensus.",
    "opentelemetry.",
    "grpc.",
    "io.prometheus.",
];

/// Levels of values inside of values (100, as protobuf's own readers).
const MAX_DEPTH: usize = 100;

/// Why a message is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoValue {
    /// Its bytes are none of its type, or Envoy does not have the type: an error in Envoy too.
    Broken,
    /// Envoy has this type, and it is not known here.
    Unknown,
}

impl From<Malformed> for NoValue {
    fn from(_: Malformed) -> Self {
        Self::Broken
    }
}

/// The value of a message by its type URL.
///
/// # Errors
/// When Envoy has none either, and when only Envoy has it.
pub fn unpack(url: &str, bytes: &[u8]) -> Result<PropertyValue, NoValue> {
    let (_, name) = url.rsplit_once('/').ok_or(NoValue::Broken)?;
    value(name, bytes, 0)
}

/// What Envoy makes of a type that is not known here.
pub(crate) fn unknown(name: &str) -> NoValue {
    if PACKAGES.iter().any(|package| name.starts_with(package)) { NoValue::Unknown } else { NoValue::Broken }
}

fn value(name: &str, bytes: &[u8], depth: usize) -> Result<PropertyValue, NoValue> {
    if depth > MAX_DEPTH {
        return Err(NoValue::Broken);
    }
    let Some(short) = name.strip_prefix("google.protobuf.") else {
        return match name {
            "envoy.config.core.v3.Locality" => read_locality(bytes),
            _ => Err(unknown(name)),
        };
    };
    Ok(match short {
        "Struct" => structure(bytes, depth)?,
        "Value" => json_value(bytes, depth)?,
        "ListValue" => list(bytes, depth)?,
        "Duration" => PropertyValue::Duration(nanos(bytes)?),
        "Timestamp" => PropertyValue::Timestamp(nanos(bytes)?),
        "Any" => {
            let fields = [1, 2].map(|number| last(bytes, number));
            let [url, packed] = fields;
            let url = text(url?.map_or(Ok(&[][..]), Wire::bytes)?)?;
            let (_, name) = url.rsplit_once('/').ok_or(NoValue::Broken)?;
            value(name, packed?.map_or(Ok(&[][..]), Wire::bytes)?, depth + 1)?
        }
        "Empty" => {
            check(bytes)?;
            PropertyValue::Message(MessageValue { bytes: bytes.to_vec(), fields: Vec::new() })
        }
        "FieldMask" => {
            let mut paths = Vec::new();
            let mut fields = Fields::of(bytes);
            while let Some((number, field)) = fields.next()? {
                if number == 1 {
                    paths.push(PropertyValue::Text(text(field.bytes()?)?.to_owned()));
                }
            }
            let fields = vec![("paths", PropertyValue::List(paths))];
            PropertyValue::Message(MessageValue { bytes: bytes.to_vec(), fields })
        }
        _ => wrapped(short, last(bytes, 1)?)?,
    })
}

/// The value inside of a wrapper.
fn wrapped(short: &str, field: Option<Wire<'_>>) -> Result<PropertyValue, NoValue> {
    let number = || field.map_or(Ok(0), Wire::number);
    let bytes = || field.map_or(Ok(&[][..]), Wire::bytes);
    Ok(match short {
        "BoolValue" => PropertyValue::Bool(number()? != 0),
        "Int32Value" => PropertyValue::Int(i64::from(number()? as i32)),
        "Int64Value" => PropertyValue::Int(number()? as i64),
        "UInt32Value" => PropertyValue::Uint(u64::from(number()? as u32)),
        "UInt64Value" => PropertyValue::Uint(number()?),
        "FloatValue" => PropertyValue::Double(f64::from(f32::from_bits(number()? as u32))),
        "DoubleValue" => PropertyValue::Double(f64::from_bits(number()?)),
        "StringValue" => PropertyValue::Text(text(bytes()?)?.to_owned()),
        "BytesValue" => PropertyValue::Bytes(bytes()?.to_vec()),
        _ => return Err(NoValue::Unknown),
    })
}

/// The last field of a number: it wins.
fn last(bytes: &[u8], number: u64) -> Result<Option<Wire<'_>>, Malformed> {
    let (mut fields, mut found) = (Fields::of(bytes), None);
    while let Some((at, field)) = fields.next()? {
        if at == number {
            found = Some(field);
        }
    }
    Ok(found)
}

fn check(bytes: &[u8]) -> Result<(), Malformed> {
    last(bytes, 0).map(|_| ())
}

fn text(bytes: &[u8]) -> Result<&str, NoValue> {
    std::str::from_utf8(bytes).map_err(|_| NoValue::Broken)
}

fn nanos(bytes: &[u8]) -> Result<i64, NoValue> {
    let seconds = last(bytes, 1)?.map_or(Ok(0), Wire::number)? as i64;
    let nanos = last(bytes, 2)?.map_or(Ok(0), Wire::number)? as i32;
    let whole = seconds.checked_mul(1_000_000_000).and_then(|s| s.checked_add(i64::from(nanos)));
    whole.ok_or(NoValue::Broken)
}

fn structure(bytes: &[u8], depth: usize) -> Result<PropertyValue, NoValue> {
    let (mut fields, mut entries) = (Fields::of(bytes), Vec::<(PropertyValue, PropertyValue)>::new());
    while let Some((number, field)) = fields.next()? {
        if number != 1 {
            continue;
        }
        let entry = field.bytes()?;
        let key = text(last(entry, 1)?.map_or(Ok(&[][..]), Wire::bytes)?)?;
        let key = PropertyValue::Text(key.to_owned());
        let value = json_value(last(entry, 2)?.map_or(Ok(&[][..]), Wire::bytes)?, depth + 1)?;
        entries.retain(|(known, _)| *known != key);
        entries.push((key, value));
    }
    Ok(PropertyValue::Map(entries))
}

fn list(bytes: &[u8], depth: usize) -> Result<PropertyValue, NoValue> {
    let (mut fields, mut items) = (Fields::of(bytes), Vec::new());
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            items.push(json_value(field.bytes()?, depth + 1)?);
        }
    }
    Ok(PropertyValue::List(items))
}

/// `google.protobuf.Value`; nothing set is null.
fn json_value(bytes: &[u8], depth: usize) -> Result<PropertyValue, NoValue> {
    if depth > MAX_DEPTH {
        return Err(NoValue::Broken);
    }
    let (mut fields, mut value) = (Fields::of(bytes), PropertyValue::Null);
    while let Some((number, field)) = fields.next()? {
        value = match number {
            1 => PropertyValue::Null,
            2 => PropertyValue::Double(f64::from_bits(field.number()?)),
            3 => PropertyValue::Text(text(field.bytes()?)?.to_owned()),
            4 => PropertyValue::Bool(field.number()? != 0),
            5 => structure(field.bytes()?, depth + 1)?,
            6 => list(field.bytes()?, depth + 1)?,
            _ => value,
        };
    }
    Ok(value)
}

fn read_locality(bytes: &[u8]) -> Result<PropertyValue, NoValue> {
    let mut fields = Vec::new();
    for (number, name) in [(1, "region"), (2, "zone"), (3, "sub_zone")] {
        let own = text(last(bytes, number)?.map_or(Ok(&[][..]), Wire::bytes)?)?;
        fields.push((name, PropertyValue::Text(own.to_owned())));
    }
    Ok(PropertyValue::Message(MessageValue { bytes: bytes.to_vec(), fields }))
}

/// The fields of a message that an expression may make; none for a type that is not known here.
pub(crate) fn fields_of(name: &str) -> Option<&'static [&'static str]> {
    Some(match name.strip_prefix("google.protobuf.") {
        Some(
            "BoolValue" | "Int32Value" | "Int64Value" | "UInt32Value" | "UInt64Value" | "FloatValue"
            | "DoubleValue" | "StringValue" | "BytesValue",
        ) => &["value"],
        Some("Struct") => &["fields"],
        Some("ListValue") => &["values"],
        Some("Value") => {
            &["null_value", "number_value", "string_value", "bool_value", "struct_value", "list_value"]
        }
        Some("Duration" | "Timestamp") => &["seconds", "nanos"],
        Some("Any") => &["type_url", "value"],
        Some("Empty") => &[],
        Some("FieldMask") => &["paths"],
        None if name == "envoy.config.core.v3.Locality" => &["region", "zone", "sub_zone"],
        _ => return None,
    })
}

/// Makes a message of fields that [`fields_of`] its name has; none where a value has another type than its field.
pub(crate) fn make(name: &str, fields: Vec<(String, PropertyValue)>) -> Option<PropertyValue> {
    let mut given = fields.into_iter();
    let short = name.strip_prefix("google.protobuf.").unwrap_or(name);
    match short {
        "Duration" | "Timestamp" => {
            let mut nanos = 0_i64;
            for (field, value) in given {
                let PropertyValue::Int(number) = value else { return None };
                let part = match field.as_str() {
                    "seconds" => number.checked_mul(1_000_000_000)?,
                    _ => i64::from(i32::try_from(number).ok()?),
                };
                nanos = nanos.checked_add(part)?;
            }
            let duration = short == "Duration";
            Some(if duration { PropertyValue::Duration(nanos) } else { PropertyValue::Timestamp(nanos) })
        }
        "Any" => {
            let (mut url, mut bytes) = (String::new(), Vec::new());
            for (_, value) in given {
                match value {
                    PropertyValue::Text(text) => url = text,
                    PropertyValue::Bytes(value) => bytes = value,
                    _ => return None,
                }
            }
            unpack(&url, &bytes).ok()
        }
        "Empty" => Some(PropertyValue::Message(MessageValue { bytes: Vec::new(), fields: Vec::new() })),
        "FieldMask" => {
            let mut bytes = Vec::new();
            if let Some((_, value)) = given.next() {
                let PropertyValue::List(paths) = value else { return None };
                for path in paths {
                    let PropertyValue::Text(path) = path else { return None };
                    put(&mut bytes, 1, path.as_bytes());
                }
            }
            value(name, &bytes, 0).ok()
        }
        "envoy.config.core.v3.Locality" => {
            let text = |(name, value)| match value {
                PropertyValue::Text(_) => Some((PropertyValue::Text(name), value)),
                _ => None,
            };
            let fields = PropertyValue::Map(given.map(text).collect::<Option<_>>()?);
            read_locality(&locality(&fields)).ok()
        }
        "Struct" | "ListValue" => match (short, given.next().map(|(_, value)| value)) {
            ("Struct", None) => Some(PropertyValue::Map(Vec::new())),
            (_, None) => Some(PropertyValue::List(Vec::new())),
            ("Struct", Some(map @ PropertyValue::Map(_))) => json(map),
            ("ListValue", Some(list @ PropertyValue::List(_))) => json(list),
            _ => None,
        },
        "Value" => match given.next() {
            None => Some(PropertyValue::Null),
            Some((field, value)) => {
                let fits = matches!(
                    (field.as_str(), &value),
                    ("number_value", PropertyValue::Double(_))
                        | ("string_value", PropertyValue::Text(_))
                        | ("bool_value", PropertyValue::Bool(_))
                        | ("struct_value", PropertyValue::Map(_))
                        | ("list_value", PropertyValue::List(_))
                        | ("null_value", PropertyValue::Int(0))
                );
                match value {
                    PropertyValue::Int(_) if fits => Some(PropertyValue::Null),
                    value if fits => json(value),
                    _ => None,
                }
            }
        },
        _ => match given.next() {
            None => wrapped(short, None).ok(),
            Some((_, value)) => fitting(short, value),
        },
    }
}

/// The value of a wrapper's field.
fn fitting(short: &str, value: PropertyValue) -> Option<PropertyValue> {
    let fits = match (short, &value) {
        ("BoolValue", PropertyValue::Bool(_))
        | ("Int64Value", PropertyValue::Int(_))
        | ("UInt64Value", PropertyValue::Uint(_))
        | ("DoubleValue", PropertyValue::Double(_))
        | ("StringValue", PropertyValue::Text(_))
        | ("BytesValue", PropertyValue::Bytes(_)) => true,
        ("Int32Value", PropertyValue::Int(n)) => i32::try_from(*n).is_ok(),
        ("UInt32Value", PropertyValue::Uint(n)) => u32::try_from(*n).is_ok(),
        ("FloatValue", PropertyValue::Double(n)) => return Some(PropertyValue::Double(f64::from(*n as f32))),
        _ => false,
    };
    fits.then_some(value)
}

/// The largest whole number that a double holds with all those below it.
const SAFE: u64 = (1 << 53) - 1;

/// As a `google.protobuf.Value` has it: each number is a double or, when it is too large for one, text, and so is what
/// JSON does not have. None for what has no place.
fn json(value: PropertyValue) -> Option<PropertyValue> {
    use PropertyValue as V;
    Some(match value {
        V::Int(n) if n.unsigned_abs() > SAFE => V::Text(n.to_string()),
        V::Int(n) => V::Double(n as f64),
        V::Uint(n) if n > SAFE => V::Text(n.to_string()),
        V::Uint(n) => V::Double(n as f64),
        V::Bytes(bytes) => V::Text(base64(&bytes)),
        V::Duration(nanos) => V::Text(seconds(nanos)),
        V::Timestamp(nanos) => V::Text(rfc3339(u64::try_from(nanos).ok()?)),
        V::List(items) => V::List(items.into_iter().map(json).collect::<Option<_>>()?),
        V::Map(entries) => {
            let entry = |(key, value)| match key {
                V::Text(_) => Some((key, json(value)?)),
                _ => None,
            };
            V::Map(entries.into_iter().map(entry).collect::<Option<_>>()?)
        }
        V::Null | V::Bool(_) | V::Double(_) | V::Text(_) => value,
        V::Message(_) => return None,
    })
}

/// A duration in the JSON of protobuf: seconds with as many digits behind the point as it needs, in threes.
fn seconds(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, part) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    let digits = format!("{part:09}");
    let digits = digits.trim_end_matches("000");
    let point = if digits.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{digits}s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_in_json() {
        let all = [(0, "0s"), (1_000_000_000, "1s"), (1_500_000_000, "1.500s"), (-7, "-0.000000007s")];
        all.into_iter().for_each(|(nanos, text)| assert_eq!(seconds(nanos), text));
    }

    #[test]
    fn envoy_2_10_types_of_nobody_are_broken_and_those_of_envoy_unknown() {
        assert_eq!(unpack("nourl", b""), Err(NoValue::Broken));
        assert_eq!(unpack("type.googleapis.com/acme.X", b""), Err(NoValue::Broken));
        assert_eq!(unpack("type.googleapis.com/envoy.config.core.v3.Node", b""), Err(NoValue::Unknown));
        assert_eq!(unpack("type.googleapis.com/google.protobuf.Type", b""), Err(NoValue::Unknown));
        assert_eq!(unpack("x/google.protobuf.Int32Value", b"\x08\x07"), Ok(PropertyValue::Int(7)));
    }

    proptest! {
        #[test]
        fn garbage_is_a_value_or_none(
            name in prop_oneof![
                Just("Struct"), Just("Value"), Just("ListValue"), Just("Any"), Just("FieldMask"), Just("Duration"),
                Just("StringValue"), Just("FloatValue"), Just("Empty"),
            ],
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = unpack(&format!("x/google.protobuf.{name}"), &bytes);
        }
    }
}
