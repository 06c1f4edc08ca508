//! Arguments of `tamis status`.

use clap::Args;
use tamis_oci::Digest;

/// `tamis status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// A proxy's admin interface, for instance `127.0.0.1:15000`, or its page for Prometheus
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// This filter must be loaded; may be repeated
    #[arg(long, value_name = "NAME")]
    pub filter: Vec<String>,
    /// It must be this image or module: `sha256:…`, or a pinned name; may be repeated
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub digest: Vec<Digest>,
}

fn digest(text: &str) -> Result<Digest, String> {
    let digits = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
    digits.parse().map_err(|e: tamis_oci::Error| e.to_string())
}
