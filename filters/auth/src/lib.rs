//! Authentication and authorisation: JWTs and API keys, rules by path, method and header.
//!
//! The deciding parts know neither host nor sdk; [`guard`] is their entrance. Signatures are verified in the
//! filter itself, so that it behaves the same on every host.

pub mod api_key;
pub mod cache;
pub mod claims;
pub mod config;
pub mod glue;
pub mod guard;
pub mod json;
pub mod jwk;
pub mod jwt;
pub mod source;
