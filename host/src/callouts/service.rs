//! The service argument of gRPC calls: an encoded `envoy.config.core.v3.GrpcService`, or else the name of a cluster
//! (docs/envoy.md 2.7).

use std::str;

/// Most groups inside each other that Envoy's protobuf parser follows.
const DEPTH_LIMIT: u32 = 100;

/// Where a gRPC call goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) cluster: String,
    /// `:authority`; the cluster's name when it is empty.
    pub(crate) authority: String,
    /// Metadata of the service, before the call's own.
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
    /// It was an encoded message, not a name.
    pub(crate) encoded: bool,
    /// `google_grpc`: `cluster` is an address, which Envoy's other client calls past the clusters.
    pub(crate) google: bool,
}

/// The bytes are a message, but it has no target: Envoy aborts. Some names of clusters are such bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoTarget;

impl Service {
    /// Reads the argument as Envoy does: first as a message, then as a name.
    ///
    /// # Errors
    /// When it is a message that kills Envoy.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, NoTarget> {
        match parse(bytes) {
            None => {
                let cluster = String::from_utf8_lossy(bytes).into_owned();
                Ok(Self { cluster, ..Self::default() })
            }
            Some(None) => Err(NoTarget),
            Some(Some(service)) => Ok(service),
        }
    }
}

/// None when the bytes are no message; none inside when it has no target.
fn parse(bytes: &[u8]) -> Option<Option<Service>> {
    let mut target: Option<Service> = None;
    let mut metadata = Vec::new();
    each(bytes, &mut |field, value| {
        match (field, value) {
            (1 | 2, Value::Bytes(inner)) => {
                let google = field == 2;
                // A repeated message merges with what was there.
                let before = target.take().filter(|service| service.google == google);
                let mut service =
                    before.unwrap_or_else(|| Service { encoded: true, google, ..Service::default() });
                let read = if google { google_grpc } else { envoy_grpc };
                read(inner, &mut service)?;
                target = Some(service);
            }
            (3 | 6, Value::Bytes(inner)) => skim(inner)?,
            (5, Value::Bytes(inner)) => metadata.push(header(inner)?),
            _ => {}
        }
        Some(())
    })?;
    if let Some(service) = &mut target {
        service.metadata = metadata;
    }
    Some(target)
}

fn google_grpc(bytes: &[u8], service: &mut Service) -> Option<()> {
    each(bytes, &mut |field, value| {
        if let (1, Value::Bytes(text)) = (field, value) {
            service.cluster = str::from_utf8(text).ok()?.to_owned();
        }
        Some(())
    })
}

fn envoy_grpc(bytes: &[u8], service: &mut Service) -> Option<()> {
    each(bytes, &mut |field, value| {
        match (field, value) {
            (1, Value::Bytes(text)) => service.cluster = str::from_utf8(text).ok()?.to_owned(),
            (2, Value::Bytes(text)) => service.authority = str::from_utf8(text).ok()?.to_owned(),
            (3 | 4, Value::Bytes(inner)) => skim(inner)?,
            _ => {}
        }
        Some(())
    })
}

/// A `HeaderValue`: name, and the value as text or as bytes.
fn header(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut header = (String::new(), Vec::new());
    each(bytes, &mut |field, value| {
        match (field, value) {
            (1, Value::Bytes(text)) => header.0 = str::from_utf8(text).ok()?.to_ascii_lowercase(),
            (2, Value::Bytes(text)) if !text.is_empty() => header.1 = str::from_utf8(text).ok()?.into(),
            (3, Value::Bytes(raw)) if !raw.is_empty() => header.1 = raw.to_vec(),
            _ => {}
        }
        Some(())
    })?;
    Some(header)
}

/// Checks that the bytes are a message, whatever its fields mean.
fn skim(bytes: &[u8]) -> Option<()> {
    each(bytes, &mut |_, _| Some(()))
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Other,
}

/// Goes through the fields of a message. None when it is malformed, or when `see` says so.
fn each<'a>(mut rest: &'a [u8], see: &mut dyn FnMut(u64, Value<'a>) -> Option<()>) -> Option<()> {
    // Numbers of the groups that are open: what they hold is skipped.
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = tag >> 3;
        if field == 0 || tag > u64::from(u32::MAX) {
            return None;
        }
        let mut value = Value::Other;
        match tag & 7 {
            0 => drop(varint(&mut rest)?),
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (inner, after) = rest.split_at_checked(length)?;
                value = Value::Bytes(inner);
                rest = after;
            }
            3 => {
                groups.push(field);
                if groups.len() > DEPTH_LIMIT as usize {
                    return None;
                }
            }
            4 => {
                if groups.pop() != Some(field) {
                    return None;
                }
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
        if groups.is_empty() {
            see(field, value)?;
        }
    }
    groups.is_empty().then_some(())
}

/// A varint of at most ten bytes.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for at in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn envoy_2_7_what_is_no_message_is_a_cluster() {
        for name in ["grpc", "outbound|80||svc.ns.svc.cluster.local", "none", "ext_authz"] {
            let service = Service::read(name.as_bytes()).unwrap();
            assert_eq!((service.cluster.as_str(), service.encoded), (name, false));
        }
    }

    #[test]
    fn envoy_2_7_some_names_are_messages_without_a_target() {
        // `e`, `m`, `u` start a field of four bytes, `a`, `i`, `q`, `y` one of eight, `p`, `x` a number.
        for name in ["", "email", "users", "empty", "inventory", "analytics", "x0", "peer126"] {
            assert_eq!(Service::read(name.as_bytes()), Err(NoTarget), "{name}");
        }
    }

    #[test]
    fn envoy_2_7_an_encoded_service_names_cluster_authority_and_metadata() {
        let bytes = b"\x0a\x09\x0a\x02up\x12\x03own\x2a\x08\x0a\x03X-a\x12\x01b";
        let service = Service::read(bytes).unwrap();
        assert_eq!((service.cluster.as_str(), service.authority.as_str()), ("up", "own"));
        assert_eq!(service.metadata, [("x-a".to_owned(), b"b".to_vec())]);
        assert!(service.encoded);
        let google = Service::read(b"\x12\x04\x0a\x02up").unwrap();
        assert_eq!((google.cluster.as_str(), google.google, google.encoded), ("up", true, true));
        // A length that does not fit is no message.
        assert!(!Service::read(b"\x0a\x09up").unwrap().encoded);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Service::read(&bytes);
        }
    }
}
