//! Rate limiting exact over all workers: GCRA in shared data, by any key of a request.
//!
//! The deciding parts ([`gcra`], [`rule`], [`limiter`]) know no host; [`store`] keeps their state in the sdk's slots.

pub mod config;
pub mod gcra;
pub mod glue;
pub mod limiter;
pub mod rule;
pub mod store;
