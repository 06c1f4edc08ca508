//! What is left of data and tables when parts of them are gone: the rest, at its old place.
//!
//! Nothing moves, so no number in the code has to change; a hole costs nothing but the head of the next segment.

use std::ops::Range;

/// Holes of fewer bytes stay filled: the head of a segment is about as long.
const HEAD: usize = 10;

/// The parts of `bytes`, which lie at `address`, that are needed: without zeros, which memory has anyway, and without
/// what only `dead` pieces hold.
pub(super) fn parts(
    bytes: &[u8],
    address: u32,
    live: &[Range<u32>],
    dead: &[Range<u32>],
) -> Vec<Range<usize>> {
    let mut needed: Vec<bool> = bytes.iter().map(|byte| *byte != 0).collect();
    let mut within = |pieces: &[Range<u32>], bytes: &mut dyn FnMut(usize, &mut bool)| {
        for piece in pieces {
            let place = |at: u32| (at.saturating_sub(address) as usize).min(needed.len());
            let range = place(piece.start)..place(piece.end);
            for at in range {
                bytes(at, &mut needed[at]);
            }
        }
    };
    within(dead, &mut |_, needed| *needed = false);
    within(live, &mut |at, needed| *needed = bytes[at] != 0);
    let mut parts: Vec<Range<usize>> = Vec::new();
    for at in (0..bytes.len()).filter(|at| needed[*at]) {
        match parts.last_mut() {
            Some(part) if at - part.end < HEAD => part.end = at + 1,
            _ => parts.push(at..at + 1),
        }
    }
    parts
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges of one")]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_dead_pieces_go_and_shared_bytes_stay() {
        let mut bytes = [1_u8; 100];
        bytes[60..80].fill(0);
        // Nobody knows 0..10 and 95..100; 10..50 is dead but for 30..35, which a living piece shares.
        let parts = parts(&bytes, 1000, &[1030..1035, 1050..1095], &[1010..1050]);
        assert_eq!(parts, [0..10, 30..35, 50..60, 80..100]);
    }

    #[test]
    fn small_holes_stay_filled_and_pieces_elsewhere_say_nothing() {
        let mut bytes = [1_u8; 30];
        bytes[10..18].fill(0);
        assert_eq!(parts(&bytes, 1000, &[], &[0..900, 1020..1025, 1030..4000]), [0..30]);
        assert!(parts(&[0; 64], 8, &[0..64], &[]).is_empty());
    }
}
