//! How a list of pairs (header maps, metadata) lies in memory.
//!
//! Little-endian: `u32` count; for each pair `u32` key length and `u32` value length; then for each pair the
//! key, a zero byte, the value, a zero byte. An empty list is no bytes at all, not a count of zero.

/// Largest number of pairs that Envoy 1.40 decodes. Above it a host sees an empty list, without an error.
pub const MAX_PAIRS: usize = 1024;

/// Largest encoded size that Envoy 1.40 decodes, in bytes (1 MiB). Above it: as above.
pub const MAX_BYTES: usize = 1 << 20;

/// Bytes of one `u32`.
const WORD: usize = 4;

/// Why bytes are not a list of pairs. Envoy treats every one of these as an empty list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// More than [`MAX_PAIRS`] pairs.
    TooManyPairs,
    /// More than [`MAX_BYTES`] bytes.
    TooLarge,
    /// The lengths do not fit the bytes, or bytes are left over.
    BadLength,
    /// A key or value does not end with a zero byte.
    MissingZero,
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooManyPairs => "more than 1024 pairs",
            Self::TooLarge => "more than 1 MiB of pairs",
            Self::BadLength => "lengths of pairs do not fit their bytes",
            Self::MissingZero => "a key or value does not end with a zero byte",
        })
    }
}

impl core::error::Error for DecodeError {}

/// Checks `bytes` as Envoy does and gives the pairs, borrowed.
///
/// # Errors
/// When Envoy would decode an empty list instead.
pub fn decode(bytes: &[u8]) -> Result<Pairs<'_>, DecodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::TooLarge);
    }
    check(bytes)
}

/// As [`decode`] without limits, since what a host hands out may be larger than what it takes, and without a look at
/// the zero bytes: this runs on each request, and the lengths alone decide what is read.
///
/// # Errors
/// When the lengths do not fit the bytes.
pub fn decode_lengths(bytes: &[u8]) -> Result<Pairs<'_>, DecodeError> {
    let pairs = Pairs::of_checked(bytes);
    let (lengths, _) = pairs.lengths.as_chunks::<{ 2 * WORD }>();
    if bytes.is_empty() {
        return Ok(pairs);
    }
    // Two zero bytes a pair. It cannot wrap: fewer than 2^29 pairs fit the count, each below 2^34.
    let mut sum = 2 * lengths.len() as u64;
    for [a, b, c, d, e, f, g, h] in lengths {
        sum += u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
        sum += u64::from(u32::from_le_bytes([*e, *f, *g, *h]));
    }
    let count = word(bytes, 0).ok_or(DecodeError::BadLength)? as usize;
    if lengths.len() != count || sum != pairs.data.len() as u64 {
        return Err(DecodeError::BadLength);
    }
    Ok(pairs)
}

fn check(bytes: &[u8]) -> Result<Pairs<'_>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Pairs { lengths: &[], data: &[] });
    }
    let count = word(bytes, 0).ok_or(DecodeError::BadLength)? as usize;
    if count > MAX_PAIRS {
        return Err(DecodeError::TooManyPairs);
    }
    let head = count.checked_mul(2 * WORD).and_then(|n| n.checked_add(WORD)).ok_or(DecodeError::BadLength)?;
    let lengths = bytes.get(WORD..head).ok_or(DecodeError::BadLength)?;
    let data = &bytes[head..];
    let mut at = 0usize;
    for length in lengths.chunks_exact(WORD) {
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        at = at.checked_add(length).ok_or(DecodeError::BadLength)?;
        match data.get(at) {
            Some(0) => at += 1,
            Some(_) => return Err(DecodeError::MissingZero),
            None => return Err(DecodeError::BadLength),
        }
    }
    if at != data.len() {
        return Err(DecodeError::BadLength);
    }
    Ok(Pairs { lengths, data })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(WORD)?)?;
    Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// Checked pairs, in order.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// The pairs of bytes that were checked before. Others give any pairs, or fewer.
    pub fn of_checked(bytes: &'a [u8]) -> Self {
        let none = Pairs { lengths: &[], data: &[] };
        let Some((count, rest)) = bytes.split_first_chunk::<WORD>() else { return none };
        let head = (u32::from_le_bytes(*count) as usize).checked_mul(2 * WORD);
        match head.and_then(|head| rest.split_at_checked(head)) {
            Some((lengths, data)) => Pairs { lengths, data },
            None => none,
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([a, b, c, d, e, f, g, h], lengths) = self.lengths.split_first_chunk()?;
        let key = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let value = u32::from_le_bytes([*e, *f, *g, *h]) as usize;
        let (key, rest) = self.data.split_at_checked(key)?;
        let (value, rest) = rest.get(1..)?.split_at_checked(value)?;
        self.lengths = lengths;
        self.data = rest.get(1..)?;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.lengths.len() / (2 * WORD);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

/// Bytes that [`encode`] needs for these pairs; 0 for none.
pub fn encoded_len<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    let mut count = 0;
    let sum: usize = pairs.inspect(|_| count += 1).map(|(k, v)| 2 * WORD + k.len() + v.len() + 2).sum();
    if count == 0 { 0 } else { WORD + sum }
}

/// Writes the pairs at the start of `out` and says how many bytes they took; nothing and 0 for no pairs.
/// `None` when `out` is too short, see [`encoded_len`], or when a length does not fit a `u32`.
pub fn encode<'a>(
    pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    out: &mut [u8],
) -> Option<usize> {
    let count = pairs.len();
    if count == 0 {
        return Some(0);
    }
    let head = WORD + count.checked_mul(2 * WORD)?;
    let (lengths, data) = out.split_at_mut_checked(head)?;
    lengths[..WORD].copy_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    let mut at = 0usize;
    for ((key, value), slot) in pairs.zip(lengths[WORD..].chunks_exact_mut(2 * WORD)) {
        slot[..WORD].copy_from_slice(&u32::try_from(key.len()).ok()?.to_le_bytes());
        slot[WORD..].copy_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
        for item in [key, value] {
            let room = data.get_mut(at..at.checked_add(item.len())?.checked_add(1)?)?;
            let (body, zero) = room.split_at_mut(item.len());
            body.copy_from_slice(item);
            zero[0] = 0;
            at += item.len() + 1;
        }
    }
    Some(head + at)
}
