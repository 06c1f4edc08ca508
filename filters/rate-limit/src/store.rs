//! The state of all keys: a table of fixed size in shared data, written by compare-and-swap.
//!
//! Shared data cannot delete (docs/filters.md 0.5), so client data never becomes a key of it: a keyed hash picks
//! the slot. A slot is 12 bytes: 4 of the hash as a tag, 8 of state, little endian.

use crate::gcra::{Gcra, Outcome};

/// Slots that a key may live in.
const PROBES: u64 = 4;
/// Writes that may fail before the rule's `on_contention` decides; without a bound a worker could spin for ever.
const MAX_TRIES: u32 = 32;

/// The version of a stored value; 0 stands for "not there".
pub type Version = u32;

/// Shared data, as far as this filter needs it.
pub trait Shared {
    /// The value under a key and its version.
    ///
    /// # Errors
    /// When the host refuses.
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, Unavailable>;

    /// Writes when the version is still the same; says whether it did. Version 0 writes always.
    ///
    /// # Errors
    /// When the host refuses.
    fn set(&self, key: &str, value: &[u8], version: Version) -> Result<bool, Unavailable>;
}

/// The host refused to read or write, or too many others wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// The slot table.
#[derive(Debug, Clone)]
pub struct Table {
    prefix: String,
    slots: u64,
}

/// A slot that was read.
#[derive(Debug, Clone)]
pub struct Slot {
    key: String,
    tag: u32,
    state: Option<u64>,
    version: Version,
    /// True when the slot belongs to another live key, and both are counted together (stricter for both).
    pub shared: bool,
}

impl Table {
    /// A table under a namespace.
    pub fn new(namespace: &str, slots: u32) -> Self {
        Self { prefix: format!("tamis.rate-limit/{namespace}/"), slots: u64::from(slots) }
    }

    /// The key of the table's hash seed.
    pub fn seed_key(&self) -> String {
        format!("{}seed", self.prefix)
    }

    /// The key of a slot. By hand, as several are made for each request: `format!` takes three times as long.
    fn key(&self, mut slot: u64) -> String {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (slot % 10) as u8;
            slot /= 10;
            if slot == 0 || at == 0 {
                break;
            }
        }
        let digits = str::from_utf8(&digits[at..]).unwrap_or_default();
        let mut key = String::with_capacity(self.prefix.len() + digits.len());
        key.push_str(&self.prefix);
        key.push_str(digits);
        key
    }

    /// Finds the slot of a hash: its own, else a free or expired one of a few, else it shares the first.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn find(&self, shared: &impl Shared, hash: (u64, u64), now: u64) -> Result<Slot, Unavailable> {
        let tag = (hash.1 >> 32) as u32;
        let mut free = None;
        let mut first = None;
        for probe in 0..PROBES {
            let key = self.key(hash.0.wrapping_add(probe.wrapping_mul(hash.1 | 1)) % self.slots);
            let slot = match shared.get(&key)? {
                Some((value, version)) => match value.as_chunks::<4>().0 {
                    [owner, low, high] if value.len() == 12 => {
                        let owner = u32::from_le_bytes(*owner);
                        let state =
                            u64::from(u32::from_le_bytes(*low)) | u64::from(u32::from_le_bytes(*high)) << 32;
                        if owner == tag {
                            return Ok(Slot { key, tag, state: Some(state), version, shared: false });
                        }
                        let live = state > now;
                        Slot {
                            key,
                            tag: if live { owner } else { tag },
                            state: live.then_some(state),
                            version,
                            shared: live,
                        }
                    }
                    // Not ours: written by nobody we know, so it holds no state.
                    _ => Slot { key, tag, state: None, version, shared: false },
                },
                None => Slot { key, tag, state: None, version: 0, shared: false },
            };
            if slot.shared {
                first.get_or_insert(slot);
            } else {
                free.get_or_insert(slot);
            }
        }
        free.or(first).ok_or(Unavailable)
    }
}

/// Asks without spending.
///
/// # Errors
/// When the host refuses.
pub fn peek(
    table: &Table,
    shared: &impl Shared,
    limit: Gcra,
    hash: (u64, u64),
    now: u64,
    cost: u64,
) -> Result<Outcome, Unavailable> {
    Ok(limit.decide(table.find(shared, hash, now)?.state, now, cost))
}

/// What spending gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The decision.
    pub outcome: Outcome,
    /// Writes that had to be repeated because another worker was faster.
    pub retries: u32,
    /// True when the slot belongs to another live key too.
    pub shared: bool,
}

/// Spends `cost` when the limit admits it. A refusal writes nothing, so an attack costs reads only.
///
/// # Errors
/// When the host refuses, or other workers were faster 32 times.
pub fn spend(
    table: &Table,
    shared: &impl Shared,
    limit: Gcra,
    hash: (u64, u64),
    now: u64,
    cost: u64,
) -> Result<Spent, Unavailable> {
    for retries in 0..MAX_TRIES {
        let slot = table.find(shared, hash, now)?;
        let outcome = limit.decide(slot.state, now, cost);
        let mut value = [0; 12];
        value[..4].copy_from_slice(&slot.tag.to_le_bytes());
        value[4..].copy_from_slice(&outcome.tat.to_le_bytes());
        if !outcome.admitted || shared.set(&slot.key, &value, slot.version)? {
            return Ok(Spent { outcome, retries, shared: slot.shared });
        }
    }
    Err(Unavailable)
}

#[cfg(test)]
mod tests;
