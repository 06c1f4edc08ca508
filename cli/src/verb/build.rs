//! `tamis build`.

use crate::args::BuildArgs;
use crate::build::{self, Request};
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::Ui;
use std::path::Path;

pub(super) fn run(args: &BuildArgs, ui: &mut Ui) -> Result<Exit> {
    let request = Request {
        packages: args.package.clone(),
        target: args.target.clone(),
        profile: args.profile.clone(),
        max_size: args.max_size.map(|b| b.0),
        coverage: false,
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
        if ui.json() {
            let mut line = serde_json::json!({
                "event": "built", "name": built.name, "version": built.version,
                "path": built.wasm.display().to_string(), "bytes": built.size,
            });
            if args.timings {
                line["bytes_before"] = built.before.into();
                let step =
                    |(step, seconds): &(&str, f64)| serde_json::json!({"step": step, "seconds": seconds});
                line["timings"] = built.steps.0.iter().map(step).collect();
            }
            ui.json_line(&line)?;
        } else {
            ui.data(&format!("{}\n", built.wasm.display()))?;
        }
    }
    Ok(Exit::Ok)
}
