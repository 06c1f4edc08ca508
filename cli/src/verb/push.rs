//! `tamis push`.

use super::image::{Screen, module_json, open, opinions_json, opinions_text};
use super::sign::state;
use crate::args::PushArgs;
use crate::build::{self, Built, Request};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::plan::{self, Source, facts, read_file};
use crate::ui::{Tone, Ui};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tamis_oci::remote::{Push, Registry, Tagged, attach, push};
use tamis_oci::sign::{PrivateKey, Signed, sign};
use tamis_oci::{Fetched, Folder, Image, Layout, Module, Reference, Spec, consumers, fetch, sbom};

pub(super) fn run(args: &PushArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.reference.parse()?;
    if reference.digest.is_some() {
        let text = "a push names a tag; the digest comes of what is pushed";
        return Err(Failure::new(Code::Usage, text));
    }
    let key = args.sign.as_deref().map(PrivateKey::file).transpose()?;
    let own = read_annotations(&args.annotation)?;
    let (wasm, built) = module(args, ui)?;
    let mut annotations = facts(built.as_ref(), ui)?.annotations(&Module::read(&wasm));
    annotations.extend(own);
    let sbom = sbom(args, built.as_ref())?;
    let root_id = built.and_then(|b| b.settings.root_id).unwrap_or_default();
    let tags = tags(&reference, &args.tag);
    let first = Layout::from(args.layout_kind);
    let mut layouts = vec![first];
    layouts.extend(args.also.iter().map(|l| Layout::from(*l)).filter(|l| *l != first));
    for layout in layouts {
        let spec = Spec { layout, wasm: &wasm, annotations: annotations.clone(), root_id: root_id.clone() };
        let image = Image::build(&spec)?;
        let behind = if layout == first { "" } else { suffix(layout) };
        let tags: Vec<_> = tags.iter().map(|t| format!("{t}{behind}")).collect();
        let more = More { key: key.as_ref(), sbom: sbom.as_deref() };
        one(args, &reference, (&image, &tags), &more, ui)?;
    }
    Ok(Exit::Ok)
}

/// What is attached to each image.
struct More<'a> {
    key: Option<&'a PrivateKey>,
    sbom: Option<&'a [u8]>,
}

/// The list to attach: of the file that is named, else of the package that was built.
fn sbom(args: &PushArgs, built: Option<&Built>) -> Result<Option<Vec<u8>>> {
    let Some(named) = &args.sbom else { return Ok(None) };
    let bytes = match (named, built) {
        (Some(path), _) => read_file(path)?,
        (None, Some(built)) => build::sbom(built)?,
        (None, None) => {
            let text = "of a module alone nobody knows what it is made of";
            return Err(Failure::new(Code::Usage, text)
                .hint("name the list: `--sbom=FILE`; `tamis build --sbom` writes one beside the module"));
        }
    };
    // Before anything is pushed.
    sbom::count(&bytes)?;
    Ok(Some(bytes))
}

/// The tags, each once. `latest` is meant only where nothing else is said.
fn tags(reference: &Reference, more: &[String]) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in reference.tag.iter().chain(more) {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    if tags.is_empty() {
        tags.push(reference.tag().to_owned());
    }
    tags
}

/// What stands behind a tag of `--also`.
fn suffix(layout: Layout) -> &'static str {
    match layout {
        Layout::Compat => "-compat",
        Layout::Docker => "-docker",
        Layout::Solo => "-solo",
        Layout::Cncf => "-wasm",
    }
}

fn module(args: &PushArgs, ui: &mut Ui) -> Result<(Vec<u8>, Option<Built>)> {
    Ok(match Source::find(&args.filter)? {
        Source::Wasm(path) => (read_file(&path)?, None),
        Source::Bytes(_, bytes) => (bytes, None),
        Source::Image(reference) => (plan::module(&reference, &(&args.remote).into(), ui)?.1, None),
        Source::Package(folder) => {
            let built =
                build::one(&folder, &Request { target: args.target.clone(), ..Request::default() }, ui)?;
            (read_file(&built.wasm)?, Some(built))
        }
    })
}

fn read_annotations(given: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty())?;
        Some((key.to_owned(), value.to_owned()))
    };
    let all = given.iter().map(|text| {
        pair(text).ok_or_else(|| Failure::new(Code::Usage, format!("`--annotation {text}` is no KEY=VALUE")))
    });
    all.collect()
}

/// What happened to the tags of one image.
struct Outcome {
    event: &'static str,
    tags: Vec<(String, Tagged)>,
    uploaded: usize,
    bytes: u64,
    fetched: Fetched,
    signed: Option<Signed>,
    sbom: Option<Value>,
}

