//! Settings of the host that plays, resolved.

use super::Settings;
use crate::args::{ClockArg, HostArgs, Policy};
use tamis_host::{Clock, Engine, FailurePolicy, Stage, StageBuilder};

/// How the host plays.
#[derive(Debug, Clone, Default)]
pub struct HostPlan {
    /// None: the default of the host.
    pub policy: Option<FailurePolicy>,
    /// The clock of the filters.
    pub clock: Clock,
    /// Seed of randomness.
    pub seed: u64,
    /// Fuel for each callback; none: the host's default.
    pub fuel: Option<u64>,
    /// Bytes for each filter; none: the host's default.
    pub memory: Option<u64>,
}

impl HostPlan {
    /// Flags win over settings.
    pub fn resolve(args: &HostArgs, settings: &Settings) -> Self {
        Self {
            policy: args.policy.or(settings.policy).map(Into::into),
            clock: match args.clock {
                Some(ClockArg::Fixed(nanos)) => Clock::Fixed(nanos),
                Some(ClockArg::Recorded) | None => Clock::Recorded,
            },
            seed: args.seed.or(settings.seed).unwrap_or(0),
            fuel: args.fuel_limit.or(settings.fuel_limit),
            memory: args.memory_limit.or(settings.memory_limit).map(|b| b.0),
        }
    }

    /// A stage without filters.
    pub fn builder(&self, engine: &Engine) -> StageBuilder {
        let mut builder = Stage::builder(engine).clock(self.clock).seed(self.seed);
        if let Some(fuel) = self.fuel {
            builder = builder.fuel_per_callback(fuel);
        }
        if let Some(memory) = self.memory {
            builder = builder.memory_limit(memory);
        }
        builder
    }
}

impl From<Policy> for FailurePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Closed => FailurePolicy::Closed,
            Policy::Open => FailurePolicy::Open,
            Policy::Reload => FailurePolicy::Reload,
        }
    }
}
