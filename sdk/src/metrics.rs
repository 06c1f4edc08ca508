//! Metrics by name.
//!
//! A definition gets a new id each time in Envoy (docs/envoy.md 2.8), so ids are kept. Names come out as
//! `wasmcustom.NAME`. Keep them few: a name is never forgotten.

use crate::host;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tamis_abi::MetricType;

thread_local! {
    static IDS: RefCell<BTreeMap<(MetricType, String), u32>> = const { RefCell::new(BTreeMap::new()) };
}

fn id(kind: MetricType, name: &str) -> Option<u32> {
    IDS.with_borrow_mut(|ids| {
        let key = (kind, name.to_owned());
        if let Some(id) = ids.get(&key) {
            return Some(*id);
        }
        let id = host::define_metric(kind, name).ok()?;
        ids.insert(key, id);
        Some(id)
    })
}

/// Forgets all ids, for a new proxy in the same thread.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn forget() {
    IDS.with_borrow_mut(BTreeMap::clear);
}

/// Only rises. Cheap to keep; all of one name are the same.
#[derive(Debug, Clone, Copy)]
pub struct Counter(Option<u32>);

/// Any value.
#[derive(Debug, Clone, Copy)]
pub struct Gauge(Option<u32>);

/// A distribution.
#[derive(Debug, Clone, Copy)]
pub struct Histogram(Option<u32>);

/// The counter with this name. One that the host refuses counts nothing.
pub fn counter(name: &str) -> Counter {
    Counter(id(MetricType::Counter, name))
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
}

impl Histogram {
    /// Records one value.
    pub fn record(self, value: u64) {
        if let Some(id) = self.0 {
            let _ = host::record_metric(id, value);
        }
    }
}
