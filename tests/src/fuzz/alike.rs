//! What is not compared between the two engines, each with its reason, and the comparison.
//!
//! Beside it there is what no row compares (`engine/observed.rs`). Numbers that
//! count on matter only where one proxy has played other cases before.

use crate::engine::Observed;
use crate::lines;

/// Something that is not compared.
pub struct Normalised {
    /// What.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

/// All of it.
pub const NORMALISED: &[Normalised] = &[
    Normalised {
        what: "tokens of calls and queues, numbers of metrics",
        why: "they count on over all cases that a VM has played",
    },
    Normalised {
        what: "lines of `conf`",
        why: "the proxy started long before the case; a VM that is made anew starts in its next one",
    },
    Normalised {
        what: "the code that `status` gives",
        why: "it is the filter's, and stays for all later streams; rows 14 and 77",
    },
    Normalised {
        what: "what the upstream got of a request that it did not answer",
        why: "how much of it had left when the proxy gave up is a matter of microseconds",
    },
];

/// Codes of faults that end the comparison: Envoy crashes or hangs there, or what a peer gets is up to its patience (docs/envoy.md 2.15).
pub const FOUND: [&str; 7] = [
    "would-crash-envoy",
    "would-duplicate",
    "buffer-limit",
    "body-length",
    "not-supported",
    "out-of-fuel",
    "out-of-memory",
];

/// The finding of our host because of which a row is not compared.
pub fn found(host: &Observed) -> Option<&str> {
    host.faults.iter().map(String::as_str).find(|code| FOUND.contains(code))
}

/// How the two differ, line by line (`-` Envoy, `+` our host), if they do.
pub fn difference(host: &Observed, envoy: &Observed) -> Option<String> {
    let (host, envoy) = (text(host, &host.whole), text(envoy, &host.whole));
    (host != envoy).then(|| lines::difference(&envoy, &host))
}

/// What is compared: of the upstream, requests that are sure to have left as a whole.
fn text(seen: &Observed, whole: &[bool]) -> String {
    let mut seen = seen.clone();
    let ends = seen.reached.iter().copied();
    let parts = std::iter::once(0).chain(ends.clone()).zip(ends).zip(whole).filter(|(_, whole)| **whole);
    let all = std::mem::take(&mut seen.upstream);
    seen.upstream = parts.flat_map(|((from, to), _)| all[from..to].iter().cloned()).collect();
    seen.log.retain(|line| !line.contains("/root conf"));
    seen.log.iter_mut().for_each(|line| *line = without_numbers(line));
    seen.text()
}

/// Blanks tokens and numbers in a line of the log.
fn without_numbers(line: &str) -> String {
    let mut line = line.to_owned();
    if let Some((before, rest)) = line.split_once(" token=") {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        line = format!("{before} token=…{rest}");
    }
    let gives = ["   mdef ", "   qreg ", "   qfind "].iter().any(|op| line.contains(op));
    match line.split_once(" -> 0 ") {
        Some((before, _)) if gives => format!("{before} -> 0 …"),
        Some((before, said)) if before.ends_with("   status") => {
            format!("{before} -> 0 … {}", said.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start())
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_count_on_are_blanked_and_others_stay() {
        assert_eq!(without_numbers("a/1   mdef 0 k -> 0 12"), "a/1   mdef 0 k -> 0 …");
        assert_eq!(without_numbers("a/1   mdef 9 k -> 2 0"), "a/1   mdef 9 k -> 2 0");
        assert_eq!(without_numbers("a/root call token=8 headers=3"), "a/root call token=… headers=3");
        assert_eq!(without_numbers("a/1   status -> 0 11 \"reset\""), "a/1   status -> 0 … \"reset\"");
        assert_eq!(without_numbers("a/1   mget 4 -> 0 12"), "a/1   mget 4 -> 0 12");
    }
}
