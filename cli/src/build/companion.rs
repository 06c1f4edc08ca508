//! Names of a module's functions in a file beside it: what ships does not carry them, a trap that is read here needs
//! them.
//!
//! `FILTER.names` holds the SHA-256 of the module that it belongs to, then the content of a name section (WebAssembly
//! core specification, "Name Section").

use sha2::{Digest, Sha256};
use std::path::Path;

/// The ending of such a file.
const ENDING: &str = "names";
/// Bytes of the digest at the start.
const DIGEST: usize = 32;

/// Writes the file beside the module, or takes an old one away.
pub(super) fn write(module: &Path, wasm: &[u8], names: Option<&[u8]>) -> std::io::Result<()> {
    let path = module.with_extension(ENDING);
    match names {
        Some(names) => std::fs::write(path, [Sha256::digest(wasm).as_slice(), names].concat()),
        None => std::fs::remove_file(path).or_else(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(e),
        }),
    }
}

/// The module with the names from the file beside it. Without a file, and with one of another module, as it is.
pub(crate) fn with_names(module: &Path, wasm: Vec<u8>) -> Vec<u8> {
    let Ok(file) = std::fs::read(module.with_extension(ENDING)) else { return wasm };
    match file.split_at_checked(DIGEST) {
        Some((digest, names)) if digest == Sha256::digest(&wasm).as_slice() => {
            super::section::append(&wasm, "name", names)
        }
        _ => wasm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_to_their_module_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filter.wasm");
        let wasm = wat::parse_str("(module (func))").unwrap();
        assert_eq!(with_names(&path, wasm.clone()), wasm, "no file");
        write(&path, &wasm, Some(b"\x01\x04\x01\0\x01a")).unwrap();
        assert_eq!(with_names(&path, wasm.clone()), wat::parse_str("(module (func $a))").unwrap());
        let other = wat::parse_str("(module (func) (func))").unwrap();
        assert_eq!(with_names(&path, other.clone()), other);
        write(&path, &wasm, None).unwrap();
        write(&path, &wasm, None).unwrap();
        assert_eq!(with_names(&path, wasm.clone()), wasm, "the file is gone");
    }
}
