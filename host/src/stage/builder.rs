//! How a stage is set up.

use super::{FilterSpec, Stage, StartError};
use crate::callouts::{Answers, Nobody};
use crate::coverage::Counters;
use crate::{Engine, Profile};
use tamis_traffic::inject::{Injection, Planned};
use tamis_traffic::{LogLevel, PropertyValue};

/// Where a stage has its time from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The clock jumps forward to the start of each exchange, never back. Before the first one it shows the
    /// Unix epoch, and the filters count as started five seconds before it.
    #[default]
    Recorded,
    /// Nanoseconds since the Unix epoch; time passes only by waiting and by [`Stage::advance`].
    Fixed(u64),
}

/// How filters are started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Each VM once.
    #[default]
    Single,
    /// As Envoy does (docs/envoy.md 1.5): a base VM that only loads, a canary for each filter that is configured
    /// and thrown away, one VM for the main thread, one for each worker. Workers play the exchanges; ticks,
    /// queues and callouts that a filter starts in `proxy_on_configure` run on the main thread too.
    LikeEnvoy,
}

/// Fuel of one callback when nothing else is said: about a tenth of a second of work.
pub(super) const FUEL_PER_CALLBACK: u64 = 500_000_000;

/// Linear memory of one VM when nothing else is said: 1 GiB, as Envoy has it (docs/envoy.md 2.12).
pub(super) const MEMORY_LIMIT: u64 = 1 << 30;

/// Most workers of a stage. Envoy starts one for each core; each one here costs a VM of every filter.
pub const WORKERS_LIMIT: usize = 256;

/// Sets up a [`Stage`].
///
/// Starts with: no filter; the profile of Envoy 1.40; the recorded clock; seed 0; 500 million units of fuel for a
/// callback (if the engine counts fuel); 1 GiB of memory for a VM; no answer to any callout; log level info;
/// each VM started once; one worker; no injected faults; no coverage.
pub struct StageBuilder {
    pub(crate) engine: Engine,
    pub(crate) profile: Profile,
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) filters: Vec<FilterSpec>,
    pub(crate) fuel: u64,
    pub(crate) memory: u64,
    pub(crate) answers: Box<dyn Answers>,
    pub(crate) level: LogLevel,
    pub(crate) start: Start,
    pub(crate) workers: usize,
    pub(crate) proxy: PropertyValue,
    pub(crate) injected: Vec<Planned>,
    pub(crate) counters: Option<Counters>,
}

impl StageBuilder {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            profile: Profile::default(),
            clock: Clock::default(),
            seed: 0,
            filters: Vec::new(),
            fuel: FUEL_PER_CALLBACK,
            memory: MEMORY_LIMIT,
            answers: Box::new(Nobody),
            level: LogLevel::Info,
            start: Start::default(),
            workers: 1,
            proxy: PropertyValue::Map(Vec::new()),
            injected: Vec::new(),
            counters: None,
        }
    }

    /// The rules of one real host.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Where time comes from.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Seed of all randomness that filters see.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a filter at the end of the chain (the side of the upstream).
    pub fn filter(mut self, filter: FilterSpec) -> Self {
        self.filters.push(filter);
        self
    }

    /// Fuel of one callback. A callback that uses it up ends as
    /// [`FaultKind::OutOfFuel`](tamis_traffic::FaultKind::OutOfFuel). No effect when the engine counts no fuel.
    pub fn fuel_per_callback(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
        self
    }

    /// Linear memory of one VM, bytes. Growing beyond it fails, as in Envoy.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Who answers callouts.
    pub fn answers(mut self, answers: Box<dyn Answers>) -> Self {
        self.answers = answers;
        self
    }

    /// Lines below this level are not kept.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.level = level;
        self
    }

    /// What the proxy is and no recording tells: properties such as `xds.node.metadata`, `xds.route_metadata` or
    /// `metadata` (what native filters before the chain found out). A map whose keys are the segments of paths.
    /// What the recording knows wins; what neither knows is as in an Envoy where it is not set (docs/envoy.md 2.9).
    pub fn proxy(mut self, properties: PropertyValue) -> Self {
        self.proxy = properties;
        self
    }

    /// How filters are started.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How many workers the proxy has: 1 unless said, at most [`WORKERS_LIMIT`]. Each has its own VMs; they share
    /// data, queues and metrics. The seed decides which worker takes an exchange. One exchange is played at a time,
    /// but ticks, queues and callouts of the other workers fall into its waiting.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, WORKERS_LIMIT);
        self
    }

    /// Injects a fault. `number` is its name in [`Playback::injected`](tamis_traffic::Playback::injected);
    /// `filter` is the index of the filter that it is for, where it is for one (the first unless said). Chance
    /// comes from the stage's seed. No effect for faults that are in the traffic: those are
    /// [`Exchanges`](tamis_traffic::inject::Exchanges).
    pub fn inject(mut self, number: usize, fault: Injection, filter: Option<usize>) -> Self {
        self.injected.push(Planned { number, fault, filter });
        self
    }

    /// Reads the counters that [`Covered`](crate::coverage::Covered) built into modules, when a VM ends and at
    /// [`Stage::shutdown`]. Costs mean nothing then: counters use fuel, so a callback may use twenty times of what
    /// was said.
    pub fn coverage(mut self, counters: &Counters) -> Self {
        self.counters = Some(counters.clone());
        self
    }

    /// Starts every filter: instance, `_initialize`, root context, `proxy_on_vm_start`, `proxy_on_configure`.
    ///
    /// # Errors
    /// When a filter refuses its configuration or breaks while it starts. Envoy refuses to start then, whatever
    /// the failure policy (docs/envoy.md 2.12).
    pub fn build(self) -> Result<Stage, StartError> {
        Stage::start(self)
    }
}
