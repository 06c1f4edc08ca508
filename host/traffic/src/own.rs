//! The names of our own capture form, shared by its reader, its writer and its schema.

use crate::{Gap, Party, Protocol, Provenance, Side};

/// The version that is written, and the newest that is read. It is the first field of each line, so that
/// files can be cut and joined by line.
pub(crate) const VERSION: u64 = 1;

pub(crate) const PROTOCOLS: [(Protocol, &str); 4] = [
    (Protocol::Http10, "HTTP/1.0"),
    (Protocol::Http11, "HTTP/1.1"),
    (Protocol::Http2, "HTTP/2"),
    (Protocol::Http3, "HTTP/3"),
];

pub(crate) const SIDES: [(Side, &str); 3] =
    [(Side::Inbound, "inbound"), (Side::Outbound, "outbound"), (Side::Gateway, "gateway")];

pub(crate) const PROVENANCES: [(Provenance, &str); 2] =
    [(Provenance::Derived, "derived"), (Provenance::Synthesised, "synthesised")];

pub(crate) const GAPS: [(Gap, &str); 6] = [
    (Gap::NoRequest, "no-request"),
    (Gap::NoResponse, "no-response"),
    (Gap::RequestBodyCut, "request-body-cut"),
    (Gap::ResponseBodyCut, "response-body-cut"),
    (Gap::Unfinished, "unfinished"),
    (Gap::LateHeaders, "late-headers"),
];

pub(crate) const PARTIES: [(Party, &str); 2] = [(Party::Client, "client"), (Party::Upstream, "upstream")];

/// The name of a value; none for the default, which is left out.
pub(crate) fn name<T: PartialEq>(names: &[(T, &'static str)], value: &T) -> Option<&'static str> {
    names.iter().find(|(v, _)| v == value).map(|(_, name)| *name)
}

/// The value of a name.
pub(crate) fn value<T: Copy>(names: &[(T, &'static str)], name: &str) -> Option<T> {
    names.iter().find(|(_, n)| *n == name).map(|(v, _)| *v)
}
