//! What is attached to an image: by the registry's own list, or under the tag that stands in for one.

use super::auth::Want;
use super::http::{Answer, Call};
use super::push::{put, upload_missing};
use super::refusal::Doing;
use super::registry::Registry;
use crate::artifact::Artifact;
use crate::error::{Error, Kind};
use crate::manifest::{Descriptor, Document, Index, MAX_MANIFEST, json, types};
use crate::{Digest, Store};
use std::collections::BTreeMap;

/// Pages of a list that are read; registries give hundreds of entries on one.
const MAX_PAGES: usize = 20;

/// Attempts to add to a tag that others write at the same time.
const MAX_RACES: usize = 5;

/// The tag with the list of a registry that has none (distribution specification 1.1, "Referrers Tag Schema").
pub(crate) fn tag_of(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex())
}

/// What refers to an image. A list that cannot be had is an error, never an empty list.
pub(crate) fn referrers(registry: &Registry<'_>, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
    let what = format!("the list of what refers to {digest}");
    let mut url = registry.url(&format!("referrers/{digest}"));
    let mut all = Vec::new();
    for page in 0..MAX_PAGES {
        let mut call = Call::new("GET", url.clone()).header("accept", types::OCI_INDEX);
        call.limit = MAX_MANIFEST as u64;
        let answer = registry.call(call, Want::Pull, &what)?;
        // No such interface: 404, or a page for browsers, as GHCR has.
        let is_list = answer.header("content-type").is_some_and(|t| t.starts_with(types::OCI_INDEX));
        if page == 0 && (answer.status == 404 || (answer.ok() && !is_list)) {
            return Ok(tagged(registry, digest)?.map(|i| i.manifests).unwrap_or_default());
        }
        if !answer.ok() {
            return Err(registry.refusal(&answer, Doing::Fetch, &what));
        }
        let index: Index = serde_json::from_slice(&answer.body)
            .map_err(|e| Error::new(Kind::Broken, format!("{what} cannot be read")).because(e))?;
        all.extend(index.manifests);
        let Some(next) = next(&answer) else { return Ok(all) };
        url = url.join(next)?;
        registry.keeps_tls(&url)?;
    }
    Err(Error::new(Kind::Broken, format!("{what} has no end")))
}

/// The next page (RFC 8288).
fn next(answer: &Answer) -> Option<&str> {
    answer.all("link").find_map(|link| {
        let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        rest.replace('"', "").contains("rel=next").then_some(url)
    })
}

/// The list under the tag; none when there is no such tag.
fn tagged(registry: &Registry<'_>, digest: &Digest) -> Result<Option<Index>, Error> {
    let tag = tag_of(digest);
    let (bytes, said) = match registry.manifest(&tag) {
        Ok(found) => found,
        Err(e) if e.kind == Kind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    match Document::read(&bytes, said.as_deref())? {
        Document::Index(index) => Ok(Some(index)),
        Document::Manifest(_) => Err(Error::new(
            Kind::BadImage,
            format!("`{}:{tag}` is an image, not a list", registry.repository),
        )),
    }
}

/// Attaches an artifact to its image, and looks whether it is listed. False when it was attached before: then nothing
/// is sent.
///
/// # Errors
/// When the registry refuses, or does not list it afterwards.
pub fn attach(registry: &Registry<'_>, artifact: &Artifact) -> Result<bool, Error> {
    let lists = |all: &[Descriptor]| all.iter().any(|d| d.digest == *artifact.digest());
    if lists(&referrers(registry, &artifact.subject)?) {
        return Ok(false);
    }
    upload_missing(registry, &artifact.blobs, false)?;
    let answer = put(registry, &artifact.manifest, artifact.digest().as_str())?;
    // Who has a list says so (distribution specification 1.1, "Pushing Manifests with Subject").
    if answer.header("oci-subject").is_none() {
        add(registry, artifact)?;
    }
    if lists(&referrers(registry, &artifact.subject)?) {
        return Ok(true);
    }
    let text = format!("the registry took {} and does not list it", artifact.digest());
    Err(Error::new(Kind::Broken, text).hint("nobody will find what was attached"))
}

/// Adds it to the list under the tag. Somebody else may write the tag at the same time, and the protocol has no "only
/// if" that registries honour: so it is read again until the entry stays.
fn add(registry: &Registry<'_>, artifact: &Artifact) -> Result<(), Error> {
    let tag = tag_of(&artifact.subject);
    for _ in 0..MAX_RACES {
        let mut index = tagged(registry, &artifact.subject)?.unwrap_or_else(|| Index {
            schema_version: 2,
            media_type: Some(types::OCI_INDEX.to_owned()),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
        });
        if index.manifests.iter().any(|d| d.digest == *artifact.digest()) {
            return Ok(());
        }
        index.manifests.push(artifact.listed.clone());
        let list = crate::image::Blob::new(types::OCI_INDEX, json(&index)?);
        put(registry, &list, &tag)?;
    }
    Err(Error::new(
        Kind::Busy,
        format!("`{}:{tag}` is written by somebody else all the time", registry.repository),
    ))
}
