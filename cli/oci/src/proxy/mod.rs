//! What a running Envoy says of its filters: which are there, from which code, whether they broke, what they counted.
//!
//! [`ask`] puts the questions to the admin interface, or reads the page for Prometheus alone; the answers may be
//! anybody's. [`Dump`] and [`Stats`] read them, [`Said::filters`] makes one picture of both. The names of fields and
//! statistics are those of Envoy 1.40.

mod address;
mod ask;
mod dump;
mod message;
mod source;
mod stats;
mod view;

pub use address::Address;
pub use ask::{Said, Server, ask};
pub use dump::Dump;
pub use source::{Claim, Of, Source};
pub use stats::Stats;
pub use view::{Filter, Place, Reloads, State};
