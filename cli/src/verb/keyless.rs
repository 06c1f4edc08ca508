//! Signatures without a key of one's own: an installed cosign does the work, on a digest that we name.

use super::image::Screen;
use crate::args::{SignArgs, VerifyArgs};
use crate::failure::{Code, Failure, Result};
use crate::plan::{environment, options};
use crate::ui::Ui;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tamis_oci::remote::{Options, Registry};
use tamis_oci::sign::cosign::{Cosign, Identity, ended};
use tamis_oci::sign::subject;
use tamis_oci::{Digest, Reference, attached};

/// Signs what the name stands for; gives its digest and that of the signature's manifest, when cosign put it beside
/// the image.
pub(super) fn sign(reference: &Reference, args: &SignArgs, ui: &mut Ui) -> Result<(Digest, Option<Digest>)> {
    let (cosign, options) = (find()?, options(&args.remote)?);
    let before = lists(reference, &options, ui)?;
    let image = pinned(reference, &before.0);
    let mut command = cosign.sign(&image, &options, args.yes);
    // Ours has data alone on stdout.
    let output = run(command.stdin(Stdio::inherit()), ui)?;
    std::io::stderr().write_all(&output.stdout)?;
    ended(output.status, &image, false)?;
    let after = lists(&image, &options, ui)?;
    Ok((before.0, after.1.difference(&before.1).next().cloned()))
}

/// Has cosign look for a signature; gives the digest and how many cosign found, when it says so.
pub(super) fn verify(
    reference: &Reference,
    args: &VerifyArgs,
    ui: &mut Ui,
) -> Result<(Digest, Option<usize>)> {
    let (cosign, options) = (find()?, options(&args.remote)?);
    let digest = {
        let screen = Screen::new(ui);
        let registry = Registry::open(reference, &options, &environment, &screen)?;
        subject(&registry, reference.target())?.digest
    };
    let image = pinned(reference, &digest);
    let by = Identity {
        identity: args.certificate_identity.clone(),
        identity_regexp: args.certificate_identity_regexp.clone(),
        issuer: args.certificate_oidc_issuer.clone(),
        issuer_regexp: args.certificate_oidc_issuer_regexp.clone(),
    };
    let output = run(&mut cosign.verify(&image, &options, &by), ui)?;
    ended(output.status, &image, true)?;
    let found = serde_json::from_slice::<Vec<serde_json::Value>>(&output.stdout);
    Ok((digest, found.ok().map(|all| all.len())))
}

fn find() -> Result<Cosign> {
    let named = environment("TAMIS_COSIGN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(Cosign::find(named.as_deref(), std::env::split_paths(&path))?)
}

/// By digest alone: what a tag stands for may change while cosign asks for a login.
fn pinned(reference: &Reference, digest: &Digest) -> Reference {
    Reference { tag: None, ..reference.pinned(digest) }
}

/// The digest that a name stands for, and what is attached to it.
fn lists(reference: &Reference, options: &Options, ui: &mut Ui) -> Result<(Digest, BTreeSet<Digest>)> {
    let screen = Screen::new(ui);
    let registry = Registry::open(reference, options, &environment, &screen)?;
    let digest = subject(&registry, reference.target())?.digest;
    let all = attached(&registry, &digest)?.into_iter().map(|a| a.digest).collect();
    Ok((digest, all))
}

/// Runs cosign; its stderr is ours, so that it can ask for a login.
fn run(command: &mut Command, ui: &mut Ui) -> Result<std::process::Output> {
    // The arguments have no secret; the environment, which has, is not shown.
    let args: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    ui.status("Running", &format!("cosign {}", args.join(" ")));
    let failed = |e| Failure::because(Code::CosignFailed, "cannot start cosign", e);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().map_err(failed)?;
    child.wait_with_output().map_err(failed)
}
