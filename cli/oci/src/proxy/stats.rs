//! What a proxy counted, from its own list or from the page for Prometheus.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

/// Longest line, bytes.
const MAX_LINE: u64 = 64 << 10;

/// Most statistics that are kept.
const MAX_COUNT: usize = 100_000;

/// What filters count has this name in front in Envoy's own list.
const CUSTOM: &str = "wasmcustom.";

/// What Envoy counts itself has this in front on the page for Prometheus; what filters count has not.
const ENVOY: &str = "envoy_";

/// Counters and gauges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Envoy's own, by their names as Prometheus would have them, without labels.
    own: BTreeMap<String, u64>,
    /// What filters counted, by the names that they are shown under.
    pub custom: BTreeMap<String, u64>,
}

impl Stats {
    /// Reads Envoy's own list: `name: value` in each line. Histograms and texts are passed over.
    ///
    /// # Errors
    /// When it is too long, or the reader fails.
    pub fn text(answer: impl BufRead) -> io::Result<Self> {
        let mut stats = Self::default();
        lines(answer, |line| {
            if let Some((name, value)) = line.rsplit_once(": ")
                && let Ok(value) = value.parse()
            {
                match name.strip_prefix(CUSTOM) {
                    Some(name) => stats.custom.insert(name.to_owned(), value),
                    None => stats.own.insert(plain(name), value),
                };
            }
            stats.own.len() + stats.custom.len()
        })?;
        Ok(stats)
    }

    /// Reads the page for Prometheus. Buckets of histograms are passed over, and so is what is no whole number.
    ///
    /// # Errors
    /// As [`Stats::text`].
    pub fn prometheus(answer: impl BufRead) -> io::Result<Self> {
        let mut stats = Self::default();
        let mut kind = String::new();
        lines(answer, |line| {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                kind = rest.rsplit(' ').next().unwrap_or_default().to_owned();
            } else if !line.starts_with('#')
                && (kind == "counter" || kind == "gauge")
                && let Some((name, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                let bare = name.split('{').next().unwrap_or_default();
                match bare.strip_prefix(ENVOY) {
                    // Labels are parts of the name that Envoy took out; the sum is the whole.
                    Some(own) => {
                        let sum = stats.own.entry(own.to_owned()).or_default();
                        *sum = sum.saturating_add(value);
                    }
                    None => {
                        let name = name.strip_suffix("{}").unwrap_or(name);
                        stats.custom.insert(name.to_owned(), value);
                    }
                }
            }
            stats.own.len() + stats.custom.len()
        })?;
        Ok(stats)
    }

    /// One of Envoy's own.
    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.own.get(&plain(name)).copied()
    }

    /// The plugins that Envoy counts for, by their names as Prometheus would have them.
    pub(super) fn plugins(&self) -> impl Iterator<Item = &str> {
        self.own.keys().filter_map(|name| name.strip_prefix("wasm_")?.strip_suffix("_vm_reload_success"))
    }
}

/// A name as Prometheus would have it.
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == ':' { c } else { '_' }).collect()
}

/// Hands on one line after another until there have been too many; `take` says how much is kept.
fn lines(mut answer: impl BufRead, mut take: impl FnMut(&str) -> usize) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = answer.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok(());
        }
        if count as u64 == MAX_LINE && line.last() != Some(&b'\n') {
            return Err(io::Error::other(format!("a line is longer than {MAX_LINE} bytes")));
        }
        let text = String::from_utf8_lossy(&line);
        if take(text.trim_end_matches(['\r', '\n'])) > MAX_COUNT {
            return Err(io::Error::other(format!("more than {MAX_COUNT} statistics")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let text = "wasm.shop.hello.vm_reload_success: 2\nserver.text: \"a: 1\"\nx.histogram: No recorded values\n\
            wasmcustom.auth.passed: 7\n";
        let text = Stats::text(text.as_bytes()).unwrap();
        let page = "# TYPE envoy_wasm_shop_hello_vm_reload_success counter\nenvoy_wasm_shop_hello_vm_reload_success{} 2\n\
            # TYPE auth_passed counter\nauth_passed{} 7\n# TYPE h histogram\nh_bucket{le=\"1\"} 3\n\n";
        let page = Stats::prometheus(page.as_bytes()).unwrap();
        assert_eq!(text.own, page.own);
        assert_eq!(text.plugins().collect::<Vec<_>>(), ["shop_hello"]);
        assert_eq!((text.custom["auth.passed"], page.custom["auth_passed"]), (7, 7));
    }

    #[test]
    fn labels_add_up_and_odd_lines_are_passed_over() {
        let page = "# TYPE envoy_a counter\nenvoy_a{x=\"1\"} 1\nenvoy_a{x=\"2 \"} 18446744073709551615\nenvoy_a 1.5\n\
            envoy_a\n# TYPE own gauge\nown{k=\"v\"} 3\n";
        let page = Stats::prometheus(&[page.as_bytes(), b"\xff 1.0\n"].concat()[..]).unwrap();
        assert_eq!(page.get("a"), Some(u64::MAX));
        assert_eq!(page.custom["own{k=\"v\"}"], 3);
    }

    #[test]
    fn what_is_too_long_is_an_error() {
        let long = "x".repeat(MAX_LINE as usize + 1);
        assert!(Stats::text(long.as_bytes()).unwrap_err().to_string().contains("65536"));
        let many: String = (0..=MAX_COUNT).map(|n| format!("a{n}: 1\n")).collect();
        assert!(Stats::text(many.as_bytes()).unwrap_err().to_string().contains("100000"));
    }
}
