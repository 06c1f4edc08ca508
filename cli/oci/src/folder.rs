//! Images in a folder, as the OCI image layout has them: for machines without a network.

use crate::digest::Digest;
use crate::error::{Error, Kind};
use crate::fetch::checked;
use crate::image::Image;
use crate::manifest::{Descriptor, Index, MAX_MANIFEST, json, types};
use crate::{MAX_MODULE, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The annotation that holds a tag in `index.json` (image specification, "Pre-Defined Annotation Keys").
pub(crate) const TAG: &str = "org.opencontainers.image.ref.name";

/// Largest configuration or layer that is read, bytes: a module and the archive around it.
const MAX_BLOB: u64 = MAX_MODULE + (1 << 20);

/// An image layout folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at this path; nothing is touched yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Writes an image under a tag, beside those that are there. The same image again changes nothing; a tag
    /// that stands for another one moves only when `overwrite` is set. Gives whether anything was written.
    ///
    /// # Errors
    /// When the folder holds something else, a file cannot be written, or the tag is taken.
    pub fn write(&self, image: &Image, tag: &str, overwrite: bool) -> Result<bool, Error> {
        let empty = || Index {
            schema_version: 2,
            media_type: Some(types::OCI_INDEX.to_owned()),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
        };
        let layout = self.0.join("oci-layout");
        let mut index = if layout.exists() {
            self.index()?
        } else {
            let taken = std::fs::read_dir(&self.0).is_ok_and(|mut all| all.next().is_some());
            if taken {
                let text = format!("`{}` has something else in it", self.0.display());
                return Err(
                    Error::new(Kind::Files, text).hint("name an empty folder, or one with an image layout")
                );
            }
            empty()
        };
        let old = index.manifests.iter().find(|d| named(d) == Some(tag));
        match old {
            Some(old) if old.digest == *image.digest() => return Ok(false),
            Some(old) if !overwrite => {
                return Err(Error::new(Kind::TagTaken, format!("`{tag}` stands for {} already", old.digest))
                    .hint("`--overwrite` lets the tag move"));
            }
            _ => {}
        }
        for blob in image.blobs.iter().chain([&image.manifest]) {
            self.put(&self.path(&blob.descriptor.digest), &blob.bytes)?;
        }
        index.manifests.retain(|d| named(d) != Some(tag));
        let mut entry = image.manifest.descriptor.clone();
        entry.annotations = Some(BTreeMap::from([(TAG.to_owned(), tag.to_owned())]));
        index.manifests.push(entry);
        self.put(&layout, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        // Last: until then nothing names the new blobs.
        self.put(&self.0.join("index.json"), &json(&index)?)?;
        Ok(true)
    }

    /// The tags in it.
    ///
    /// # Errors
    /// When it is no image layout.
    pub fn tags(&self) -> Result<Vec<String>, Error> {
        Ok(self.index()?.manifests.iter().filter_map(|d| named(d).map(str::to_owned)).collect())
    }

    /// What names the one image in it: its tag, else its digest.
    ///
    /// # Errors
    /// When it is no image layout, or has none or several.
    pub fn only(&self) -> Result<String, Error> {
        only(&self.index()?, &self.0)
    }

    fn index(&self) -> Result<Index, Error> {
        let path = self.0.join("index.json");
        let bytes = read(&path, MAX_MANIFEST as u64)?;
        serde_json::from_slice(&bytes).map_err(|e| {
            Error::new(Kind::BadImage, format!("`{}` is no index of images", path.display())).because(e)
        })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join("blobs/sha256").join(digest.hex())
    }

    /// Beside it and then in its place, so that no reader sees half a file.
    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(&self.0))?;
            let beside = path.with_extension("part");
            std::fs::write(&beside, bytes)?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|e| Error::new(Kind::Files, format!("cannot write `{}`", path.display())).because(e))
    }
}

impl Store for Folder {
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, Option<String>), Error> {
        let has = |digest: &Digest| self.path(digest).exists();
        let (digest, said) = find(&self.index()?, reference, has, &self.0)?;
        Ok((read(&self.path(&digest), MAX_MANIFEST as u64)?, said))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        checked(descriptor, read(&self.path(&descriptor.digest), MAX_BLOB)?)
    }
}

/// The manifest that a tag or digest names in an image layout, and its media type if the index says one.
pub(crate) fn find(
    index: &Index,
    reference: &str,
    has: impl Fn(&Digest) -> bool,
    at: &Path,
) -> Result<(Digest, Option<String>), Error> {
    let digest = reference.parse::<Digest>().ok();
    let fits = |d: &&Descriptor| named(d) == Some(reference) || Some(&d.digest) == digest.as_ref();
    match (index.manifests.iter().find(fits), digest) {
        (Some(found), _) => Ok((found.digest.clone(), Some(found.media_type.clone()))),
        // A child of an index is not named in the layout's own.
        (None, Some(digest)) if has(&digest) => Ok((digest, None)),
        _ => Err(Error::new(Kind::NotFound, format!("`{}` has no image `{reference}`", at.display()))
            .hint(format!("it has: {}", names(index)))),
    }
}

/// What names the one image of an image layout.
pub(crate) fn only(index: &Index, at: &Path) -> Result<String, Error> {
    match index.manifests.as_slice() {
        [one] => Ok(named(one).unwrap_or(one.digest.as_str()).to_owned()),
        [] => Err(Error::new(Kind::NotFound, format!("`{}` has no image", at.display()))),
        many => Err(Error::new(Kind::BadReference, format!("`{}` has {} images", at.display(), many.len()))
            .hint(format!("say which: {}", names(index)))),
    }
}

fn names(index: &Index) -> String {
    let all =
        index.manifests.iter().map(|d| named(d).unwrap_or(d.digest.as_str()).escape_debug().to_string());
    all.collect::<Vec<_>>().join(", ")
}

pub(crate) fn named(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations.as_ref()?.get(TAG).map(String::as_str)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let fail =
        |why: String| Error::new(Kind::Files, format!("cannot read `{}`", path.display())).because(why);
    let length = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if length > limit {
        return Err(fail(format!("it has {length} bytes, more than {limit}")));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}
