//! `tamis fix`.

use super::image::{Screen, module_json, open, opinions_json, opinions_text, safe};
use crate::args::FixArgs;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::ui::{Tone, Ui};
use serde_json::json;
use std::path::Path;
use tamis_oci::mend::{Mend, Mended, mend};
use tamis_oci::remote::{Push, push};
use tamis_oci::{Folder, Layout, Reference, Saved};

pub(super) fn run(args: &FixArgs, ui: &mut Ui) -> Result<Exit> {
    let to: Option<Reference> = args.push.as_deref().map(str::parse).transpose()?;
    if to.as_ref().is_some_and(|to| to.digest.is_some()) {
        let text = "a push names a tag; the digest comes of what is pushed";
        return Err(Failure::new(Code::Usage, text));
    }
    let mended = read(args, ui)?;
    if mended.mends.is_empty() {
        ui.status("Unchanged", &format!("nothing to mend: who reads {} loads it", layout(args).name()));
        return tell(args, &mended, "unchanged", None, ui);
    }
    let image = &mended.image;
    if let Some(to) = &to {
        ui.status("Pushing", &format!("{} to {}", image.layout.name(), to.place()));
        let screen = Screen::new(ui);
        let registry = open(to, &args.remote, &screen)?;
        let tags = [to.tag().to_owned()];
        push(&registry, &Push { image, tags: &tags, overwrite: args.overwrite })?;
    }
    if let Some(folder) = &args.layout {
        let tag = args.tag.as_deref().filter(|t| !t.contains(':')).unwrap_or("latest");
        Folder::at(folder).write(image, tag, args.overwrite)?;
        ui.status("Wrote", &format!("{} to `{}`", image.layout.name(), folder.display()));
    }
    let event = match (&to, &args.layout) {
        (Some(_), _) => "pushed",
        (None, Some(_)) => "written",
        (None, None) => "would-mend",
    };
    tell(args, &mended, event, to.as_ref(), ui)
}

fn layout(args: &FixArgs) -> Layout {
    args.layout_kind.into()
}

/// The repair of an image in a registry, a folder or a file.
fn read(args: &FixArgs, ui: &mut Ui) -> Result<Mended> {
    let layout = layout(args);
    if args.image.starts_with("oci://") {
        if args.tag.is_some() {
            return Err(Failure::new(Code::Usage, "`--tag` is for folders and files; a name has its own"));
        }
        let reference: Reference = args.image.parse()?;
        ui.status("Fetching", &reference.to_string());
        let screen = Screen::new(ui);
        return Ok(mend(&open(&reference, &args.remote, &screen)?, reference.target(), layout)?);
    }
    let path = Path::new(&args.image);
    if path.is_dir() {
        let folder = Folder::at(path);
        let tag = args.tag.clone().map_or_else(|| folder.only(), Ok)?;
        return Ok(mend(&folder, &tag, layout)?);
    }
    if !path.is_file() {
        let failure = Failure::new(Code::NoSuchFile, format!("no image at `{}`", path.display()));
        return Err(failure.hint("a published one is named `oci://REF`"));
    }
    let saved = Saved::read(path)?;
    let tag = args.tag.clone().map_or_else(|| saved.only(), Ok)?;
    Ok(mend(&saved, &tag, layout)?)
}

fn tell(args: &FixArgs, mended: &Mended, event: &str, to: Option<&Reference>, ui: &mut Ui) -> Result<Exit> {
    let image = &mended.image;
    let digest = if mended.mends.is_empty() { &mended.from } else { image.digest() };
    let pinned = to.map(|to| format!("oci://{}@{}", to.place(), image.digest()));
    if ui.json() {
        let one = |m: &Mend| json!({"rule": m.rule.id(), "text": m.text, "consumers": m.consumers});
        let mends: Vec<_> = mended.mends.iter().map(one).collect();
        ui.json_line(&json!({
            "event": event, "image": args.image, "was": mended.from, "digest": digest,
            "layout": image.layout.name(), "pinned": pinned, "mended": mends, "wasm": module_json(&image.module),
            "consumers": opinions_json(&mended.opinions),
        }))?;
        return Ok(Exit::Ok);
    }
    let paint = ui.paint();
    let strong = |text: &str| paint.tone(Tone::Strong, text);
    let mut text = String::new();
    for one in &mended.mends {
        let who = one.consumers.join(", ");
        text += &format!("{} {} [{}]: {who}\n", strong("mended "), safe(&one.text), one.rule.id());
    }
    if !mended.mends.is_empty() {
        text += &format!("{} {}\n", strong("was    "), mended.from);
        text += &match &pinned {
            Some(pinned) => format!("{} {pinned}\n", strong("image  ")),
            None => format!("{} {}\n", strong("image  "), image.digest()),
        };
        let module = &image.module;
        text += &format!("{} sha256:{}, {} bytes\n", strong("wasm   "), module.sha256.hex(), module.size);
        text += &opinions_text(&mended.opinions, paint);
    }
    ui.data(&text)?;
    Ok(Exit::Ok)
}
