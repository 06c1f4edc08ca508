//! `tamis verify`.

use super::image::{Screen, open};
use super::keyless;
use crate::args::VerifyArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::Ui;
use serde_json::json;
use tamis_oci::Reference;
use tamis_oci::sign::{PublicKey, subject, verify};

pub(super) fn run(args: &VerifyArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.reference.parse()?;
    let key = args.key.as_deref().map(PublicKey::file).transpose()?;
    ui.status("Verifying", &reference.to_string());
    let (digest, count, by) = match &key {
        Some(key) => {
            let screen = Screen::new(ui);
            let registry = open(&reference, &args.remote, &screen)?;
            let digest = subject(&registry, reference.target())?.digest;
            let count = verify(&registry, &digest, key)?.len();
            (digest, Some(count), "with the key; when, nobody says")
        }
        None => {
            let (digest, count) = keyless::verify(&reference, args, ui)?;
            (digest, count, "by this identity, says cosign")
        }
    };
    let pinned = format!("oci://{}@{digest}", reference.place());
    if ui.json() {
        ui.json_line(&json!({
            "event": "verified", "repository": reference.place(), "digest": digest, "pinned": pinned,
            "signatures": count, "key": key.map(|k| k.hint()),
        }))?;
        return Ok(Exit::Ok);
    }
    ui.status("Verified", &format!("signed {by}"));
    ui.data(&format!("{pinned}\n"))?;
    Ok(Exit::Ok)
}
