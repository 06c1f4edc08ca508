//! What tests of more than one package share: built filters, a real Envoy, scripted peers, and rows of
//! conformance played by Envoy and by our host.
//!
//! Everything listens on 127.0.0.1 on ports that the kernel picks, waits with a limit, and is stopped when
//! its owner is dropped.

pub mod artifact;
pub mod engine;
pub mod fuzz;
pub mod lines;
pub mod peer;
pub mod proxy;
pub mod row;
pub mod tree;

pub use tamis_referee::envoy;
