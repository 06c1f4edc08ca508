//! Header fields as bytes, in order, in one buffer.

/// An ordered list of header fields; pseudo headers (`:path`, …) are ordinary entries.
///
/// Names and values are bytes: a value may hold any byte that the wire allows, and text is a view that can
/// fail. All fields live in one buffer, so that `clone_from` and `clear` reuse memory: a replay keeps a few
/// of these and never allocates in steady state.
///
/// This type knows order and bytes only. What Envoy does on top (lower-casing, joining of inline headers,
/// the `host` alias) is the host's.
#[derive(Debug, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Bytes in `bytes` that belong to no field any more.
    dead: usize,
}

/// Dead bytes below which the buffer is left alone (64 KiB); beyond it and half of the buffer, it is packed, so
/// that a filter which replaces a header for ever cannot fill memory.
const DEAD_LIMIT: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    name: u32,
    value: u32,
    end: u32,
}

impl Headers {
    /// An empty list.
    #[inline]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), fields: Vec::new(), dead: 0 }
    }

    /// Empties the list and keeps its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.dead = 0;
    }

    /// Appends a field as it is.
    ///
    /// # Panics
    /// When all names and values together would exceed 4 GiB; every reader has a far lower limit.
    #[inline]
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        if self.dead > DEAD_LIMIT && self.dead > self.bytes.len() / 2 {
            self.pack();
        }
        let at = self.bytes.len();
        let end = at + name.len() + value.len();
        assert!(u32::try_from(end).is_ok(), "header list above 4 GiB");
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.fields.push(Field { name: at as u32, value: (at + name.len()) as u32, end: end as u32 });
    }

    /// Puts a field before the one at `index` (at the end when there is none).
    ///
    /// # Panics
    /// As [`Headers::push`].
    pub fn insert(&mut self, index: usize, name: &[u8], value: &[u8]) {
        self.push(name, value);
        let index = index.min(self.fields.len() - 1);
        self.fields[index..].rotate_right(1);
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// True without any field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Sum of all name and value bytes, as `proxy_get_header_map_size` reports it.
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.fields.iter().map(|f| (f.end - f.name) as usize).sum()
    }

    /// The field at `index`, if there is one.
    #[inline]
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.fields.get(index).map(|f| self.slices(*f))
    }

    /// All fields in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.fields.iter().map(|f| self.slices(*f))
    }

    /// The first value under exactly this name (names are compared byte by byte).
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.position(name).and_then(|i| self.at(i)).map(|(_, value)| value)
    }

    /// All values under exactly this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The first value under this name as text, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name.as_bytes())?).ok()
    }

    /// Index of the first field with this name.
    #[inline]
    pub fn position(&self, name: &[u8]) -> Option<usize> {
        self.iter().position(|(n, _)| n == name)
    }

    /// Gives the field at `index` another value; it keeps its place.
    ///
    /// # Panics
    /// When `index` is not a field.
    pub fn set_value(&mut self, index: usize, value: &[u8]) {
        let old = self.fields[index];
        if (old.end - old.value) as usize >= value.len() {
            let at = old.value as usize;
            self.bytes[at..at + value.len()].copy_from_slice(value);
            self.fields[index].end = old.value + value.len() as u32;
            self.dead += (old.end - old.value) as usize - value.len();
            return;
        }
        let name = self.bytes[old.name as usize..old.value as usize].to_vec();
        self.push(&name, value);
        self.dead += (old.end - old.name) as usize;
        self.fields.swap_remove(index);
    }

    /// Takes out every field with this name; says how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        let before = self.fields.len();
        let (bytes, dead) = (&self.bytes, &mut self.dead);
        self.fields.retain(|f| {
            let keep = &bytes[f.name as usize..f.value as usize] != name;
            *dead += if keep { 0 } else { (f.end - f.name) as usize };
            keep
        });
        before - self.fields.len()
    }

    /// Takes out the field at `index`; the order of the others stays.
    ///
    /// # Panics
    /// When `index` is not a field.
    #[inline]
    pub fn remove_at(&mut self, index: usize) {
        let gone = self.fields.remove(index);
        self.dead += (gone.end - gone.name) as usize;
    }

    /// How many fields are the same at the start of both lists.
    ///
    /// Two lists of one origin mostly share their layout too; then this is one comparison of memory.
    pub(crate) fn common_prefix(&self, other: &Self) -> usize {
        let fields = self.fields.len().min(other.fields.len());
        let bytes = self.bytes.len().min(other.bytes.len());
        // glibc's `memcmp` of nothing at the address of an empty vector costs 100 ns on CPUs with AVX-512: its
        // masked load faults and is repaired in microcode.
        if fields == 0 || bytes == 0 {
            return self.iter().zip(other.iter()).take_while(|(a, b)| a == b).count();
        }
        // Without an early exit the compiler makes vector instructions of it.
        let pairs = self.fields[..fields].iter().zip(&other.fields[..fields]);
        let differ = pairs.fold(0, |d, (a, b)| d | (a.name ^ b.name) | (a.value ^ b.value) | (a.end ^ b.end));
        let alike = differ == 0 && self.bytes[..bytes] == other.bytes[..bytes];
        let mut same = if alike { fields } else { 0 };
        while self.at(same).is_some_and(|field| other.at(same) == Some(field)) {
            same += 1;
        }
        same
    }

    /// Copies the fields together, without the dead bytes between them.
    fn pack(&mut self) {
        let mut packed = Vec::with_capacity(self.bytes.len() - self.dead.min(self.bytes.len()));
        for f in &mut self.fields {
            let (from, at) = (f.name, packed.len() as u32);
            packed.extend_from_slice(&self.bytes[f.name as usize..f.end as usize]);
            *f = Field { name: at, value: at + (f.value - from), end: at + (f.end - from) };
        }
        self.bytes = packed;
        self.dead = 0;
    }

    #[inline]
    fn slices(&self, f: Field) -> (&[u8], &[u8]) {
        let (n, v, e) = (f.name as usize, f.value as usize, f.end as usize);
        (&self.bytes[n..v], &self.bytes[v..e])
    }
}

