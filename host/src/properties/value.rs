//! A value on the way along a path, and its bytes (docs/envoy.md 2.9: encodings).

use super::state::Address;
use super::{Missing, attributes};
use crate::headermap::MapKind;
use std::borrow::Cow;
use tamis_abi::{Status, pairs};
use tamis_traffic::redact::show;
use tamis_traffic::select::exact;
use tamis_traffic::wellknown::{self, NoValue};
use tamis_traffic::{Headers, MessageValue, Peer, PropertyValue, message};

/// What a segment of a path led to.
pub(super) enum Value<'a> {
    Text(Cow<'a, [u8]>),
    Bytes(&'a [u8]),
    Int(i64),
    Uint(u64),
    Bool(bool),
    Duration(i64),
    Timestamp(i64),
    /// The headers of a message, as a map; empty while the filter cannot read them.
    Headers(MapKind, Option<&'a Headers>),
    Request,
    Response,
    Peer(Option<&'a Peer>),
    Connection,
    Upstream,
    Xds,
    FilterState,
    /// A message of the proxy's configuration.
    Message(Message<'a>),
    /// What was said of the proxy; in a `Struct`, where each number is a double.
    Said(&'a PropertyValue, bool),
    /// An empty map.
    NoMap,
    /// A property that holds a message of this type.
    Proto(&'a [u8], &'a str),
    /// The message itself, as the filter state shows it.
    Unpacked(&'a [u8], &'a str),
    /// A value out of such a message.
    Out(PropertyValue),
    Address(&'a Address),
    /// A group that is there.
    Nothing,
}

/// A message, with what was said of it.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) kind: Kind,
    pub(super) said: Option<&'a PropertyValue>,
}

impl Message<'_> {
    /// What was said of it, encoded; nothing for an empty one.
    fn bytes(&self) -> Vec<u8> {
        let write = match self.kind {
            Kind::Node => message::node,
            Kind::Locality => message::locality,
            Kind::Metadata => message::metadata,
        };
        self.said.map(write).unwrap_or_default()
    }

    fn typed(self) -> MessageValue {
        let names: &[&'static str] = match self.kind {
            Kind::Node => &["id", "cluster", "metadata", "locality", "user_agent_name", "user_agent_version"],
            Kind::Locality => &["region", "zone", "sub_zone"],
            Kind::Metadata => &["filter_metadata", "typed_filter_metadata"],
        };
        let value = |name: &&'static str| {
            let value = attributes::field(self, name.as_bytes())?.typed().ok()?;
            Some((*name, value))
        };
        MessageValue { bytes: self.bytes(), fields: names.iter().filter_map(value).collect() }
    }
}

/// The messages that properties lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `envoy.config.core.v3.Node`.
    Node,
    /// `envoy.config.core.v3.Locality`.
    Locality,
    /// `envoy.config.core.v3.Metadata`.
    Metadata,
}

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }

    pub(super) fn slice(bytes: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(bytes))
    }

    /// It has fields and no value of its own.
    pub(super) fn is_group(&self) -> bool {
        matches!(
            self,
            Self::Request
                | Self::Response
                | Self::Peer(_)
                | Self::Connection
                | Self::Upstream
                | Self::Xds
                | Self::FilterState
        )
    }

    pub(super) fn int(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The bytes that the filter gets.
    pub(super) fn bytes(self) -> Result<Cow<'a, [u8]>, Missing> {
        let number = |bytes: [u8; 8]| Ok(Cow::Owned(bytes.to_vec()));
        match self {
            Self::Text(bytes) => Ok(bytes),
            Self::Bytes(bytes) | Self::Proto(bytes, _) => Ok(Cow::Borrowed(bytes)),
            Self::Int(n) | Self::Duration(n) | Self::Timestamp(n) => number(n.to_le_bytes()),
            Self::Uint(n) => number(n.to_le_bytes()),
            Self::Bool(value) => Ok(Cow::Owned(vec![u8::from(value)])),
            Self::Headers(kind, headers) => Ok(Cow::Owned(headers.map_or_else(empty, |h| map(kind, h)))),
            Self::NoMap | Self::Address(_) => Ok(Cow::Owned(empty())),
            Self::Unpacked(bytes, url) => Self::Out(unpack(bytes, url)?).bytes(),
            Self::Out(value) => encode(&value, false).map(Cow::Owned).map_err(Missing::Status),
            Self::Message(message) => Ok(Cow::Owned(message.bytes())),
            Self::Said(value, in_struct) => encode(value, in_struct).map(Cow::Owned).map_err(Missing::Status),
            _ => Err(Missing::Status(Status::SerializationFailure)),
        }
    }

    /// The value with its type, for expressions; none for what has no bytes.
    pub(super) fn typed(self) -> Result<PropertyValue, Missing> {
        Ok(match self {
            Self::Int(n) => PropertyValue::Int(n),
            Self::Uint(n) => PropertyValue::Uint(n),
            Self::Bool(value) => PropertyValue::Bool(value),
            Self::Duration(n) => PropertyValue::Duration(n),
            Self::Timestamp(n) => PropertyValue::Timestamp(n),
            Self::Text(bytes) => PropertyValue::Text(exact(&bytes).into_owned()),
            Self::Said(value, in_struct) => doubles(value, in_struct),
            Self::NoMap | Self::Address(_) => PropertyValue::Map(Vec::new()),
            Self::Message(message) => PropertyValue::Message(message.typed()),
            Self::Proto(bytes, url) | Self::Unpacked(bytes, url) => unpack(bytes, url)?,
            Self::Out(value) => value,
            other => PropertyValue::Bytes(other.bytes()?.into_owned()),
        })
    }

    /// What is inside of a property that holds a message.
    pub(super) fn opened(self) -> Result<Self, Missing> {
        match self {
            Self::Proto(bytes, url) | Self::Unpacked(bytes, url) => unpack(bytes, url).map(Self::Out),
            other => Ok(other),
        }
    }
}

