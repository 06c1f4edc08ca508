//! The command line of Tamis.
fn main() {}
