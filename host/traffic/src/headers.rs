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
    /// Bytes in `bytes` that belong to no field, exactly.
    dead: usize,
}

/// Dead bytes below which the buffer is left alone (64 KiB); beyond it and half of the buffer, it is packed, so
/// that a filter which replaces a header for ever cannot fill memory.
const DEAD_LIMIT: usize = 64 << 10;

/// Where a field lies. Between name and value there may be bytes of a block that was taken over as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    name: u32,
    name_end: u32,
    value: u32,
    end: u32,
}

impl Field {
    /// By length first: most names are told apart by it, without touching the bytes.
    #[inline]
    fn is_named(self, name: &[u8], bytes: &[u8]) -> bool {
        (self.name_end - self.name) as usize == name.len()
            && bytes[self.name as usize..self.name_end as usize] == *name
    }

    /// Bytes of name and value.
    #[inline]
    fn len(self) -> usize {
        (self.name_end - self.name + self.end - self.value) as usize
    }
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
        let middle = (at + name.len()) as u32;
        self.fields.push(Field { name: at as u32, name_end: middle, value: middle, end: end as u32 });
    }

    /// Appends fields that lie in one block, with one copy of the block instead of two for each field; what lies
    /// between them counts as dead. `next` gives start and end of a name and of its value, in rising order.
    ///
    /// # Panics
    /// As [`Headers::push`], and when the places do not rise or leave the block.
    #[inline]
    pub(crate) fn extend_within(&mut self, block: &[u8], mut next: impl FnMut(usize) -> Option<[usize; 4]>) {
        let base = self.bytes.len();
        let (mut used, mut alive) = (0, 0);
        assert!(u32::try_from(base + block.len()).is_ok(), "header list above 4 GiB");
        while let Some([name, name_end, value, end]) = next(self.fields.len()) {
            let rising = used <= name && name <= name_end && name_end <= value && value <= end;
            assert!(rising && end <= block.len(), "a field outside of its block");
            alive += name_end - name + end - value;
            used = end;
            let at = |offset: usize| (base + offset) as u32;
            let field = Field { name: at(name), name_end: at(name_end), value: at(value), end: at(end) };
            self.fields.push(field);
        }
        self.bytes.extend_from_slice(&block[..used]);
        self.dead += used - alive;
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
        self.bytes.len() - self.dead
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

    /// The names of all fields in order.
    #[inline]
    pub fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.fields.iter().map(|f| &self.bytes[f.name as usize..f.name_end as usize])
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
        self.fields.iter().position(|f| f.is_named(name, &self.bytes))
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
        let name = self.bytes[old.name as usize..old.name_end as usize].to_vec();
        self.push(&name, value);
        self.dead += old.len();
        self.fields.swap_remove(index);
    }

    /// Takes out every field with this name; says how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        let before = self.fields.len();
        let (bytes, dead) = (&self.bytes, &mut self.dead);
        self.fields.retain(|f| {
            let keep = !f.is_named(name, bytes);
            *dead += if keep { 0 } else { f.len() };
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
        self.dead += gone.len();
    }

    /// How many fields are the same at the start of both lists.
    ///
    /// Two lists of one origin mostly share their layout too; then this is one comparison of memory.
    pub(crate) fn common_prefix(&self, other: &Self) -> usize {
        let laid = self.fields.iter().zip(&other.fields).take_while(|(a, b)| a == b);
        let (laid, end) =
            laid.fold((0, 0), |(count, end), (f, _)| (count + 1, f.end.max(f.name_end).max(end)));
        let end = end as usize;
        // glibc's `memcmp` of nothing at the address of an empty vector costs 100 ns on CPUs with AVX-512: its
        // masked load faults and is repaired in microcode.
        let alike = end == 0 || self.bytes[..end] == other.bytes[..end];
        let mut same = if alike { laid } else { 0 };
        while self.at(same).is_some_and(|field| other.at(same) == Some(field)) {
            same += 1;
        }
        same
    }

    /// Copies the fields together, without the dead bytes between them.
    fn pack(&mut self) {
        let mut packed = Vec::with_capacity(self.bytes.len() - self.dead.min(self.bytes.len()));
        for f in &mut self.fields {
            let at = packed.len() as u32;
            packed.extend_from_slice(&self.bytes[f.name as usize..f.name_end as usize]);
            let middle = packed.len() as u32;
            packed.extend_from_slice(&self.bytes[f.value as usize..f.end as usize]);
            *f = Field { name: at, name_end: middle, value: middle, end: packed.len() as u32 };
        }
        self.bytes = packed;
        self.dead = 0;
    }

    #[inline]
    fn slices(&self, f: Field) -> (&[u8], &[u8]) {
        (&self.bytes[f.name as usize..f.name_end as usize], &self.bytes[f.value as usize..f.end as usize])
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
    fn fields_of_one_block_are_as_if_pushed() {
        let block = b"?a?1!bb22?ccc";
        let places = [[1, 2, 3, 4], [5, 7, 7, 9], [10, 13, 13, 13]];
        let mut headers = sample();
        headers.extend_within(block, |count| places.get(count - 3).copied());
        let mut want = sample();
        want.extend(places.map(|[a, b, c, d]| (&block[a..b], &block[c..d])));
        assert_eq!((headers.byte_len(), &headers), (want.byte_len(), &want));
        assert_eq!(headers.common_prefix(&want), 6);
        headers.set_value(4, b"longer than it was");
        headers.remove_at(0);
        headers.pack();
        let want = [("b", "2"), ("a", "3"), ("a", "1"), ("bb", "longer than it was"), ("ccc", "")];
        assert_eq!(headers, want.into_iter().collect());
        assert_eq!(headers.byte_len(), headers.bytes.len());
    }

    #[test]
    #[should_panic(expected = "outside of its block")]
    fn fields_that_overlap_are_a_mistake() {
        sample().extend_within(b"abcd", |count| (count < 5).then_some([0, 1, 1, 2]));
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
