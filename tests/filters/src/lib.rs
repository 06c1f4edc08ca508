//! Filters of every kind in one module, for `rows`: each does what the path or its configuration says, and
//! logs what it saw in the form of the scripted guest.

use serde::Deserialize;

mod access;
mod body;
mod callout;
mod tcp;
mod timer;
mod vm;

tamis_sdk::export! {
    "body" => body::Bodies,
    "callout" => callout::Callouts,
    "timer" => timer::Timer,
    "log" => log access::Log,
    "tcp" => tcp tcp::Tcp,
    "vm" => vm::Vm,
}

/// What every filter here is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The name under which it logs.
    name: String,
    /// What it does, where nothing else says so.
    #[serde(default)]
    does: String,
    /// The cluster that its callouts go to.
    #[serde(default)]
    cluster: String,
    /// Failures pass.
    #[serde(default)]
    pass: bool,
}

impl Config {
    /// A line of the log, as the harness reads it. There is one stream at a time.
    fn say(&self, text: std::fmt::Arguments<'_>) {
        tamis_sdk::log::warn!("~{}/1 {text}", self.name);
    }

    fn on_error(&self) -> tamis_sdk::OnError {
        if self.pass { tamis_sdk::OnError::Pass } else { tamis_sdk::OnError::Deny }
    }

    /// A call to the cluster.
    fn ask(&self, path: &str) -> tamis_sdk::Callout {
        tamis_sdk::Callout::get(self.cluster.as_str(), "asked.test", path)
            .timeout(std::time::Duration::from_millis(400))
    }
}
