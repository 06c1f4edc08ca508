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
        if ui.json() {
            ui.json_line(&serde_json::json!({
                "event": "built", "name": built.name, "version": built.version,
                "path": built.wasm.display().to_string(), "bytes": built.size,
            }))?;
        } else {
            ui.data(&format!("{}\n", built.wasm.display()))?;
        }
    }
    Ok(Exit::Ok)
}
