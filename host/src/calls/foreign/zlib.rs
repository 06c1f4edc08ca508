//! `compress` and `uncompress`.

use super::{Answer, Stop};
use crate::world::LimitReached;
use flate2::{Decompress, FlushDecompress, Status as Flow};
use tamis_abi::Status;
use zlib_rs::{DeflateConfig, ReturnCode, compress_bound, compress_slice};

/// Most bytes that `uncompress` gives (64 MiB); Envoy would grow until it is killed.
const PLAIN_LIMIT: usize = 64 << 20;

/// A zlib stream: of the possible ones, that of zlib-ng at its default level, as Envoy has it (row 191).
pub(super) fn compress(plain: &[u8]) -> Answer<Vec<u8>> {
    let mut out = vec![0; compress_bound(plain.len())];
    match compress_slice(&mut out, plain, DeflateConfig::default()) {
        (stream, ReturnCode::Ok) => Ok(stream.to_vec()),
        _ => Err(Stop::Tell(Status::SerializationFailure)),
    }
}

/// 3 for what is no whole zlib stream; what follows one is not looked at.
pub(super) fn uncompress(stream: &[u8]) -> Answer<Vec<u8>> {
    let garbage = || Stop::Tell(Status::SerializationFailure);
    let mut inflate = Decompress::new(true);
    let mut out = Vec::with_capacity(stream.len() * 2 + 64);
    loop {
        let from = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
        let rest = stream.get(from..).unwrap_or_default();
        let before = (inflate.total_in(), out.len());
        let flow = inflate.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(|_| garbage())?;
        if out.len() > PLAIN_LIMIT {
            let (what, unit) = ("result of `uncompress`", "bytes");
            return Err(LimitReached { what, limit: PLAIN_LIMIT, unit }.into());
        }
        match flow {
            Flow::StreamEnd => return Ok(out),
            _ if out.len() == out.capacity() => out.reserve(out.len()),
            _ if before == (inflate.total_in(), out.len()) => return Err(garbage()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(stream: &[u8]) -> Option<u32> {
        match uncompress(stream) {
            Err(Stop::Tell(status)) => Some(status.0),
            _ => None,
        }
    }

    #[test]
    fn envoy_2_10_what_is_compressed_comes_back() {
        for plain in [vec![], b"a".to_vec(), vec![7; 1_000_000], (0..=255).cycle().take(70_000).collect()] {
            let stream = compress(&plain).unwrap();
            assert_eq!(stream[..2], [0x78, 0x9c]);
            assert_eq!(uncompress(&stream).unwrap(), plain);
            assert_eq!(uncompress(&[&stream[..], b"more"].concat()).unwrap(), plain);
            for cut in [1, 4, stream.len()] {
                assert_eq!(status(&stream[..stream.len() - cut]), Some(3), "{cut} of {}", plain.len());
            }
        }
        assert_eq!(status(b"garbage"), Some(3));
        assert_eq!(status(b"\x1f\x8b\x08"), Some(3));
    }

    #[test]
    fn a_bomb_ends_the_playback() {
        let bomb = compress(&vec![0; PLAIN_LIMIT + 1]).unwrap();
        assert!(matches!(uncompress(&bomb), Err(Stop::End(_))));
    }
}
