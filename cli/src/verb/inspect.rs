//! `tamis inspect`.

mod published;

use super::config::schema;
use super::image::safe;
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

pub(super) fn run(args: &InspectArgs, ui: &mut Ui) -> Result<Exit> {
    if args.layout.is_some() || args.file.starts_with("oci://") {
        return published::run(args, ui);
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
