//! Metrics that filters define (docs/envoy.md 2.8).

use super::LimitReached;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

/// Most metric ids of one kind. Each define makes one; a filter that defines in a request callback would
/// fill memory, here and in Envoy.
pub(crate) const METRIC_LIMIT: usize = 1 << 20;

/// Bytes of the names of all metrics of a stage (64 MiB), for the same reason.
pub(crate) const NAMES_LIMIT: usize = 64 << 20;

/// The kind of a metric, as `proxy_define_metric` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MetricKind {
    /// Only rises.
    Counter = 0,
    /// Rises and falls.
    Gauge = 1,
    /// Collects values.
    Histogram = 2,
}

/// A metric and what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// As the filter defined it, without Envoy's `wasmcustom.` in front; bytes that are not UTF-8 replaced.
    pub name: String,
    /// Its kind. A counter and a gauge of one name are two metrics.
    pub kind: MetricKind,
    /// Counter and gauge: the value. Histogram: how many values it took.
    pub value: u64,
    /// Histogram: the sum of its values (wraps at 64 bits). Else 0.
    pub sum: u64,
}

/// All metrics of a stage. Values outlive VMs: a fresh VM that defines the same name goes on counting.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    stats: Vec<Stat>,
    by_name: HashMap<(MetricKind, Vec<u8>), usize>,
    /// For each kind: which stat the n-th id stands for.
    ids: [Vec<u32>; 3],
    /// Bytes of names.
    names: usize,
}

#[derive(Debug)]
struct Stat {
    kind: MetricKind,
    name: Vec<u8>,
    value: u64,
    sum: u64,
}

/// Why a metric did not take or give a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsError {
    /// No metric has this id: status 1.
    Unknown,
    /// Not for this kind, or an offset that it refuses: status 2.
    BadArgument,
}

impl MetricKind {
    /// The kind of a number of the ABI.
    pub(crate) const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::Counter),
            1 => Some(Self::Gauge),
            2 => Some(Self::Histogram),
            _ => None,
        }
    }
}

impl Metrics {
    /// Gives a new id for the metric of this name, also when the name is known. The low two bits of an id
    /// are the kind: counters 4, 8, …, gauges 5, 9, …, histograms 6, 10, …
    ///
    /// # Errors
    /// When there are too many ids.
    pub(crate) fn define(&mut self, kind: MetricKind, name: &[u8]) -> Result<u32, LimitReached> {
        let ids = &mut self.ids[kind as usize];
        if ids.len() == METRIC_LIMIT {
            return Err(LimitReached {
                what: "list of metrics",
                limit: METRIC_LIMIT,
                unit: "ids of one kind",
            });
        }
        let known = self.by_name.entry((kind, name.to_vec()));
        if matches!(known, Entry::Vacant(_)) {
            self.names += name.len();
            if self.names > NAMES_LIMIT {
                return Err(LimitReached { what: "names of metrics", limit: NAMES_LIMIT, unit: "bytes" });
            }
        }
        let stat = *known.or_insert_with(|| {
            self.stats.push(Stat { kind, name: name.to_vec(), value: 0, sum: 0 });
            self.stats.len() - 1
        });
        ids.push(stat as u32);
        Ok((ids.len() as u32) << 2 | kind as u32)
    }

    /// Adds to a counter (only more than 0) or a gauge (which wraps below zero).
    ///
    /// # Errors
    /// Unknown id; a histogram, kind 3, or an offset that a counter refuses.
    pub(crate) fn increment(&mut self, id: u32, offset: i64) -> Result<(), MetricsError> {
        if id & 3 > MetricKind::Gauge as u32 {
            return Err(MetricsError::BadArgument);
        }
        let stat = self.stat_mut(id).ok_or(MetricsError::Unknown)?;
        if stat.kind == MetricKind::Counter && offset <= 0 {
            return Err(MetricsError::BadArgument);
        }
        stat.value = stat.value.wrapping_add_signed(offset);
        Ok(())
    }

