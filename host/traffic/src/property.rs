//! A value that a filter may read as a property, or get from an expression.

/// A typed value. Filters get its bytes (docs/envoy.md 2.9); expressions see its type.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyValue {
    /// There is a value, and it is nothing. It has no bytes.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A number with a fraction.
    Double(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nanoseconds.
    Duration(i64),
    /// Nanoseconds since the Unix epoch.
    Timestamp(i64),
    /// A list.
    List(Vec<PropertyValue>),
    /// Keys and values, in order.
    Map(Vec<(PropertyValue, PropertyValue)>),
    /// A protobuf message: its bytes for filters, its fields for expressions.
    Message(MessageValue),
}

/// A protobuf message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageValue {
    /// As it is encoded.
    pub bytes: Vec<u8>,
    /// All of its fields by name; one that is not set has the value of its type that stands for nothing.
    pub fields: Vec<(&'static str, PropertyValue)>,
}

impl PropertyValue {
    /// It is what a field of a message has that is not set.
    pub fn is_unset(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Int(n) | Self::Duration(n) | Self::Timestamp(n) => *n == 0,
            Self::Uint(n) => *n == 0,
            Self::Double(n) => *n == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Message(message) => message.bytes.is_empty(),
        }
    }

    /// The value under a text key of a map; none when this is no map or has no such key.
    pub fn get(&self, key: &[u8]) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        let is = |k: &Self| matches!(k, Self::Text(text) if text.as_bytes() == key);
        entries.iter().find(|(k, _)| is(k)).map(|(_, value)| value)
    }
}

/// As JSON has it; whole numbers are signed ones. Inside of metadata the host makes doubles of them, as Envoy does.
impl From<&serde_json::Value> for PropertyValue {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value;
        match json {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::Int(whole),
                None => Self::Double(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(list) => Self::List(list.iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Map(map.iter().map(|(key, value)| (Self::Text(key.clone()), value.into())).collect())
            }
        }
    }
}
