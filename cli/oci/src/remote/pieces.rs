//! A blob in pieces: what a lost connection costs is one of them, where the registry remembers the others.

use super::auth::Want;
use super::http::{Answer, Call};
use super::refusal::Doing;
use super::registry::Registry;
use super::retry::Retry;
use super::upload::Session;
use super::url::Url;
use crate::Blob;
use crate::error::{Error, Kind};

/// Above this many bytes a blob goes in pieces; oras, crane and docker send smaller ones whole.
pub(super) const ABOVE: usize = 32 << 20;

/// A piece, bytes; a registry may want larger ones.
const PIECE: usize = 16 << 20;

impl Registry<'_> {
    /// True when a blob of this size does not go whole: it is large, or larger than what the registry wants to get at
    /// once (distribution specification 1.1, "Pushing a blob in chunks", `OCI-Chunk-Min-Length`).
    pub(super) fn wants_pieces(&self, session: &Session, blob: &Blob) -> bool {
        let size = blob.bytes.len();
        size > ABOVE || session.least.is_some_and(|least| size > least)
    }

    /// Sends what is missing of a blob, in pieces; false when the registry has forgotten the upload. After a fault the
    /// registry is asked how much it has. `retry` and `best`, the most that was ever there, live over all uploads of a
    /// blob: attempts count only while nothing more arrives.
    pub(super) fn pieces(
        &self,
        session: &mut Session,
        blob: &Blob,
        (retry, best): (&mut Retry, &mut usize),
        what: &str,
    ) -> Result<bool, Error> {
        let bytes = &blob.bytes;
        let piece = PIECE.max(session.least.unwrap_or(0)).min(bytes.len().max(1));
        let count = bytes.len().div_ceil(piece);
        while session.sent < bytes.len() {
            let (from, end) = (session.sent, (session.sent + piece).min(bytes.len()));
            let mut call = Call::new("PATCH", session.at.clone())
                .body("application/octet-stream", &bytes[from..end])
                .header("content-range", format!("{from}-{}", end - 1));
            call.label = format!("Pushing {}/{count}", from / piece + 1);
            let (why, after) = match self.once(call, Want::Push)? {
                Ok(answer) if answer.ok() => {
                    session.at = self.next(&session.at, &answer)?;
                    session.sent = has(&answer).unwrap_or(end);
                    if session.sent > end {
                        let text =
                            format!("the registry was sent {end} bytes and says it has {}", session.sent);
                        return Err(Error::new(Kind::Broken, text));
                    }
                    let more = session.sent > *best;
                    if more {
                        (*best, *retry) = (session.sent, Retry::default());
                    }
                    if more || session.sent == end {
                        continue;
                    }
                    ("less than was sent has arrived".to_owned(), None)
                }
                // 404: forgotten. 416: the piece is out of order for the registry, which says where it is.
                Ok(answer) if matches!(answer.status, 404 | 416) || Retry::worth(&answer) => {
                    (answer.status.to_string(), answer.retry_after())
                }
                Ok(answer) => return Err(self.refusal(&answer, Doing::Upload, what)),
                Err(why) => (why, None),
            };
            retry.again(what, why, after, self.watch)?;
            if !self.ask(session, blob, what)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks how much of an upload is there; false when the registry does not know it any more.
    pub(super) fn ask(&self, session: &mut Session, blob: &Blob, what: &str) -> Result<bool, Error> {
        let answer = self.call(Call::new("GET", session.at.clone()), Want::Push, what)?;
        let Some(known) = has(&answer).filter(|known| answer.ok() && *known <= blob.bytes.len()) else {
            return Ok(false);
        };
        session.at = self.next(&session.at, &answer)?;
        session.sent = known;
        Ok(true)
    }

    /// Where the upload goes on: each answer may say another address.
    fn next(&self, at: &Url, answer: &Answer) -> Result<Url, Error> {
        let Some(location) = answer.header("location") else { return Ok(at.clone()) };
        let to = at.join(location)?;
        self.keeps_tls(&to)?;
        Ok(to)
    }
}

/// `Range: 0-N`: so many bytes are there. `0-0` says none, as docker-registry has it for an upload just begun.
fn has(answer: &Answer) -> Option<usize> {
    let range = answer.header("range")?;
    let last: usize = range.trim().trim_start_matches("bytes=").strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}
