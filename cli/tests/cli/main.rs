//! The real binary, in an empty folder: what it prints and how it ends.

mod bad_captures;
mod bad_filters;
mod book;
mod capture;
mod coverage;
mod engines;
mod exit_codes;
mod flow;
mod guests;
mod inject;
mod kinds;
mod machine;
mod reference;
mod replay;
mod support;
