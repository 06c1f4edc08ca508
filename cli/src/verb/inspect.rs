//! `tamis inspect`.

use super::config::schema;
use super::image::{fetch, module_json, opinions, opinions_json, opinions_text, safe};
use crate::args::InspectArgs;
use crate::build::SECTION;
use crate::exit::Exit;
use crate::failure::Result;
use crate::plan::{bad_module, read_file};
use crate::ui::{Tone, Ui};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use tamis_host::ModuleFacts;
use tamis_oci::{Module, Reference};

pub(super) fn run(args: &InspectArgs, ui: &mut Ui) -> Result<Exit> {
    if args.layout.is_some() || args.file.starts_with("oci://") {
        return image(args, ui);
    }
    let label = args.file.clone();
    let wasm = read_file(Path::new(&label))?;
    let facts = tamis_host::inspect(&wasm).map_err(|e| bad_module(&label, e))?;
    if ui.json() {
        ui.json_line(&as_json(&label, &facts))?;
    } else {
        let text = as_text(&label, &facts, ui);
        ui.data(&text)?;
    }
    Ok(Exit::Ok)
}

/// Anybody's image, and what each consumer makes of it. A consumer that was named and does not load it is a finding;
/// so is an image that nobody loads.
fn image(args: &InspectArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.file.parse()?;
    let fetched = fetch(&reference, args.layout.as_deref(), &args.remote, ui)?;
    let opinions = opinions(&args.target, &fetched)?;
    let child = fetched.child.as_ref();
    let found = child.and_then(|c| c.found());
    let module = found.map(|f| Module::read(f.wasm));
    if ui.json() {
        let layers = child.iter().flat_map(|c| &c.layers).map(|l| &l.descriptor);
        ui.json_line(&json!({
            "event": "image", "reference": reference.to_string(), "digest": fetched.digest,
            "index": fetched.index.is_some(), "manifest": child.map(|c| &c.digest),
            "layout": found.map(|f| f.shape.name()), "wasm": module.as_ref().map(module_json),
            "annotations": child.map(|c| &c.manifest.annotations),
            "layers": layers.collect::<Vec<_>>(), "consumers": opinions_json(&opinions),
        }))?;
    } else {
        let paint = ui.paint();
        let strong = |t: &str| paint.tone(Tone::Strong, t);
        let mut text =
            format!("{} {reference}\n{} {}\n", strong("image     "), strong("digest    "), fetched.digest);
        if let Some(child) = child.filter(|_| fetched.index.is_some()) {
            let _ = writeln!(text, "{} {} of an index", strong("manifest  "), child.digest);
        }
        for layer in child.iter().flat_map(|c| &c.layers) {
            let d = &layer.descriptor;
            let _ = writeln!(text, "{} {} {} bytes", strong("layer     "), safe(&d.media_type), d.size);
        }
        if let (Some(found), Some(module)) = (found, &module) {
            let _ = writeln!(text, "{} {}", strong("layout    "), found.shape.name());
            let abi = module.abi().map_or(String::new(), |abi| format!(", Proxy-Wasm {}", safe(abi)));
            let _ = writeln!(
                text,
                "{} sha256:{}, {} bytes{abi}",
                strong("wasm      "),
                module.sha256.hex(),
                module.size
            );
        }
        for (key, value) in child.iter().flat_map(|c| &c.manifest.annotations) {
            let _ = writeln!(text, "  {}: {}", safe(key), safe(value));
        }
        text += &opinions_text(&opinions, paint);
        ui.data(&text)?;
    }
    let fine = match args.target.is_empty() {
        true => opinions.iter().any(|o| o.loads),
        false => opinions.iter().all(|o| o.loads),
    };
    Ok(if fine { Exit::Ok } else { Exit::Findings })
}

/// What `tamis build` wrote into the module.
fn package(facts: &ModuleFacts) -> Option<Value> {
    let (_, content) = facts.custom_sections.iter().find(|(name, _)| name == SECTION)?;
    serde_json::from_slice(content).ok()
}

fn as_json(file: &str, facts: &ModuleFacts) -> Value {
    let imports: Vec<_> =
        facts.imports.iter().map(|i| json!({"module": i.module, "name": i.name, "type": i.ty})).collect();
    let exports: Vec<_> = facts.exports.iter().map(|e| json!({"name": e.name, "type": e.ty})).collect();
    let sections: Vec<_> = facts
        .custom_sections
        .iter()
        .map(|(name, bytes)| json!({"name": name, "bytes": bytes.len()}))
        .collect();
    json!({
        "event": "module", "file": file, "bytes": facts.size, "abi": facts.abi.to_string(), "loads": true,
        "allocator": facts.allocator, "package": package(facts), "schema": schema(facts), "imports": imports, "exports": exports,
        "custom_sections": sections,
    })
}

fn as_text(file: &str, facts: &ModuleFacts, ui: &Ui) -> String {
    let paint = ui.paint();
    let strong = |t: &str| paint.tone(Tone::Strong, t);
    let mut text = String::new();
    let _ = writeln!(text, "{} {file}", strong("filter    "));
    if let Some(package) = package(facts) {
        let field = |key: &str| safe(package[key].as_str().unwrap_or("?"));
        let _ = writeln!(text, "{} {} v{}", strong("package   "), field("name"), field("version"));
    }
    if let Some(schema) = schema(facts) {
        let keys: Vec<_> =
            schema["properties"].as_object().into_iter().flatten().map(|(k, _)| safe(k)).collect();
        let keys = if keys.is_empty() { "of a schema".to_owned() } else { keys.join(", ") };
        let _ = writeln!(text, "{} {keys}", strong("takes     "));
    }
    let _ = writeln!(text, "{} {} bytes", strong("size      "), facts.size);
    let _ = writeln!(text, "{} Proxy-Wasm {}", strong("abi       "), facts.abi);
    let _ = writeln!(text, "{} `{}`", strong("allocator "), facts.allocator);
    let _ = writeln!(text, "{} {}", strong("envoy     "), paint.tone(Tone::Good, "would load it"));
    let _ = writeln!(text, "{} {}", strong("imports   "), facts.imports.len());
    for import in &facts.imports {
        let _ = writeln!(text, "  {}.{} {}", safe(&import.module), safe(&import.name), import.ty);
    }
    let _ = writeln!(text, "{} {}", strong("exports   "), facts.exports.len());
    for export in &facts.exports {
        let _ = writeln!(text, "  {} {}", safe(&export.name), export.ty);
    }
    if !facts.custom_sections.is_empty() {
        let _ = writeln!(text, "{} {}", strong("custom    "), facts.custom_sections.len());
        for (name, bytes) in &facts.custom_sections {
            let _ = writeln!(text, "  {} {} bytes", safe(name), bytes.len());
        }
    }
    text
}
