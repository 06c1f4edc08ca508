//! Anybody's image wrapped anew, so that who is meant to load it does. The module stays as it is, byte for byte.

use crate::annotations::{CREATED, Facts, VARIANT, WASM_SHA256};
use crate::consumers::{self, Finding, Opinion, Rule};
use crate::error::{Error, Kind};
use crate::fetch::{Child, Fetched, Found, Shape, TAR_ROOM, fetch, packing};
use crate::image::{Image, Layout, Spec};
use crate::manifest::types;
use crate::module::Module;
use crate::{Digest, MAX_MODULE, Store, tarball};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The annotation that says of which image this one is a repair.
pub const MENDED: &str = "tamis.mended-from";

/// Children of an index that are looked at.
const MAX_CHILDREN: usize = 20;

/// Largest configuration that is searched for labels, bytes: those of large images have some 10 KiB.
const MAX_CONFIG: u64 = 1 << 20;

/// A rule that the image broke and its repair keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// Which.
    pub rule: Rule,
    /// What was wrong with this image.
    pub text: String,
    /// Who loads it now.
    pub consumers: Vec<String>,
}

/// A repair.
#[derive(Debug, Clone)]
pub struct Mended {
    /// The digest of what was mended.
    pub from: Digest,
    /// What was mended; nothing when all who are meant to load the image did so before.
    pub mends: Vec<Mend>,
    /// The new image.
    pub image: Image,
    /// What everybody makes of it; of the old one when nothing is mended.
    pub opinions: Vec<Opinion>,
}

/// Wraps the module of what a tag or digest names in another layout. Annotations and labels come along.
///
/// # Errors
/// [`Kind::CannotMend`] when there is no module, more than one, or one that no proxy loads however it is wrapped;
/// else when the store does not give the image.
pub fn mend(store: &dyn Store, target: &str, layout: Layout) -> Result<Mended, Error> {
    let fetched = fetch(store, target)?;
    let (child, wasm) = module(store, &fetched)?;
    if let Some(finding) = consumers::content(&wasm).into_iter().find(|f| f.breaks) {
        return Err(cannot("no proxy would load this module, however it is wrapped", &finding));
    }
    let mut annotations = labels(store, &child)?;
    annotations.extend(child.manifest.annotations.clone());
    annotations.retain(|key, _| key != VARIANT && !key.is_empty() && !key.chars().any(char::is_control));
    if annotations.get(CREATED).is_some_and(|t| chrono::DateTime::parse_from_rfc3339(t).is_err()) {
        annotations.remove(CREATED);
    }
    annotations.extend(Facts::default().annotations(&Module::read(&wasm)));
    annotations.insert(MENDED.to_owned(), fetched.digest.to_string());
    let root_id = annotations.get("tamis.root-id").cloned().unwrap_or_default();
    let image = Image::build(&Spec { layout, wasm: &wasm, annotations, root_id })?;
    let before = consumers::judge(&fetched);
    let after = consumers::judge(&fetch(&image, image.digest().as_str())?);
    let mends = mends(&before, &after);
    let opinions = if mends.is_empty() { before } else { after };
    Ok(Mended { from: fetched.digest, mends, image, opinions })
}

fn cannot(text: &str, finding: &Finding) -> Error {
    Error::new(Kind::CannotMend, text).because(format!("{} [{}]", finding.text, finding.rule.id()))
}

/// What those broke who load it now, each rule once.
fn mends(before: &[Opinion], after: &[Opinion]) -> Vec<Mend> {
    let mut all: Vec<Mend> = Vec::new();
    for (before, after) in before.iter().zip(after).filter(|(before, after)| !before.loads && after.loads) {
        for finding in before.findings.iter().filter(|f| f.breaks) {
            match all.iter_mut().find(|m| m.rule == finding.rule) {
                Some(known) => known.consumers.push(after.consumer.clone()),
                None => all.push(Mend {
                    rule: finding.rule,
                    text: finding.text.clone(),
                    consumers: vec![after.consumer.clone()],
                }),
            }
        }
    }
    all
}

