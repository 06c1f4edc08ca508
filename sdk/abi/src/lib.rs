//! The Proxy-Wasm ABI as data: numbers, the wire layout of header maps, and which functions exist in which
//! version. Shared by the SDK (guest side) and the host, so that the two can not drift apart.
//!
//! Sources: proxy-wasm/spec 0.1.0, 0.2.0 and 0.2.1, and what Envoy 1.40 does where the texts are silent.
#![no_std]

mod callbacks;
mod functions;
mod numbers;
pub mod one_slot;
pub mod pairs;

pub use callbacks::{CALLBACKS, Callback};
pub use functions::{FUNCTIONS, Function, Wasm, function};
pub use numbers::{
    AbiVersion, Action, BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType, grpc_of_http,
};
