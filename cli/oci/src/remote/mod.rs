//! A registry over HTTP: who is asked how, with which login, and what its answers mean.
//!
//! [`Registry`] speaks for one repository. Below it: `http` sends one request, `retry` decides about the
//! next attempt, `auth` answers challenges with what [`credentials`] found, `refusal` reads a "no".

mod auth;
mod challenge;
pub mod credentials;
mod http;
mod pieces;
mod push;
mod referrers;
mod refusal;
mod registry;
mod retry;
mod secret;
mod tls;
mod upload;
mod url;

pub(crate) use auth::Want;
pub use push::{Push, Pushed, Tagged, push};
pub use referrers::attach;
pub(crate) use referrers::{referrers, tag_of};
pub use registry::{Options, Registry};
pub(crate) use retry::stop;
pub use secret::{Login, Secret};
