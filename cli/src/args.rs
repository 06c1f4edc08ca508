//! The command line as clap sees it. Parsing touches nothing but the arguments and `TAMIS_*`.

mod deploy;
mod manifest;
mod remote;
mod replay;
mod status;
mod values;

pub use deploy::{CiArg, DeployArgs, StepArg};
pub use manifest::{KindArg, ManifestArgs, PhaseArg, ScopeArg, TargetRef};
pub use remote::{FixArgs, LayoutArg, PullArgs, PushArgs, RemoteArgs, SignArgs, VerifyArgs};
pub use replay::{HostArgs, ReplayArgs, SelectArgs};
pub use status::StatusArgs;
pub use values::{Bytes, ClockArg, EngineArg, FailOn, Policy, ReportKind, ReportTo};

use crate::ui::{ColorChoice, Format, UiOptions};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Run tomorrow's Envoy filter on yesterday's traffic.
#[derive(Debug, Parser)]
#[command(name = "tamis", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "exit codes: 0 ok · 1 findings · 2 usage · 3 build · 4 nothing ran · 5 unreadable input · \
    6 remote · 70 a bug of tamis · 130 interrupted"
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// How data is written on stdout; `json` is one object a line
    #[arg(long, global = true, env = "TAMIS_FORMAT", value_name = "FORMAT", default_value = "human")]
    pub format: Format,
    /// When to use colours
    #[arg(long, global = true, env = "TAMIS_COLOR", value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// No status lines, only warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More talk: filter logs, commands that are run
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

impl Global {
    /// The part that the terminal face needs.
    pub fn ui(&self) -> UiOptions {
        UiOptions { format: self.format, color: self.color, quiet: self.quiet, verbose: self.verbose }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a filter package that builds, tests and replays at once
    New(NewArgs),
    /// Build a filter for the wasm target and check that Envoy would load it
    Build(BuildArgs),
    /// Run the traffic tests of a filter, building it first
    Test(TestArgs),
    /// Play captures through a filter or a chain and show what changes
    Replay(Box<ReplayArgs>),
    /// Show what a module or a published image has, and who would load it
    Inspect(InspectArgs),
    /// Publish a filter to an OCI registry
    Push(Box<PushArgs>),
    /// Fetch a published filter
    Pull(PullArgs),
    /// Wrap anybody's image anew, so that the meshes load it
    Fix(FixArgs),
    /// Sign a published filter with a key of your own, or with an identity
    Sign(SignArgs),
    /// Check by whom a published filter is signed
    Verify(VerifyArgs),
    /// Write what a mesh needs to load a published filter, pinned by digest
    Manifest(Box<ManifestArgs>),
    /// Write a rollout in steps: first the filter only counts, then it acts
    Deploy(Box<DeployArgs>),
    /// Ask a running proxy whether a filter is loaded, which one, and what it did
    Status(StatusArgs),
    /// Check a configuration, or show what a filter takes
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Look at recorded traffic
    #[command(subcommand)]
    Capture(CaptureVerb),
    /// Look for what is missing on this machine or in this package
    Doctor(DoctorArgs),
    /// Explain an error code, a kind of fault, or `exit-codes`
    Explain(ExplainArgs),
    /// Write shell completions
    Completions(CompletionsArgs),
    /// A tour on bundled traffic: three filters, one chain
    Demo(DemoArgs),
}

/// `tamis new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Name of the package; on a terminal asked for when it is missing
    pub name: Option<String>,
    /// What to begin with [default: header]
    #[arg(long, env = "TAMIS_TEMPLATE")]
    pub template: Option<String>,
    /// Fill a value of the template; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where the package goes [default: ./NAME]
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Version control of the new package
    #[arg(long, default_value = "none", value_name = "KIND")]
    pub vcs: Vcs,
    /// Depend on the sdk in this folder instead of the copy that comes with tamis
    #[arg(long, value_name = "FOLDER")]
    pub sdk: Option<PathBuf>,
    /// List the templates and their values
    #[arg(long)]
    pub list: bool,
}

/// Version control of a new package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Vcs {
    /// None.
    None,
    /// `git init`.
    Git,
}

