//! A real Envoy plays recorded exchanges, to compare with.
//!
//! The way in: a [`Chain`] of filters is started as a [`Referee`], an Envoy on loopback between a client and an
//! upstream of ours; [`Referee::play`] takes one recorded exchange and fills a
//! [`Playback`](tamis_traffic::Playback), as the host on wasmtime does; [`alike::compare`] says where the two
//! disagree. [`envoy`] alone drives an Envoy with any listeners, for the conformance tests.
//!
//! Everything listens on 127.0.0.1 on ports that the kernel picks, waits with a limit, and is stopped when
//! its owner is dropped.

pub mod alike;
mod bootstrap;
mod chain;
mod client;
pub mod envoy;
mod error;
pub mod find;
mod h1;
mod h2c;
mod lines;
mod pack;
mod play;
mod proxy;
mod referee;
mod services;
mod told;
mod upstream;
mod witness;

pub use chain::{Chain, Cluster, Filter, IDLE, Policy};
pub use error::{Error, Last};
pub use lines::Line;
pub use proxy::{NotGiven, Proxy};
pub use referee::Referee;
