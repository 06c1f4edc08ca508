//! The rules of Envoy 1.40 that the host follows, one small guest for each (by section of docs/envoy.md).

mod grpc;
mod guest;

mod bodies;
mod callouts;
mod failure;
mod headers;
mod inject;
mod lifecycle;
mod limits;
mod profiles;
mod replies;
mod tcp;
mod workers;
mod world;
