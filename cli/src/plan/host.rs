//! Settings of the host that plays, resolved.

use super::{Settings, config_bytes};
use crate::args::{ClockArg, HostArgs, Policy};
use crate::failure::{Code, Failure, Result};
use tamis_host::{Clock, Engine, FailurePolicy, Profile, Stage, StageBuilder};
use tamis_traffic::PropertyValue;

/// How the host plays.
#[derive(Debug, Clone, Default)]
pub struct HostPlan {
    /// Whose rules hold.
    pub profile: Profile,
    /// Body callbacks run while headers are held, for all filters.
    pub allow_on_headers_stop_iteration: bool,
    /// What the proxy is and no recording tells.
    pub properties: Option<PropertyValue>,
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
    ///
    /// # Errors
    /// When the properties cannot be read.
    pub fn resolve(args: &HostArgs, settings: &Settings) -> Result<Self> {
        let mut profile = args.profile.clone().unwrap_or_default();
        profile.buffer_limit = args.buffer_limit.map_or(profile.buffer_limit, |bytes| bytes.0);
        Ok(Self {
            profile,
            allow_on_headers_stop_iteration: args.allow_on_headers_stop_iteration,
            properties: args.properties.as_deref().map(properties).transpose()?,
            policy: args.policy.or(settings.policy).map(Into::into),
            clock: match args.clock {
                Some(ClockArg::Fixed(nanos)) => Clock::Fixed(nanos),
                Some(ClockArg::Recorded) | None => Clock::Recorded,
            },
            seed: args.seed.or(settings.seed).unwrap_or(0),
            fuel: args.fuel_limit.or(settings.fuel_limit),
            memory: args.memory_limit.or(settings.memory_limit).map(|b| b.0),
        })
    }

    /// A stage without filters.
    pub fn builder(&self, engine: &Engine) -> StageBuilder {
        let mut builder =
            Stage::builder(engine).profile(self.profile.clone()).clock(self.clock).seed(self.seed);
        if let Some(properties) = &self.properties {
            builder = builder.proxy(properties.clone());
        }
        if let Some(fuel) = self.fuel {
            builder = builder.fuel_per_callback(fuel);
        }
        if let Some(memory) = self.memory {
            builder = builder.memory_limit(memory);
        }
        builder
    }
}

/// A file of JSON, or the JSON itself.
fn properties(value: &str) -> Result<PropertyValue> {
    let bad = |why: String| {
        Failure::new(Code::BadConfig, format!("`--properties` is no tree of properties: {why}"))
    };
    let bytes = config_bytes(value)?;
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    match json.is_object() {
        true => Ok((&json).into()),
        false => Err(bad("it is no object".into())),
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