/// What `build` and the commands that build first take.
#[derive(Debug, Clone, Default, Args)]
pub struct BuildArgs {
    /// Package to build [default: the filter packages of the current folder]
    #[arg(long, short, value_name = "NAME")]
    pub package: Vec<String>,
    /// Wasm target
    #[arg(long, value_name = "TARGET", env = "TAMIS_TARGET", value_parser = ["wasm32-wasip1", "wasm32-unknown-unknown"])]
    pub target: Option<String>,
    /// Cargo profile [default: release]
    #[arg(long, value_name = "PROFILE", env = "TAMIS_PROFILE")]
    pub profile: Option<String>,
    /// Refuse a larger module, for instance `512KiB`
    #[arg(long, value_name = "SIZE", env = "TAMIS_MAX_SIZE")]
    pub max_size: Option<Bytes>,
    /// Write a CycloneDX list of what the filter is made of beside the module
    #[arg(long)]
    pub sbom: bool,
    /// Say how long each step took, and what it made of the size
    #[arg(long)]
    pub timings: bool,
}

/// `tamis test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Traffic tests, or folders of them [default: `tests/` of the package]
    pub paths: Vec<PathBuf>,
    /// Package whose tests to run
    #[arg(long, short, value_name = "NAME")]
    pub package: Option<String>,
    /// Wasm target
    #[arg(long, value_name = "TARGET", env = "TAMIS_TARGET", value_parser = ["wasm32-wasip1", "wasm32-unknown-unknown"])]
    pub target: Option<String>,
    /// Use this module instead of building: a wasm file, or `oci://REF`
    #[arg(long, value_name = "WASM|oci://REF")]
    pub filter: Option<PathBuf>,
    /// What plays
    #[arg(long, value_name = "ENGINE", env = "TAMIS_ENGINE", default_value = "wasmtime")]
    pub engine: EngineArg,
    /// Write a report file: `json=PATH` or `junit=PATH`; may be repeated
    #[arg(long, value_name = "KIND=PATH")]
    pub report: Vec<ReportTo>,
    /// Stay, and run again when a file of the package or a test changes
    #[arg(long, conflicts_with = "password_stdin")]
    pub watch: bool,
    /// The registry of filters that are images
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `tamis inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A wasm file, or `oci://REF` for an image, anybody's
    #[arg(value_name = "WASM|oci://REF")]
    pub file: String,
    /// Would this one load the image: `istio@1.29`, `envoy-gateway`, `higress`, `wkg`; may be repeated [default: all]
    #[arg(long, value_name = "CONSUMER")]
    pub target: Vec<String>,
    /// Read the image from an OCI image layout in this folder
    #[arg(long, value_name = "FOLDER")]
    pub layout: Option<PathBuf>,
    /// Save the CycloneDX list that is attached to the image
    #[arg(long, value_name = "FILE", conflicts_with = "layout")]
    pub sbom: Option<PathBuf>,
    /// The registry
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `tamis config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Have the filter itself read a configuration, and say where it is wrong
    Check {
        /// The configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A wasm file, or the folder of a filter package
        #[arg(long, value_name = "PATH", default_value = ".")]
        filter: PathBuf,
    },
    /// Print the JSON Schema that the module carries
    Schema {
        /// A wasm file, or the folder of a filter package
        #[arg(long, value_name = "PATH", default_value = ".")]
        filter: PathBuf,
    },
}

/// `tamis capture …`.
#[derive(Debug, Subcommand)]
pub enum CaptureVerb {
    /// Print the exchanges; `--format json` writes tamis's own capture form
    Show(CaptureArgs),
    /// Count hosts, routes, statuses and protocols, and say what is missing
    Stats(CaptureArgs),
}

/// What the capture commands take.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// Recorded traffic: Envoy tap, Istio JSON access log, JSON lines; gzipped or not
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Which exchanges
    #[command(flatten)]
    pub select: SelectArgs,
    /// Show credentials and cookies instead of hiding them
    #[arg(long)]
    pub secrets: bool,
}

/// `tamis doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Try to repair what is found
    #[arg(long)]
    pub fix: bool,
}

/// `tamis explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code, as it stands in `error[CODE]` or in a list of faults [default: list all]
    pub code: Option<String>,
}

/// `tamis completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `tamis demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder with the built filters `header_routing.wasm`, `auth.wasm`, `rate_limit.wasm`
    #[arg(long, value_name = "FOLDER", env = "TAMIS_DEMO_FILTERS")]
    pub filters: Option<PathBuf>,
    /// Stop after so many exchanges
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// The whole command for clap: help, completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments; `argv[0]` first.
///
/// # Errors
/// clap's: an error of usage, or the text of `--help` and `--version`.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command()))?;
    if let (Verb::Replay(replay), Some((_, matches))) = (&mut cli.verb, matches.subcommand()) {
        replay
            .pair(matches)
            .map_err(|text| command().error(clap::error::ErrorKind::ArgumentConflict, text))?;
    }
    Ok(cli)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }
}
