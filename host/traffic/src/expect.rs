//! Traffic tests: what is expected of a filter, as YAML, and whether it came so.

mod answer;
mod check;
mod checker;
mod error;
mod fields;
mod judge;
mod matcher;
mod node;
mod read;
mod send;
mod test;

pub use check::{Check, Cost, Faults, LogsWanted, ReplyWanted, Scope, UpstreamWanted};
pub use checker::{CheckResult, Checker, Failure, MAX_FAILURES};
pub use error::{Located, Spot, TestError};
pub use judge::Mismatch;
pub use matcher::{Comparison, FieldMatcher, Matcher};
pub use read::MAX_TEST_BYTES;
pub use test::{CalloutRule, Chunks, Clock, Config, FilterRef, Host, Sent, TrafficTest};

/// The JSON Schema of a traffic test, for editors.
pub const SCHEMA: &str = include_str!("../schema/traffic-test.json");

#[cfg(test)]
mod tests;
