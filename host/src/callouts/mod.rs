//! Calls that filters make, and who answers them.

mod google;
mod grpc;
mod http;
mod names;
mod pending;
mod service;
mod wire;

pub(crate) use grpc::Order;
pub(crate) use pending::{Callouts, Delivery, Event, Refused};
pub(crate) use service::{NoTarget, Service};

pub(crate) use tamis_traffic::answers::{Answer, Answers, Nobody};
