//! The real binary, in an empty folder: what it prints and how it ends.

mod bad_captures;
mod bad_filters;
mod book;
mod capture;
mod coverage;
mod deploy;
mod engines;
mod exit_codes;
mod flow;
mod guests;
mod inject;
mod kinds;
mod machine;
mod made_book;
mod manifest;
mod proxies;
mod publish;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../../oci/tests/oci/real.rs"]
mod real;
mod reference;
mod replay;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../../oci/tests/oci/scripted.rs"]
mod scripted;
mod status;
mod supply;
mod support;
mod templates;
mod watch;
