//! Plays recorded exchanges through Proxy-Wasm filters as Envoy would.
//!
//! The way in: an [`Engine`] compiles a filter into a [`Module`]; a [`FilterSpec`] says how it is configured; a
//! [`Stage`] holds a chain of them, with a clock, randomness, shared data and metrics of its own; [`Stage::play`]
//! takes one recorded exchange and fills a [`Playback`](tamis_traffic::Playback). Nothing here opens a file or a
//! socket, two stages never meet, and the same stage plays the same exchanges the same way twice.

mod ask;
mod callouts;
mod calls;
mod chain;
pub mod coverage;
mod engine;
mod headermap;
mod inject;
mod memory;
mod module;
mod policy;
mod profile;
mod properties;
mod stage;
mod vm;
mod wasi;
mod world;

pub use ask::{AskError, ask};
pub use engine::{Engine, EngineError, EngineOptions};
pub use module::{AbiVersion, Export, Import, LoadError, MODULE_LIMIT, Module, ModuleFacts, inspect};
pub use policy::FailurePolicy;
pub use profile::{Profile, UnknownProfile};
pub use stage::{
    Clock, FilterSpec, Metric, MetricKind, Stage, StageBuilder, Start, StartError, StartPhase, StartReason,
    WORKERS_LIMIT,
};
pub use tamis_traffic::answers::{Answer, Answers, Recorded};
