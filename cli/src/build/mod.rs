//! From a package to a wasm file that Envoy would load.

mod cargo;
mod companion;
mod coverage;
mod link;
mod profile;
mod sbom;
mod schema;
mod section;

pub use cargo::{Package, packages};
pub use link::{ARGUMENTS as LINK_ARGUMENTS, Linked, link};
pub use sbom::sbom;
pub use schema::{SCHEMA_SECTION, schema};
pub use section::SECTION;

pub(crate) use cargo::target_installed;
pub(crate) use companion::with_names;
pub(crate) use coverage::is_own;

use crate::failure::{Code, Failure, Result};
use crate::plan::{Remote, Settings, read_file};
use crate::ui::Ui;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tamis_oci::annotations::Facts;

/// The wasm target that filters are built for when nothing else is said.
pub const TARGET: &str = "wasm32-wasip1";

/// What to build and how; every field from a flag wins over the package's settings.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Names of packages; empty: the filter packages of the folder.
    pub packages: Vec<String>,
    /// Wasm target.
    pub target: Option<String>,
    /// Cargo profile.
    pub profile: Option<String>,
    /// Largest module, bytes.
    pub max_size: Option<u64>,
    /// For coverage: with debug information and the filter's own code as it was written, in a file of its own.
    pub coverage: bool,
    /// How registries are spoken to, for filters that are images.
    pub remote: Remote,
}

/// A built filter.
#[derive(Debug, Clone)]
pub struct Built {
    /// Of the package.
    pub name: String,
    /// Of the package.
    pub version: String,
    /// Folder of the package.
    pub folder: PathBuf,
    /// What the manifests say.
    pub settings: Settings,
    /// What they say to people, for an image.
    pub about: Facts,
    /// The module.
    pub wasm: PathBuf,
    /// The wasm target that it is built for.
    pub target: String,
    /// The packages that cargo compiled or had compiled for it, by cargo's ids.
    pub compiled: BTreeSet<String>,
    /// Its size in bytes.
    pub size: u64,
    /// The size of what cargo made, before it was linked.
    pub before: u64,
    /// What was done, for how long.
    pub steps: Steps,
}

/// The steps of a build, in order, and the seconds that each took.
#[derive(Debug, Clone, Default)]
pub struct Steps(pub Vec<(&'static str, f64)>);

impl Steps {
    fn time<T>(&mut self, name: &'static str, step: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = step();
        self.0.push((name, begin.elapsed().as_secs_f64()));
        done
    }
}

impl Built {
    /// The configuration that the package names, else its `config.json`, else nothing.
    ///
    /// # Errors
    /// When the file that the package names cannot be read.
    pub fn default_config(&self) -> Result<Vec<u8>> {
        match &self.settings.config {
            Some(path) => read_file(&self.folder.join(path)),
            None => {
                let path = self.folder.join("config.json");
                if path.is_file() { read_file(&path) } else { Ok(Vec::new()) }
            }
        }
    }
}

/// Builds the one filter package of a folder.
///
/// # Errors
/// As [`all`], and when there is more than one.
pub fn one(folder: &Path, request: &Request, ui: &mut Ui) -> Result<Built> {
    let mut found = packages(folder, &request.packages)?;
    match (found.len(), found.pop()) {
        (1, Some(package)) => package.build(request, ui),
        (_, last) => {
            let names: Vec<_> = found.iter().chain(&last).map(|p| p.name.as_str()).collect();
            let text = format!("`{}` has several filter packages: {}", folder.display(), names.join(", "));
            Err(Failure::new(Code::NoPackage, text).hint("name one: the folder of a package, or `-p NAME`"))
        }
    }
}

/// Builds the filter packages of a folder.
///
/// # Errors
/// When there is none, cargo fails, or what comes out does not pass the gate.
pub fn all(folder: &Path, request: &Request, ui: &mut Ui) -> Result<Vec<Built>> {
    packages(folder, &request.packages)?.iter().map(|package| package.build(request, ui)).collect()
}

/// What a filter must be before it leaves the house: a module that Envoy loads, no larger than allowed.
fn gate(package: &Package, wasm: &[u8], max_size: Option<u64>) -> Result<()> {
    if let Err(error) = tamis_host::inspect(wasm) {
        let mut failure = crate::plan::bad_module(&package.name, error);
        failure.code = Code::BuildFailed;
        return Err(failure);
    }
    match max_size {
        Some(max) if wasm.len() as u64 > max => {
            let text = format!(
                "`{}` is {} bytes, more than the {max} bytes of `max-size`",
                package.name,
                wasm.len()
            );
            Err(Failure::new(Code::TooLarge, text)
                .hint("fewer dependencies and `opt-level = \"s\"` make it smaller"))
        }
        _ => Ok(()),
    }
}
