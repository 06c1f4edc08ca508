//! Wasm packages of this repository, built when a test asks for them.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tamis_cli::build::{LINK_ARGUMENTS, link};

/// The target that needs nothing of WASI.
pub const PLAIN: &str = "wasm32-unknown-unknown";
/// The target that filters are shipped for.
pub const WASI: &str = "wasm32-wasip1";

/// The profile that filters are shipped with.
const PROFILE: &str = "filter";

/// A filter as `tamis build` makes it: linked.
///
/// # Errors
/// As [`module`].
pub fn shipped(package: &str, target: &str) -> Result<PathBuf> {
    linked(&unlinked(package, target)?)
}

/// What `tamis build` ships of a module that was built for it, beside it.
fn linked(plain: &Path) -> Result<PathBuf> {
    let linked = link(&std::fs::read(plain)?)?.wasm;
    let path = plain.with_extension("linked.wasm");
    // Whole or not at all: several tests may want it at once.
    let made = tempfile::NamedTempFile::new_in(target_folder()?)?;
    std::fs::write(made.path(), linked)?;
    made.persist(&path)?;
    Ok(path)
}

/// Builds `package` as cargo makes it for `target` (nothing happens when it is fresh) and gives the module's path.
///
/// # Errors
/// When the package does not build; a missing target is the likely reason, and the message says what to run.
pub fn module(package: &str, target: &str) -> Result<PathBuf> {
    cargo_build(package, None, target, &[])
}

/// A filter of docs/migration.md on the bare crate, for [`WASI`]: an example of `tamis-migration-raw`.
///
/// # Errors
/// As [`module`].
pub fn raw_example(name: &str) -> Result<PathBuf> {
    cargo_build("tamis-migration-raw", Some(&format!("raw-{name}")), WASI, &[])
}

/// Its twin on the sdk, as `tamis build` makes it: an example of `tamis-migration-ours`.
///
/// # Errors
/// As [`module`].
pub fn our_example(name: &str) -> Result<PathBuf> {
    linked(&cargo_build("tamis-migration-ours", Some(&format!("ours-{name}")), WASI, LINK_ARGUMENTS)?)
}

/// A filter as `tamis build` has cargo make it, before it is linked; it loads and works as well.
///
/// # Errors
/// As [`module`].
pub fn unlinked(package: &str, target: &str) -> Result<PathBuf> {
    cargo_build(package, None, target, LINK_ARGUMENTS)
}

/// The library of a package, or an example of it.
fn cargo_build(package: &str, example: Option<&str>, target: &str, arguments: &[&str]) -> Result<PathBuf> {
    let folder = target_folder()?;
    let what = example.map_or(["--lib", "--crate-type=cdylib"].to_vec(), |name| ["--example", name].to_vec());
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["rustc", "--quiet", "--profile", PROFILE])
        .args(what)
        .args(["--target", target, "-p", package, "--target-dir"])
        .arg(&folder)
        .arg("--")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("cannot build {package} for {target}; run `cargo xtask setup` for the target\n{said}");
    }
    let made = folder.join(target).join(PROFILE);
    let path = example.map_or(made.join(package.replace('-', "_")), |name| {
        made.join("examples").join(name.replace('-', "_"))
    });
    let path = path.with_extension("wasm");
    if !path.exists() {
        bail!("{package} was built but {} is not there", path.display());
    }
    Ok(path)
}

/// A template as `tamis new` fills it in, and the wasm that cargo makes of it.
#[derive(Debug)]
pub struct Template {
    /// For [`WASI`], as [`unlinked`].
    pub wasm: PathBuf,
    /// Its `config.json`.
    pub config: PathBuf,
}

/// The header template under the name of this package, which its native twin in `tests/native.rs` has too.
///
/// # Errors
/// When it does not build.
pub fn template() -> Result<Template> {
    let root = crate::tree::root();
    let folder = target_folder()?.join("template-header");
    let sdk = root.join("sdk").canonicalize()?.display().to_string();
    let files = tamis_cli::template::find("header")
        .and_then(|header| tamis_cli::template::render(&header, env!("CARGO_PKG_NAME"), &[], &sdk));
    for file in files.map_err(|failure| failure.error)? {
        let path = folder.join(&file.path);
        std::fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        // One that is as it was is not built again.
        if !std::fs::read(&path).is_ok_and(|known| known == file.content) {
            std::fs::write(path, file.content)?;
        }
    }
    // The versions that the repository knows; cargo takes out what the package does not need.
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["rustc", "--quiet", "--lib", "--crate-type", "cdylib", "--release"])
        .args(["--target", WASI, "--target-dir", "target", "--"])
        .args(LINK_ARGUMENTS)
        .envs([
            ("CARGO_PROFILE_RELEASE_LTO", "fat"),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
            ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
        ])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cannot build the template\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let wasm = concat!("release/", env!("CARGO_CRATE_NAME"), ".wasm");
    Ok(Template { wasm: folder.join("target").join(WASI).join(wasm), config: folder.join("config.json") })
}

/// The header template's job on the bare proxy-wasm crate, with the same profile: what the template is measured against.
///
/// # Errors
/// As [`module`].
pub fn raw_header() -> Result<PathBuf> {
    module("tamis-raw-header", WASI)
}

/// A header filter on the bare proxy-wasm crate, with the same profile: what hosts are measured with.
///
/// # Errors
/// As [`module`].
pub fn raw_bench() -> Result<PathBuf> {
    module("tamis-raw-bench", WASI)
}

/// Cargo's target folder, seen from the running test: `TARGET/debug/deps/test-hash`.
///
/// # Errors
/// When the test does not lie in such a folder.
pub fn target_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("the test does not know where it is")?;
    own.ancestors().nth(3).map(PathBuf::from).context("the test does not lie in cargo's target folder")
}
