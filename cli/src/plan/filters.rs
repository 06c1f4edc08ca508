//! Which filters, from which files, with which configuration.

use super::{Settings, image};
use crate::build::{self, Built, Request};
use crate::failure::{Code, Failure, Result};
use crate::ui::Ui;
use std::path::{Path, PathBuf};
use tamis_host::coverage::{CoverageError, Covered};
use tamis_host::{Engine, FailurePolicy, FilterSpec, Module};
use tamis_oci::Reference;
use tamis_traffic::message;

/// One filter of the chain to play.
#[derive(Debug, Clone, Default)]
pub struct FilterPlan {
    /// Shown name; empty: the file's or the package's.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// The configuration; none: the package's own, else empty.
    pub config: Option<Vec<u8>>,
    /// Envoy's `root_id`; none: the package's own, else empty.
    pub root_id: Option<String>,
    /// Envoy's `vm_id`.
    pub vm_id: String,
    /// The VM configuration.
    pub vm_config: Vec<u8>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Failure policy; none: the run's.
    pub policy: Option<FailurePolicy>,
    /// Envoy's filter setting of this name.
    pub allow_on_headers_stop_iteration: bool,
    /// Envoy's `capability_restriction_config`.
    pub allowed_capabilities: Vec<String>,
}

/// A filter's origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A wasm file.
    Wasm(PathBuf),
    /// The folder of a package, which is built.
    Package(PathBuf),
    /// A published image.
    Image(Reference),
    /// The bytes themselves, with a name for messages.
    Bytes(String, Vec<u8>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Package(PathBuf::from("."))
    }
}

impl Source {
    /// A folder is a package, a file is a module, `oci://…` is an image.
    ///
    /// # Errors
    /// When there is none of them.
    pub fn find(path: &Path) -> Result<Self> {
        if let Some(name) = path.to_str().filter(|p| p.starts_with(IMAGE)) {
            return Ok(Self::Image(name.parse()?));
        }
        if path.is_dir() {
            return Ok(Self::Package(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Self::Wasm(path.to_owned()));
        }
        let failure = Failure::new(Code::NoSuchFile, format!("no filter at `{}`", path.display()));
        Err(failure.hint("`--filter` takes a wasm file, the folder of a filter package, or `oci://REF`"))
    }
}

/// What a name of an image begins with, told from a path.
const IMAGE: &str = "oci://";

/// A filter that a file names: a path from the folder of that file, or an image.
pub(crate) fn beside(folder: &Path, named: &str) -> PathBuf {
    if named.starts_with(IMAGE) { PathBuf::from(named) } else { folder.join(named) }
}

/// A filter that is read and compiled.
pub(crate) struct Loaded {
    pub(crate) spec: FilterSpec,
    /// What the package says, if it came from one.
    pub(crate) settings: Settings,
    pub(crate) size: usize,
    /// The module as it was read, for an engine that is not ours.
    pub(crate) wasm: Vec<u8>,
    /// The module with counters, or why it has none, when coverage was asked for.
    pub(crate) covered: Option<Result<Covered>>,
}

impl FilterPlan {
    /// A filter from this source, everything else by default.
    pub fn new(source: Source) -> Self {
        Self { source, ..Self::default() }
    }

