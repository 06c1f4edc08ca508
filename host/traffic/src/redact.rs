//! Bytes of traffic made fit for a screen: nothing that moves the cursor, and no secrets.

mod secret;
mod show;

pub use secret::{SECRET_HEADERS, SECRET_PARAMETERS, redact_value};
pub use show::{MAX_SHOWN, show};

use std::fmt;

/// Whether secrets are shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Taken out, their shape kept.
    #[default]
    Redact,
    /// Shown as they are: only when the user asked for it.
    Show,
}

/// A header value (or `:path`) fit for a screen.
pub fn value<'a>(name: &'a [u8], value: &'a [u8], secrets: Secrets) -> impl fmt::Display + 'a {
    Value { name, value, secrets }
}

struct Value<'a> {
    name: &'a [u8],
    value: &'a [u8],
    secrets: Secrets,
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secrets {
            Secrets::Show => show(self.value).fmt(f),
            Secrets::Redact => show(&redact_value(self.name, self.value)).fmt(f),
        }
    }
}
