//! What to do, resolved from flags, `TAMIS_*` (clap reads those), package metadata and defaults.

mod chain;
mod filters;
mod folders;
mod host;
mod image;
mod publish;
mod remote;
mod settings;

pub use chain::Chain;
pub use filters::{FilterPlan, Source, config_bytes, read_file};
pub use folders::cache_folder;
pub use host::HostPlan;
pub use remote::Remote;
pub use settings::Settings;

pub(crate) use filters::{Loaded, bad_module, beside, unwrapped};
pub(crate) use image::module;
pub(crate) use publish::facts;
pub(crate) use remote::{environment, options};
pub(crate) use settings::nearest;
