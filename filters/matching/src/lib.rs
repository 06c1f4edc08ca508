//! What the shipped filters share: a view of a request, matchers over it, and configuration helpers.
//!
//! Nothing here knows the host or the sdk, and nothing panics on what a client can send: values are bytes,
//! text is a view that may fail, and a path that two servers could read in two ways is told apart from one
//! that reads one way only.

mod config;
#[cfg(not(target_family = "wasm"))]
pub mod docs;
mod edit;
mod hash;
mod literal;
mod memo;
mod path;
mod query;
mod request;
mod strip;
mod text;
mod view;

pub use config::{ConfigError, Mode, Pairs, Seconds, duration, header_name, header_value};
pub use edit::{HeaderEdits, HeaderEditsConfig};
pub use hash::{KeyedHash, seed_from_text};
pub use path::{PathOptions, PathTrouble, Tolerance, canonical};
pub use query::{cookie_values, query_values, without_cookie, without_query};
pub use request::{FieldConfig, PathConfig, Range, RequestConfig, RequestMatch};
pub use strip::StripList;
pub use text::{Text, TextConfig};
pub use view::{Repeated, View};
