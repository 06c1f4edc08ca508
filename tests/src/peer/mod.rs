//! The two ends of the wire: a client and an upstream that do exactly what a row says and write down what
//! they saw.

mod client;
pub(crate) mod frames;
mod grpc;
mod http2;
mod message;
mod pace;
mod tcp;
mod upstream;

pub(crate) use client::LEFT;
pub use client::{Client, exchange};
pub use message::{CUT, Seen};
pub use pace::{BRISK, CAREFUL, Pace, SOON_IDLE};
pub(crate) use tcp::BETWEEN;
pub use tcp::{TcpUpstream, connection};
pub(crate) use upstream::PAUSE;
pub use upstream::Upstream;
