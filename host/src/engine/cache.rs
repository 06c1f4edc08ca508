//! Compiled modules kept as files.

use super::EngineError;
use sha2::{Digest, Sha256};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Begins each file; changes when the layout does.
const MAGIC: &[u8; 8] = b"tamiscw1";
/// Magic, then SHA-256 of what follows.
const HEAD: usize = MAGIC.len() + 32;

/// A folder of compiled modules.
///
/// The name of a file is the SHA-256 of the wasm, wasmtime's version, its settings and the target, so nothing
/// stale is ever taken. A torn or damaged file fails its checksum and is compiled again.
pub(super) struct Cache {
    folder: PathBuf,
    settings: [u8; 32],
}

impl Cache {
    /// Takes a folder, and makes it (for this user only) when it is missing.
    pub(super) fn open(folder: &Path, engine: &wasmtime::Engine) -> Result<Self, EngineError> {
        let fail = |what: &str, e: std::io::Error| EngineError {
            text: format!("cannot {what} the cache folder `{}`", folder.display()),
            cause: Some(e.into()),
        };
        make_private(folder).map_err(|e| fail("make", e))?;
        if !is_private(folder).map_err(|e| fail("look at", e))? {
            let text = format!(
                "the cache folder `{}` belongs to or is writable by others; compiled filters in it are run as code",
                folder.display()
            );
            return Err(EngineError { text, cause: None });
        }
        let mut settings = Sink(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut settings);
        Ok(Self { folder: folder.to_owned(), settings: settings.0.finalize().into() })
    }

    /// The file name for a module.
    pub(super) fn name(&self, wasm: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.settings);
        hash.update(wasm);
        let hex: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        format!("{hex}.cwasm")
    }

    /// The module under this name, if it is there and sound.
    pub(super) fn load(&self, engine: &wasmtime::Engine, name: &str) -> Option<wasmtime::Module> {
        let file = fs::read(self.folder.join(name)).ok()?;
        let code = check(&file)?;
        // SAFETY: `deserialize` runs what it is given, so the bytes must be what `Module::serialize` wrote.
        // They are: the folder belongs to this user and nobody else can write to it (checked when opened), so
        // only a tamis of this user wrote the file; its name binds it to this wasm, engine version, settings
        // and target; its checksum, taken when it was written, still holds. Who can write as this user can
        // run code as this user anyway.
        unsafe { wasmtime::Module::deserialize(engine, code) }.ok()
    }

    /// Keeps a module. Failing is silent: the next run compiles again.
    pub(super) fn store(&self, name: &str, module: &wasmtime::Module) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Ok(code) = module.serialize() else { return };
        // Written aside and renamed, so that a reader never sees half a file.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let aside = self.folder.join(format!("{name}.{}.{number}.part", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&aside)?;
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(&code))?;
            file.write_all(&code)?;
            drop(file);
            fs::rename(&aside, self.folder.join(name))
        };
        if write().is_err() {
            let _ = fs::remove_file(&aside);
        }
    }
}

/// The code in a file, when its checksum holds.
fn check(file: &[u8]) -> Option<&[u8]> {
    let (head, code) = file.split_at_checked(HEAD)?;
    let sum = head.strip_prefix(MAGIC)?;
    (sum == Sha256::digest(code).as_slice()).then_some(code)
}

#[cfg(unix)]
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

/// True when the folder is this user's and others cannot write to it.
#[cfg(unix)]
fn is_private(folder: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let folder_is = fs::metadata(folder)?;
    // A file that we make shows who we are, without a system call library.
    let probe = folder.join(format!(".probe.{}.part", std::process::id()));
    let owner = fs::File::create(&probe).and_then(|file| file.metadata()).map(|file_is| file_is.uid());
    let _ = fs::remove_file(&probe);
    Ok(owner? == folder_is.uid() && folder_is.mode() & 0o022 == 0)
}

/// Folders of a user's profile are private there by default.
#[cfg(not(unix))]
fn is_private(_: &Path) -> std::io::Result<bool> {
    Ok(true)
}

/// Feeds a `Hash` into SHA-256: the standard hasher may change between compilers.
struct Sink(Sha256);

impl Hasher for Sink {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let sum = self.0.clone().finalize();
        u64::from_le_bytes(std::array::from_fn(|i| sum[i]))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, EngineOptions};
    use std::fs;
    use std::path::Path;

    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    fn engine(folder: &Path, count_fuel: bool) -> Engine {
        Engine::new(&EngineOptions { count_fuel, cache: Some(folder.to_owned()) }).unwrap()
    }

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect()
    }

    #[test]
    fn a_module_is_kept_once_for_each_setting() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        for count_fuel in [true, true, false, false] {
            engine(&folder, count_fuel).compile(WASM).unwrap();
        }
        assert_eq!(files(&folder).len(), 2);
    }

    #[test]
    fn a_damaged_or_torn_file_is_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cache");
        let engine = engine(&folder, true);
        engine.compile(WASM).unwrap();
        let file = files(&folder).remove(0);
        let sound = fs::read(&file).unwrap();
        let mut damaged = sound.clone();
        *damaged.last_mut().unwrap() ^= 1;
        for bad in [&damaged[..], &sound[..sound.len() - 1], &sound[..20], b"", b"not ours"] {
            fs::write(&file, bad).unwrap();
            engine.compile(WASM).unwrap();
            assert_eq!(fs::read(&file).unwrap(), sound, "written anew");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let options = EngineOptions { cache: Some(dir.path().to_owned()), ..EngineOptions::default() };
        let error = Engine::new(&options).unwrap_err().to_string();
        assert!(error.contains("writable by others"), "{error}");
    }
}
