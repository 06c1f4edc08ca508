//! Routing by what a request carries: the first rule that fits edits headers, rewrites, splits or answers.
//!
//! The deciding parts ([`action`], [`router`]) know neither host nor sdk.

pub mod action;
pub mod config;
pub mod glue;
pub mod router;
