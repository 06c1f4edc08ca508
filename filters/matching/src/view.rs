//! A read-only view of a request, as the deciding part of a filter sees it.

use crate::path::{PathOptions, PathTrouble, canonical};
use crate::query::{cookie_values, query_values};
use crate::strip::StripList;
use std::borrow::Cow;
use std::cell::OnceCell;

/// Fields that room is made for at once; a host's count is a hint, not a promise.
const MAX_RESERVED: usize = 1024;

/// A header, parameter or cookie that may occur once occurs more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

/// The request headers, the client's address, and the path in its canonical form.
#[derive(Debug, Clone)]
pub struct View<'a> {
    fields: Vec<(&'a [u8], &'a [u8])>,
    source: Option<&'a [u8]>,
    options: PathOptions,
    /// Made when a rule asks for it: many look at headers only.
    path: OnceCell<Result<Cow<'a, [u8]>, PathTrouble>>,
}

impl<'a> View<'a> {
    /// A view of header fields with lower-case names, pseudo headers among them. `source` is the client's
    /// address as Envoy's attribute `source.address` has it.
    pub fn new(
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        source: Option<&'a [u8]>,
        options: PathOptions,
    ) -> Self {
        let fields = fields.into_iter();
        let mut list = Vec::with_capacity(fields.size_hint().1.unwrap_or(0).min(MAX_RESERVED));
        list.extend(fields);
        Self { fields: list, source, options, path: OnceCell::new() }
    }

    /// Takes out the headers whose name is on the list, and gives back their names as they came.
    pub fn strip(&mut self, list: &StripList) -> Vec<Vec<u8>> {
        let mut stripped = Vec::new();
        if list.is_empty() {
            return stripped;
        }
        self.fields.retain(|(name, _)| {
            let goes = list.holds(name);
            if goes {
                stripped.push(name.to_vec());
            }
            !goes
        });
        stripped
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.fields.iter().copied()
    }

    /// All values of a header, in order, without blanks around them.
    pub fn all(&self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.trim_ascii())
    }

    /// The only value of a header.
    ///
    /// # Errors
    /// When there are several: a getter that shows the first of them hides the others (docs/filters.md 0.3).
    pub fn one(&self, name: &[u8]) -> Result<Option<&'a [u8]>, Repeated> {
        only(self.all(name))
    }

    /// `:method`, empty when there is none.
    pub fn method(&self) -> &'a [u8] {
        self.all(b":method").next().unwrap_or_default()
    }

    /// `:authority`, empty when there is none.
    pub fn authority(&self) -> &'a [u8] {
        self.all(b":authority").next().unwrap_or_default()
    }

    /// `:path` as it came, with its query; `None` for CONNECT.
    pub fn raw_path(&self) -> Option<&'a [u8]> {
        self.fields.iter().find(|(name, _)| *name == b":path").map(|(_, value)| *value)
    }

    /// The canonical path without its query, or why there is none.
    pub fn path(&self) -> Result<&[u8], PathTrouble> {
        let path = self.path.get_or_init(|| match self.raw_path() {
            None => Err(PathTrouble::Missing),
            Some(raw) => canonical(before_query(raw), self.options),
        });
        path.as_deref().map_err(|trouble| *trouble)
    }

    /// What follows the `?` of the path, empty when there is none.
    pub fn query(&self) -> &'a [u8] {
        let raw = self.raw_path().unwrap_or_default();
        raw.get(before_query(raw).len() + 1..).unwrap_or_default()
    }

    /// All decoded values of a query parameter.
    pub fn query_all(&self, name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        query_values(self.query(), name)
    }

    /// All values of a cookie, over all `cookie` headers.
    pub fn cookie_all(&self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(|(known, _)| *known == b"cookie")
            .flat_map(move |(_, value)| cookie_values(value, name))
    }

    /// The client's address with its port, when the host knows it.
    pub fn source(&self) -> Option<&'a [u8]> {
        self.source
    }
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Repeated> {
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Repeated),
        (first, None) => Ok(first),
    }
}

fn before_query(path: &[u8]) -> &[u8] {
    &path[..path.iter().position(|b| *b == b'?').unwrap_or(path.len())]
}
