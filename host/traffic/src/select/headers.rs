//! A header list as a CEL map, without a copy.

use crate::Headers;
use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator, Sizer};
use cel::common::types::{CelInt, CelString, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use std::borrow::Cow;
use std::sync::Arc;

/// Names that a loop over headers sees; more would make two loops inside each other take seconds. Envoy refuses
/// more than 100 fields by default.
const MAX_NAMES: usize = 1_000;

/// Header fields under their names: looked up without case, values of one name joined by a comma, as Envoy's
/// attributes do.
#[derive(Debug, Clone)]
pub(super) struct Map<'a> {
    headers: &'a Headers,
    /// How names and values become text.
    read: Read,
    /// The distinct names, for loops.
    names: std::sync::OnceLock<Vec<CelString<'a>>>,
}

type Read = fn(&[u8]) -> Cow<'_, str>;

impl<'a> Map<'a> {
    pub(super) fn new(headers: &'a Headers, read: Read) -> Self {
        Self { headers, read, names: std::sync::OnceLock::new() }
    }

    fn names(&self) -> &[CelString<'a>] {
        self.names.get_or_init(|| {
            let mut names: Vec<Cow<'a, str>> = Vec::new();
            for (name, _) in self.headers.iter().take(MAX_NAMES) {
                names.push((self.read)(name));
            }
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(text).collect()
        })
    }

    fn find(&self, key: &dyn Val) -> Result<Option<CelString<'a>>, ExecutionError> {
        let Some(key) = key.downcast_ref::<CelString>() else {
            let got = key.get_type().name().to_owned();
            return Err(ExecutionError::UnexpectedType { got, want: "header name".into() });
        };
        Ok(joined(self.headers, key.inner(), self.read).map(text))
    }
}

/// The value under `name`: all of that name, joined by a comma.
pub(super) fn joined<'a>(headers: &'a Headers, name: &str, read: Read) -> Option<Cow<'a, str>> {
    let mut values = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v);
    let mut all = read(values.next()?);
    for value in values {
        let all = all.to_mut();
        all.push(',');
        all.push_str(&read(value));
    }
    Some(all)
}

pub(super) fn text(value: Cow<'_, str>) -> CelString<'_> {
    match value {
        Cow::Borrowed(text) => CelString::from(text),
        Cow::Owned(text) => CelString::from(text),
    }
}

impl Val for Map<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Container for Map<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find(key)?.is_some())
    }
}

impl Indexer for Map<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match self.find(key)? {
            Some(value) => Ok(CowVal::owned(value)),
            None => Err(ExecutionError::NoSuchKey(Arc::new(String::new()))),
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match self.find(key)? {
            Some(value) => Ok(Box::new(value)),
            None => Err(ExecutionError::NoSuchKey(Arc::new(String::new()))),
        }
    }
}

impl Sizer for Map<'_> {
    fn size(&self) -> CelInt {
        (self.names().len() as i64).into()
    }
}

impl Iterable for Map<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Names { names: self.names().iter() })
    }
}

struct Names<'b, 'a> {
    names: std::slice::Iter<'b, CelString<'a>>,
}

impl<'b, 'v, 'a: 'v> Iterator<'b, 'v> for Names<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.names.next().map(|name| name as &(dyn Val + 'v))
    }
}
