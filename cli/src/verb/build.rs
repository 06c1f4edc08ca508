//! `tamis build`.

use crate::args::BuildArgs;
use crate::build::{self, Built, Request};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::ui::Ui;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &BuildArgs, ui: &mut Ui) -> Result<Exit> {
    let request = Request {
        packages: args.package.clone(),
        target: args.target.clone(),
        profile: args.profile.clone(),
        max_size: args.max_size.map(|b| b.0),
        ..Request::default()
    };
    for built in build::all(Path::new("."), &request, ui)? {
        ui.status(
            "Finished",
            &format!("{} v{}, {} bytes, Envoy would load it", built.name, built.version, built.size),
        );
        if args.timings && !ui.json() {
            for (step, seconds) in &built.steps.0 {
                ui.note(&format!("{step:<6} {seconds:7.2} s"));
            }
            ui.note(&format!("{} bytes from cargo, {} linked", built.before, built.size));
        }
        let sbom = match args.sbom {
            true => Some(write_sbom(&built)?),
            false => None,
        };
        if ui.json() {
            let mut line = serde_json::json!({
                "event": "built", "name": built.name, "version": built.version,
                "path": built.wasm.display().to_string(), "bytes": built.size,
            });
            if let Some(path) = &sbom {
                line["sbom"] = path.display().to_string().into();
            }
            if args.timings {
                line["bytes_before"] = built.before.into();
                let step =
                    |(step, seconds): &(&str, f64)| serde_json::json!({"step": step, "seconds": seconds});
                line["timings"] = built.steps.0.iter().map(step).collect();
            }
            ui.json_line(&line)?;
        } else {
            ui.data(&format!("{}\n", built.wasm.display()))?;
            if let Some(path) = &sbom {
                ui.data(&format!("{}\n", path.display()))?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// Beside the module, with the ending that CycloneDX recommends.
fn write_sbom(built: &Built) -> Result<PathBuf> {
    let path = built.wasm.with_extension("cdx.json");
    std::fs::write(&path, build::sbom(built)?)
        .map_err(|e| Failure::because(Code::CannotWrite, format!("cannot write `{}`", path.display()), e))?;
    Ok(path)
}
