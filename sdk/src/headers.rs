//! Headers as bytes, with duplicates visible.

use crate::error::told;
use crate::exchange::Exchange;
use crate::host;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use tamis_abi::{MapType, pairs};

mod error;
mod table;
pub(crate) mod words;

pub use error::HeaderError;
use table::{Entry, Table};

/// Where headers are.
enum Place {
    /// In no host.
    Here,
    /// In the host, which is about the message that is meant as long as they live.
    Host(MapType),
    /// In the host while this exchange has them in hand: before and afterwards it would read and write the map of
    /// another one.
    Exchange(Rc<Exchange>, MapType),
}

impl Place {
    fn map(&self) -> Option<MapType> {
        match self {
            Self::Here => None,
            Self::Host(map) | Self::Exchange(_, map) => Some(*map),
        }
    }

    /// The host's map; `None` for one of our own.
    fn in_hand(&self) -> Option<Result<MapType, HeaderError>> {
        match self {
            Self::Here => None,
            Self::Exchange(exchange, map) if !exchange.has(*map) => Some(Err(left())),
            Self::Host(map) | Self::Exchange(_, map) => Some(Ok(*map)),
        }
    }
}

/// Headers of a message: bytes, in order, repeats kept.
///
/// The first read copies the whole map out of the host, once; one map read costs as much as two or three
/// reads of single headers. Changes go to the host at once. A clone is a copy of its own, which changes nothing.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// fn mark(request: &mut Request) -> Result<()> {
///     let headers = request.headers_mut();
///     if headers.get_single("x-user")?.is_none() {
///         headers.set("x-user", "nobody")?;
///     }
///     // Bytes: no value of a client makes this panic.
///     headers.set("x-agents", headers.get_all("user-agent").count().to_string())?;
///     Ok(())
/// }
/// ```
pub struct Headers {
    place: Place,
    /// On the heap, so that headers that nobody reads are moved for less.
    table: OnceCell<Box<Table>>,
}

impl Headers {
    fn at(place: Place) -> Self {
        Self { place, table: OnceCell::new() }
    }

    /// Those of an exchange.
    pub(crate) fn of(exchange: Rc<Exchange>, map: MapType) -> Self {
        Self::at(Place::Exchange(exchange, map))
    }

    /// Those that the host has now. Only for as long as a callback takes.
    pub(crate) fn of_host(map: MapType) -> Self {
        Self::at(Place::Host(map))
    }

    pub(crate) fn owned() -> Self {
        Self::at(Place::Here)
    }

