//! The memory of a filter: small pieces in lists by size, the rest from the standard library's allocator.
//!
//! A stream asks for and gives back the same few sizes again and again; a list of each costs a dozen instructions
//! where the allocator of WASI's C library takes about 150 for both. Sizes are powers of two, and a list keeps what it
//! was given back: the most that was ever in use of each size. A filter with an allocator of its own turns the feature
//! `allocator` off.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// The smallest piece, and what pieces are aligned to, bytes.
const LEAST: usize = 16;
/// The largest size that has a list, bytes: the headers of most requests fit.
const MOST: usize = 2048;
/// So much is asked for at once to make pieces of, bytes: an eighth of a page of wasm.
const CHUNK: usize = 8192;
/// Sizes from [`LEAST`] to [`MOST`].
const SIZES: usize = (MOST.ilog2() - LEAST.ilog2()) as usize + 1;

/// See the file's head.
struct Memory {
    /// The first free piece of each size; it begins with the address of the next.
    free: [Cell<*mut u8>; SIZES],
    /// What is left of the last chunk, and how much.
    chunk: Cell<*mut u8>,
    left: Cell<usize>,
}

// SAFETY: a filter has one thread; this file is left out where there may be more.
unsafe impl Sync for Memory {}

/// Which list; none for what is large or has an alignment that pieces have not.
fn list(layout: Layout) -> Option<usize> {
    let size = layout.size().max(LEAST);
    let is_small = size <= MOST && layout.align() <= LEAST;
    is_small.then(|| ((size - 1).ilog2() + 1 - LEAST.ilog2()) as usize)
}

impl Memory {
    /// A piece of what is left of the chunk, or of a new one.
    #[cold]
    fn carve(&self, list: usize) -> *mut u8 {
        let size = LEAST << list;
        if self.left.get() < size {
            // SAFETY: the size is not zero, the alignment a power of two.
            let chunk = unsafe { System.alloc(Layout::from_size_align_unchecked(CHUNK, LEAST)) };
            if chunk.is_null() {
                return chunk;
            }
            self.chunk.set(chunk);
            self.left.set(CHUNK);
        }
        let piece = self.chunk.get();
        self.left.set(self.left.get() - size);
        self.chunk.set(piece.wrapping_add(size));
        piece
    }
}

// SAFETY: a piece is in one list or in use, never both; each is as large as its list says and aligned to `LEAST`, since
// chunks are and all sizes are multiples. A layout leads to the same list, or to `System`, whenever it is asked for.
unsafe impl GlobalAlloc for Memory {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's.
            return unsafe { System.alloc(layout) };
        };
        let Some(first) = self.free.get(list) else { return null_mut() };
        let piece = first.get();
        if piece.is_null() {
            return self.carve(list);
        }
        // SAFETY: a free piece begins with an address, see `dealloc`.
        first.set(unsafe { piece.cast::<*mut u8>().read() });
        piece
    }

    #[inline(never)]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match list(layout) {
            Some(list) => {
                if let Some(first) = self.free.get(list) {
                    // SAFETY: the piece is ours again, and at least `LEAST` bytes.
                    unsafe { piece.cast::<*mut u8>().write(first.get()) };
                    first.set(piece);
                }
            }
            // SAFETY: the caller's; it came from there.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's: `size` does not overflow when rounded up to the alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list(layout), list(new)) {
            // It is as large as that already.
            (Some(old), Some(new)) if old == new => piece,
            // SAFETY: the caller's; it came from there.
            (None, None) => unsafe { System.realloc(piece, layout, size) },
            _ => {
                // SAFETY: the new one does not overlap the old one, which the caller gives up; both hold so many bytes.
                unsafe {
                    let other = self.alloc(new);
                    if !other.is_null() {
                        other.copy_from_nonoverlapping(piece, layout.size().min(size));
                        self.dealloc(piece, layout);
                    }
                    other
                }
            }
        }
    }
}

impl Memory {
    const fn new() -> Self {
        Self {
            free: [const { Cell::new(null_mut()) }; SIZES],
            chunk: Cell::new(null_mut()),
            left: Cell::new(0),
        }
    }
}

#[cfg(target_family = "wasm")]
#[global_allocator]
static MEMORY: Memory = Memory::new();

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece in use and what it was filled with.
    struct Piece {
        at: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Piece {
        fn take(memory: &Memory, size: usize, align: usize, mark: u8) -> Self {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            // SAFETY: the size is not zero.
            let at = unsafe { memory.alloc(layout) };
            assert!(!at.is_null() && at.addr().is_multiple_of(align), "{layout:?}");
            // SAFETY: it is ours, and that large.
            unsafe { at.write_bytes(mark, size) };
            Self { at, layout, mark }
        }

        fn check(&self, size: usize) {
            // SAFETY: it is ours, at least that large and all written.
            let bytes = unsafe { std::slice::from_raw_parts(self.at, size) };
            assert!(bytes.iter().all(|byte| *byte == self.mark), "{:?} was overwritten", self.layout);
        }

        fn resize(&mut self, memory: &Memory, size: usize) {
            // SAFETY: it came from there with this layout, and the size is not zero.
            self.at = unsafe { memory.realloc(self.at, self.layout, size) };
            self.check(size.min(self.layout.size()));
            self.layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
            // SAFETY: it is ours, and that large.
            unsafe { self.at.write_bytes(self.mark, size) };
        }

        fn give_back(self, memory: &Memory) {
            self.check(self.layout.size());
            // SAFETY: it came from there with this layout.
            unsafe { memory.dealloc(self.at, self.layout) };
        }
    }

    #[test]
    fn no_two_pieces_overlap_whatever_their_order() {
        let memory = Memory::new();
        let mut pieces: Vec<Piece> = Vec::new();
        // Some order that is none, over all sizes and both ends of each.
        let mut state = 1_u32;
        let mut next = |most: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % most
        };
        for round in 0..20_000 {
            let size = (1 << next(13)) + next(3);
            match next(5) {
                0 | 1 => pieces.push(Piece::take(&memory, size, 1 << next(7), round as u8)),
                2 if !pieces.is_empty() => {
                    let at = next(pieces.len());
                    pieces[at].resize(&memory, size);
                }
                _ if !pieces.is_empty() => {
                    let at = next(pieces.len());
                    pieces.swap_remove(at).give_back(&memory);
                }
                _ => {}
            }
        }
        pieces.into_iter().for_each(|piece| piece.give_back(&memory));
    }

    #[test]
    fn what_was_given_back_is_used_again() {
        let memory = Memory::new();
        let first = Piece::take(&memory, 100, 8, 1);
        let at = first.at;
        first.give_back(&memory);
        let mut again = Piece::take(&memory, 65, 1, 2);
        assert_eq!(again.at, at, "both are of 65 to 128 bytes");
        again.resize(&memory, 128);
        assert_eq!(again.at, at, "it is as large as that already");
        again.give_back(&memory);
        let sizes =
            [1, 16, 17, MOST, MOST + 1].map(|size| list(Layout::from_size_align(size, 1).expect("one")));
        assert_eq!(sizes, [Some(0), Some(0), Some(1), Some(SIZES - 1), None]);
        assert_eq!(list(Layout::from_size_align(16, 32).expect("one")), None);
    }
}
