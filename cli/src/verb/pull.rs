//! `tamis pull`.

use super::image::{Screen, fetch, module_json, open, safe};
use crate::args::PullArgs;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::ui::{Tone, Ui};
use serde_json::json;
use std::path::{Path, PathBuf};
use tamis_oci::sign::{PublicKey, verify};
use tamis_oci::{Fetched, Module, Reference, Shape, consumers};

pub(super) fn run(args: &PullArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.reference.parse()?;
    let key = args.verify.as_deref().map(PublicKey::file).transpose()?;
    let fetched = fetch(&reference, args.layout.as_deref(), &args.remote, ui)?;
    if let Some(key) = &key {
        // What was fetched, not what the tag stands for by now.
        let screen = Screen::new(ui);
        verify(&open(&reference, &args.remote, &screen)?, &fetched.digest, key)?;
    }
    let child = fetched.child.as_ref().ok_or_else(|| nothing(&fetched, &reference))?;
    let found = child.found().ok_or_else(|| nothing(&fetched, &reference))?;
    if found.shape == Shape::Other {
        ui.warn("the module lies where no reader looks; `tamis inspect` says what each makes of the image");
    }
    let name = reference.repository.rsplit('/').next().unwrap_or("filter");
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.wasm")));
    let new = write(&path, found.wasm, args.overwrite)?;
    let module = Module::read(found.wasm);
    ui.status(if new { "Wrote" } else { "Unchanged" }, &format!("{}, {} bytes", path.display(), module.size));
    let pinned = format!("oci://{}@{}", reference.place(), fetched.digest);
    if ui.json() {
        ui.json_line(&json!({
            "event": "pulled", "repository": reference.place(), "digest": fetched.digest, "manifest": child.digest,
            "layout": found.shape.name(), "pinned": pinned, "wasm": module_json(&module),
            "path": path.display().to_string(), "annotations": child.manifest.annotations, "verified": key.is_some(),
        }))?;
        return Ok(Exit::Ok);
    }
    if key.is_some() {
        ui.status("Verified", "signed with the key");
    }
    let paint = ui.paint();
    let strong = |text: &str| paint.tone(Tone::Strong, text);
    ui.data(&format!(
        "{} {}\n{} {}\n{} sha256:{}, {} bytes\n",
        strong("file   "),
        path.display(),
        strong("image  "),
        pinned,
        strong("wasm   "),
        module.sha256.hex(),
        module.size
    ))?;
    Ok(Exit::Ok)
}

fn nothing(fetched: &Fetched, reference: &Reference) -> Failure {
    let why = consumers::judge(fetched).into_iter().flat_map(|o| o.findings).find(|f| f.breaks);
    let text = format!("no module in {reference}");
    let failure = match why {
        Some(finding) => {
            let cause = anyhow::anyhow!("{} [{}]", safe(&finding.text), finding.rule.id());
            Failure::because(Code::BadImage, text, cause)
        }
        None => Failure::new(Code::BadImage, text),
    };
    failure.run(format!("tamis inspect oci://{reference}"))
}

/// Writes the module; false when the file has it already.
fn write(path: &Path, wasm: &[u8], overwrite: bool) -> Result<bool> {
    if path.exists() {
        if std::fs::read(path).is_ok_and(|old| old == wasm) {
            return Ok(false);
        }
        if !overwrite {
            let text = format!("`{}` has something else in it", path.display());
            return Err(
                Failure::new(Code::Usage, text).hint("name another file with `--out`, or give `--overwrite`")
            );
        }
    }
    let cannot = |e| Failure::because(Code::CannotWrite, format!("cannot write `{}`", path.display()), e);
    // Beside it and then in its place, so that nobody loads half a module.
    let beside = path.with_extension("part");
    std::fs::write(&beside, wasm).and_then(|()| std::fs::rename(&beside, path)).map_err(cannot)?;
    Ok(true)
}
