//! The state of all keys: the algorithm's timestamp in the slots of a table that does not grow.

use crate::gcra::{Gcra, Outcome};
use tamis_sdk::shared::{SharedCell, SharedError, Slots};

/// The slot table and the key of its hash.
#[derive(Debug, Clone)]
pub struct Table {
    slots: Slots,
    namespace: String,
}

/// What spending gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The decision.
    pub outcome: Outcome,
    /// True when the slot belongs to another live key too.
    pub shared: bool,
}

impl Table {
    /// A table under a namespace.
    pub fn new(namespace: &str, slots: u32) -> Self {
        let namespace = format!("tamis.rate-limit/{namespace}");
        Self { slots: Slots::new(&namespace, slots), namespace }
    }

    /// The seed of the hash of client data.
    pub fn seed(&self) -> SharedCell<[u8; 16]> {
        SharedCell::new(format!("{}/seed", self.namespace))
    }

    /// Asks without spending.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn peek(&self, limit: Gcra, hash: (u64, u64), now: u64, cost: u64) -> Result<Outcome, SharedError> {
        Ok(limit.decide(self.slots.get(hash, |state| state > now)?, now, cost))
    }

    /// Spends `cost` when the limit admits it. A refusal writes nothing, so an attack costs reads only.
    ///
    /// # Errors
    /// When the host refuses, or other workers were faster 32 times: then the rule's `on_contention` decides.
    pub fn spend(&self, limit: Gcra, hash: (u64, u64), now: u64, cost: u64) -> Result<Spent, SharedError> {
        let spent = self.slots.update(
            hash,
            |state| state > now,
            |state| {
                let outcome = limit.decide(state, now, cost);
                (outcome.admitted.then_some(outcome.tat), outcome)
            },
        )?;
        Ok(Spent { outcome: spent.value, shared: spent.shared })
    }
}

#[cfg(test)]
mod tests;
