//! Where credentials are on a request, and how they come off it.

use crate::config::SourceConfig;
use tamis_matching::{ConfigError, View, header_name, without_cookie, without_query};

/// A place that may hold a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A header, perhaps with a scheme before the value.
    Header(String, Option<String>),
    /// A query parameter.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// What is wrong with how a credential was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is there more than once, or there are several.
    Repeated,
    /// It is empty, or has bytes that no credential has.
    Malformed,
}

/// What to change so that a credential does not reach the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Remove this header.
    Header(String),
    /// Give `:path` this value.
    Path(Vec<u8>),
    /// Give the request these `cookie` headers and no others.
    Cookies(Vec<Vec<u8>>),
}

impl Source {
    /// Checks a place.
    ///
    /// # Errors
    /// When it is none, or several.
    pub fn new(config: &SourceConfig) -> Result<Self, ConfigError> {
        let filled = |name: &String| {
            if name.is_empty() { Err(ConfigError::new("the name is empty")) } else { Ok(name.clone()) }
        };
        match (&config.header, &config.query, &config.cookie) {
            (Some(name), None, None) => {
                Ok(Self::Header(header_name(name).map_err(|e| e.at("header"))?, config.scheme.clone()))
            }
            (None, Some(_), None) | (None, None, Some(_)) if config.scheme.is_some() => {
                Err(ConfigError::new("only headers have one").at("scheme"))
            }
            (None, Some(name), None) => Ok(Self::Query(filled(name)?)),
            (None, None, Some(name)) => Ok(Self::Cookie(filled(name)?)),
            _ => Err(ConfigError::new("needs one of `header`, `query`, `cookie`")),
        }
    }

    /// The credential at this place. A header with another scheme holds none.
    ///
    /// # Errors
    /// When it is there twice, empty or malformed.
    pub fn read(&self, view: &View<'_>) -> Result<Option<Vec<u8>>, Trouble> {
        let value = match self {
            Self::Header(name, scheme) => {
                let Some(value) = view.one(name.as_bytes()).map_err(|_| Trouble::Repeated)? else {
                    return Ok(None);
                };
                match scheme {
                    None => Some(value.to_vec()),
                    Some(scheme) => after_scheme(value, scheme)?,
                }
            }
            Self::Query(name) => only(view.query_all(name.as_bytes()))?,
            Self::Cookie(name) => only(view.cookie_all(name.as_bytes()))?.map(<[u8]>::to_vec),
        };
        match value {
            Some(value) if value.is_empty() => Err(Trouble::Malformed),
            value => Ok(value),
        }
    }

    /// How the credential comes off the request.
    pub fn removal(&self, view: &View<'_>) -> Removal {
        match self {
            Self::Header(name, _) => Removal::Header(name.clone()),
            Self::Query(name) => {
                Removal::Path(without_query(view.raw_path().unwrap_or_default(), name.as_bytes()))
            }
            Self::Cookie(name) => Removal::Cookies(
                view.all(b"cookie").filter_map(|c| without_cookie(c, name.as_bytes())).collect(),
            ),
        }
    }
}

/// What follows `Bearer ` (in any case, RFC 9110 11.1): one `token68`, so a comma that joins two headers is
/// malformed.
fn after_scheme(value: &[u8], scheme: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let end = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    if !value[..end].eq_ignore_ascii_case(scheme.as_bytes()) {
        return Ok(None);
    }
    let rest = value[end..].trim_ascii();
    let token68 = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
    if rest.iter().all(token68) { Ok(Some(rest.to_vec())) } else { Err(Trouble::Malformed) }
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Trouble> {
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Trouble::Repeated),
        (first, None) => Ok(first),
    }
}
