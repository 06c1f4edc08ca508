//! The auth filter.
