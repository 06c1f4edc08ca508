//! The few kinds of protobuf fields that hosts speak.

/// Wire types: a number, bytes with their length before them.
const NUMBER: u64 = 0;
const BYTES: u64 = 2;

/// Fields as they are written.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<u8>);

impl Fields {
    /// Bytes or text; nothing when it is empty.
    pub(crate) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        if !value.is_empty() {
            self.varint(field << 3 | BYTES);
            self.varint(value.len() as u64);
            self.0.extend_from_slice(value);
        }
        self
    }

    /// A number; nothing when it is 0.
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        if value != 0 {
            self.varint(field << 3 | NUMBER);
            self.varint(value);
        }
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A field that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// All fields in order, as far as they can be read.
pub(crate) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            NUMBER => Field::Number(varint(&mut bytes)?),
            BYTES => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Field::Bytes(value)
            }
            _ => return None,
        };
        Some((key >> 3, field))
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let written = Fields::default().bytes(1, b"").bytes(2, &[7; 300]).number(3, 0).number(20, 1 << 40);
        let read: Vec<_> = fields(&written.0).collect();
        assert_eq!(read, [(2, Field::Bytes(&[7; 300])), (20, Field::Number(1 << 40))]);
    }

    #[test]
    fn no_bytes_panic() {
        for bytes in [&[0x0a, 5, 1][..], &[0xff; 20], &[0x0d, 1, 2, 3, 4], &[8], &[]] {
            assert_eq!(fields(bytes).count(), 0);
        }
    }
}