    /// Records a value: a counter adds it, a gauge is set to it, a histogram collects it.
    ///
    /// # Errors
    /// Unknown id of any kind.
    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), MetricsError> {
        let stat = self.stat_mut(id).ok_or(MetricsError::Unknown)?;
        match stat.kind {
            MetricKind::Counter => stat.value = stat.value.wrapping_add(value),
            MetricKind::Gauge => stat.value = value,
            MetricKind::Histogram => {
                stat.value += 1;
                stat.sum = stat.sum.wrapping_add(value);
            }
        }
        Ok(())
    }

    /// The value of a counter or gauge.
    ///
    /// # Errors
    /// Unknown id; a histogram or kind 3.
    pub(crate) fn get(&self, id: u32) -> Result<u64, MetricsError> {
        if id & 3 > MetricKind::Gauge as u32 {
            return Err(MetricsError::BadArgument);
        }
        let stat = self.index(id).ok_or(MetricsError::Unknown)?;
        Ok(self.stats[stat].value)
    }

    /// All metrics, in order of their first definition.
    pub(crate) fn all(&self) -> Vec<Metric> {
        let metric = |stat: &Stat| Metric {
            name: String::from_utf8_lossy(&stat.name).into_owned(),
            kind: stat.kind,
            value: stat.value,
            sum: stat.sum,
        };
        self.stats.iter().map(metric).collect()
    }

    fn index(&self, id: u32) -> Option<usize> {
        let ids = self.ids.get((id & 3) as usize)?;
        let number = (id >> 2).checked_sub(1)?;
        ids.get(number as usize).map(|stat| *stat as usize)
    }

    fn stat_mut(&mut self, id: u32) -> Option<&mut Stat> {
        self.index(id).map(|stat| &mut self.stats[stat])
    }
}

impl fmt::Display for MetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no metric has this id",
            Self::BadArgument => "not for a metric of this kind",
        })
    }
}

impl std::error::Error for MetricsError {}

#[cfg(test)]
mod tests {
    use super::MetricKind::{Counter, Gauge, Histogram};
    use super::*;

    #[test]
    fn envoy_2_8_ids_carry_the_kind_and_each_define_gives_a_new_one() {
        let mut metrics = Metrics::default();
        assert_eq!(metrics.define(Counter, b"a"), Ok(4));
        assert_eq!(metrics.define(Gauge, b"a"), Ok(5));
        assert_eq!(metrics.define(Histogram, b"a"), Ok(6));
        assert_eq!(metrics.define(Counter, b"a"), Ok(8));
        assert_eq!(metrics.define(Counter, b""), Ok(12), "an empty name is fine");
        metrics.increment(4, 2).unwrap();
        metrics.increment(8, 3).unwrap();
        assert_eq!(metrics.get(4), Ok(5), "both ids are one stat");
        assert_eq!(metrics.get(5), Ok(0), "a gauge of the same name is another");
        assert_eq!(metrics.all().len(), 4);
    }

    #[test]
    fn envoy_2_8_counters_only_rise_and_record_adds() {
        let mut metrics = Metrics::default();
        let id = metrics.define(Counter, b"c").unwrap();
        assert_eq!(metrics.increment(id, 0), Err(MetricsError::BadArgument));
        assert_eq!(metrics.increment(id, -1), Err(MetricsError::BadArgument));
        metrics.record(id, 7).unwrap();
        metrics.record(id, 7).unwrap();
        assert_eq!(metrics.get(id), Ok(14));
    }

    #[test]
    fn envoy_2_8_a_gauge_wraps_below_zero() {
        let mut metrics = Metrics::default();
        let id = metrics.define(Gauge, b"g").unwrap();
        metrics.increment(id, -1).unwrap();
        assert_eq!(metrics.get(id), Ok(u64::MAX));
        metrics.record(id, 3).unwrap();
        assert_eq!(metrics.get(id), Ok(3));
    }

    #[test]
    fn envoy_2_8_a_histogram_only_records() {
        let mut metrics = Metrics::default();
        let id = metrics.define(Histogram, b"h").unwrap();
        assert_eq!(metrics.increment(id, 1), Err(MetricsError::BadArgument));
        assert_eq!(metrics.get(id), Err(MetricsError::BadArgument));
        metrics.record(id, 5).unwrap();
        metrics.record(id, 6).unwrap();
        let name = "h".to_owned();
        assert_eq!(metrics.all(), [Metric { name, kind: Histogram, value: 2, sum: 11 }]);
    }

    #[test]
    fn envoy_1_2_unknown_ids_and_kind_3() {
        let mut metrics = Metrics::default();
        for id in [0, 1, 4, 5, !3] {
            assert_eq!(metrics.increment(id, 1), Err(MetricsError::Unknown));
            assert_eq!(metrics.get(id), Err(MetricsError::Unknown));
        }
        for id in [0, 1, 2, 3, 7, u32::MAX] {
            assert_eq!(metrics.record(id, 1), Err(MetricsError::Unknown));
        }
        for id in [3, 7, 2, 6] {
            assert_eq!(metrics.increment(id, 1), Err(MetricsError::BadArgument));
            assert_eq!(metrics.get(id), Err(MetricsError::BadArgument));
        }
        assert_eq!(MetricKind::from_raw(3), None);
    }
}
