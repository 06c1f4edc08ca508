//! Layers: one file packed the same on every machine, anybody's archive looked through within limits.

use crate::error::{Error, Kind};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use std::io::{Read, Write};

/// The file that the meshes look for in a layer.
pub(crate) const PLUGIN: &str = "plugin.wasm";

/// Entries of an archive that are listed; more are counted only.
const MAX_LISTED: usize = 1000;

/// An archive that was looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    /// Path and bytes of each file, in order; the first thousand.
    pub files: Vec<(String, u64)>,
    /// The first file whose base name is `plugin.wasm`.
    pub plugin: Option<Vec<u8>>,
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opened {
    Archive(Archive),
    /// More bytes unpacked than allowed.
    TooLarge,
    Broken(String),
}

/// An uncompressed archive with this one file as `plugin.wasm`: no time, owner 0, mode 0644, ustar.
pub(crate) fn pack(wasm: &[u8]) -> Result<Vec<u8>, Error> {
    let mut header = tar::Header::new_ustar();
    header.set_size(wasm.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    let mut archive = tar::Builder::new(Vec::with_capacity(wasm.len() + 2048));
    let packed = archive.append_data(&mut header, PLUGIN, wasm).and_then(|()| archive.into_inner());
    packed.map_err(|e| Error::new(Kind::BadImage, "cannot pack the module").because(e))
}

/// Gzip without name and time. The bytes depend on the deflate library: a golden test notices when they change.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(9));
    let packed = gzip.write_all(bytes).and_then(|()| gzip.finish());
    packed.map_err(|e| Error::new(Kind::BadImage, "cannot compress the module").because(e))
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// The bytes without it; an error of the decompressor is one of reading.
    fn unpack<'a>(self, blob: &'a [u8]) -> Box<dyn Read + 'a> {
        match self {
            Packing::Plain => Box::new(blob),
            Packing::Gzip => Box::new(MultiGzDecoder::new(blob)),
            Packing::Zstd => match ruzstd::decoding::StreamingDecoder::new(blob) {
                Ok(decoder) => Box::new(decoder),
                Err(e) => Box::new(Failing(e.to_string())),
            },
        }
    }
}

/// Not even the first bytes can be read.
struct Failing(String);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other(self.0.clone()))
    }
}

/// The file of this path in an archive of at most `limit` unpacked bytes.
pub(crate) fn file(
    blob: &[u8],
    packing: Packing,
    limit: u64,
    wanted: &str,
) -> std::io::Result<Option<Vec<u8>>> {
    for entry in tar::Archive::new(packing.unpack(blob).take(limit)).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() && String::from_utf8_lossy(&entry.path_bytes()) == wanted {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Looks through an archive of at most `limit` unpacked bytes.
pub(crate) fn open(blob: &[u8], packing: Packing, limit: u64) -> Opened {
    // One byte more than allowed tells "too large" from "just fits".
    let mut counted = Counted { inner: packing.unpack(blob).take(limit + 1), seen: 0 };
    let mut archive = Archive::default();
    let outcome = walk(&mut counted, &mut archive);
    match outcome {
        _ if counted.seen > limit => Opened::TooLarge,
        // A mesh stops reading at the file that it wants; what comes behind may be broken.
        Err(e) if archive.plugin.is_none() => Opened::Broken(told(&e)),
        _ => Opened::Archive(archive),
    }
}

/// Longest text about an archive, characters.
const MAX_TOLD: usize = 200;

/// What is wrong with an archive, in one line: names in it are a stranger's.
pub(crate) fn told(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.chars().take(MAX_TOLD).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn walk(source: &mut impl Read, found: &mut Archive) -> std::io::Result<()> {
    for entry in tar::Archive::new(source).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if found.plugin.is_none() && path.rsplit('/').next() == Some(PLUGIN) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if bytes.len() as u64 != entry.size() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            found.plugin = Some(bytes);
        }
        if found.files.len() < MAX_LISTED {
            found.files.push((path, entry.size()));
        }
    }
    Ok(())
}

struct Counted<R> {
    inner: R,
    seen: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.seen += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An archive of these files.
    pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            // By hand: `./` in front must stay.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            out.append(&header, *bytes).unwrap();
        }
        out.into_inner().unwrap()
    }

    fn plugin(blob: &[u8], limit: u64) -> Option<Vec<u8>> {
        match open(blob, Packing::Gzip, limit) {
            Opened::Archive(archive) => archive.plugin,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_plugin_wins_in_any_folder() {
        let blob = gzip(&archive(&[("README", b"r"), ("./a/plugin.wasm", b"one"), ("plugin.wasm", b"two")]))
            .unwrap();
        assert_eq!(plugin(&blob, 1 << 20), Some(b"one".to_vec()));
        let blob = gzip(&archive(&[("plugin.wasm.txt", b"one"), ("xplugin.wasm", b"two")])).unwrap();
        assert_eq!(plugin(&blob, 1 << 20), None);
    }

    #[test]
    fn packing_and_opening_give_the_module_back() {
        let wasm: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let blob = gzip(&pack(&wasm).unwrap()).unwrap();
        assert_eq!(plugin(&blob, 1 << 20), Some(wasm));
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_a_cut_archive_is_broken() {
        let blob = gzip(&archive(&[("zeros", &[0; 1 << 20]), ("plugin.wasm", b"x")])).unwrap();
        assert!(blob.len() < 4096);
        assert_eq!(open(&blob, Packing::Gzip, 1 << 16), Opened::TooLarge);
        assert!(matches!(open(&blob[..blob.len() / 2], Packing::Gzip, 1 << 22), Opened::Broken(_)));
        assert!(matches!(open(b"no gzip at all", Packing::Gzip, 1 << 22), Opened::Broken(_)));
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        let mut tar = archive(&[("a\nb\x1b[1m", b"x")]);
        tar[148..156].copy_from_slice(b"k\nk\r\x17kkk");
        let Opened::Broken(why) = open(&tar, Packing::Plain, 1 << 20) else { panic!("a good checksum") };
        assert!(why.contains("cksum") && !why.contains(char::is_control), "{why:?}");
    }
}