    /// Builds or reads the filter, compiles it and puts its configuration together.
    ///
    /// # Errors
    /// When it does not build, is no filter, or a file of it cannot be read.
    pub(crate) fn load(&self, engine: &Engine, request: &Request, ui: &mut Ui) -> Result<Loaded> {
        let mut built: Option<Built> = None;
        let (label, bytes) = match &self.source {
            Source::Wasm(path) => (path.display().to_string(), read_file(path)?),
            Source::Bytes(name, bytes) => (name.clone(), bytes.clone()),
            Source::Image(reference) => {
                let (pinned, bytes) = image::module(reference, &request.remote, ui)?;
                (format!("{IMAGE}{pinned}"), bytes)
            }
            Source::Package(folder) => {
                let done = build::one(folder, request, ui)?;
                let bytes = read_file(&done.wasm)?;
                let label = done.wasm.display().to_string();
                built = Some(done);
                (label, bytes)
            }
        };
        // Before counters are built in: a damaged module is told as ever.
        let named = build::with_names(Path::new(&label), bytes.clone());
        let mut module = Module::load(engine, &named).map_err(|e| bad_module(&label, e))?;
        let mut covered = None;
        if request.coverage {
            let with = cover(&label, &bytes, built.as_ref().map(|b| b.folder.as_path()));
            if let Ok(with) = &with {
                module = Module::load(engine, with.wasm()).map_err(|e| bad_module(&label, e))?;
            }
            covered = Some(with);
        }
        let name = if !self.name.is_empty() {
            self.name.clone()
        } else if let Some(built) = &built {
            built.name.clone()
        } else if let Source::Image(reference) = &self.source {
            reference.repository.rsplit('/').next().unwrap_or_default().to_owned()
        } else {
            Path::new(&label).file_stem().map_or_else(|| label.clone(), |s| s.to_string_lossy().into_owned())
        };
        let settings = built.as_ref().map(|b| b.settings.clone()).unwrap_or_default();
        let mut spec = FilterSpec::new(name, module);
        spec.config = match (&self.config, &built) {
            (Some(config), _) => unwrapped(config.clone())?,
            (None, Some(built)) => unwrapped(built.default_config()?)?,
            (None, None) => Vec::new(),
        };
        spec.root_id = self.root_id.clone().or_else(|| settings.root_id.clone()).unwrap_or_default();
        spec.vm_id.clone_from(&self.vm_id);
        spec.vm_config = unwrapped(self.vm_config.clone())?;
        spec.env.clone_from(&self.env);
        spec.allow_on_headers_stop_iteration = self.allow_on_headers_stop_iteration;
        spec.allowed_capabilities.clone_from(&self.allowed_capabilities);
        if let Some(policy) = self.policy.or_else(|| settings.policy.map(Into::into)) {
            spec.policy = policy;
        }
        Ok(Loaded { spec, settings, size: bytes.len(), wasm: bytes, covered })
    }
}

/// Builds counters in, for the sources of the package, or for those below the current folder when the module came
/// as a file.
fn cover(label: &str, wasm: &[u8], package: Option<&Path>) -> Result<Covered> {
    let here = std::env::current_dir().unwrap_or_default();
    let own = |file: &Path| match package {
        Some(folder) => build::is_own(file, folder),
        None => file.starts_with(&here),
    };
    Covered::new(wasm, &own).map_err(|error| {
        let hint = match (&error, package) {
            (CoverageError::NoDebugInfo, _) => {
                "name the folder of the package, and tamis builds it for coverage; or build the module with `debug = 1` and `strip = false`"
            }
            (CoverageError::NoOwnSources { .. }, None) => {
                "of a wasm file the sources below the current folder are counted: go to the folder of its package"
            }
            _ => "a module that cargo built for this package has what is needed",
        };
        Failure::because(Code::NoCoverage, format!("cannot take coverage of filter `{label}`"), error).hint(hint)
    })
}

/// The failure for a module that the host does not take.
pub(crate) fn bad_module(label: &str, error: tamis_host::LoadError) -> Failure {
    let hint = error.hint().map(|h| h.to_string());
    let failure = Failure::because(Code::BadModule, format!("cannot load filter `{label}`"), error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Reads a file that the user named.
///
/// # Errors
/// `no-such-file` with its path.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|e| Failure::because(Code::NoSuchFile, format!("cannot read `{}`", path.display()), e))
}

/// The value of `--config`: a file when there is one of this name, else the text itself.
///
/// # Errors
/// When it looks like the name of a file that does not exist.
pub fn config_bytes(value: &str) -> Result<Vec<u8>> {
    let path = Path::new(value);
    if path.is_file() {
        return read_file(path);
    }
    let text = value.trim_start();
    if text.is_empty()
        || text.starts_with(['{', '[', '"'])
        || serde_json::from_str::<serde_json::Value>(text).is_ok()
    {
        return Ok(value.as_bytes().to_vec());
    }
    let failure = Failure::new(Code::BadConfig, format!("no configuration file `{value}`"));
    Err(failure.hint("`--config` takes a file, or JSON such as `{\"a\":1}`"))
}

/// What the filter gets of a configuration: JSON that is a message of Envoy's bootstrap (`@type` is
/// `type.googleapis.com/google.protobuf.Struct`, for instance) as its bytes, anything else as it is.
///
/// # Errors
/// When it is such a message and cannot be written.
pub(crate) fn unwrapped(config: Vec<u8>) -> Result<Vec<u8>> {
    const MARK: &[u8] = b"\"@type\"";
    if !config.trim_ascii_start().starts_with(b"{") || !config.windows(MARK.len()).any(|w| w == MARK) {
        return Ok(config);
    }
    let message = serde_json::from_slice(&config).ok().and_then(|json| message::configuration(&json));
    message.unwrap_or(Ok(config)).map_err(|why| {
        Failure::new(Code::BadConfig, why).hint(
            "`StringValue`, `BytesValue`, `Struct`, `Value` and `ListValue` are written from JSON; of another message, give \
             a file with its bytes",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_bootstrap_is_its_bytes_and_other_json_stays() {
        let of = |text: &str| unwrapped(text.as_bytes().to_vec());
        let string = r#" {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": "b"}}"#;
        assert_eq!(of(string).unwrap(), b"\n\x08\n\x01a\x12\x03\x1a\x01b");
        for own in [r#"{"@type": "shop.Cart"}"#, r#"{"a": 1}"#, "{\"@type\"", ""] {
            assert_eq!(of(own).unwrap(), own.as_bytes());
        }
        let any = of(r#"{"@type": "type.googleapis.com/google.protobuf.Any"}"#).unwrap_err();
        assert_eq!(any.code, Code::BadConfig);
    }

    #[test]
    fn a_config_is_a_file_or_json_and_never_a_misspelt_file() {
        assert_eq!(config_bytes(r#"{"a":1}"#).unwrap(), br#"{"a":1}"#);
        assert_eq!(config_bytes("").unwrap(), b"");
        assert_eq!(config_bytes("{ not json, but the filter's to judge").unwrap()[0], b'{');
        assert_eq!(config_bytes("no/such/file.json").unwrap_err().code, Code::BadConfig);
        assert!(
            config_bytes(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
                .unwrap()
                .starts_with(b"[package]")
        );
    }
}
