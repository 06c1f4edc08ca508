//! Modules that are written for one question: does it load, and what does it see? Each is put to a real Envoy
//! and to our host, and both must answer alike (docs/envoy.md 1.2, 1.4, 1.5, 2.11, 2.12).

mod both;
mod loads;
mod old_abi;
mod wasi;
