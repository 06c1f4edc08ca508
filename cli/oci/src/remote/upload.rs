//! Bringing one blob to a registry, once.

use super::auth::Want;
use super::http::{Answer, Call};
use super::refusal::Doing;
use super::registry::Registry;
use super::retry::{Retry, stop};
use super::url::Url;
use crate::error::{Error, Kind};
use crate::{Blob, Digest};

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

    /// Uploads a blob. An upload that broke off is begun anew: the address that the registry gave for it is
    /// worth nothing then (docker-registry 2.8 answers 404 to it).
    pub(crate) fn upload(&self, blob: &Blob) -> Result<(), Error> {
        let what = format!("blob {}", blob.descriptor.digest);
        let mut retry = Retry::default();
        loop {
            let session = self.session(&what)?;
            let to = session.with("digest", blob.descriptor.digest.as_str());
            let mut call = Call::new("PUT", to).body("application/octet-stream", &blob.bytes);
            call.label = "Pushing".to_owned();
            let outcome = self.once(call, Want::Push);
            if let Err(error) = &outcome
                && error.kind == Kind::Interrupted
            {
                // Told that the upload will not go on.
                self.tidy(&Call::new("DELETE", session.clone()));
            }
            match outcome? {
                Ok(answer) if Retry::worth(&answer) => {
                    retry.again(&what, answer.status.to_string(), answer.retry_after(), self.watch)?;
                }
                // The session is gone: the upload was cut before this attempt, or the registry was restarted.
                Ok(answer) if answer.status == 404 => retry.again(&what, "404".into(), None, self.watch)?,
                Ok(answer) if answer.ok() => return same(&answer, &blob.descriptor.digest),
                Ok(answer) => return Err(self.refusal(&answer, Doing::Upload, &what)),
                Err(why) => {
                    retry.again(&what, why, None, self.watch)?;
                    // The answer was lost, perhaps not the blob.
                    if self.has(blob)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Begins an upload; gives the address for it.
    fn session(&self, what: &str) -> Result<Url, Error> {
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
        let to = from.join(location)?;
        self.keeps_tls(&to)?;
        Ok(to)
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
