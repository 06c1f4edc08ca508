//! Protocol buffers, as far as the arguments and results of foreign functions need them.

use tamis_abi::Status;
use tamis_traffic::message;

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, or a group's border: no argument has such a field.
    Other,
}

/// The fields of a message, by number.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// Reads a message; each field that comes is given to `take`. A later one wins over an earlier one, unknown
/// ones are left out.
///
/// # Errors
/// 2 when it is no message.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(u32, Field<'a>) -> Result<(), Status>,
) -> Result<(), Status> {
    let mut fields = Fields { rest: bytes };
    while !fields.rest.is_empty() {
        let (number, field) = fields.field().ok_or(Status::BadArgument)?;
        take(number, field)?;
    }
    Ok(())
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u32, Field<'a>)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0 && *number < 1 << 29)?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Other)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Field::Other)?,
            _ => return None,
        };
        Some((number, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for at in 0..10 {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}

/// A text of proto3.
///
/// # Errors
/// 2 when it is not UTF-8.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(bytes).map_err(|_| Status::BadArgument)
}

/// Adds a field of bytes, unless it is empty (proto3 leaves those out).
pub(super) fn put(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        message::put(out, number, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Field<'_>)>, Status> {
        let mut all = Vec::new();
        read(bytes, |number, field| {
            all.push((number, field));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = vec![8, 1];
        put(&mut out, 2, b"");
        put(&mut out, 3, &[7; 300]);
        out.extend([0x49, 1, 2, 3, 4, 5, 6, 7, 8, 0x55, 1, 2, 3, 4]);
        let want =
            [(1, Field::Number(1)), (3, Field::Bytes(&[7; 300])), (9, Field::Other), (10, Field::Other)];
        assert_eq!(all(&out).unwrap(), want);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [
            &[0xff][..],
            &[8],
            &[0x0a, 5, 1],
            &[0, 1],
            &[0x0b],
            &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(all(bytes), Err(Status::BadArgument), "{bytes:?}");
        }
    }
}
