//! What the verbs about images share: a registry with the terminal looking on, and how an image is shown.

use crate::args::RemoteArgs;
use crate::failure::{Code, Failure, Result};
use crate::plan::{environment, options};
pub(super) use crate::screen::Screen;
use crate::ui::{Paint, Tone, Ui};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use tamis_oci::consumers::{Consumer, Opinion};
use tamis_oci::remote::Registry;
use tamis_oci::{Fetched, Folder, Module, Reference, consumers};
use tamis_traffic::redact::show;

/// The repository of a reference.
pub(super) fn open<'w>(
    reference: &Reference,
    args: &RemoteArgs,
    screen: &'w Screen<'_>,
) -> Result<Registry<'w>> {
    Ok(Registry::open(reference, &options(args)?, &environment, screen)?)
}

/// Reads what a reference names, from a registry or a folder.
pub(super) fn fetch(
    reference: &Reference,
    layout: Option<&Path>,
    args: &RemoteArgs,
    ui: &mut Ui,
) -> Result<Fetched> {
    if let Some(folder) = layout {
        return Ok(tamis_oci::fetch(&Folder::at(folder), reference.target())?);
    }
    ui.status("Fetching", &reference.to_string());
    let screen = Screen::new(ui);
    let registry = open(reference, args, &screen)?;
    Ok(tamis_oci::fetch(&registry, reference.target())?)
}

/// What the named consumers make of an image; all when none is named.
pub(super) fn opinions(targets: &[String], image: &Fetched) -> Result<Vec<Opinion>> {
    if targets.is_empty() {
        return Ok(consumers::judge(image));
    }
    let mut all = Vec::new();
    for target in targets {
        let (consumer, version) = Consumer::named(target)
            .map_err(|why| Failure::new(Code::Usage, format!("no consumer `{target}`")).hint(why))?;
        all.push(consumer.judge(version, image));
    }
    Ok(all)
}

pub(super) fn opinions_json(opinions: &[Opinion]) -> Value {
    let finding = |f: &consumers::Finding| json!({"rule": f.rule.id(), "breaks": f.breaks, "text": f.text});
    let all = opinions.iter().map(|o| {
        let findings: Vec<_> = o.findings.iter().map(finding).collect();
        json!({"consumer": o.consumer, "loads": o.loads, "findings": findings})
    });
    all.collect()
}

/// One line for each consumer: whether it loads the image, and which rule it breaks.
pub(super) fn opinions_text(opinions: &[Opinion], paint: Paint) -> String {
    let width = opinions.iter().map(|o| o.consumer.len()).max().unwrap_or(0);
    let mut text = String::new();
    for opinion in opinions {
        let word = match opinion.loads {
            true => paint.tone(Tone::Good, "loads it"),
            false => paint.tone(Tone::Bad, "does not load it"),
        };
        let why: Vec<_> =
            opinion.findings.iter().map(|f| format!("{} [{}]", safe(&f.text), f.rule.id())).collect();
        let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
        let _ = writeln!(text, "{:<width$}  {word}{why}", opinion.consumer);
    }
    text
}

/// The two digests that manifests ask for, told apart.
pub(super) fn module_json(module: &Module) -> Value {
    json!({"sha256": module.sha256.hex(), "bytes": module.size, "abi": module.abi()})
}

/// Text of strangers, fit for a terminal.
pub(super) fn safe(text: &str) -> String {
    show(text.as_bytes()).to_string()
}
