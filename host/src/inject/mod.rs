//! Faults that act while filters run: they are put into a stage when it is built, and cost nothing where none is.
//!
//! A trap and a lack of memory are a function of ours in front of the filter's callback; a callout's fate is an
//! answer; a client that leaves is another way through [`Play`](crate::chain::Play).

mod answers;
mod hook;

pub(crate) use hook::Hook;

use crate::callouts::Answers;
use answers::Meddling;
use std::sync::{Arc, Mutex, PoisonError};
use tamis_traffic::inject::{Dice, Injection, Moment, Share, What};

/// A fault that the builder was given.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Its number in the replay, as [`Playback::injected`](tamis_traffic::Playback::injected) names it.
    pub(crate) number: usize,
    pub(crate) fault: Injection,
    /// Index of the filter that it is for; none: any.
    pub(crate) filter: Option<usize>,
}

/// Numbers of faults that struck where the playback is out of reach.
#[derive(Debug, Default, Clone)]
struct Struck(Arc<Mutex<Vec<usize>>>);

impl Struck {
    fn add(&self, number: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    fn take(&self, into: &mut Vec<usize>) {
        into.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a stage with injected faults holds.
#[derive(Debug)]
pub(crate) struct Injector {
    struck: Struck,
    leaves: Vec<(usize, Moment, Share, Dice)>,
}

impl Injector {
    /// Puts the faults where they act; none when there is nothing to look after in each play.
    pub(crate) fn new(all: &[Planned], seed: u64, answers: &mut Box<dyn Answers>) -> Option<Box<Self>> {
        let struck = Struck::default();
        let leaves = |p: &Planned| match p.fault.what {
            What::ClientAbort(moment) => Some((p.number, moment, p.fault.share, Dice::new(seed, p.number))),
            _ => None,
        };
        let leaves: Vec<_> = all.iter().filter_map(leaves).collect();
        let meddled = Meddling::wrap(all, seed, answers, &struck);
        (meddled || !leaves.is_empty()).then(|| Box::new(Self { struck, leaves }))
    }

    /// When the client of the next exchange leaves, if it does, and by which fault.
    pub(crate) fn leaves(&mut self) -> Option<(usize, Moment)> {
        let mut found = None;
        for (number, moment, share, dice) in &mut self.leaves {
            // Each throws its dice for each exchange, whatever the others do.
            if dice.takes(*share) && found.is_none() {
                found = Some((*number, *moment));
            }
        }
        found
    }

    /// What struck since it was last asked.
    pub(crate) fn struck(&mut self, into: &mut Vec<usize>) {
        self.struck.take(into);
    }
}

/// The hooks for the filters of one VM.
pub(crate) fn hooks(all: &[Planned], of_vm: impl Fn(usize) -> bool) -> Vec<Hook> {
    all.iter().filter(|p| of_vm(p.filter.unwrap_or_default())).filter_map(Hook::of).collect()
}
