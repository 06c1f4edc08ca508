//! Finds filter packages through cargo and has cargo build them.

use super::coverage;
use super::link::{self, link};
use super::{Built, Request, Steps, TARGET, companion, gate, profile, schema, section};
use crate::failure::{Code, Failure, Result};
use crate::plan::{Settings, read_file};
use crate::ui::Ui;
use cargo_metadata::{CrateType, Message, Metadata, MetadataCommand};
use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tamis_oci::annotations::Facts;

/// A package that builds a filter.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its manifest is.
    pub folder: PathBuf,
    /// What the manifests say to tamis.
    pub settings: Settings,
    /// The folder of the workspace's manifest.
    workspace: PathBuf,
    /// Cargo's target folder.
    target: PathBuf,
    /// Name of the cdylib target.
    library: String,
    /// What the manifest says about it, for an image.
    about: Facts,
}

/// The filter packages of a folder, by name when names are given: the package of the folder itself if it is
/// one, else those of the workspace.
///
/// # Errors
/// When cargo cannot describe the folder, a setting is wrong, or there is no such package.
pub fn packages(folder: &Path, names: &[String]) -> Result<Vec<Package>> {
    let metadata = metadata(folder)?;
    let all: Vec<&cargo_metadata::Package> = metadata.workspace_packages();
    let library = |p: &cargo_metadata::Package| {
        p.targets.iter().find(|t| t.crate_types.contains(&CrateType::CDyLib)).map(|t| t.name.clone())
    };
    let here = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let home = |p: &cargo_metadata::Package| {
        let folder = p.manifest_path.parent().map(|d| d.as_std_path().to_owned()).unwrap_or_default();
        std::fs::canonicalize(&folder).unwrap_or(folder)
    };
    // The package that the folder lies in: the deepest, since a root package holds the others.
    let own = all
        .iter()
        .copied()
        .filter(|p| here.starts_with(home(p)))
        .max_by_key(|p| home(p).as_os_str().len())
        .filter(|p| library(p).is_some());
    let chosen: Vec<_> = if names.is_empty() {
        match own {
            Some(own) => vec![own],
            None => all.iter().copied().filter(|p| library(p).is_some()).collect(),
        }
    } else {
        for name in names {
            if !all.iter().any(|p| p.name.as_str() == name) {
                let failure = Failure::new(Code::NoPackage, format!("no package `{name}` in this workspace"));
                let known: Vec<_> =
                    all.iter().filter(|p| library(p).is_some()).map(|p| p.name.as_str()).collect();
                return Err(failure.hint(format!("filter packages here: {}", known.join(", "))));
            }
        }
        all.iter().copied().filter(|p| names.iter().any(|n| n == p.name.as_str())).collect()
    };
    if chosen.is_empty() {
        let failure = Failure::new(Code::NoPackage, format!("no filter package in `{}`", folder.display()));
        return Err(failure
            .hint("a filter has `crate-type = [\"cdylib\"]` under `[lib]` of its Cargo.toml")
            .run("tamis new NAME"));
    }
    let mut packages = Vec::new();
    for package in chosen {
        let Some(library) = library(package) else {
            let failure = Failure::new(Code::NoPackage, format!("`{}` is no filter package", package.name));
            return Err(
                failure.hint("a filter has `crate-type = [\"cdylib\"]` under `[lib]` of its Cargo.toml")
            );
        };
        packages.push(Package {
            name: package.name.to_string(),
            version: package.version.to_string(),
            folder: package.manifest_path.parent().map(|p| p.as_std_path().to_owned()).unwrap_or_default(),
            settings: Settings::resolve(&package.metadata, &metadata.workspace_metadata)?,
            workspace: metadata.workspace_root.clone().into_std_path_buf(),
            target: metadata.target_directory.clone().into_std_path_buf(),
            library,
            about: about(package),
        });
    }
    Ok(packages)
}

/// What a manifest says to people.
fn about(package: &cargo_metadata::Package) -> Facts {
    let sdk = package.dependencies.iter().find(|d| d.name == "tamis-sdk");
    // The copy that came with `tamis new`, else the version that is asked for.
    let vendored = sdk.and_then(|d| d.path.as_ref()).and_then(|path| {
        let manifest: toml::Table = std::fs::read_to_string(path.join("Cargo.toml")).ok()?.parse().ok()?;
        Some(manifest.get("package")?.get("version")?.as_str()?.to_owned())
    });
    Facts {
        title: Some(package.name.to_string()),
        version: Some(package.version.to_string()),
        description: package.description.clone(),
        authors: Some(package.authors.join(", ")),
        licenses: package.license.clone(),
        source: package.repository.clone(),
        url: package.homepage.clone(),
        documentation: package.documentation.clone(),
        sdk: vendored.or_else(|| sdk.map(|d| d.req.to_string()).filter(|r| r != "*")),
        ..Facts::default()
    }
}

fn metadata(folder: &Path) -> Result<Metadata> {
    MetadataCommand::new().current_dir(folder).no_deps().exec().map_err(|error| {
        let text = format!("cannot read the package in `{}`", folder.display());
        match error {
            cargo_metadata::Error::CargoMetadata { stderr }
                if stderr.contains("could not find `Cargo.toml`") =>
            {
                Failure::new(Code::NoPackage, format!("no package in `{}`", folder.display()))
                    .hint("name a module: `--filter FILE.wasm`, or go to the folder of a filter package")
            }
            cargo_metadata::Error::CargoMetadata { stderr } => {
                let cause = stderr.trim().trim_start_matches("error: ").to_owned();
                Failure::because(Code::NoCargo, text, anyhow::anyhow!("{cause}"))
            }
            other => Failure::because(Code::NoCargo, text, other).run("tamis doctor"),
        }
    })
}

