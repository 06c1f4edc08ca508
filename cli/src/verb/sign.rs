//! `tamis sign`.

use super::image::{Screen, open};
use crate::args::SignArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::Ui;
use serde_json::json;
use tamis_oci::Reference;
use tamis_oci::sign::{PrivateKey, Signed, sign};

pub(super) fn run(args: &SignArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.reference.parse()?;
    let key = PrivateKey::file(&args.key)?;
    ui.status("Signing", &reference.to_string());
    let (digest, signed) = {
        let screen = Screen::new(ui);
        sign(&open(&reference, &args.remote, &screen)?, reference.target(), &key)?
    };
    let pinned = format!("oci://{}@{digest}", reference.place());
    if ui.json() {
        ui.json_line(&json!({
            "event": "signed", "repository": reference.place(), "digest": digest, "pinned": pinned,
            "signature": state(&signed), "key": key.public().hint(),
        }))?;
        return Ok(Exit::Ok);
    }
    ui.status(if signed == Signed::Already { "Unchanged" } else { "Signed" }, &state(&signed));
    ui.data(&format!("{pinned}\n"))?;
    Ok(Exit::Ok)
}

/// The digest of a new signature, or that there was one.
pub(super) fn state(signed: &Signed) -> String {
    match signed {
        Signed::New(digest) => digest.to_string(),
        Signed::Already => "already signed with this key".to_owned(),
    }
}
