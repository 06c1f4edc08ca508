//! `cargo xtask fuzz`: bytes that somebody else shaped, thrown at every door.

use crate::place::{Place, cargo};
use crate::run;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// What makes edges and comparisons seen by libFuzzer, and overflows panic; as `cargo fuzz` sets it.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
];

/// The crates that get those: ours, and what parses for them. The compiler of wasm is left as it is: it would be
/// slow, take long to build, and lead the fuzzer astray.
const SEEN: [&str; 9] = [
    "cel",
    "gimli",
    "granit_parser",
    "ruzstd",
    "saphyr",
    "serde_saphyr",
    "tar",
    "wasm_encoder",
    "wasmparser",
];

/// With this in the environment the program is the compiler that cargo calls.
const WRAPS: &str = "TAMIS_FUZZ_RUSTC";

/// An input that takes longer is a find, seconds.
const TIMEOUT: u32 = 20;

/// A target, and whether it needs the packages that compile wasmtime.
struct Target {
    name: String,
    whole: bool,
}

/// Compiles what cargo says, with the flags where they belong; none when this was not called by cargo.
pub(crate) fn compile() -> Option<Result<ExitStatus>> {
    std::env::var_os(WRAPS)?;
    let mut args = std::env::args_os().skip(1);
    let compiler = args.next()?;
    let args: Vec<_> = args.collect();
    let named = args.iter().position(|arg| arg == "--crate-name").and_then(|at| args.get(at + 1)?.to_str());
    let ours = |arg: &std::ffi::OsString| arg.to_str().is_some_and(|arg| arg.starts_with("fuzz_targets/"));
    let seen = named.is_some_and(|name| name.starts_with("tamis") || SEEN.contains(&name));
    let flags = if seen || args.iter().any(ours) { &FLAGS[..] } else { &[] };
    Some(Command::new(compiler).args(&args).args(flags).status().context("cannot start the compiler"))
}

/// Runs one target, or one after another all of them, each for so many seconds.
pub(crate) fn run(place: &Place, name: Option<&str>, seconds: u64) -> Result<()> {
    let folder = place.root.join("fuzz");
    let targets = targets(&folder)?;
    let known = || targets.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ");
    let chosen: Vec<&Target> = targets.iter().filter(|t| name.is_none_or(|name| name == t.name)).collect();
    if chosen.is_empty() {
        bail!("no fuzz target `{}`; there are {}", name.unwrap_or_default(), known());
    }
    chosen.into_iter().try_for_each(|target| one(&folder, target, seconds))
}

/// The targets, as the manifest has them.
fn targets(folder: &Path) -> Result<Vec<Target>> {
    let said = run::read(
        Command::new(cargo()).args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder),
    )?;
    let metadata: serde_json::Value = serde_json::from_str(&said).context("`cargo metadata` gave no JSON")?;
    let all = metadata["packages"][0]["targets"].as_array().context("`cargo metadata` names no targets")?;
    let bins = all.iter().filter(|t| t["kind"][0] == "bin");
    let target = |t: &serde_json::Value| {
        let name = t["name"].as_str()?.to_owned();
        Some(Target { name, whole: t["required-features"].is_array() })
    };
    Ok(bins.filter_map(target).collect())
}

/// Starts from the seeds and what earlier runs kept; ends after the time, or with the first find.
fn one(folder: &Path, target: &Target, seconds: u64) -> Result<()> {
    let Target { name, whole } = target;
    let (corpus, finds) = (folder.join("corpus").join(name), folder.join("artifacts").join(name));
    for folder in [&corpus, &finds] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let seeds = Some(folder.join("seeds").join(name)).filter(|seeds| seeds.is_dir());
    let mut command = Command::new(cargo());
    command.args(["run", "--quiet", "--release", "--bin", name]);
    if !whole {
        command.arg("--no-default-features");
    }
    command
        .arg("--")
        .args([Some(&corpus), seeds.as_ref()].into_iter().flatten())
        .args([format!("-max_total_time={seconds}"), format!("-timeout={TIMEOUT}")])
        .arg(format!("-artifact_prefix={}/", finds.display()))
        .env("RUSTC_WRAPPER", std::env::current_exe().context("this program has no file")?)
        .env(WRAPS, "1")
        .current_dir(folder);
    println!("fuzz: {name}: building");
    watch(name, &mut command, &finds)
}

/// Shows what the fuzzer says, and says in one line what it did.
fn watch(name: &str, command: &mut Command, finds: &Path) -> Result<()> {
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot start cargo")?;
    let lines = BufReader::new(child.stderr.take().context("cargo has no stderr")?).split(b'\n');
    let (mut started, mut done) = (false, None);
    for line in lines {
        let line = line.context("cannot read what the fuzzer says")?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        started |= line.starts_with("INFO: Seed");
        // `Done 1000 runs in 5 second(s)`
        done = line.strip_prefix("Done ").map(str::to_owned).or(done);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !started {
        bail!("`{name}` was not built, or did not start: {status}");
    }
    if !status.success() {
        bail!("`{name}` ended with {status}; an input that broke something lies in {}", finds.display());
    }
    let done = done.context("the fuzzer did not say what it did")?;
    println!("fuzz: {name}: {done}");
    Ok(())
}
