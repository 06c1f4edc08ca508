//! Metrics by name.
//!
//! A definition gets a new id each time in Envoy (docs/envoy.md 2.8), so ids are kept. Names come out as
//! `wasmcustom.NAME`. Keep them few: a name is never forgotten.
//!
//! Envoy has no labels here. Istio's convention writes them into the name, and the proxy's `stats_tags` take them out
//! again: in Istio those of its own labels are there, others are asked for with the annotation
//! `sidecar.istio.io/extraStatTags`. Without, the name shows as it is.
//!
//! ```
//! use tamis_sdk::metrics;
//!
//! let refused = metrics::counter("refused");
//! refused.add(1);
//! metrics::counter_with("refused_by_rule", &[("rule", "admins")]).add(1);
//! ```

use crate::host;
use std::cell::RefCell;
use tamis_abi::MetricType;

/// Names that a VM makes with labels, at most. A name is never forgotten by the proxy, and each is a series in whatever
/// scrapes it; past this many the labels say `other`.
const MOST_LABELLED: usize = 1000;

#[derive(Default)]
struct Ids {
    /// In order of kind and name; without an id where the host refused.
    known: Vec<(MetricType, String, Option<u32>)>,
    labelled: usize,
}

impl Ids {
    /// Where this name is, or would be.
    fn find(&self, kind: MetricType, name: &str) -> Result<usize, usize> {
        self.known.binary_search_by(|(k, n, _)| (*k, n.as_str()).cmp(&(kind, name)))
    }
}

thread_local! {
    static IDS: RefCell<Ids> = RefCell::default();
}

/// The id of this name, defined once. A refusal is kept too.
fn id(kind: MetricType, name: &str) -> Option<u32> {
    IDS.with_borrow_mut(|ids| {
        let at = match ids.find(kind, name) {
            Ok(at) => return ids.known[at].2,
            Err(at) => at,
        };
        let id = host::define_metric(kind, name).ok();
        ids.known.insert(at, (kind, name.to_owned(), id));
        id
    })
}

/// A name with labels, as Istio writes it: `KEY=.=VALUE;.;` for each, then the name. Semicolons would end a label early.
fn spell(name: &str, labels: &[(&str, &str)], hide: bool) -> String {
    let mut out = String::new();
    for (key, value) in labels {
        let value = if hide { "other" } else { value };
        for (part, end) in [(key, "=.="), (&value, ";.;")] {
            out.extend(part.chars().map(|c| if c == ';' || c.is_control() { ',' } else { c }));
            out.push_str(end);
        }
    }
    out.push_str(name);
    out
}

fn labelled(kind: MetricType, name: &str, labels: &[(&str, &str)]) -> Option<u32> {
    let mut full = spell(name, labels, false);
    let is_new = IDS.with_borrow_mut(|ids| {
        let is_new = ids.find(kind, &full).is_err();
        ids.labelled += usize::from(is_new);
        is_new && ids.labelled > MOST_LABELLED
    });
    if is_new {
        full = spell(name, labels, true);
    }
    id(kind, &full)
}

/// Forgets all ids, for a new proxy in the same thread.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn forget() {
    IDS.take();
}

/// Only rises. Cheap to keep; all of one name are the same.
///
/// ```
/// use tamis_sdk::metrics::{self, Counter};
///
/// /// Made in `Filter::new`.
/// struct Metrics { refused: Counter }
///
/// let metrics = Metrics { refused: metrics::counter("refused") };
/// metrics.refused.add(1);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Counter(Option<u32>);

/// Any value.
///
/// ```
/// use tamis_sdk::metrics::{self, Gauge};
///
/// let keys: Gauge = metrics::gauge("keys");
/// keys.set(3);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Gauge(Option<u32>);

/// A distribution.
///
/// ```
/// use tamis_sdk::metrics::{self, Histogram};
///
/// let sizes: Histogram = metrics::histogram("body_bytes");
/// sizes.record(4096);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Histogram(Option<u32>);

/// The counter with this name. One that the host refuses counts nothing.
pub fn counter(name: &str) -> Counter {
    Counter(id(MetricType::Counter, name))
}

/// The counter with this name and these labels, never values that clients choose.
pub fn counter_with(name: &str, labels: &[(&str, &str)]) -> Counter {
    Counter(labelled(MetricType::Counter, name, labels))
}

/// The gauge with this name and these labels.
pub fn gauge_with(name: &str, labels: &[(&str, &str)]) -> Gauge {
    Gauge(labelled(MetricType::Gauge, name, labels))
}

/// The histogram with this name and these labels.
pub fn histogram_with(name: &str, labels: &[(&str, &str)]) -> Histogram {
    Histogram(labelled(MetricType::Histogram, name, labels))
}

/// The gauge with this name.
pub fn gauge(name: &str) -> Gauge {
    Gauge(id(MetricType::Gauge, name))
}

/// The histogram with this name.
pub fn histogram(name: &str) -> Histogram {
    Histogram(id(MetricType::Histogram, name))
}

// A metric that fails must not fail an exchange: results are dropped on purpose.
impl Counter {
    /// Adds; 0 is nothing.
    pub fn add(self, by: u32) {
        if let (Some(id), true) = (self.0, by > 0) {
            let _ = host::increment_metric(id, i64::from(by));
        }
    }

    /// What all workers counted together.
    pub fn value(self) -> Option<u64> {
        host::metric_value(self.0?).ok()
    }
}

impl Gauge {
    /// Sets.
    pub fn set(self, value: u64) {
        if let Some(id) = self.0 {
            let _ = host::record_metric(id, value);
        }
    }

    /// Adds or takes away. Envoy wraps below zero.
    pub fn add(self, by: i64) {
        if let Some(id) = self.0 {
            let _ = host::increment_metric(id, by);
        }
    }

    /// What it says now, on all workers.
    pub fn value(self) -> Option<u64> {
        host::metric_value(self.0?).ok()
    }
}

impl Histogram {
    /// Records one value.
    pub fn record(self, value: u64) {
        if let Some(id) = self.0 {
            let _ = host::record_metric(id, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn labels_are_spelled_as_istio_does() {
        assert_eq!(spell("n", &[("a", "1"), ("b", "x;.;c=.=2")], false), "a=.=1;.;b=.=x,.,c=.=2;.;n");
        assert_eq!(spell("n", &[("a", "1\r\n")], true), "a=.=other;.;n");
        assert_eq!(spell("n", &[], false), "n");
    }

    #[test]
    fn labels_are_bounded() {
        testing::clean();
        for value in 0..2 * MOST_LABELLED {
            counter_with("n", &[("client", &value.to_string())]).add(1);
        }
        assert_eq!(counter_with("n", &[("client", "7")]).value(), Some(1));
        let rest = counter("client=.=other;.;n").value();
        assert_eq!(rest, Some(MOST_LABELLED as u64));
    }

    /// docs/envoy.md 2.8: each definition would be a new id.
    #[test]
    fn a_name_is_defined_once() {
        testing::clean();
        let ids: Vec<_> = (0..100).map(|_| counter("n").0).collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_eq!(testing::definitions(), 1);
    }
}
