//! Names of headers that clients may not send, in any spelling.

use crate::config::{ConfigError, header_name};

/// A list of header names; `-` stands for `_` too, since some servers read them alike, and a `*` at the end
/// stands for any rest.
#[derive(Debug, Clone, Default)]
pub struct StripList(Vec<(Vec<u8>, bool)>);

impl StripList {
    /// Adds a name, with a `*` at the end or not.
    ///
    /// # Errors
    /// When it is no header name.
    pub fn add(&mut self, name: &str) -> Result<(), ConfigError> {
        let (stem, open) = name.strip_suffix('*').map_or((name, false), |stem| (stem, true));
        self.0.push((header_name(stem)?.replace('_', "-").into_bytes(), open));
        Ok(())
    }

    /// True when no name is on it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True for a name on the list.
    pub fn holds(&self, name: &[u8]) -> bool {
        let same = |(a, b): (&u8, &u8)| a == b || (*a == b'_' && *b == b'-') || a.eq_ignore_ascii_case(b);
        self.0.iter().any(|(stem, open)| {
            (name.len() == stem.len() || (*open && name.len() > stem.len()))
                && name.iter().zip(stem).all(same)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_4_1_32_names_are_held_in_all_spellings() {
        let mut list = StripList::default();
        list.add("X-Jwt_Sub").unwrap();
        list.add("x-user-*").unwrap();
        for yes in ["x-jwt-sub", "x_jwt_sub", "X-JWT-SUB", "x-user-", "x_user_id"] {
            assert!(list.holds(yes.as_bytes()), "{yes}");
        }
        for no in ["x-jwt-su", "x-jwt-subs", "x-user", "xjwtsub", ""] {
            assert!(!list.holds(no.as_bytes()), "{no}");
        }
        assert_eq!(list.add("a b").unwrap_err().to_string(), "`a b` is not a header name");
    }
}
