//! The public face: a chain of filters that plays exchanges.

mod builder;
mod connection;
mod crew;
mod desk;
mod error;
mod life;
mod property;
mod spec;

pub use crate::world::{Metric, MetricKind};
pub use builder::{Clock, StageBuilder, Start, WORKERS_LIMIT};
pub use error::{StartError, StartPhase, StartReason};
pub use spec::FilterSpec;

pub(crate) use crew::Crew;
pub(crate) use desk::{Action, At, Context, Desk, Plugin};
pub(crate) use life::Slot;
pub(crate) use property::{Asked, property, view};

use crate::Engine;
use crate::chain::Play;
use crate::coverage::Counters;
use crate::inject::Injector;
use std::time::Duration;
use tamis_traffic::{Exchange, Log, Playback};

/// How long before the first recorded exchange the filters have started, nanoseconds (5 s): enough for the
/// calls that they make while they start.
const LEAD: u64 = 5_000_000_000;

/// A chain of started filters and the world they live in. It plays one exchange after another; what filters
/// keep in memory, in shared data or in metrics lives on from one to the next, as in a worker of Envoy.
pub struct Stage {
    slots: Vec<Slot>,
    desk: Box<Desk>,
    /// The recorded clock has found its first exchange.
    begun: bool,
    start_logs: Vec<Log>,
    /// None where no fault is injected that each play has to look after.
    inject: Option<Box<Injector>>,
    counters: Option<Counters>,
}

impl Stage {
    /// Starts to build a stage. [`StageBuilder`] lists the defaults.
    pub fn builder(engine: &Engine) -> StageBuilder {
        StageBuilder::new(engine)
    }

    /// Plays one exchange through the chain. The recorded response plays the upstream. One that is a TCP connection is
    /// played as one, see [`play_connection`](Self::play_connection).
    ///
    /// Never fails and never panics: whatever goes wrong is a [`Fault`](tamis_traffic::Fault) of the playback.
    pub fn play(&mut self, exchange: &Exchange, playback: &mut Playback) {
        if let Some(connection) = exchange.connection() {
            return self.play_connection(&connection, playback);
        }
        self.open(exchange.started, playback);
        if self.inject.is_some() {
            self.play_injected(exchange, playback);
        } else {
            let mut play = self.player(playback);
            play.exchange = Some(exchange);
            play.run(exchange);
        }
        self.take_back(playback);
    }

    /// Before an exchange or a connection: what falls due until it begins comes first, then it is dealt to a worker
    /// whose VMs live.
    fn open(&mut self, started: Option<u64>, playback: &mut Playback) {
        playback.clear();
        self.lend(playback);
        if let Some(started) = started.filter(|_| self.desk.follows_recording)
            && started > self.desk.clock.wall()
        {
            if !std::mem::replace(&mut self.begun, true) {
                self.begin(started);
            }
            self.player(playback).run_until(started);
        }
        self.desk.deal();
        self.revive();
    }

    /// With clients that leave and callouts that fail.
    #[cold]
    fn play_injected(&mut self, exchange: &Exchange, playback: &mut Playback) {
        let leaves = self.inject.as_mut().and_then(|inject| inject.leaves());
        let mut play = self.player(playback);
        play.exchange = Some(exchange);
        match leaves {
            None => play.run(exchange),
            Some((number, moment)) => {
                if play.run_until_left(exchange, moment) {
                    playback.injected.push(number);
                }
            }
        }
        if let Some(inject) = &mut self.inject {
            inject.struck(&mut playback.injected);
        }
    }

    /// Lets the virtual clock run: ticks and callouts that fall due are delivered.
    pub fn advance(&mut self, by: Duration, playback: &mut Playback) {
        playback.clear();
        self.lend(playback);
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let until = self.desk.clock.wall().saturating_add(by);
        self.player(playback).run_until(until);
        self.take_back(playback);
    }

    /// All metrics that filters defined, in order of their first definition.
    pub fn metrics(&self) -> Vec<Metric> {
        self.desk.metrics.all()
    }

    /// What filters logged while they started.
    pub fn start_logs(&self) -> &[Log] {
        &self.start_logs
    }

    /// Ends the root contexts: `proxy_on_done` (and the wait for `proxy_done`), then `proxy_on_delete`.
    pub fn shutdown(mut self, playback: &mut Playback) {
        playback.clear();
        self.lend(playback);
        self.player(playback).leave();
        self.take_back(playback);
        (0..self.slots.len()).for_each(|number| self.settle_counts(number));
    }

    /// The recorded clock starts: as if the filters had started a little before the first exchange. What they
    /// asked for meanwhile (ticks, callouts) moves with it.
    fn begin(&mut self, started: u64) {
        let desk = &mut self.desk;
        let shift = started.saturating_sub(LEAD).saturating_sub(desk.clock.wall());
        desk.clock.advance_to(desk.clock.wall().saturating_add(shift));
        desk.callouts.shift(shift);
        desk.all_plugins().for_each(|p| p.tick_at = p.tick_at.saturating_add(shift));
        self.slots.iter_mut().for_each(|s| s.vm.loaded = s.vm.loaded.saturating_add(shift));
    }

    fn player<'a>(&'a mut self, out: &'a mut Playback) -> Play<'a> {
        Play { slots: &mut self.slots, desk: &mut self.desk, out, exchange: None }
    }

    /// The playback's own lists take what filters write, so that their memory is used again.
    fn lend(&mut self, playback: &mut Playback) {
        self.desk.keep_anew();
        std::mem::swap(&mut self.desk.logs, &mut playback.logs);
        std::mem::swap(&mut self.desk.faults, &mut playback.faults);
        std::mem::swap(&mut self.desk.made, &mut playback.callouts);
    }

    fn take_back(&mut self, playback: &mut Playback) {
        self.lend(playback);
    }
}
