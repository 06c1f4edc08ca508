//! Faults that act while filters run: they are put into a stage when it is built, and cost nothing where none is.
//!
//! A trap and a lack of memory are a function of ours in front of the filter's callback; a callout's fate is an
//! answer; a client that leaves is another way through [`Play`](crate::chain::Play).

mod hook;

pub(crate) use hook::Hook;

use crate::callouts::{Answers, Nobody};
use tamis_traffic::inject::{Failing, Leavers, Moment, Planned, Struck};

/// What a stage with injected faults holds.
#[derive(Debug)]
pub(crate) struct Injector {
    struck: Struck,
    leavers: Leavers,
}

impl Injector {
    /// Puts the faults where they act; none when there is nothing to look after in each play.
    pub(crate) fn new(all: &[Planned], seed: u64, answers: &mut Box<dyn Answers>) -> Option<Box<Self>> {
        let (struck, leavers) = (Struck::default(), Leavers::new(all, seed));
        let own = std::mem::replace(answers, Box::new(Nobody));
        let failing = Failing::new(all, seed, own, &struck);
        let fail = failing.is_ok();
        *answers = failing.map_or_else(|own| own, |failing| Box::new(failing));
        (fail || !leavers.is_empty()).then(|| Box::new(Self { struck, leavers }))
    }

    /// When the client of the next exchange leaves, if it does, and by which fault.
    pub(crate) fn leaves(&mut self) -> Option<(usize, Moment)> {
        self.leavers.decide()
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