    /// Whose they are.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match &self.place {
            Place::Exchange(exchange, _) => Some(exchange),
            _ => None,
        }
    }

    /// As [`exchange`](Self::exchange), when they are not needed any more.
    pub(crate) fn into_exchange(self) -> Option<Rc<Exchange>> {
        match self.place {
            Place::Exchange(exchange, _) => Some(exchange),
            _ => None,
        }
    }

    /// Headers that a host encoded. Bytes that are no headers are none.
    pub(crate) fn decoded(bytes: Vec<u8>) -> Self {
        let headers = Self::owned();
        let _ = headers.table.set(Box::new(Table::decode(bytes)));
        headers
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| {
            Box::new(match self.place.in_hand() {
                // An unavailable map is empty (docs/envoy.md 2.1.12), never an error.
                Some(Ok(map)) => Table::decode(host::header_pairs(map).unwrap_or_default()),
                _ => Table::default(),
            })
        })
    }

    /// The first value. For secrets and decisions prefer [`get_single`](Self::get_single): a client can send
    /// several. Envoy joins some headers with commas by itself, `authorization` among them.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let table = self.table();
        table.find(self.resolve(name.as_ref())).map(|entry| table.value(entry))
    }

    /// All values in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> Values<'_> {
        let table = self.table();
        Values { table, next: table.find(self.resolve(name.as_ref())) }
    }

    /// The only value.
    ///
    /// # Errors
    /// [`HeaderError::Repeated`] when there are several.
    pub fn get_single(&self, name: impl AsRef<[u8]>) -> Result<Option<&[u8]>, HeaderError> {
        let name = name.as_ref();
        let table = self.table();
        let resolved = self.resolve(name);
        let Some(first) = table.find(resolved) else { return Ok(None) };
        match table.find_after(first, resolved) {
            Some(_) => Err(HeaderError::Repeated(lossy(name))),
            None => Ok(Some(table.value(first))),
        }
    }

    /// The only value, as text.
    ///
    /// # Errors
    /// As [`get_single`](Self::get_single), and [`HeaderError::NotText`].
    pub fn text(&self, name: impl AsRef<[u8]>) -> Result<Option<&str>, HeaderError> {
        let name = name.as_ref();
        let Some(value) = self.get_single(name)? else { return Ok(None) };
        std::str::from_utf8(value).map(Some).map_err(|_| HeaderError::NotText(lossy(name)))
    }

    /// True when there is at least one.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// All headers in order; names are lower-case.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.table().iter()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.table().iter().count()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes this the only value. It moves to the end, as in Envoy.
    ///
    /// # Errors
    /// When name or value break HTTP, or the host refuses.
    #[inline]
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check(name, value)?;
        self.put(name, value)
    }

    fn put(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        match self.place.in_hand() {
            Some(map) => {
                let map = map?;
                told("set a header", host::header_replace(map, name, value))?;
                if self.table.get().is_some() {
                    self.put_here(resolve_in(Some(map), name), value);
                }
            }
            None => self.put_here(name, value),
        }
        Ok(())
    }

    /// In the table, which is made when there is none: headers that nobody read are written for less without.
    #[inline(never)]
    fn put_here(&mut self, name: &[u8], value: &[u8]) {
        self.table();
        if let Some(table) = self.table.get_mut() {
            table.remove(name);
            table.push(name, value);
        }
    }

    /// One more value. Envoy joins it with a comma where the header is one of its own, `:path` among them.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check(name, value)?;
        match self.place.in_hand() {
            Some(map) => {
                told("add a header", host::header_add(map?, name, value))?;
                // Whether it was joined only the host knows: the next read asks again.
                self.table.take();
            }
            None => self.push(name, value),
        }
        Ok(())
    }

    /// Takes all values away. None there is fine.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let name = name.as_ref();
        if let Some(map) = self.place.in_hand() {
            told("remove a header", host::header_remove(map?, name))?;
        }
        let name = resolve_in(self.place.map(), name);
        if let Some(table) = self.table.get_mut() {
            table.remove(name);
        }
        Ok(())
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        self.table();
        if let Some(table) = self.table.get_mut() {
            table.push(name, value);
        }
    }

    /// The encoded form, for the host.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let pairs: Vec<_> = self.iter().collect();
        let mut out = vec![0; pairs::encoded_len(pairs.iter().copied())];
        match pairs::encode(pairs.iter().copied(), &mut out) {
            Some(_) => out,
            None => Vec::new(),
        }
    }

    fn resolve<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        resolve_in(self.place.map(), name)
    }
}

/// The list of them, bytes escaped.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_list().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

impl Clone for Headers {
    fn clone(&self) -> Self {
        Self::decoded(self.encode())
    }
}

/// The values of one header, in order.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// fn hops(headers: &Headers) -> usize {
///     headers.get_all("via").flat_map(|line| line.split(|byte| *byte == b',')).count()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Values<'a> {
    table: &'a Table,
    next: Option<Entry>,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let entry = self.next?;
        // The name that was found stands for the one asked for, which need not live as long.
        self.next = self.table.find_after(entry, self.table.name(entry));
        Some(self.table.value(entry))
    }
}

/// `host` is another name of `:authority` in a live request (docs/envoy.md 2.1.4).
fn resolve_in(map: Option<MapType>, name: &[u8]) -> &[u8] {
    match map {
        Some(MapType::HttpRequestHeaders) if name.eq_ignore_ascii_case(b"host") => b":authority",
        _ => name,
    }
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Which bytes a header name may have (RFC 9110 5.1): a table, since each written name is looked at.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        token[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'!' | b'#' | b'$'
            | b'%' | b'&' | b'\'' | b'*' | b'+' | b'.' | b'^' | b'`' | b'|' | b'~');
        byte += 1;
    }
    token
};

