//! Builds std for a wasm target from Debian's source package and puts it into the compiler's sysroot.

use crate::apt::Apt;
use crate::place::{Place, cargo};
use crate::{run, target};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package without content: building it builds std.
const MANIFEST: &str = "[package]
name = \"stub\"
edition = \"2024\"

[lib]
path = \"stub.rs\"

[workspace]
";

/// Builds std for the targets and installs it. The source must be of the compiler's own version.
pub(crate) fn build(place: &Place, targets: &[&str]) -> Result<()> {
    let version = run::read(Command::new(target::rustc()).arg("--version"))?;
    let version = version.split_whitespace().nth(1).context("`rustc --version` names no version")?;
    let sysroot = run::read(Command::new(target::rustc()).args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(sysroot.trim());
    let work = place.tools().join("std");
    let unpacked = work.join("unpacked");

    let (apt, package) = Apt::with(&work.join("apt"), "rust-src", version)?;
    let library = sysroot.join("lib/rustlib/src/rust/library");
    if !library.join("std/Cargo.toml").exists() {
        apt.unpack(&format!("rust-src={package}"), &unpacked)?;
        println!("setup: sysroot: adding the sources of std {version}");
        copy_folder(&unpacked.join(format!("usr/src/rustc-{version}/library")), &library)?;
    }
    if targets.contains(&"wasm32-wasip1") {
        apt.unpack("wasi-libc", &unpacked)?;
    }

    let stub = work.join("stub");
    std::fs::create_dir_all(&stub)?;
    std::fs::write(stub.join("Cargo.toml"), MANIFEST)?;
    std::fs::write(stub.join("stub.rs"), "")?;
    println!("setup: sysroot: building std {version} for {}", targets.join(", "));
    let mut command = Command::new(cargo());
    command
        .args(["build", "--quiet", "--release", "-Zbuild-std=std,panic_abort,panic_unwind"])
        .current_dir(&stub)
        // The version is a released one, and only its own std is built with what is not stable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", work.join("target"))
        // As the official std has it; without, no filter could use link-time optimisation.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    for target in targets {
        command.args(["--target", target]);
    }
    run::show(&mut command)?;

    for target in targets {
        install(&work.join("target").join(target).join("release/deps"), target, &sysroot, &unpacked)?;
    }
    Ok(())
}

/// Puts one target's libraries together beside their final place and swaps them in at once.
fn install(built: &Path, target: &str, sysroot: &Path, unpacked: &Path) -> Result<()> {
    let home = sysroot.join("lib/rustlib");
    let (fresh, last) = (home.join(format!("{target}.new")), home.join(target));
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    let libraries = fresh.join("lib");
    std::fs::create_dir_all(&libraries).with_context(|| format!("cannot write below {}", home.display()))?;
    for file in std::fs::read_dir(built)? {
        let file = file?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libstub-") {
            std::fs::copy(&file, libraries.join(&name))?;
        }
    }
    if target == "wasm32-wasip1" {
        let own = libraries.join("self-contained");
        std::fs::create_dir_all(&own)?;
        let libc = wasi_libc(unpacked)?;
        for name in ["libc.a", "crt1-command.o", "crt1-reactor.o"] {
            std::fs::copy(libc.join(name), own.join(name))
                .with_context(|| format!("no {name} in wasi-libc"))?;
        }
    }
    if last.exists() {
        std::fs::remove_dir_all(&last)?;
    }
    std::fs::rename(&fresh, &last).with_context(|| format!("cannot write {}", last.display()))
}

/// The folder of WASI 0.1's libc: older packages know it under the name without a number.
fn wasi_libc(unpacked: &Path) -> Result<PathBuf> {
    ["wasm32-wasip1", "wasm32-wasi"]
        .map(|name| unpacked.join("usr/lib").join(name))
        .into_iter()
        .find(|folder| folder.join("libc.a").exists())
        .context("the package wasi-libc has no libc of WASI 0.1")
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    run::read(Command::new("cp").arg("-R").arg(from.join(".")).arg(to)).map(drop)
}
