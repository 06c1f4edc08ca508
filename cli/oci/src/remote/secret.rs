//! What must never be shown.

use std::fmt;

/// Text that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How somebody proves who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Name and password, or name and access token.
    Password(String, Secret),
    /// A refresh token, exchanged at the token server (`identitytoken`, or a helper's user `<token>`).
    Identity(Secret),
    /// A bearer token, sent as it is (`registrytoken`).
    Bearer(Secret),
}

/// Secrets of a session, and the means to keep them out of texts that others wrote.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Vec<Secret>);

/// Shorter secrets are not searched for: they would blank ordinary words.
const MIN_SCRUBBED: usize = 4;

/// Longest text of a registry that is shown, characters.
const MAX_SHOWN: usize = 300;

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) {
        let new = secret.len() >= MIN_SCRUBBED && !self.0.iter().any(|s| s.reveal() == secret);
        if new {
            self.0.push(Secret::new(secret));
            // The longest first, so that no part of one stays.
            self.0.sort_by_key(|s| std::cmp::Reverse(s.reveal().len()));
        }
    }

    /// A stranger's text, fit to be shown: one line, not long, no control characters, no secret.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret.reveal(), "***");
        }
        let shown: String =
            text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let login = Login::Password("alice".into(), Secret::new("hunter22"));
        assert_eq!(format!("{login:?}"), "Password(\"alice\", ***)");
        let mut secrets = Secrets::default();
        secrets.add("hunter22");
        secrets.add("hunter2234");
        assert_eq!(secrets.scrub("you sent\n hunter2234\x1b[1m and hunter22"), "you sent *** [1m and ***");
        assert_eq!(secrets.scrub(&"x".repeat(1000)).len(), MAX_SHOWN);
    }
}