/// Envoy takes any bytes here and fails the request at the router (docs/envoy.md 2.1.8).
///
/// Most names are of small letters and hyphens, and most values of printable text: those are seen eight bytes at a
/// time. Inlined, so that nothing is left of it for names and values that the compiler knows.
#[inline(always)]
pub(crate) fn check(name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
    if is_usual(name) && words::all(value, words::are_high) {
        return Ok(());
    }
    check_bytes(name, value)
}

/// True for a name that may be and needs no change.
#[inline(always)]
pub(crate) fn is_usual(name: &[u8]) -> bool {
    !name.is_empty() && words::all(name, words::are_usual)
}

/// As [`check`], for a name that needs no look and a value that has to be text: what the proxy-wasm crate can send.
#[inline]
pub(crate) fn check_text(name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
    if words::all(value, words::are_text) { Ok(()) } else { check_odd_text(name, value) }
}

#[cold]
fn check_odd_text(name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
    check_bytes(name, value)?;
    std::str::from_utf8(value).map(drop).map_err(|_| HeaderError::NotText(lossy(name)))
}

#[inline(never)]
fn check_bytes(name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
    let bare = name.strip_prefix(b":").unwrap_or(name);
    if bare.is_empty() || !bare.iter().all(|byte| TOKEN[usize::from(*byte)]) {
        return Err(bad_name(name));
    }
    if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(bad_value(name));
    }
    Ok(())
}

#[cold]
fn left() -> HeaderError {
    HeaderError::Left
}

#[cold]
fn bad_name(name: &[u8]) -> HeaderError {
    HeaderError::BadName(lossy(name))
}

#[cold]
fn bad_value(name: &[u8]) -> HeaderError {
    HeaderError::BadValue(lossy(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::owned();
        for (name, value) in [("A", "1"), ("b", "2"), ("a", "3")] {
            headers.add(name, value).expect("good header");
        }
        headers
    }

    #[test]
    fn repeats_are_seen() {
        let headers = sample();
        assert_eq!(headers.get("a"), Some(&b"1"[..]));
        assert_eq!(headers.get_all("A").collect::<Vec<_>>(), [b"1", b"3"]);
        assert_eq!(headers.get_single("a"), Err(HeaderError::Repeated("a".into())));
        assert_eq!(headers.get_single("b"), Ok(Some(&b"2"[..])));
        assert_eq!(headers.get_single("c"), Ok(None));
    }

    #[test]
    fn set_moves_to_the_end_and_remove_takes_all() {
        let mut headers = sample();
        headers.set("A", "4").expect("good");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [(&b"b"[..], &b"2"[..]), (b"a", b"4")]);
        headers.remove("a").expect("good");
        assert_eq!(headers.len(), 1);
        assert_eq!(Headers::decoded(headers.encode()).get("b"), Some(&b"2"[..]));
    }

    #[test]
    fn bad_names_and_values_are_refused_and_bytes_are_not() {
        let mut headers = Headers::owned();
        for name in ["", ":", "a b", "a:b", "ü"] {
            assert!(matches!(headers.add(name, "x"), Err(HeaderError::BadName(_))), "{name}");
        }
        for value in ["a\r", "a\n", "a\0", "1234567\n1234567", "\t12345678\r"] {
            assert!(matches!(headers.set("n", value), Err(HeaderError::BadValue(_))));
        }
        headers.set("n", b"\t234567\x0b9\xff").expect("other bytes below a blank are legal");
        headers.set("n", b"caf\xe9").expect("a byte above 0x7f is legal");
        assert_eq!(headers.get("n"), Some(&b"caf\xe9"[..]));
        assert_eq!(headers.text("n"), Err(HeaderError::NotText("n".into())));
    }

    #[test]
    fn damaged_blocks_are_empty() {
        assert!(Headers::decoded(vec![9, 0, 0, 0, 1]).is_empty());
    }
}
