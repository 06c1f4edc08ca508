//! A push: look, upload what is missing, name it, read it back.

use super::auth::Want;
use super::http::{Answer, Call};
use super::refusal::{Doing, misses_blob};
use super::registry::Registry;
use super::upload::{pause, same};
use crate::error::{Error, Kind};
use crate::fetch::{Fetched, fetch};
use crate::image::{Blob, Image};
use crate::reference::is_tag;
use crate::{Digest, Store};

/// What to push.
#[derive(Debug, Clone)]
pub struct Push<'a> {
    /// The image.
    pub image: &'a Image,
    /// Its tags; at least one.
    pub tags: &'a [String],
    /// Whether a tag that stands for another image moves. The registry is asked before, not in the same
    /// breath: somebody else may move it in between.
    pub overwrite: bool,
}

/// What a tag was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tagged {
    /// There was none.
    New,
    /// It stood for this image.
    Unchanged,
    /// It stood for another one.
    Moved(Digest),
}

/// What came of a push.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// Each tag, in order.
    pub tags: Vec<(String, Tagged)>,
    /// Blobs that were uploaded.
    pub uploaded: usize,
    /// Bytes that were uploaded.
    pub bytes: u64,
    /// The image as the registry gives it.
    pub fetched: Fetched,
}

/// Pushes an image. No tag moves before everything that it needs is there; afterwards all is read back.
///
/// # Errors
/// When a tag is taken, the registry refuses, or does not give back what it was sent. Tags that were not
/// written stay what they were.
pub fn push(registry: &Registry<'_>, push: &Push<'_>) -> Result<Pushed, Error> {
    let image = push.image;
    if let Some(bad) = push.tags.iter().find(|t| !is_tag(t)) {
        let text = format!("`{}` is no tag", bad.escape_debug());
        return Err(
            Error::new(Kind::BadReference, text).hint("letters, digits, `_`, `.` and `-`, at most 128")
        );
    }
    let mut tags = Vec::new();
    for tag in push.tags {
        let was = match registry.resolve(tag, Want::Push)? {
            None => Tagged::New,
            Some(digest) if digest == *image.digest() => Tagged::Unchanged,
            Some(digest) if push.overwrite => Tagged::Moved(digest),
            Some(digest) => {
                let text = format!("`{}:{tag}` stands for another image, {digest}", registry.repository);
                return Err(Error::new(Kind::TagTaken, text)
                    .hint("push under a new tag, or let this one move with `--overwrite`"));
            }
        };
        tags.push((tag.clone(), was));
    }
    let mut pushed = Pushed { tags, uploaded: 0, bytes: 0, fetched: empty(image) };
    upload(registry, image, false, &mut pushed)?;
    for at in 0..pushed.tags.len() {
        if pushed.tags[at].1 != Tagged::Unchanged {
            let tag = pushed.tags[at].0.clone();
            name(registry, image, &tag, &mut pushed)?;
        }
    }
    pushed.fetched = read_back(registry, image, push.tags)?;
    Ok(pushed)
}

fn empty(image: &Image) -> Fetched {
    Fetched { digest: image.digest().clone(), pinned: true, index: None, child: None }
}

fn upload(registry: &Registry<'_>, image: &Image, again: bool, pushed: &mut Pushed) -> Result<(), Error> {
    let (count, bytes) = upload_missing(registry, &image.blobs, again)?;
    pushed.uploaded += count;
    pushed.bytes += bytes;
    Ok(())
}

/// Uploads the blobs that the registry has not, or all of them; gives how many, and their bytes.
pub(super) fn upload_missing(
    registry: &Registry<'_>,
    blobs: &[Blob],
    all: bool,
) -> Result<(usize, u64), Error> {
    let (mut count, mut bytes) = (0, 0);
    for blob in blobs {
        pause(registry)?;
        if all || !registry.has(blob)? {
            registry.upload(blob)?;
            count += 1;
            bytes += blob.descriptor.size;
        }
    }
    Ok((count, bytes))
}

/// Puts a manifest under a tag or its digest.
pub(super) fn put(registry: &Registry<'_>, manifest: &Blob, under: &str) -> Result<Answer, Error> {
    let what = format!("{}:{under}", registry.repository);
    let call = Call::new("PUT", registry.url(&format!("manifests/{under}")))
        .body(&manifest.descriptor.media_type, &manifest.bytes);
    let answer = registry.call(call, Want::Push, &what)?;
    if !answer.ok() {
        return Err(registry.refusal(&answer, Doing::PutManifest, &what));
    }
    same(&answer, &manifest.descriptor.digest)?;
    Ok(answer)
}

/// Puts the manifest under a tag. A registry that has lost a blob since it was asked gets all of them again, once.
fn name(registry: &Registry<'_>, image: &Image, tag: &str, pushed: &mut Pushed) -> Result<(), Error> {
    let what = format!("{}:{tag}", registry.repository);
    let manifest = &image.manifest;
    for again in [false, true] {
        let call = Call::new("PUT", registry.url(&format!("manifests/{tag}")))
            .body(&manifest.descriptor.media_type, &manifest.bytes);
        let answer = registry.call(call, Want::Push, &what)?;
        if answer.ok() {
            return same(&answer, image.digest());
        }
        if again || !misses_blob(&answer) {
            return Err(registry.refusal(&answer, Doing::PutManifest, &what));
        }
        upload(registry, image, true, pushed)?;
    }
    Ok(())
}

/// What the registry serves is what was sent: manifest, layers, tags.
fn read_back(registry: &Registry<'_>, image: &Image, tags: &[String]) -> Result<Fetched, Error> {
    let wrong = |text: String| {
        Error::new(Kind::Broken, text)
            .hint("the image is there and must not be used; tell whoever runs the registry")
    };
    for tag in tags {
        let now = Digest::of(&registry.manifest(tag)?.0);
        if now != *image.digest() {
            return Err(wrong(format!("`{}:{tag}` was written and stands for {now}", registry.repository)));
        }
    }
    let fetched = fetch(registry, image.digest().as_str())?;
    let layers = fetched.child.iter().flat_map(|c| &c.layers);
    for layer in layers {
        if let crate::Look::Broken(why) = &layer.look {
            return Err(wrong(format!("the registry does not give back what it was sent: {why}")));
        }
    }
    Ok(fetched)
}
