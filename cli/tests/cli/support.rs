//! An empty folder, a command in it, and what came out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The bundled capture: 1,238 gRPC calls of Online Boutique.
pub(crate) fn boutique() -> String {
    captures().join("boutique.pb_length_delimited.gz").display().to_string()
}

/// The repository's captures.
pub(crate) fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures")
}

/// The documentation.
pub(crate) fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// An empty folder in which commands run.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Writes a guest given as WAT.
    pub(crate) fn wasm(&self, name: &str, wat: &str) -> &Self {
        self.file(name, wat::parse_str(wat).unwrap())
    }

    /// `tamis` with an environment of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_tamis"), args)
    }

    pub(crate) fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TAMIS_") {
                command.env_remove(name);
            }
        }
        command.env_remove("CLICOLOR_FORCE").env("TAMIS_CACHE", self.path().join(".cache"));
        command
    }

    /// Runs `tamis`.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(args, self.command(args).output().unwrap())
    }
}

/// What came out.
pub(crate) struct Ran {
    line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(args: &[&str], output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Self {
            line: format!("tamis {}", args.join(" ")),
            code: output.status.code().expect("ended by itself"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    #[track_caller]
    pub(crate) fn exit(&self, want: i32) -> &Self {
        assert_eq!(self.code, want, "exit code of {}", self.all());
        self
    }

    /// Stdout has this text.
    #[track_caller]
    pub(crate) fn says(&self, want: &str) -> &Self {
        assert!(self.out.contains(want), "no `{want}` on stdout of {}", self.all());
        self
    }

    /// Stderr has this text.
    #[track_caller]
    pub(crate) fn talks(&self, want: &str) -> &Self {
        assert!(self.err.contains(want), "no `{want}` on stderr of {}", self.all());
        self
    }

    /// The JSON lines of stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out.lines().map(parse).collect()
    }

    /// The last JSON line with this event.
    #[track_caller]
    pub(crate) fn event(&self, name: &str) -> serde_json::Value {
        let found = self.json().into_iter().rfind(|v| v["event"] == name);
        found.unwrap_or_else(|| panic!("no event {name} in {}", self.all()))
    }

    fn all(&self) -> String {
        format!("`{}` ({})\n--- stdout\n{}--- stderr\n{}", self.line, self.code, self.out, self.err)
    }
}

/// The same with what `tamis build` puts in: its schema.
pub(crate) fn shipped(package: &str) -> PathBuf {
    let wasm = real(package);
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let args = ["build", "--package", package, "--profile", "filter"];
    let target = wasm.ancestors().nth(3).unwrap();
    let output = place.command(&args).current_dir(root).env("CARGO_TARGET_DIR", target).output().unwrap();
    let built = Ran::of(&args, output);
    PathBuf::from(built.exit(0).out.trim())
}

/// A filter of this repository as it ships; built when it is not fresh. Needs a wasm target (`cargo xtask setup`).
pub(crate) fn real(package: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).unwrap();
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["build", "--quiet", "--profile", "filter", "--target", "wasm32-wasip1", "-p", package]);
    cargo.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().unwrap().success(), "{package} does not build");
    target.join("wasm32-wasip1/filter").join(package.replace('-', "_")).with_extension("wasm")
}