impl Package {
    /// Has cargo build it, embeds name and version, and checks the module.
    ///
    /// # Errors
    /// `build-failed`, `missing-target`, `too-large`; cargo's own messages have gone to stderr.
    pub fn build(&self, request: &Request, ui: &mut Ui) -> Result<Built> {
        let target = request.target.as_ref().or(self.settings.target.as_ref()).map_or(TARGET, |t| t);
        let profile = request.profile.as_ref().or(self.settings.profile.as_ref()).map_or("release", |p| p);
        ui.status("Building", &format!("{} v{} for {target} ({profile})", self.name, self.version));
        let mut steps = Steps::default();
        let (artifact, compiled) =
            steps.time("cargo", || self.cargo_build(target, profile, request.coverage, ui))?;
        let mut wasm = read_file(&artifact)?;
        let before = wasm.len() as u64;
        let mut names = None;
        let mut max_size = request.max_size.or(self.settings.max_size.map(|b| b.0));
        if request.coverage {
            // It never ships, and linking moves code, so that its lines would no longer fit.
            max_size = None;
        } else {
            let schema = steps.time("schema", || schema::schema(&wasm))?;
            let linked = steps.time("link", || link(&wasm)).map_err(|e| {
                Failure::because(Code::BuildFailed, format!("cannot link `{}`", self.name), e)
            })?;
            (wasm, names) = (linked.wasm, linked.names);
            if let Some(names) = names.take_if(|_| profile::keeps_names(&self.workspace, profile)) {
                wasm = section::append(&wasm, "name", &names);
            }
            if let Some(schema) = schema {
                wasm = section::append(&wasm, schema::SCHEMA_SECTION, schema.to_string().as_bytes());
            }
        }
        let wasm = section::embed(&wasm, &self.name, &self.version);
        steps.time("check", || gate(self, &wasm, max_size))?;
        let folder = self.target.join("tamis");
        let ending = if request.coverage { "coverage.wasm" } else { "wasm" };
        let path = folder.join(format!("{}.{ending}", self.name));
        // Not over cargo's own file: that one is linked to what cargo thinks it built.
        let write = || {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&path, &wasm)?;
            companion::write(&path, &wasm, names.as_deref())
        };
        steps.time("write", write).map_err(|e| {
            Failure::because(Code::CannotWrite, format!("cannot write `{}`", path.display()), e)
        })?;
        Ok(Built {
            name: self.name.clone(),
            version: self.version.clone(),
            folder: self.folder.clone(),
            settings: self.settings.clone(),
            about: self.about.clone(),
            wasm: path,
            target: target.to_owned(),
            compiled,
            size: wasm.len() as u64,
            before,
            steps,
        })
    }

    /// The module as cargo made it, and the packages that went into it or helped to build it.
    fn cargo_build(
        &self,
        target: &str,
        profile: &str,
        coverage: bool,
        ui: &mut Ui,
    ) -> Result<(PathBuf, BTreeSet<String>)> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // The cdylib alone: with an rlib beside it, which native tests need, cargo leaves link-time optimisation out.
        command.args(["rustc", "--lib", "--crate-type", "cdylib"]);
        command.args(["--message-format=json-render-diagnostics", "--target", target]);
        match coverage {
            true => command.args(coverage::arguments(&self.name, profile)),
            false => command.args(["--profile", profile]),
        };
        command.args(["--package", &self.name]);
        if !ui.verbose() {
            command.arg("--quiet");
        }
        if !coverage {
            command.arg("--").args(link::ARGUMENTS);
        }
        command.current_dir(&self.folder).stdout(Stdio::piped());
        if profile == "release" {
            command.envs(profile::variables(&self.workspace));
        }
        let failed = |e| Failure::because(Code::NoCargo, "cannot start cargo", e).run("tamis doctor");
        let mut child = command.spawn().map_err(failed)?;
        let Some(stdout) = child.stdout.take() else {
            return Err(Failure::new(Code::Internal, "cargo has no stdout"));
        };
        let (mut artifact, mut compiled) = (None, BTreeSet::new());
        for message in Message::parse_stream(BufReader::new(stdout)) {
            let Ok(Message::CompilerArtifact(a)) = message else { continue };
            if a.target.name == self.library {
                artifact = a.filenames.into_iter().find(|f| f.extension() == Some("wasm")).or(artifact);
            }
            compiled.insert(a.package_id.repr);
        }
        let status = child.wait().map_err(failed)?;
        if crate::interrupt::asked() {
            return Err(Failure::new(Code::Interrupted, "interrupted while building"));
        }
        if !status.success() {
            return Err(self.explain(target));
        }
        let artifact = artifact.ok_or_else(|| {
            Failure::new(Code::BuildFailed, format!("cargo built no wasm module for `{}`", self.name))
        })?;
        Ok((artifact.into(), compiled))
    }

    /// Why cargo failed: most often the target is missing, which cargo says in many words.
    fn explain(&self, target: &str) -> Failure {
        if !target_installed(target) {
            let failure = Failure::new(Code::MissingTarget, format!("the compiler has no target `{target}`"));
            return failure.run("tamis doctor --fix");
        }
        Failure::new(Code::BuildFailed, format!("cargo could not build `{}`", self.name))
    }
}

/// True when the compiler has a standard library for the target.
pub(crate) fn target_installed(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    let Ok(output) = output else { return false };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success()
        && std::fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("libstd-"))
        })
}
