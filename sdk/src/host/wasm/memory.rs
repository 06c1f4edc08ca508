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

#[global_allocator]
static MEMORY: Memory = Memory {
    free: [const { Cell::new(null_mut()) }; SIZES],
    chunk: Cell::new(null_mut()),
    left: Cell::new(0),
};