/// The one module that an image holds, wherever it lies, and the manifest that it is in.
fn module(store: &dyn Store, fetched: &Fetched) -> Result<(Child, Vec<u8>), Error> {
    let nothing = || {
        let finding = consumers::judge(fetched).into_iter().flat_map(|o| o.findings).find(|f| f.breaks);
        let text = "no module is in the image";
        finding.map_or_else(|| Error::new(Kind::CannotMend, text), |f| cannot(text, &f))
    };
    if let Some(child) = &fetched.child {
        let wasm = of_child(store, child)?.ok_or_else(nothing)?;
        return Ok((child.clone(), wasm));
    }
    // An index without a child for the meshes: a module runs everywhere, so another platform's serves as well.
    let mut found: Option<(Child, Vec<u8>)> = None;
    for descriptor in fetched.index.iter().flat_map(|i| &i.manifests).take(MAX_CHILDREN) {
        let Some(child) = fetch(store, descriptor.digest.as_str())?.child else { continue };
        let Some(wasm) = of_child(store, &child)? else { continue };
        match &found {
            Some((_, known)) if *known != wasm => {
                return Err(Error::new(Kind::CannotMend, "the children of the index hold different modules")
                    .hint("name one by its digest"));
            }
            Some(_) => {}
            None => found = Some((child, wasm)),
        }
    }
    found.ok_or_else(nothing)
}

/// Where readers look, else the one file whose name ends as modules' do.
fn of_child(store: &dyn Store, child: &Child) -> Result<Option<Vec<u8>>, Error> {
    if let Some(Found { wasm, shape }) = child.found()
        && (shape != Shape::Other || one_raw(child))
    {
        return Ok(Some(wasm.to_vec()));
    }
    let mut named = Vec::new();
    for layer in &child.layers {
        if let crate::Look::Archive(archive) = &layer.look {
            let ends = |path: &str| path.len() > 5 && path.to_ascii_lowercase().ends_with(".wasm");
            named.extend(archive.files.iter().filter(|(path, _)| ends(path)).map(|(path, _)| (layer, path)));
        }
    }
    match named.as_slice() {
        [] => Ok(child.found().map(|f| f.wasm.to_vec())),
        [(layer, path)] => {
            let Some(packing) = packing(&layer.descriptor.media_type) else { return Ok(None) };
            let blob = store.blob(&layer.descriptor)?;
            tarball::file(&blob, packing, MAX_MODULE + TAR_ROOM, path)
                .map_err(|e| Error::new(Kind::BadImage, "a layer cannot be read").because(tarball::told(&e)))
        }
        many => {
            let paths: Vec<_> = many.iter().map(|(_, p)| format!("`{}`", p.escape_debug())).take(5).collect();
            let text = format!("the image holds several modules: {}", paths.join(", "));
            Err(Error::new(Kind::CannotMend, text)
                .hint("push the one that is meant: `tamis push REF --filter FILE`"))
        }
    }
}

/// One module and nothing else that could be one.
fn one_raw(child: &Child) -> bool {
    child.layers.iter().filter(|l| l.look.wasm().is_some()).count() == 1
}

/// What Docker's tools write about an image stands in its configuration.
fn labels(store: &dyn Store, child: &Child) -> Result<BTreeMap<String, String>, Error> {
    #[derive(Default, Deserialize)]
    struct Config {
        #[serde(default)]
        config: Option<Inner>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inner {
        #[serde(default)]
        labels: Option<BTreeMap<String, String>>,
    }
    let config = &child.manifest.config;
    let images = [types::OCI_CONFIG, types::DOCKER_CONFIG];
    if !images.contains(&config.media_type.as_str()) || config.size > MAX_CONFIG {
        return Ok(BTreeMap::new());
    }
    let bytes = match store.blob(config) {
        Ok(bytes) => bytes,
        // Nothing depends on it.
        Err(e) if e.kind == Kind::Broken => return Ok(BTreeMap::new()),
        Err(e) => return Err(e),
    };
    let read: Config = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut labels = read.config.unwrap_or_default().labels.unwrap_or_default();
    labels.remove(WASM_SHA256);
    Ok(labels)
}
