//! `tamis inspect oci://…`: anybody's image, what is attached to it, and what each consumer makes of it.

use crate::args::InspectArgs;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::ui::{Tone, Ui};
use crate::verb::image::{Screen, module_json, open, opinions, opinions_json, opinions_text, safe};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use tamis_oci::{Attached, Digest, Fetched, Folder, Kind, Module, Reference, attached, fetch, sbom};

/// A list of packages that is attached.
struct Sbom {
    manifest: Digest,
    components: usize,
}

/// What was seen.
struct Seen {
    fetched: Fetched,
    /// None when nobody can say: a folder, or a registry that does not.
    attached: Option<Vec<Attached>>,
    sboms: Vec<Sbom>,
}

/// A consumer that was named and does not load the image is a finding; so is an image that nobody loads.
pub(super) fn run(args: &InspectArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.file.parse()?;
    let seen = look(&reference, args, ui)?;
    let opinions = opinions(&args.target, &seen.fetched)?;
    if ui.json() {
        let mut line = as_json(&reference, &seen);
        line["consumers"] = opinions_json(&opinions);
        ui.json_line(&line)?;
    } else {
        let text = as_text(&reference, &seen, ui) + &opinions_text(&opinions, ui.paint());
        ui.data(&text)?;
    }
    let fine = match args.target.is_empty() {
        true => opinions.iter().any(|o| o.loads),
        false => opinions.iter().all(|o| o.loads),
    };
    Ok(if fine { Exit::Ok } else { Exit::Findings })
}

fn look(reference: &Reference, args: &InspectArgs, ui: &mut Ui) -> Result<Seen> {
    if let Some(folder) = &args.layout {
        let fetched = fetch(&Folder::at(folder), reference.target())?;
        return Ok(Seen { fetched, attached: None, sboms: Vec::new() });
    }
    ui.status("Fetching", &reference.to_string());
    let (seen, lists) = {
        let screen = Screen::new(ui);
        let registry = open(reference, &args.remote, &screen)?;
        let fetched = fetch(&registry, reference.target())?;
        let found = attached(&registry, &fetched.digest)
            .and_then(|all| sbom::read(&registry, &all).map(|lists| (all, lists)));
        let (attached, lists) = match found {
            Ok((all, lists)) => (Some(all), lists),
            // The image itself can be judged without.
            Err(e) if args.sbom.is_none() && e.kind != Kind::Interrupted => {
                tamis_oci::Watch::note(&screen, &format!("what is attached to the image is not known: {e}"));
                (None, Vec::new())
            }
            Err(e) => return Err(e.into()),
        };
        (Seen { fetched, attached, sboms: Vec::new() }, lists)
    };
    if let Some(path) = &args.sbom {
        save(path, reference, &lists, ui)?;
    }
    let count = |(manifest, bytes): &(Digest, Vec<u8>)| {
        let components = sbom::count(bytes).ok()?;
        Some(Sbom { manifest: manifest.clone(), components })
    };
    Ok(Seen { sboms: lists.iter().filter_map(count).collect(), ..seen })
}

/// The one list; of several, the one that was attached last.
fn save(path: &Path, reference: &Reference, lists: &[(Digest, Vec<u8>)], ui: &mut Ui) -> Result<()> {
    let Some((manifest, bytes)) = lists.last() else {
        let failure =
            Failure::new(Code::ImageNotFound, format!("no CycloneDX list is attached to {reference}"));
        return Err(failure.hint("`tamis push --sbom` attaches one"));
    };
    if lists.len() > 1 {
        ui.warn(&format!("{} lists are attached; {manifest} is the last", lists.len()));
    }
    std::fs::write(path, bytes)
        .map_err(|e| Failure::because(Code::CannotWrite, format!("cannot write `{}`", path.display()), e))?;
    ui.status("Wrote", &format!("{}, {} bytes", path.display(), bytes.len()));
    Ok(())
}

fn as_json(reference: &Reference, seen: &Seen) -> serde_json::Value {
    let child = seen.fetched.child.as_ref();
    let found = child.and_then(|c| c.found());
    let layers = child.iter().flat_map(|c| &c.layers).map(|l| &l.descriptor);
    let attached = |all: &Vec<Attached>| -> Vec<_> {
        all.iter().map(|a| json!({"type": a.kind, "manifest": a.digest})).collect()
    };
    let sboms = seen.sboms.iter().map(|s| json!({"manifest": s.manifest, "components": s.components}));
    json!({
        "event": "image", "reference": reference.to_string(), "digest": seen.fetched.digest,
        "index": seen.fetched.index.is_some(), "manifest": child.map(|c| &c.digest),
        "layout": found.map(|f| f.shape.name()), "wasm": found.map(|f| module_json(&Module::read(f.wasm))),
        "annotations": child.map(|c| &c.manifest.annotations), "layers": layers.collect::<Vec<_>>(),
        "attached": seen.attached.as_ref().map(attached), "sboms": sboms.collect::<Vec<_>>(),
    })
}

fn as_text(reference: &Reference, seen: &Seen, ui: &Ui) -> String {
    let paint = ui.paint();
    let strong = |t: &str| paint.tone(Tone::Strong, t);
    let fetched = &seen.fetched;
    let mut text =
        format!("{} {reference}\n{} {}\n", strong("image     "), strong("digest    "), fetched.digest);
    let child = fetched.child.as_ref();
    if let Some(child) = child.filter(|_| fetched.index.is_some()) {
        let _ = writeln!(text, "{} {} of an index", strong("manifest  "), child.digest);
    }
    for layer in child.iter().flat_map(|c| &c.layers) {
        let d = &layer.descriptor;
        let _ = writeln!(text, "{} {} {} bytes", strong("layer     "), safe(&d.media_type), d.size);
    }
    if let Some(found) = child.and_then(|c| c.found()) {
        let module = Module::read(found.wasm);
        let _ = writeln!(text, "{} {}", strong("layout    "), found.shape.name());
        let abi = module.abi().map_or(String::new(), |abi| format!(", Proxy-Wasm {}", safe(abi)));
        let sha256 = module.sha256.hex();
        let _ = writeln!(text, "{} sha256:{sha256}, {} bytes{abi}", strong("wasm      "), module.size);
    }
    for one in seen.attached.iter().flatten() {
        let count = seen.sboms.iter().find(|s| s.manifest == one.digest);
        let count = count.map_or(String::new(), |s| format!(", {} components", s.components));
        let _ = writeln!(text, "{} {} {}{count}", strong("attached  "), safe(&one.kind), one.digest);
    }
    for (key, value) in child.iter().flat_map(|c| &c.manifest.annotations) {
        let _ = writeln!(text, "  {}: {}", safe(key), safe(value));
    }
    text
}
