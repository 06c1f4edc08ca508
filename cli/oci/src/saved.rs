//! Images in one tar file: an image layout (`skopeo copy … oci-archive:`, `docker save` since 25), or Docker's older
//! form (`docker save`, `podman save`), which becomes a Docker image again.

use crate::digest::Digest;
use crate::error::{Error, Kind};
use crate::fetch::checked;
use crate::folder::{TAG, find, only};
use crate::image::Blob;
use crate::manifest::{Descriptor, Index, Manifest, json, types};
use crate::tarball::told;
use crate::{MAX_MODULE, Store};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

/// Most bytes of a file that are read, unpacked: an image of the largest module twice, raw and packed.
const MAX_SAVED: u64 = 2 * MAX_MODULE + (64 << 20);

/// Most files in it.
const MAX_FILES: usize = 10_000;

/// A tar file that was read into memory.
#[derive(Debug, Clone)]
pub struct Saved {
    path: PathBuf,
    index: Index,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

/// One image in Docker's older form.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Docker {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Saved {
    /// Reads a file, gzipped or not.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or is neither form.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = std::fs::File::open(path).map_err(|e| unreadable(path, &e))?;
        Self::from_reader(file, path)
    }

    /// Reads what a file of this name has, gzipped or not.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or is neither form.
    pub fn from_reader(source: impl Read, path: &Path) -> Result<Self, Error> {
        let mut files = files(source).map_err(|e| unreadable(path, &e))?;
        let bad = |why: String| {
            Error::new(Kind::BadImage, format!("`{}` is no saved image", path.display()))
                .because(why)
                .hint("`docker save`, `podman save` and `skopeo copy … oci-archive:FILE` write such files")
        };
        let mut saved = Self { path: path.to_owned(), index: Index::default(), blobs: BTreeMap::new() };
        if let Some(index) = files.remove("index.json") {
            saved.index = serde_json::from_slice(&index).map_err(|e| bad(e.to_string()))?;
            for (name, bytes) in files {
                let digest =
                    name.strip_prefix("blobs/sha256/").and_then(|h| format!("sha256:{h}").parse().ok());
                if let Some(digest) = digest {
                    saved.blobs.insert(digest, bytes);
                }
            }
        } else if let Some(list) = files.get("manifest.json") {
            let list: Vec<Docker> = serde_json::from_slice(list).map_err(|e| bad(e.to_string()))?;
            for docker in list {
                saved.add(&docker, &files).map_err(bad)?;
            }
        } else {
            return Err(bad("it has neither `index.json` nor `manifest.json`".to_owned()));
        }
        Ok(saved)
    }

    /// What names the one image in it: its tag, else its digest.
    ///
    /// # Errors
    /// When it has none or several.
    pub fn only(&self) -> Result<String, Error> {
        only(&self.index, &self.path)
    }

    fn keep(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let Blob { descriptor, bytes } = Blob::new(media_type, bytes);
        self.blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    fn add(&mut self, docker: &Docker, files: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let file = |name: &String| {
            files.get(name).cloned().ok_or_else(|| format!("it has no `{}`", name.escape_debug()))
        };
        let config = self.keep(types::DOCKER_CONFIG, file(&docker.config)?);
        let mut layers = Vec::new();
        for name in &docker.layers {
            let bytes = file(name)?;
            let kind = if is_gzip(&bytes) { types::DOCKER_LAYER } else { types::DOCKER_LAYER_PLAIN };
            layers.push(self.keep(kind, bytes));
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(types::DOCKER_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        };
        let mut entry = self.keep(types::DOCKER_MANIFEST, json(&manifest).map_err(|e| e.to_string())?);
        // `registry/repository:tag`; an image layout has the tag alone.
        let tag = docker.repo_tags.iter().flatten().find_map(|t| Some(t.rsplit_once(':')?.1.to_owned()));
        entry.annotations = tag.map(|tag| BTreeMap::from([(TAG.to_owned(), tag)]));
        self.index.manifests.push(entry);
        Ok(())
    }
}

impl Store for Saved {
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, Option<String>), Error> {
        let has = |digest: &Digest| self.blobs.contains_key(digest);
        let (digest, said) = find(&self.index, reference, has, &self.path)?;
        Ok((self.bytes(&digest)?, said))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        checked(descriptor, self.bytes(&descriptor.digest)?)
    }
}

impl Saved {
    fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let missing =
            || Error::new(Kind::NotFound, format!("`{}` has no blob {digest}", self.path.display()));
        self.blobs.get(digest).cloned().ok_or_else(missing)
    }
}

fn unreadable(path: &Path, why: &std::io::Error) -> Error {
    Error::new(Kind::Files, format!("cannot read `{}`", path.display())).because(told(why))
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The files of the archive by path, links among them followed: Docker's older form links a layer that two images have.
fn files(source: impl Read) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut source = BufReader::new(source);
    let gzip = is_gzip(source.fill_buf()?);
    let source: Box<dyn Read + '_> =
        if gzip { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
    let mut archive = tar::Archive::new(source.take(MAX_SAVED));
    let (mut files, mut links) = (BTreeMap::new(), Vec::new());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = clean(&String::from_utf8_lossy(&entry.path_bytes()));
        if files.len() + links.len() >= MAX_FILES {
            return Err(std::io::Error::other(format!("it has more than {MAX_FILES} files")));
        }
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if bytes.len() as u64 != entry.size() {
                return Err(std::io::Error::other(format!(
                    "it breaks off, or has more than {MAX_SAVED} bytes"
                )));
            }
            files.insert(name, bytes);
        } else if let Some(to) = entry.link_name_bytes() {
            links.push((name, String::from_utf8_lossy(&to).into_owned()));
        }
    }
    for (name, to) in links {
        let beside = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        if let Some(bytes) = files.get(&clean(&format!("{beside}/{to}"))).cloned() {
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

/// A path without `.`, `..` and slashes in front.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
