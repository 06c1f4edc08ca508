//! Why a module does not load.

use super::{AbiVersion, MODULE_LIMIT};
use std::fmt::{self, Write};

/// Why a module does not load; where Envoy refuses it too, for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes do not begin as a wasm module does.
    NotWasm,
    /// A component (wasm32-wasip2), not a module.
    Component,
    /// More bytes than [`MODULE_LIMIT`].
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Damaged or cut.
    Invalid {
        /// Byte offset of the damage.
        offset: usize,
        /// What is wrong there.
        text: String,
    },
    /// No exported function names the ABI version.
    NoAbiMarker,
    /// The exported marker is of a version that Envoy does not know.
    UnknownAbi {
        /// The marker.
        marker: String,
    },
    /// An import that Envoy does not link for this ABI version.
    MissingImport {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
        /// The version that the module marks.
        abi: AbiVersion,
        /// The versions that have this function, if any has.
        known_in: Vec<AbiVersion>,
    },
    /// An imported function with another signature than Envoy's.
    ImportType {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
        /// What the module declares.
        found: String,
        /// What the host has.
        expected: String,
    },
    /// An imported global or tag: Envoy links none.
    ImportKind {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
        /// What it is, for instance `global`.
        kind: &'static str,
    },
    /// An exported callback with the wrong signature.
    ExportType {
        /// Its name.
        name: String,
        /// What the module exports.
        found: String,
        /// What the ABI says.
        expected: String,
    },
    /// Neither `malloc` nor `proxy_on_memory_allocate` is exported.
    NoAllocator,
    /// No memory is exported or imported.
    NoMemory,
    /// The engine does not compile it.
    Compile {
        /// What the compiler says.
        text: String,
    },
}

impl LoadError {
    /// What to do about it, as one line.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotWasm => "give the `.wasm` file that the build wrote, not a package or an archive",
            Self::Component => {
                "Envoy takes modules, not components: build for wasm32-wasip1, not wasm32-wasip2"
            }
            Self::TooLarge { .. } => "strip debug sections from it (`strip = true` in the release profile)",
            Self::Invalid { .. } => "the file is damaged or cut: build or fetch it again",
            Self::NoAbiMarker => {
                "a filter exports `proxy_abi_version_0_2_1`; is this a library built as `cdylib`, with the filter exported?"
            }
            Self::UnknownAbi { .. } => "Envoy knows 0.1.0, 0.2.0 and 0.2.1",
            Self::MissingImport { name, known_in, .. } => return Some(missing_hint(name, known_in)),
            Self::ImportType { name, .. } if name == "path_link" || name == "path_symlink" => {
                "Envoy links these two with one parameter fewer than the standard: drop the file system calls"
            }
            Self::ImportType { .. } | Self::ExportType { .. } => {
                "build with the same ABI version that the module marks"
            }
            Self::ImportKind { .. } => "link statically: a filter is one module",
            Self::NoAllocator => "export `proxy_on_memory_allocate(i32) -> i32` or `malloc`; the sdk does it",
            Self::NoMemory => "export the memory; every linker does it by default",
            Self::Compile { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

fn missing_hint(name: &str, known_in: &[AbiVersion]) -> String {
    if known_in.is_empty() {
        return match name {
            "proc_raise" | "sock_open" | "thread-spawn" => "Envoy links 45 functions of WASI, without threads and signals",
            _ if name.starts_with("__wbindgen") => "JavaScript bindings are linked in: turn off the `js` and `wasm-bindgen` features of dependencies",
            _ => "Envoy links the Proxy-Wasm functions and 45 functions of WASI, nothing else",
        }
        .to_owned();
    }
    let versions: Vec<_> = known_in.iter().map(ToString::to_string).collect();
    format!("that function belongs to ABI {}: export its marker instead", versions.join(", "))
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWasm => f.write_str("not a wasm module"),
            Self::Component => f.write_str("a wasm component, not a module"),
            Self::TooLarge { size } => write!(f, "the module has {size} bytes, the limit is {MODULE_LIMIT}"),
            Self::Invalid { offset, text } => {
                write!(f, "the module is damaged at byte {offset}: {}", Plain(text))
            }
            Self::NoAbiMarker => f.write_str("no exported function names the proxy-wasm abi version"),
            Self::UnknownAbi { marker } => write!(f, "unknown proxy-wasm abi version `{}`", Plain(marker)),
            Self::MissingImport { module, name, abi, .. } => {
                write!(f, "missing import: abi {abi} has no `{}.{}`", Plain(module), Plain(name))
            }
            Self::ImportType { module, name, found, expected } => {
                let (module, name) = (Plain(module), Plain(name));
                write!(f, "import `{module}.{name}` has type {}, the host's is {expected}", Plain(found))
            }
            Self::ImportKind { module, name, kind } => {
                write!(f, "imported {kind} `{}.{}`: the host has none", Plain(module), Plain(name))
            }
            Self::ExportType { name, found, expected } => {
                write!(f, "bad function signature: `{name}` is {}, the abi says {expected}", Plain(found))
            }
            Self::NoAllocator => {
                f.write_str("no allocator: neither `malloc` nor `proxy_on_memory_allocate` is exported")
            }
            Self::NoMemory => f.write_str("the module has no memory"),
            Self::Compile { text } => write!(f, "cannot compile the module: {}", Plain(text)),
        }
    }
}

/// Text that a module brings along, on one line and of bounded length: a name in a module may be anything.
struct Plain<'a>(&'a str);

/// Most characters of it that an error shows.
const SHOWN: usize = 200;

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        for char in rest.by_ref().take(SHOWN) {
            if char.is_control() { write!(f, "{}", char.escape_default()) } else { f.write_char(char) }?;
        }
        if rest.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

impl std::error::Error for LoadError {}
