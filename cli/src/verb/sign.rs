//! `tamis sign`.

use super::image::{Screen, open};
use super::keyless;
use crate::args::SignArgs;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::ui::Ui;
use serde_json::{Value, json};
use tamis_oci::sign::{PrivateKey, Signed, sign};
use tamis_oci::{Digest, Reference};

pub(super) fn run(args: &SignArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.reference.parse()?;
    if args.keyless {
        let (digest, made) = keyless::sign(&reference, args, ui)?;
        let signature = json!({"state": "new", "manifest": made});
        return tell(&reference, &digest, signature, None, ui);
    }
    let Some(key) = &args.key else {
        return Err(Failure::new(Code::Usage, "neither `--key` nor `--keyless`"));
    };
    let key = PrivateKey::file(key)?;
    ui.status("Signing", &reference.to_string());
    let (digest, signed) = {
        let screen = Screen::new(ui);
        sign(&open(&reference, &args.remote, &screen)?, reference.target(), &key)?
    };
    tell(&reference, &digest, state(&signed), Some(key.public().hint()), ui)
}

fn tell(
    reference: &Reference,
    digest: &Digest,
    signature: Value,
    key: Option<String>,
    ui: &mut Ui,
) -> Result<Exit> {
    let pinned = format!("oci://{}@{digest}", reference.place());
    if ui.json() {
        ui.json_line(&json!({
            "event": "signed", "repository": reference.place(), "digest": digest, "pinned": pinned,
            "signature": signature, "key": key,
        }))?;
        return Ok(Exit::Ok);
    }
    match signature["state"].as_str() {
        Some("new") => ui.status("Signed", signature["manifest"].as_str().unwrap_or("by cosign")),
        _ => ui.status("Unchanged", "the key signed it before"),
    }
    ui.data(&format!("{pinned}\n"))?;
    Ok(Exit::Ok)
}

/// What came of attaching something: whether it is new, and the digest of its manifest.
pub(super) fn state(signed: &Signed) -> Value {
    match signed {
        Signed::New(made) => json!({"state": "new", "manifest": made}),
        Signed::Already(known) => json!({"state": "unchanged", "manifest": known}),
    }
}