fn one(
    args: &PushArgs,
    reference: &Reference,
    (image, tags): (&Image, &[String]),
    more: &More<'_>,
    ui: &mut Ui,
) -> Result<()> {
    let outcome = if let Some(folder) = &args.layout {
        let store = Folder::at(folder);
        let mut states = Vec::new();
        for tag in tags {
            let new = store.write(image, tag, args.overwrite)?;
            states.push((tag.clone(), if new { Tagged::New } else { Tagged::Unchanged }));
        }
        ui.status("Wrote", &format!("{} to `{}`", image.layout.name(), folder.display()));
        let fetched = fetch(&store, image.digest().as_str())?;
        Outcome { event: "written", tags: states, uploaded: 0, bytes: 0, fetched, signed: None, sbom: None }
    } else if args.dry_run {
        let states = tags.iter().map(|t| (t.clone(), Tagged::New)).collect();
        let fetched = fetch(image, image.digest().as_str())?;
        let made = |bytes: &[u8]| sbom::artifact(image.manifest.descriptor.clone(), bytes.to_vec());
        let made = more.sbom.map(made).transpose()?;
        let sbom = made.map(|made| json!({"state": "not-asked", "manifest": made.digest()}));
        Outcome { event: "would-push", tags: states, uploaded: 0, bytes: 0, fetched, signed: None, sbom }
    } else {
        ui.status("Pushing", &format!("{} to {}", image.layout.name(), reference.place()));
        let screen = Screen::new(ui);
        let registry = open(reference, &args.remote, &screen)?;
        let pushed = push(&registry, &Push { image, tags, overwrite: args.overwrite })?;
        let sbom = more.sbom.map(|bytes| attach_sbom(&registry, image, bytes, more.key)).transpose()?;
        let signed = more.key.map(|key| sign(&registry, image.digest().as_str(), key)).transpose()?;
        Outcome {
            event: "pushed",
            tags: pushed.tags,
            uploaded: pushed.uploaded,
            bytes: pushed.bytes,
            fetched: pushed.fetched,
            signed: signed.map(|(_, signed)| signed),
            sbom,
        }
    };
    tell(reference, image, &outcome, ui)
}

fn attach_sbom(
    registry: &Registry<'_>,
    image: &Image,
    bytes: &[u8],
    key: Option<&PrivateKey>,
) -> Result<Value> {
    let made = sbom::artifact(image.manifest.descriptor.clone(), bytes.to_vec())?;
    let state = if attach(registry, &made)? { "new" } else { "unchanged" };
    if let Some(key) = key {
        sign(registry, made.digest().as_str(), key)?;
    }
    Ok(json!({"state": state, "manifest": made.digest(), "components": sbom::count(bytes)?}))
}

fn tell(reference: &Reference, image: &Image, outcome: &Outcome, ui: &mut Ui) -> Result<()> {
    let opinions = consumers::judge(&outcome.fetched);
    let digest = image.digest();
    let place = reference.place();
    if outcome.event == "pushed" {
        let text = match outcome.uploaded {
            0 => "no blob was new".to_owned(),
            count => format!("{count} blobs, {} bytes; read back and checked", outcome.bytes),
        };
        ui.status(
            if outcome.tags.iter().all(|(_, t)| *t == Tagged::Unchanged) { "Unchanged" } else { "Pushed" },
            &text,
        );
    }
    if ui.json() {
        let was = |tagged: &Tagged| match tagged {
            Tagged::New => json!({"state": "new"}),
            Tagged::Unchanged => json!({"state": "unchanged"}),
            Tagged::Moved(from) => json!({"state": "moved", "was": from}),
        };
        let tags: Vec<_> = outcome
            .tags
            .iter()
            .map(|(tag, tagged)| {
                let mut line = was(tagged);
                line["tag"] = json!(tag);
                line
            })
            .collect();
        return ui.json_line(&json!({
            "event": outcome.event, "repository": place, "digest": digest, "layout": image.layout.name(),
            "pinned": format!("oci://{place}@{digest}"), "tags": tags, "wasm": module_json(&image.module),
            "signature": outcome.signed.as_ref().map(state), "sbom": outcome.sbom,
            "uploaded": outcome.uploaded, "uploaded_bytes": outcome.bytes, "consumers": opinions_json(&opinions),
        }));
    }
    let paint = ui.paint();
    let strong = |text: &str| paint.tone(Tone::Strong, text);
    let mut text = String::new();
    for (tag, tagged) in &outcome.tags {
        let state = match tagged {
            _ if outcome.event == "would-push" => "not asked".to_owned(),
            Tagged::New => "new".to_owned(),
            Tagged::Unchanged => "unchanged".to_owned(),
            Tagged::Moved(from) => format!("moved from {from}"),
        };
        text += &format!("{} {place}:{tag} ({state})\n", strong("tag    "));
    }
    text += &format!("{} oci://{place}@{digest}\n", strong("image  "));
    text +=
        &format!("{} sha256:{}, {} bytes\n", strong("wasm   "), image.module.sha256.hex(), image.module.size);
    for (word, value) in [("sbom   ", outcome.sbom.clone()), ("signed ", outcome.signed.as_ref().map(state))]
    {
        if let Some(value) = value {
            let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            text += &format!("{} {} ({})\n", strong(word), field("manifest"), field("state"));
        }
    }
    text += &opinions_text(&opinions, paint);
    ui.data(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_meant_only_where_nothing_else_is_said() {
        let tags = |name: &str, more: &[&str]| {
            let more: Vec<_> = more.iter().map(|t| (*t).to_owned()).collect();
            tags(&name.parse().unwrap(), &more).join(" ")
        };
        assert_eq!(tags("r.example/f", &[]), "latest");
        assert_eq!(tags("r.example/f", &["v1", "v1"]), "v1");
        assert_eq!(tags("r.example/f:v2", &["v1", "v2"]), "v2 v1");
    }
}
