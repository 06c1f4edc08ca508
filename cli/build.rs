//! Puts into the binary what `tamis new` writes: the templates, and the sdk that new packages depend on.
//!
//! The sdk is not published yet. A copy of its sources in `vendor/` of the new package is the one dependency
//! that builds anywhere: a git dependency needs this repository to be reachable, a path one to be there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error, fs};

type Result<T, E = Box<dyn error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no manifest folder")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no output folder")?);
    let root = here.join("..");
    let mut code = String::from(
        "/// Templates: files as (path, content).\npub(super) static TEMPLATES: &[(&str, super::Files)] = &[\n",
    );
    for name in names(&here.join("templates"))? {
        let folder = here.join("templates").join(&name);
        writeln!(code, "    ({name:?}, &[")?;
        files(&folder, &folder, &mut code)?;
        code.push_str("    ]),\n");
    }
    code.push_str("];\n\n/// The sdk, as it goes into `vendor/` of a new package.\npub(super) static SDK: super::Files = &[\n");
    let workspace: toml::Table = read(&root.join("Cargo.toml"))?.parse()?;
    for (name, folder) in [("tamis-sdk", "sdk"), ("tamis-abi", "sdk/abi")] {
        let folder = root.join(folder);
        let manifest = standalone(&read(&folder.join("Cargo.toml"))?, &workspace)?;
        let path = out.join(format!("{name}.toml"));
        fs::write(&path, manifest)?;
        writeln!(code, "        ({:?}, include_bytes!({:?})),", format!("{name}/Cargo.toml"), path)?;
        let mut sources = String::new();
        files(&folder.join("src"), &folder.join("src"), &mut sources)?;
        code.push_str(&sources.replace("        (\"", &format!("        (\"{name}/src/")));
    }
    code.push_str("];\n");
    fs::write(out.join("embedded.rs"), code)?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=templates");
    for path in ["Cargo.toml", "sdk/Cargo.toml", "sdk/src", "sdk/abi/Cargo.toml", "sdk/abi/src"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()).into())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Writes `(path, include_bytes!(…))` for every file below `folder`, without what a build left there.
fn files(base: &Path, folder: &Path, code: &mut String) -> Result<()> {
    for name in names(folder)? {
        let path = folder.join(&name);
        if matches!(name.as_str(), "target" | "Cargo.lock") {
            continue;
        }
        if path.is_dir() {
            files(base, &path, code)?;
        } else {
            let inner = path.strip_prefix(base)?.to_string_lossy().replace('\\', "/");
            // So named that cargo does not take a template for a package; `cargo generate` knows the ending too.
            let inner = inner.strip_suffix(".liquid").unwrap_or(&inner);
            writeln!(code, "        ({inner:?}, include_bytes!({:?})),", fs::canonicalize(&path)?)?;
        }
    }
    Ok(())
}

/// A manifest of the workspace as one that stands alone: inherited values are written out, and what only
/// matters here (lints, tests) is left out.
fn standalone(manifest: &str, workspace: &toml::Table) -> Result<String> {
    let mut manifest: toml::Table = manifest.parse()?;
    let workspace = workspace.get("workspace").and_then(|w| w.as_table()).ok_or("no [workspace]")?;
    let shared = |table: &str, key: &str| workspace.get(table).and_then(|t| t.get(key)).cloned();
    let package = manifest.get_mut("package").and_then(|p| p.as_table_mut()).ok_or("no [package]")?;
    for (key, value) in package.iter_mut() {
        if value.get("workspace").is_some() {
            *value = shared("package", key).ok_or_else(|| format!("no workspace.package.{key}"))?;
        }
    }
    for key in ["lints", "dev-dependencies", "bench", "test"] {
        manifest.remove(key);
    }
    let resolve = |dependencies: &mut toml::Table| -> Result<()> {
        for (name, value) in dependencies.iter_mut() {
            if value.get("workspace").is_none() {
                continue;
            }
            let own = value.as_table().cloned().unwrap_or_default();
            let mut full = match shared("dependencies", name)
                .ok_or_else(|| format!("no workspace.dependencies.{name}"))?
            {
                toml::Value::Table(table) => table,
                version => toml::Table::from_iter([("version".to_owned(), version)]),
            };
            if full.contains_key("path") {
                full.insert("path".to_owned(), format!("../{name}").into());
            }
            full.extend(own.into_iter().filter(|(key, _)| key != "workspace"));
            *value = full.into();
        }
        Ok(())
    };
    if let Some(dependencies) = manifest.get_mut("dependencies").and_then(|d| d.as_table_mut()) {
        resolve(dependencies)?;
    }
    if let Some(targets) = manifest.get_mut("target").and_then(|t| t.as_table_mut()) {
        for (_, target) in targets.iter_mut() {
            if let Some(table) = target.as_table_mut() {
                table.remove("dev-dependencies");
            }
            if let Some(dependencies) = target.get_mut("dependencies").and_then(|d| d.as_table_mut()) {
                resolve(dependencies)?;
            }
        }
    }
    Ok(toml::to_string_pretty(&manifest)?)
}
