//! Arguments of `tamis deploy`.

use super::ManifestArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `tamis deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// What is deployed, and where.
    #[command(flatten)]
    pub manifest: ManifestArgs,
    /// Print what `kubectl apply -f -` takes; tamis itself never speaks to a cluster
    #[arg(long)]
    pub dry_run: bool,
    /// This step alone [default: both, in order]
    #[arg(long, value_name = "STEP")]
    pub step: Option<StepArg>,
    /// Settings by which the filter only counts, merged into its configuration for the first step
    /// [default: `{"mode":"SHADOW"}` where its schema has that]
    #[arg(long, value_name = "FILE|JSON")]
    pub shadow: Option<String>,
    /// Write a Kustomize folder: a base, and an overlay for each step
    #[arg(long, value_name = "FOLDER", conflicts_with = "dry_run")]
    pub kustomize: Option<PathBuf>,
    /// Replace files of that folder that have something else in them
    #[arg(long, requires = "kustomize")]
    pub overwrite: bool,
    /// Print a pipeline that tests, pushes and writes the resources; nothing is fetched
    #[arg(long, value_name = "SYSTEM", conflicts_with = "dry_run")]
    pub ci: Option<CiArg>,
}

/// Steps of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StepArg {
    /// The filter only counts what it would do.
    Shadow,
    /// It does it.
    Enforce,
}

impl StepArg {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::Shadow, Self::Enforce];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            StepArg::Shadow => "shadow",
            StepArg::Enforce => "enforce",
        }
    }
}

/// Systems that run pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CiArg {
    /// A workflow of GitHub Actions.
    Github,
    /// A pipeline of GitLab.
    Gitlab,
}
