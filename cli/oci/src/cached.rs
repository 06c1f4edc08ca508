//! A registry behind a folder that keeps what was fetched, by digest.

use crate::digest::Digest;
use crate::error::Error;
use crate::fetch::checked;
use crate::manifest::Descriptor;
use crate::{MAX_MODULE, Store};
use std::cell::OnceCell;
use std::path::PathBuf;

/// Room for configurations and archives around the largest module, bytes.
const MAX_BLOB: u64 = MAX_MODULE + (1 << 20);

/// A store whose manifests and blobs are read from a folder where it has them. Whatever lies in the folder is checked
/// like what a registry says; what does not fit its name is fetched again. The store itself is opened only when
/// something is missing, so that a pinned image that was fetched before needs no network.
pub struct Cached<S, F> {
    /// None: nothing is kept.
    folder: Option<PathBuf>,
    open: F,
    store: OnceCell<S>,
}

impl<S: Store, F: Fn() -> Result<S, Error>> Cached<S, F> {
    /// The store that `open` opens, behind this folder.
    pub fn new(folder: Option<PathBuf>, open: F) -> Self {
        Self { folder, open, store: OnceCell::new() }
    }

    fn store(&self) -> Result<&S, Error> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let opened = (self.open)()?;
        Ok(self.store.get_or_init(|| opened))
    }

    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(digest.hex()))
    }

    fn kept(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.path(digest)?;
        if std::fs::metadata(&path).ok()?.len() > MAX_BLOB {
            return None;
        }
        std::fs::read(path).ok().filter(|bytes| Digest::of(bytes) == *digest)
    }

    /// A folder that cannot be written costs time, not the work.
    fn keep(&self, digest: &Digest, bytes: &[u8]) {
        let Some(path) = self.path(digest) else { return };
        // Beside it and then in its place: somebody else may read or write the same.
        let beside = path.with_extension(std::process::id().to_string());
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
            std::fs::write(&beside, bytes)?;
            std::fs::rename(&beside, &path)
        };
        if write().is_err() {
            let _ = std::fs::remove_file(&beside);
        }
    }
}

impl<S: Store, F: Fn() -> Result<S, Error>> Store for Cached<S, F> {
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, Option<String>), Error> {
        let known = reference.parse().ok().and_then(|digest| self.kept(&digest));
        if let Some(bytes) = known {
            return Ok((bytes, None));
        }
        let (bytes, said) = self.store()?.manifest(reference)?;
        self.keep(&Digest::of(&bytes), &bytes);
        Ok((bytes, said))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = self.kept(&descriptor.digest) {
            return checked(descriptor, bytes);
        }
        let bytes = self.store()?.blob(descriptor)?;
        self.keep(&descriptor.digest, &bytes);
        Ok(bytes)
    }
}