impl crate::Blank for Headers {
    fn blank(&mut self) {
        self.clear();
    }
}

impl Clone for Headers {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), fields: self.fields.clone(), dead: self.dead }
    }

    #[inline]
    fn clone_from(&mut self, from: &Self) {
        self.bytes.clone_from(&from.bytes);
        self.fields.clone_from(&from.fields);
        self.dead = from.dead;
    }
}

/// Equal fields in equal order; how the buffer is laid out does not matter.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        if self.fields == other.fields && self.bytes == other.bytes {
            return true;
        }
        self.fields.len() == other.fields.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        headers.extend(fields);
        headers
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, V)> for Headers {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, fields: I) {
        for (name, value) in fields {
            self.push(name.as_ref(), value.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        [("a", "1"), ("b", "2"), ("a", "3")].into_iter().collect()
    }

    #[test]
    fn set_value_keeps_the_place_whether_the_value_grows_or_shrinks() {
        for value in ["", "x", "a much longer value"] {
            let mut headers = sample();
            headers.set_value(1, value.as_bytes());
            let want: Headers = [("a", "1"), ("b", value), ("a", "3")].into_iter().collect();
            assert_eq!(headers, want);
        }
    }

    #[test]
    fn replacing_for_ever_does_not_fill_memory() {
        let mut headers = sample();
        let value = [b'v'; 1000];
        for round in 0..10_000usize {
            match round % 3 {
                0 => headers.set_value(0, &value[..round % 1000]),
                1 => assert_eq!(headers.remove(b"z"), usize::from(round > 1)),
                _ => headers.push(b"z", &value),
            }
            assert!(headers.bytes.len() < 4 * DEAD_LIMIT);
        }
        assert_eq!(headers.at(1), Some((&b"b"[..], &b"2"[..])));
        assert_eq!(headers.at(2), Some((&b"a"[..], &b"3"[..])));
    }

    #[test]
    fn insert_moves_the_rest_on() {
        let mut headers = sample();
        headers.insert(1, b"x", b"9");
        headers.insert(99, b"y", b"8");
        let want: Headers =
            [("a", "1"), ("x", "9"), ("b", "2"), ("a", "3"), ("y", "8")].into_iter().collect();
        assert_eq!(headers, want);
    }

    #[test]
    fn remove_takes_every_field_of_the_name_and_equality_ignores_the_layout() {
        let mut headers = sample();
        assert_eq!(headers.remove(b"a"), 2);
        assert_eq!(headers, [("b", "2")].into_iter().collect());
        assert_eq!(headers.byte_len(), 2);
    }
}
