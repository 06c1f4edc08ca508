//! Timers of a root: all share the one timer that a host has.
//!
//! A host has one period for each root and starts it again after the callback. So each timer keeps its own moment, by a
//! clock that never goes back where the host has one, and the host's timer is set to the earliest.

use crate::root::{Root, RootState};
use crate::slot::Slot;
use crate::{host, log};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Nanoseconds of a millisecond, the host's step.
const MS: u64 = 1_000_000;

type Run = fn(&RootState);

/// The timers of one root.
#[derive(Default)]
pub(crate) struct Timers {
    list: RefCell<Vec<Timer>>,
    /// When the host's timer is due; `None` when it is off.
    armed: Cell<Option<u64>>,
    /// The host's period, ms.
    period: Cell<u64>,
    /// Set by whoever sets a timer, so that filters without any carry none of this.
    run: Cell<Option<Run>>,
}

struct Timer {
    due: u64,
    work: Work,
}

enum Work {
    Every(u64, Box<dyn FnMut()>),
    Once(Rc<Slot<()>>),
}

/// Now, in nanoseconds.
fn now() -> u64 {
    host::monotonic_nanos().or_else(|_| host::wall_nanos()).unwrap_or(0)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Timers {
    fn add(&self, timer: Timer, now: u64) {
        self.run.set(Some(|root| root.timers.due()));
        let due = timer.due;
        self.list.borrow_mut().push(timer);
        if self.armed.get().is_none_or(|armed| due < armed) {
            self.arm(due, now);
        }
    }

    fn arm(&self, due: u64, now: u64) {
        let ms = due.saturating_sub(now).div_ceil(MS).clamp(1, u64::from(u32::MAX));
        self.armed.set(Some(due));
        self.set(ms);
    }

    fn set(&self, ms: u64) {
        self.period.set(ms);
        if let Err(status) = host::set_tick(u32::try_from(ms).unwrap_or(u32::MAX)) {
            log::error!("the host could not set the timer: {status}");
        }
    }

    /// The host's timer ran.
    fn due(&self) {
        let start = now();
        // Taken out, so that a timer may add another one.
        let mut timers = std::mem::take(&mut *self.list.borrow_mut());
        timers.retain_mut(|timer| {
            if timer.due > start {
                return true;
            }
            match &mut timer.work {
                Work::Every(period, run) => {
                    run();
                    timer.due = start.saturating_add(*period);
                    true
                }
                Work::Once(slot) => {
                    slot.fill(());
                    false
                }
            }
        });
        timers.append(&mut self.list.borrow_mut());
        let next = timers.iter().map(|timer| timer.due).min();
        *self.list.borrow_mut() = timers;
        match next {
            Some(due) => {
                let now = now();
                let ms = due.saturating_sub(now).div_ceil(MS).max(1);
                self.armed.set(Some(due));
                // The host starts the same period again by itself.
                if ms != self.period.get() {
                    self.arm(due, now);
                }
            }
            None => {
                self.armed.set(None);
                self.set(0);
            }
        }
    }

    fn remove(&self, slot: &Rc<Slot<()>>) {
        // The host's timer runs once for nothing, then it is set anew.
        self.list
            .borrow_mut()
            .retain(|timer| !matches!(&timer.work, Work::Once(other) if Rc::ptr_eq(other, slot)));
    }

    /// What was planned, to be dropped when nothing is borrowed.
    pub(crate) fn take(&self) -> impl Sized {
        std::mem::take(&mut *self.list.borrow_mut())
    }
}

impl RootState {
    pub(crate) fn run_timers(&self) {
        if let Some(run) = self.timers.run.get() {
            run(self);
        }
    }
}

impl Root {
    /// Runs `work` again and again, `period` apart, first after one period; below a millisecond is a millisecond. It
    /// is never early; it is late by as much as the worker was busy.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tamis_sdk::prelude::*;
    ///
    /// fn count(root: &Root) {
    ///     let beats = tamis_sdk::metrics::counter("beats");
    ///     root.every(Duration::from_secs(1), move || beats.add(1));
    /// }
    /// ```
    pub fn every(&self, period: Duration, work: impl FnMut() + 'static) {
        let (period, now) = (nanos(period).max(MS), now());
        let timer = Timer { due: now.saturating_add(period), work: Work::Every(period, Box::new(work)) };
        self.0.timers.add(timer, now);
    }

    /// Waits. Never early; late by as much as the worker was busy. A request that waits here is held.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tamis_sdk::prelude::*;
    ///
    /// async fn pause(root: &Root) {
    ///     root.sleep(Duration::from_millis(50)).await;
    /// }
    /// ```
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + use<> {
        Sleep { root: self.clone(), time, slot: None }
    }
}

struct Sleep {
    root: Root,
    time: Duration,
    slot: Option<Rc<Slot<()>>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(slot) = &self.slot {
            return slot.poll(context);
        }
        let slot = Rc::<Slot<()>>::default();
        let now = now();
        let due = now.saturating_add(nanos(self.time));
        let _ = slot.poll(context);
        self.root.0.timers.add(Timer { due, work: Work::Once(slot.clone()) }, now);
        self.slot = Some(slot);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            self.root.0.timers.remove(slot);
        }
    }
}
