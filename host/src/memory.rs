//! The one checked view of a filter's memory; nothing else touches raw guest bytes.

use std::fmt;
use std::ops::Range;

/// A window on the filter's linear memory for the length of one host call.
///
/// Every access is checked against the memory as it is now: a range that leaves it or wraps is
/// [`OutOfBounds`], which a host call answers with `InvalidMemoryAccess` (docs/envoy.md 1.2).
pub(crate) struct GuestView<'a> {
    bytes: &'a mut [u8],
}

/// A range outside the filter's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfBounds {
    /// First address asked for.
    pub(crate) at: u32,
    /// Length asked for, bytes.
    pub(crate) len: usize,
}

impl<'a> GuestView<'a> {
    /// A view of all of a memory.
    #[inline]
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes at `at..at + len`.
    ///
    /// # Errors
    /// When the range leaves the memory. An empty range is inside up to and including the end.
    #[inline]
    pub(crate) fn read(&self, at: u32, len: u32) -> Result<&[u8], OutOfBounds> {
        self.bytes.get(range(at, len as usize)).ok_or(OutOfBounds { at, len: len as usize })
    }

    /// The bytes at `at..at + len`, to be written.
    ///
    /// # Errors
    /// When the range leaves the memory.
    #[inline]
    pub(crate) fn slice_mut(&mut self, at: u32, len: usize) -> Result<&mut [u8], OutOfBounds> {
        self.bytes.get_mut(range(at, len)).ok_or(OutOfBounds { at, len })
    }

    /// Copies `data` to `at`.
    ///
    /// # Errors
    /// When it does not fit; then nothing is written.
    #[inline]
    pub(crate) fn write(&mut self, at: u32, data: &[u8]) -> Result<(), OutOfBounds> {
        self.slice_mut(at, data.len())?.copy_from_slice(data);
        Ok(())
    }

    /// A little-endian 32-bit word.
    ///
    /// # Errors
    /// When it leaves the memory.
    #[inline]
    pub(crate) fn read_u32(&self, at: u32) -> Result<u32, OutOfBounds> {
        let bytes = self.read(at, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Writes a little-endian 32-bit word.
    ///
    /// # Errors
    /// When it leaves the memory.
    #[inline]
    pub(crate) fn write_u32(&mut self, at: u32, value: u32) -> Result<(), OutOfBounds> {
        self.write(at, &value.to_le_bytes())
    }

    /// Writes a little-endian 64-bit word.
    ///
    /// # Errors
    /// When it leaves the memory.
    #[inline]
    pub(crate) fn write_u64(&mut self, at: u32, value: u64) -> Result<(), OutOfBounds> {
        self.write(at, &value.to_le_bytes())
    }
}

/// Never wraps: a guest address and a host length fit in a `usize` together (checked for 32-bit hosts too).
#[inline]
fn range(at: u32, len: usize) -> Range<usize> {
    at as usize..(at as usize).saturating_add(len)
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:#x} lie outside the filter's memory", self.len, self.at)
    }
}

impl std::error::Error for OutOfBounds {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_byte_is_inside_and_the_next_is_not() {
        let mut memory = [0u8; 16];
        let mut view = GuestView::new(&mut memory);
        assert_eq!(view.write(12, &[1, 2, 3, 4]), Ok(()));
        assert_eq!(view.read_u32(12), Ok(0x0403_0201));
        assert_eq!(view.read(16, 0), Ok(&[][..]));
        assert_eq!(view.read(16, 1), Err(OutOfBounds { at: 16, len: 1 }));
        assert_eq!(view.read_u32(13), Err(OutOfBounds { at: 13, len: 4 }));
        assert_eq!(view.write_u64(9, 1), Err(OutOfBounds { at: 9, len: 8 }));
        assert_eq!(view.read(u32::MAX, u32::MAX), Err(OutOfBounds { at: u32::MAX, len: u32::MAX as usize }));
    }

    #[test]
    fn a_write_that_does_not_fit_writes_nothing() {
        let mut memory = [7u8; 4];
        assert!(GuestView::new(&mut memory).write(2, &[0; 3]).is_err());
        assert_eq!(memory, [7; 4]);
    }

    proptest! {
        #[test]
        fn no_range_panics_and_only_inside_ones_succeed(size in 0usize..64, at: u32, len: u32, near in 0u32..80) {
            let mut memory = vec![0u8; size];
            let view = GuestView::new(&mut memory);
            for (at, len) in [(at, len), (near, len % 80), (near, len)] {
                let inside = u64::from(at) + u64::from(len) <= size as u64;
                prop_assert_eq!(view.read(at, len).is_ok(), inside);
            }
        }
    }
}
