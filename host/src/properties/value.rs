//! A value on the way along a path, and its bytes (docs/envoy.md 2.9: encodings).

use crate::headermap::MapKind;
use std::borrow::Cow;
use tamis_abi::Status;
use tamis_traffic::{Headers, Peer};

/// What a segment of a path led to.
pub(super) enum Value<'a> {
    Bytes(Cow<'a, [u8]>),
    /// The headers of a message, as a map.
    Headers(MapKind, &'a Headers),
    Request,
    Response,
    Peer(Option<&'a Peer>),
    Connection,
    Upstream,
    Xds,
    FilterState,
    /// There, and without any field that we know.
    Nothing,
}

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    pub(super) fn slice(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }

    /// Numbers, durations and times are 8 bytes, little-endian; signed ones never exceed 63 bits here.
    pub(super) fn number(number: u64) -> Self {
        Self::Bytes(Cow::Owned(number.to_le_bytes().to_vec()))
    }

    pub(super) fn bool(value: bool) -> Self {
        Self::Bytes(Cow::Owned(vec![u8::from(value)]))
    }

    /// The bytes that the filter gets.
    pub(super) fn bytes(self) -> Result<Cow<'a, [u8]>, Status> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Headers(kind, headers) => Ok(Cow::Owned(map(kind, headers))),
            _ => Err(Status::SerializationFailure),
        }
    }
}

/// Pair encoding; each entry has all values of its name.
fn map(kind: MapKind, headers: &Headers) -> Vec<u8> {
    let joined: Vec<_> = headers
        .iter()
        .map(|(name, _)| (name, super::messages::joined(kind, headers, name).unwrap_or_default()))
        .collect();
    let pairs = || joined.iter().map(|(name, value)| (*name, value.as_ref()));
    let mut out = vec![0; tamis_abi::pairs::encoded_len(pairs())];
    // It fits: the length was just measured.
    let _ = tamis_abi::pairs::encode(pairs(), &mut out);
    out
}
