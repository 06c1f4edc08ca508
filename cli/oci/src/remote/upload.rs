//! Bringing one blob to a registry, once.

use super::auth::Want;
use super::http::{Answer, Call};
use super::refusal::{self, Doing};
use super::registry::Registry;
use super::retry::{Retry, stop};
use super::url::Url;
use crate::error::{Error, Kind};
use crate::{Blob, Digest};

/// An upload that was begun.
pub(super) struct Session {
    /// Where it goes on.
    pub(super) at: Url,
    /// The smallest piece that the registry takes, bytes; the last may be smaller.
    pub(super) least: Option<usize>,
    /// Bytes that are there.
    pub(super) sent: usize,
}

impl Registry<'_> {
    /// True when the registry has the blob.
    pub(crate) fn has(&self, blob: &Blob) -> Result<bool, Error> {
        let what = format!("blob {}", blob.descriptor.digest);
        let url = self.url(&format!("blobs/{}", blob.descriptor.digest));
        let answer = self.call(Call::new("HEAD", url), Want::Push, &what)?;
        match answer.status {
            404 => Ok(false),
            _ if answer.ok() => Ok(true),
            _ => Err(self.refusal(&answer, Doing::Look, &what)),
        }
    }

    /// Uploads a blob: whole, or in pieces when it is large. What went whole and broke off is begun anew: the address
    /// that the registry gave for it is worth nothing then (docker-registry 2.8 answers 404 to it).
    pub(crate) fn upload(&self, blob: &Blob) -> Result<(), Error> {
        let what = format!("blob {}", blob.descriptor.digest);
        let (mut retry, mut best) = (Retry::default(), 0);
        loop {
            let mut session = self.session(&what)?;
            let outcome = self.through(&mut session, blob, (&mut retry, &mut best), &what);
            if let Err(error) = &outcome
                && error.kind == Kind::Interrupted
            {
                // Told that the upload will not go on.
                self.tidy(&Call::new("DELETE", session.at.clone()));
            }
            if outcome? {
                return Ok(());
            }
        }
    }

    /// Brings a blob through one upload; false when another must be begun.
    fn through(
        &self,
        session: &mut Session,
        blob: &Blob,
        (retry, best): (&mut Retry, &mut usize),
        what: &str,
    ) -> Result<bool, Error> {
        let pieces = self.wants_pieces(session, blob);
        loop {
            if pieces && !self.pieces(session, blob, (&mut *retry, &mut *best), what)? {
                return Ok(false);
            }
            let body = if pieces { &[] } else { blob.bytes.as_slice() };
            let to = session.at.with("digest", blob.descriptor.digest.as_str());
            let mut call = Call::new("PUT", to).body("application/octet-stream", body);
            call.label = if pieces { String::new() } else { "Pushing".to_owned() };
            let mut spoilt = false;
            let (why, after) = match self.once(call, Want::Push)? {
                Ok(answer) if answer.ok() => return same(&answer, &blob.descriptor.digest).map(|()| true),
                // The upload was cut before this attempt, or the registry was restarted.
                Ok(answer) if answer.status == 404 || Retry::worth(&answer) => {
                    (answer.status.to_string(), answer.retry_after())
                }
                // A piece is there twice or not at all: docker-registry 2.8 joins what it gets, whatever the range.
                Ok(answer) if pieces && (answer.status == 416 || refusal::is_digest(&answer)) => {
                    spoilt = true;
                    (answer.status.to_string(), None)
                }
                Ok(answer) => return Err(self.refusal(&answer, Doing::Upload, what)),
                Err(why) => (why, None),
            };
            retry.again(what, why, after, self.watch)?;
            // The answer was lost, perhaps not the blob.
            if self.has(blob)? {
                return Ok(true);
            }
            if spoilt || !pieces || !self.ask(session, blob, what)? {
                return Ok(false);
            }
        }
    }

    /// Begins an upload.
    fn session(&self, what: &str) -> Result<Session, Error> {
        let from = self.url("blobs/uploads/");
        let answer = self.call(Call::new("POST", from.clone()), Want::Push, what)?;
        if answer.status != 202 {
            if answer.ok() {
                let text = format!("the registry answers the start of an upload with {}", answer.status);
                return Err(Error::new(Kind::Broken, text));
            }
            return Err(self.refusal(&answer, Doing::Upload, &format!("{} for a push", self.repository)));
        }
        let Some(location) = answer.header("location") else {
            return Err(Error::new(Kind::Broken, "the registry begins an upload and does not say where"));
        };
        let at = from.join(location)?;
        self.keeps_tls(&at)?;
        let least = answer.header("oci-chunk-min-length").and_then(|l| l.trim().parse().ok());
        Ok(Session { at, least, sent: 0 })
    }
}

/// A registry that says another digest than was sent keeps something else.
pub(crate) fn same(answer: &Answer, want: &Digest) -> Result<(), Error> {
    match answer.header("docker-content-digest") {
        Some(said) if said != want.as_str() => {
            let shown: String = said.chars().filter(|c| !c.is_control()).take(80).collect();
            Err(Error::new(Kind::Broken, format!("the registry was sent {want} and says it has {shown}")))
        }
        _ => Ok(()),
    }
}

/// Between two blobs.
pub(crate) fn pause(registry: &Registry<'_>) -> Result<(), Error> {
    stop(registry.watch)
}
