//! Arguments of `tamis push` and `tamis pull`, and how a registry is spoken to.

use clap::Args;
use std::path::PathBuf;
use tamis_oci::Layout;

/// How a registry is spoken to, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub struct RemoteArgs {
    /// Speak HTTP without TLS; everybody on the way can read and change what is sent
    #[arg(long, env = "TAMIS_PLAIN_HTTP")]
    pub plain_http: bool,
    /// Trust the authorities in this PEM file, besides the system's
    #[arg(long, value_name = "FILE", env = "TAMIS_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Show the registry the certificate in this PEM file
    #[arg(long, value_name = "FILE", env = "TAMIS_CERT_FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// The key of the certificate
    #[arg(long, value_name = "FILE", env = "TAMIS_KEY_FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// Log in under this name; the password comes from `TAMIS_PASSWORD` or stdin
    /// [default: what `docker login` or `podman login` left]
    #[arg(long, value_name = "NAME", env = "TAMIS_USERNAME")]
    pub username: Option<String>,
    /// Read the password from stdin
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
}

/// `tamis push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Where to: `registry/repository:tag`, with or without `oci://`
    #[arg(value_name = "REF")]
    pub reference: String,
    /// A wasm file, or the folder of a filter package, which is built
    #[arg(
        long,
        value_name = "WASM|PACKAGE",
        env = "TAMIS_FILTER",
        default_value = ".",
        hide_default_value = true
    )]
    pub filter: PathBuf,
    /// One more tag; may be repeated
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// How the module lies in the image
    #[arg(long = "as", value_name = "LAYOUT", default_value = "compat")]
    pub layout_kind: LayoutArg,
    /// Push it in this layout too, under each tag with `-wasm` (cncf) or the layout's name behind it; may be repeated
    #[arg(long, value_name = "LAYOUT")]
    pub also: Vec<LayoutArg>,
    /// Write an OCI image layout into this folder instead of pushing
    #[arg(long, value_name = "FOLDER", conflicts_with = "dry_run")]
    pub layout: Option<PathBuf>,
    /// Add an annotation; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Let a tag that stands for another image move
    #[arg(long)]
    pub overwrite: bool,
    /// Say what would be pushed, without asking the registry
    #[arg(long)]
    pub dry_run: bool,
    /// Sign each image with this key after it is pushed
    #[arg(long, value_name = "KEY", conflicts_with_all = ["dry_run", "layout"])]
    pub sign: Option<PathBuf>,
    /// Attach a CycloneDX list of what the package is made of, or the one in FILE; signed too with `--sign`
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "layout")]
    pub sbom: Option<Option<PathBuf>>,
    /// Wasm target of a package that is built
    #[arg(long, value_name = "TARGET", env = "TAMIS_TARGET", value_parser = ["wasm32-wasip1", "wasm32-unknown-unknown"])]
    pub target: Option<String>,
    /// The registry
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `tamis pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Where from: `registry/repository:tag` or `…@sha256:…`, with or without `oci://`
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Where the module goes [default: ./REPOSITORY.wasm]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Read from an OCI image layout in this folder instead of a registry
    #[arg(long, value_name = "FOLDER")]
    pub layout: Option<PathBuf>,
    /// Write nothing unless the image is signed with this key
    #[arg(long, value_name = "KEY", conflicts_with = "layout")]
    pub verify: Option<PathBuf>,
    /// Replace a file that has something else in it
    #[arg(long)]
    pub overwrite: bool,
    /// The registry
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `tamis fix`.
#[derive(Debug, Args)]
pub struct FixArgs {
    /// The image: `oci://REF`, a folder with an OCI image layout, or a file that `docker save` or skopeo wrote
    #[arg(value_name = "oci://REF|FOLDER|TAR")]
    pub image: String,
    /// Which image of a folder or file, by tag or digest [default: the only one]
    #[arg(long, value_name = "TAG|DIGEST")]
    pub tag: Option<String>,
    /// How the module lies in the new image
    #[arg(long = "as", value_name = "LAYOUT", default_value = "compat")]
    pub layout_kind: LayoutArg,
    /// Push the new image to this name; without this and `--layout` it is only shown what would be mended
    #[arg(long, value_name = "REF", conflicts_with = "layout")]
    pub push: Option<String>,
    /// Write the new image into this folder, as an OCI image layout
    #[arg(long, value_name = "FOLDER")]
    pub layout: Option<PathBuf>,
    /// Let a tag that stands for another image move
    #[arg(long)]
    pub overwrite: bool,
    /// The registry
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `tamis sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The image: `registry/repository:tag` or `…@sha256:…`, with or without `oci://`
    #[arg(value_name = "REF")]
    pub reference: String,
    /// P-256 private key, a PEM file without a password
    #[arg(long, value_name = "FILE", required_unless_present = "keyless")]
    pub key: Option<PathBuf>,
    /// Have an installed cosign sign with an identity in place of a key: it asks for a login, or takes the pipeline's,
    /// and writes name and image into a public log
    #[arg(long, conflicts_with = "key")]
    pub keyless: bool,
    /// Do not have cosign ask whether that may be published
    #[arg(long, short, requires = "keyless", conflicts_with = "key")]
    pub yes: bool,
    /// The registry
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `tamis verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The image: `registry/repository:tag` or `…@sha256:…`, with or without `oci://`
    #[arg(value_name = "REF")]
    pub reference: String,
    /// P-256 public key, a PEM file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["certificate_identity", "certificate_identity_regexp"])]
    pub key: Option<PathBuf>,
    /// Who signed without a key, a mail address or the address of a pipeline; an installed cosign checks it
    #[arg(long, value_name = "WHO", conflicts_with_all = ["key", "certificate_identity_regexp"])]
    pub certificate_identity: Option<String>,
    /// The same as a regular expression of Go
    #[arg(long, value_name = "REGEXP", conflicts_with = "key")]
    pub certificate_identity_regexp: Option<String>,
    /// Who vouches for them, for instance `https://token.actions.githubusercontent.com`
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["key", "certificate_oidc_issuer_regexp"])]
    pub certificate_oidc_issuer: Option<String>,
    /// The same as a regular expression of Go
    #[arg(long, value_name = "REGEXP", conflicts_with = "key")]
    pub certificate_oidc_issuer_regexp: Option<String>,
    /// The registry
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// How a module lies in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LayoutArg {
    /// OCI image with `plugin.wasm`: every mesh reads it.
    Compat,
    /// The same as a Docker image.
    Docker,
    /// solo.io's two layers.
    Solo,
    /// CNCF artifact, for wkg and its kin; no mesh reads it.
    Cncf,
}

impl From<LayoutArg> for Layout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::Compat => Self::Compat,
            LayoutArg::Docker => Self::Docker,
            LayoutArg::Solo => Self::Solo,
            LayoutArg::Cncf => Self::Cncf,
        }
    }
}
