//! Rate limiting exact over all workers: GCRA in shared data, by any key of a request.
//!
//! The deciding parts ([`gcra`], [`store`], [`rule`], [`limiter`]) know neither host nor sdk.

pub mod config;
pub mod gcra;
pub mod glue;
pub mod limiter;
pub mod rule;
pub mod store;
