//! What a container runtime and `kubectl logs` put around the lines of a log (docs/captures.md 2).

use super::limits::MAX_RECORD;
use serde::Deserialize;

/// Takes the wrapping off, and puts lines together that a runtime cut into pieces.
#[derive(Default)]
pub(super) struct Unwrap {
    /// Pieces waiting for their end, for standard output and standard error.
    pieces: [Vec<u8>; 2],
}

/// Docker's `json-file` form.
#[derive(Deserialize)]
struct Docker {
    log: String,
    #[serde(default)]
    stream: String,
}

impl Unwrap {
    /// Gives the line inside to `take`; nothing when this is a piece and its end has not come.
    /// What `take` gives is given back.
    pub(super) fn line<T>(&mut self, line: &[u8], take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if let Some((stream, last, rest)) = cri(line) {
            return self.piece(stream, last, rest, take);
        }
        if line.starts_with(b"{\"log\":\"")
            && let Ok(docker) = serde_json::from_slice::<Docker>(line)
        {
            let text = docker.log.as_bytes();
            let last = text.ends_with(b"\n");
            return self.piece(usize::from(docker.stream == "stderr"), last, text.trim_ascii_end(), take);
        }
        Some(take(line))
    }

    fn piece<T>(
        &mut self,
        stream: usize,
        last: bool,
        text: &[u8],
        take: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let held = &mut self.pieces[stream];
        if last && held.is_empty() {
            return Some(take(text));
        }
        // A line above the limit is cut, and then matches nothing.
        let room = MAX_RECORD.saturating_sub(held.len());
        held.extend_from_slice(&text[..text.len().min(room)]);
        if !last {
            return None;
        }
        let taken = take(held);
        held.clear();
        Some(taken)
    }

    /// Pieces whose end never came.
    pub(super) fn unfinished(&self) -> usize {
        self.pieces.iter().filter(|held| !held.is_empty()).count()
    }
}

/// `TIME stdout|stderr F|P[:…] REST`: the stream, whether this is the last piece, and the rest.
fn cri(line: &[u8]) -> Option<(usize, bool, &[u8])> {
    let mut words = line.splitn(4, |b| *b == b' ');
    let time = words.next()?;
    let is_time =
        time.len() > 19 && time[..4].iter().all(u8::is_ascii_digit) && time[4] == b'-' && time[10] == b'T';
    let stream = match words.next()? {
        b"stdout" if is_time => 0,
        b"stderr" if is_time => 1,
        _ => return None,
    };
    let tag = words.next()?;
    let last = match tag.first()? {
        b'F' => true,
        b'P' => false,
        _ => return None,
    };
    Some((stream, last, words.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &[&str]) -> Vec<String> {
        let mut unwrap = Unwrap::default();
        let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        lines.iter().filter_map(|line| unwrap.line(line.as_bytes(), text)).collect()
    }

    #[test]
    fn pieces_of_a_container_runtime_come_together_and_streams_stay_apart() {
        let lines = [
            "2026-11-23T07:03:24.485456789Z stdout P one ",
            "2026-11-23T07:03:24.485456789Z stderr F other",
            "2026-11-23T07:03:24.485456789Z stdout F two",
            "plain",
        ];
        assert_eq!(all(&lines), ["other", "one two", "plain"]);
    }

    #[test]
    fn docker_lines_give_what_they_hold() {
        let lines = [
            r#"{"log":"{\"a\":","stream":"stdout","time":"x"}"#,
            r#"{"log":"1}\n","stream":"stdout","time":"x"}"#,
        ];
        assert_eq!(all(&lines), ["{\"a\":1}"]);
    }
}