/// The type of a property that holds a flat buffer.
pub(super) const FLAT_BUFFER: &str = "flat buffer";

/// A message as the value that it stands for: 3 when it is none of its type, or of a type that Envoy does not have.
fn unpack(bytes: &[u8], url: &str) -> Result<PropertyValue, Missing> {
    match wellknown::unpack(url, bytes) {
        Ok(value) => Ok(value),
        Err(NoValue::Broken) if url != FLAT_BUFFER => Err(Status::SerializationFailure.into()),
        Err(_) => {
            Err(Missing::NotSupported(format!("what is in a property of type `{}`", show(url.as_bytes()))))
        }
    }
}

/// No pairs.
fn empty() -> Vec<u8> {
    vec![0; 4]
}

fn doubles(value: &PropertyValue, in_struct: bool) -> PropertyValue {
    match value {
        PropertyValue::Int(n) if in_struct => PropertyValue::Double(*n as f64),
        PropertyValue::List(list) => {
            PropertyValue::List(list.iter().map(|v| doubles(v, in_struct)).collect())
        }
        PropertyValue::Map(map) => {
            let entry = |(k, v): &(PropertyValue, PropertyValue)| (k.clone(), doubles(v, in_struct));
            PropertyValue::Map(map.iter().map(entry).collect())
        }
        other => other.clone(),
    }
}

/// Numbers, durations and times are 8 bytes, little-endian; a map is pairs; a list is pairs whose values are
/// empty (docs/envoy.md 2.9).
///
/// # Errors
/// 3 for what has no bytes: null, alone or inside.
pub(crate) fn encode(value: &PropertyValue, in_struct: bool) -> Result<Vec<u8>, Status> {
    let list = |pairs: Vec<(Vec<u8>, Vec<u8>)>| {
        if pairs.is_empty() {
            return empty();
        }
        let each = || pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let mut out = vec![0; pairs::encoded_len(each())];
        // It fits: the length was just measured.
        let _ = pairs::encode(each(), &mut out);
        out
    };
    Ok(match value {
        PropertyValue::Null => return Err(Status::SerializationFailure),
        PropertyValue::Bool(value) => vec![u8::from(*value)],
        PropertyValue::Int(n) if in_struct => (*n as f64).to_le_bytes().to_vec(),
        PropertyValue::Int(n) | PropertyValue::Duration(n) | PropertyValue::Timestamp(n) => {
            n.to_le_bytes().to_vec()
        }
        PropertyValue::Uint(n) => n.to_le_bytes().to_vec(),
        PropertyValue::Double(n) => n.to_le_bytes().to_vec(),
        PropertyValue::Text(text) => text.as_bytes().to_vec(),
        PropertyValue::Bytes(bytes) => bytes.clone(),
        PropertyValue::Message(message) => message.bytes.clone(),
        PropertyValue::List(items) => {
            let item = |v| Ok((encode(v, in_struct)?, Vec::new()));
            list(items.iter().map(item).collect::<Result<_, Status>>()?)
        }
        PropertyValue::Map(entries) => {
            let entry =
                |(k, v): &(PropertyValue, PropertyValue)| Ok((encode(k, in_struct)?, encode(v, in_struct)?));
            list(entries.iter().map(entry).collect::<Result<_, Status>>()?)
        }
    })
}

/// Pair encoding; each name once, with all its values. Envoy's order is not defined; this is the headers' own.
fn map(kind: MapKind, headers: &Headers) -> Vec<u8> {
    let mut joined: Vec<(&[u8], Cow<'_, [u8]>)> = Vec::new();
    for (name, _) in headers.iter() {
        if joined.iter().all(|(known, _)| *known != name) {
            joined.push((name, super::messages::joined(kind, headers, name).unwrap_or_default()));
        }
    }
    let each = || joined.iter().map(|(name, value)| (*name, value.as_ref()));
    let mut out = vec![0; pairs::encoded_len(each()).max(4)];
    // It fits: the length was just measured.
    let _ = pairs::encode(each(), &mut out);
    out
}
