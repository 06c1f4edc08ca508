//! `tamis verify`.

use super::image::{Screen, open};
use crate::args::VerifyArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::Ui;
use serde_json::json;
use tamis_oci::Reference;
use tamis_oci::sign::{PublicKey, subject, verify};

pub(super) fn run(args: &VerifyArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.reference.parse()?;
    let key = PublicKey::file(&args.key)?;
    ui.status("Verifying", &reference.to_string());
    let (digest, count) = {
        let screen = Screen::new(ui);
        let registry = open(&reference, &args.remote, &screen)?;
        let digest = subject(&registry, reference.target())?.digest;
        let count = verify(&registry, &digest, &key)?;
        (digest, count)
    };
    let pinned = format!("oci://{}@{digest}", reference.place());
    if ui.json() {
        ui.json_line(&json!({
            "event": "verified", "repository": reference.place(), "digest": digest, "pinned": pinned,
            "signatures": count, "key": key.hint(),
        }))?;
        return Ok(Exit::Ok);
    }
    ui.status("Verified", "signed with the key; when, nobody says");
    ui.data(&format!("{pinned}\n"))?;
    Ok(Exit::Ok)
}
