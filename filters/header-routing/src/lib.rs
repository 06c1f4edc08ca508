//! The header-routing filter.
