//! TLS settings: read whole and checked before anything is sent; a bad one is never silently replaced.

use crate::error::{Error, Kind};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

/// Files with certificates and a key, PEM.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Files {
    /// True when any is named: then TLS is meant.
    pub(crate) fn any(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }
}

/// The system's certificates and the named ones, and our own certificate when the registry wants one.
pub(crate) fn config(files: &Files) -> Result<TlsConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots: Vec<_> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|c| Certificate::from_der(c).to_owned())
        .collect();
    let mut own = RootCertStore::empty();
    if let Some(path) = &files.ca {
        for certificate in certificates(path)? {
            own.add(certificate.clone())
                .map_err(|e| bad(path, "holds a certificate that cannot be used").because(e))?;
            roots.push(Certificate::from_der(&certificate).to_owned());
        }
    }
    let client = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Some(client(cert, key, &provider, own)?),
        (None, None) => None,
        _ => {
            return Err(Error::new(
                Kind::Tls,
                "a client certificate needs its key, and a key its certificate",
            )
            .hint("give both `--cert-file` and `--key-file`"));
        }
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .build())
}

fn client(
    cert: &Path,
    key: &Path,
    provider: &Arc<CryptoProvider>,
    roots: RootCertStore,
) -> Result<ClientCert, Error> {
    let chain = certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| bad(key, "has no private key").because(e))?;
    // The HTTP library takes for granted that certificate and key fit; here they are put together once before.
    let fits = rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map(|b| b.with_root_certificates(roots))
        .and_then(|b| b.with_client_auth_cert(chain.clone(), secret));
    fits.map_err(|e| bad(key, "is not the key of the certificate").because(e))?;
    let key_pem = std::fs::read(key).map_err(|e| bad(key, "cannot be read").because(e))?;
    let secret = PrivateKey::from_pem(&key_pem).map_err(|e| bad(key, "has no private key").because(e))?;
    let chain: Vec<_> = chain.iter().map(|c| Certificate::from_der(c).to_owned()).collect();
    Ok(ClientCert::new_with_certs(&chain, secret))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_file_iter(path)
        .and_then(|all| all.collect::<Result<Vec<_>, _>>())
        .map_err(|e| bad(path, "cannot be read as PEM").because(e))?;
    if all.is_empty() {
        return Err(bad(path, "has no certificate"));
    }
    Ok(all)
}

fn bad(path: &Path, why: &str) -> Error {
    Error::new(Kind::Tls, format!("`{}` {why}", path.display())).hint("certificates and keys are PEM files")
}

/// What a failed handshake means.
pub(crate) fn explain(error: &rustls::Error, host: &str) -> Error {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    let failed = |text: String| Error::new(Kind::Tls, text).because(error);
    match error {
        // A bad signature: another authority of the same name.
        Tls::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            failed(format!("the certificate of {host} is of an unknown authority"))
                .hint("name the file with the authority's certificate: `--ca-file FILE`")
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            failed(format!("the certificate is not for `{host}`"))
                .hint("use the name that is in the certificate")
        }
        Tls::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        ) => failed(format!("the certificate of {host} is not valid today"))
            .hint("renew it, or look at this machine's clock"),
        Tls::InvalidMessage(_) => failed(format!("{host} does not speak TLS"))
            .hint("`--plain-http` talks without TLS; everybody on the way can read and change what is sent"),
        Tls::AlertReceived(
            Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA | Alert::CertificateUnknown,
        ) => failed(format!("{host} wants a client certificate that it knows"))
            .hint("give `--cert-file` and `--key-file`"),
        _ => failed(format!("no TLS connection with {host}")),
    }
}
