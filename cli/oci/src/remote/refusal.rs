//! What a registry means by "no": its status, its code and its words together.

use super::http::Answer;
use super::secret::Secrets;
use crate::error::{Error, Kind};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<One>,
    /// Token servers.
    #[serde(default)]
    details: String,
}

#[derive(Debug, Default, Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What was asked for, for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    Look,
    Fetch,
    Upload,
    PutManifest,
}

fn errors(answer: &Answer) -> Errors {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// True when a manifest was refused since the registry lost one of its blobs.
pub(crate) fn misses_blob(answer: &Answer) -> bool {
    errors(answer).errors.iter().any(|e| e.code == "MANIFEST_BLOB_UNKNOWN")
}

/// True when an upload was refused since its bytes have another digest than was said.
pub(crate) fn is_digest(answer: &Answer) -> bool {
    errors(answer).errors.iter().any(|e| e.code == "DIGEST_INVALID")
}

/// Status and words; the words are a stranger's and not yet fit to be shown.
pub(crate) fn said(answer: &Answer) -> String {
    let errors = errors(answer);
    let first = errors.errors.first();
    let words = match first {
        Some(one) => format!("{} {}", one.code, one.message),
        None if !errors.details.is_empty() => errors.details,
        None => {
            let text = String::from_utf8_lossy(&answer.body);
            // A page for browsers says nothing here.
            if text.trim_start().starts_with('<') { String::new() } else { text.into_owned() }
        }
    };
    format!("{} {words}", answer.status)
}

/// The error for an answer that is no success.
pub(crate) fn read(answer: &Answer, doing: Doing, what: &str, secrets: &Secrets) -> Error {
    let all = errors(answer).errors;
    let code = |names: &[&str]| all.iter().any(|e| names.contains(&e.code.as_str()));
    let text: String =
        all.iter().map(|e| format!("{} {} ", e.code, e.message)).collect::<String>().to_lowercase();
    let error = |kind, text: String| Error::new(kind, text).because(secrets.scrub(&said(answer)));
    let pushes = matches!(doing, Doing::Upload | Doing::PutManifest);
    match answer.status {
        401 | 403 => error(Kind::Denied, format!("the registry lets nobody with this login do that: {what}")),
        405 => error(Kind::ReadOnly, "the registry takes no pushes".to_owned())
            .hint("it is read-only, or only mirrors another one"),
        _ if pushes && code(&["UNSUPPORTED"]) => {
            error(Kind::ReadOnly, "the registry takes no pushes".to_owned())
        }
        400 | 409 | 412
            if doing == Doing::PutManifest
                && (answer.status == 412 || text.contains("immutable") || text.contains("locked")) =>
        {
            error(Kind::TagImmutable, format!("the registry does not let this tag move: {what}"))
                .hint("push under a new tag")
        }
        404 if pushes && code(&["NAME_UNKNOWN"]) => {
            error(Kind::NoRepository, format!("there is no repository for {what}"))
                .hint("this registry does not make repositories by itself: create it first")
        }
        404 => error(Kind::NotFound, format!("the registry has no {what}")),
        413 => too_large(error(Kind::Refused, format!("{what} is too large for the registry"))),
        400 if doing == Doing::PutManifest && text.contains("too large") => {
            too_large(error(Kind::Refused, format!("{what} is too large for the registry")))
        }
        400..=499 => {
            let told = error(Kind::Refused, format!("the registry refuses {what}"));
            if pushes {
                told.hint("some registries take only layouts that they know; `compat` and `docker` are known everywhere")
            } else {
                told
            }
        }
        300..=399 => error(Kind::Broken, format!("the registry sends {what} somewhere else")),
        _ => error(Kind::Broken, format!("the registry answers {what} with {}", answer.status)),
    }
}

fn too_large(error: Error) -> Error {
    error.hint("manifests have room for 4 MiB: look for large annotations")
}
