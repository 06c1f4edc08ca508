//! Recorded mesh traffic: what an exchange is, where it comes from, and what playing it brought.
//!
//! The way through this crate: a capture is read ([`read`]) into one [`Exchange`] after another; an engine
//! plays each and fills a [`Playback`]; the two are compared into a verdict.
//! Nothing here knows wasmtime, the command line or the network.

pub mod answers;
pub mod compare;
mod connection;
mod encode;
mod exchange;
pub mod expect;
pub mod grpc;
mod headers;
pub mod inject;
pub mod message;
mod own;
mod playback;
mod property;
pub mod read;
pub mod redact;
pub mod schema;
pub mod select;
mod slot;
mod tally;
mod verdict;
pub mod wellknown;
pub mod write;

pub use compare::{compare, compare_into, compare_playbacks};
pub use connection::{Connection, Event, Party};
pub use encode::http_date;
pub use exchange::{
    Attributes, Body, Exchange, Gap, Message, Metadata, Peer, Place, Protocol, Provenance, Side,
};
pub use grpc::{GrpcEnd, GrpcMessage, GrpcReply, GrpcStatus};
pub use headers::Headers;
pub use playback::{
    Blame, Callout, CalloutKind, Cost, Fault, FaultKind, FilterTrace, Log, LogLevel, Outcome, Playback,
};
pub use property::{MessageValue, PropertyValue};
pub use slot::{Blank, Slot};
pub use tally::{Skip, Skipped, Tally};
pub use verdict::{Answered, Change, Changes, Half, Kind, MAX_ROUTE, Section, Verdict, route_into, route_of};
