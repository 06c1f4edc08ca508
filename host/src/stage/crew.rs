//! The threads of the proxy: its workers, each with VMs of its own, and perhaps the main thread.

use super::{Desk, Plugin};
use crate::world::Random;

/// Draws for the dealing of exchanges must not shift what filters draw.
const DEAL: u64 = 0x6465_616c;

/// All threads of a stage. The filters of the running one lie on the desk.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Filters of each thread; the place of the running one is empty. Workers come first.
    away: Vec<Vec<Plugin>>,
    running: usize,
    workers: usize,
    /// VMs of one thread; those of thread `t` are numbered from `t * vms`.
    vms: usize,
    dice: Random,
}

impl Crew {
    /// One thread without filters.
    pub(crate) fn idle() -> Self {
        Self { away: Vec::new(), running: 0, workers: 1, vms: 1, dice: Random::new(DEAL) }
    }

    /// There is one thread.
    #[inline]
    pub(crate) fn alone(&self) -> bool {
        self.away.len() < 2
    }

    pub(crate) fn running(&self) -> usize {
        self.running
    }

    pub(crate) fn threads(&self) -> usize {
        self.away.len().max(1)
    }

    pub(crate) fn thread_of(&self, vm: usize) -> usize {
        vm / self.vms.max(1)
    }
}

impl Desk {
    /// Makes the threads: the filters on the desk, whose VMs are numbered from 0, for each of them. The first
    /// `workers` take exchanges.
    pub(super) fn hire(&mut self, threads: usize, workers: usize, vms: usize, seed: u64) {
        let on = |thread: usize, plugin: &Plugin| Plugin { vm: plugin.vm + thread * vms, ..plugin.clone() };
        let away = (0..threads).map(|thread| match thread {
            0 => Vec::new(),
            _ => self.plugins.iter().map(|plugin| on(thread, plugin)).collect(),
        });
        let away = away.collect();
        self.crew = Crew { away, running: 0, workers, vms, dice: Random::new(seed ^ DEAL) };
    }

    /// Makes this thread the running one.
    pub(crate) fn sit(&mut self, thread: usize) {
        let Self { crew, plugins, .. } = self;
        if thread != crew.running && thread < crew.away.len() {
            std::mem::swap(plugins, &mut crew.away[crew.running]);
            std::mem::swap(plugins, &mut crew.away[thread]);
            crew.running = thread;
        }
    }

    /// Deals the next exchange to a worker.
    #[inline]
    pub(super) fn deal(&mut self) {
        if !self.crew.alone() {
            self.deal_out();
        }
    }

    #[cold]
    fn deal_out(&mut self) {
        let mut draw = [0; 8];
        self.crew.dice.fill(&mut draw);
        let workers = self.crew.workers as u64;
        self.sit((u64::from_le_bytes(draw) % workers.max(1)) as usize);
    }

    /// The earliest tick of the threads that do not run, wall nanoseconds.
    #[cold]
    pub(crate) fn next_tick_away(&self) -> Option<u64> {
        self.crew.away.iter().flatten().filter(|p| p.tick > 0 && p.root != 0).map(|p| p.tick_at).min()
    }

    /// Thread and filter of a tick that is due there.
    #[cold]
    pub(crate) fn due_away(&self, now: u64) -> Option<(usize, usize)> {
        let due = |p: &Plugin| p.tick > 0 && p.root != 0 && p.tick_at <= now;
        let mut threads = self.crew.away.iter().enumerate();
        threads.find_map(|(thread, plugins)| Some((thread, plugins.iter().position(due)?)))
    }

    /// The filters of all threads.
    pub(crate) fn all_plugins(&mut self) -> impl Iterator<Item = &mut Plugin> {
        self.plugins.iter_mut().chain(self.crew.away.iter_mut().flatten())
    }
}
