//! Faults with what they are for, what struck, and the clients that leave.

use super::{Dice, Injection, Moment, Share, What};
use std::sync::{Arc, Mutex, PoisonError};

/// A fault of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its number in the replay, as [`Playback::injected`](crate::Playback::injected) names it.
    pub number: usize,
    /// The fault.
    pub fault: Injection,
    /// Index of the filter that it is for; none: any.
    pub filter: Option<usize>,
}

/// Numbers of faults that struck where the playback is out of reach. Clones share them.
#[derive(Debug, Default, Clone)]
pub struct Struck(Arc<Mutex<Vec<usize>>>);

impl Struck {
    pub(super) fn add(&self, number: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    /// Moves them over.
    pub fn take(&self, into: &mut Vec<usize>) {
        into.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Decides whose client leaves.
#[derive(Debug, Clone, Default)]
pub struct Leavers(Vec<(usize, Moment, Share, Dice)>);

impl Leavers {
    /// By the faults of `all` that are about clients.
    pub fn new(all: &[Planned], seed: u64) -> Self {
        let leaves = |p: &Planned| match p.fault.what {
            What::ClientAbort(moment) => Some((p.number, moment, p.fault.share, Dice::new(seed, p.number))),
            _ => None,
        };
        Self(all.iter().filter_map(leaves).collect())
    }

    /// True when no client ever leaves.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the client of the next exchange leaves, if it does, and by which fault.
    pub fn decide(&mut self) -> Option<(usize, Moment)> {
        let mut found = None;
        for (number, moment, share, dice) in &mut self.0 {
            // Each throws its dice for each exchange, whatever the others do.
            if dice.takes(*share) && found.is_none() {
                found = Some((*number, *moment));
            }
        }
        found
    }
}
