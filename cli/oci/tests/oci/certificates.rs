//! TLS against a real registry: authorities, names, client certificates, and settings that cannot be.

use crate::desk::{Desk, chain};
use crate::real::{Real, Setup};
use crate::shelf::filter;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use std::path::{Path, PathBuf};
use tamis_oci::Kind;
use tamis_oci::remote::Options;

/// An authority of the tests with what it issued, as PEM files.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    /// It issues for this name, valid in these years.
    fn new(name: &str, years: (i32, i32)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        for file in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
            params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
            let certificate = params.signed_by(&key, &ca).unwrap();
            std::fs::write(folder.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
            std::fs::write(folder.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
        }
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A registry with the server's certificate; it asks clients for theirs when told to.
    fn registry(&self, ask: bool) -> Real {
        let shown = |name: &str| self.file(name).display().to_string();
        let clients = if ask { format!(", clientcas: [ \"{}\" ]", shown("ca.pem")) } else { String::new() };
        let http = format!(
            "  tls: {{ certificate: \"{}\", key: \"{}\"{clients} }}\n",
            shown("server.pem"),
            shown("server.key")
        );
        Real::start(&Setup { http, ..Setup::default() })
    }
}

fn desk(ca: Option<PathBuf>, client: Option<(&Path, &Path)>) -> Desk {
    let (cert_file, key_file) = client.map(|(c, k)| (c.to_owned(), k.to_owned())).unzip();
    Desk { options: Options { ca_file: ca, cert_file, key_file, ..Options::default() }, ..Desk::default() }
}

#[track_caller]
fn fails(desk: &Desk, at: &str, hint: &str) {
    let error = desk.push(at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::Tls, "{}", chain(&error));
    assert!(chain(&error).contains(hint), "no `{hint}` in: {}", chain(&error));
}

#[test]
fn an_authority_of_ones_own_15() {
    let authority = Authority::new("localhost", (2020, 2090));
    let registry = authority.registry(false);
    let at = format!("localhost:{}", registry.port());
    fails(&desk(None, None), &at, "--ca-file");
    fails(&desk(Some(Authority::new("localhost", (2020, 2090)).file("ca.pem")), None), &at, "--ca-file");
    desk(Some(authority.file("ca.pem")), None).push(&at, &filter()).unwrap();
    // The certificate is not for the address.
    fails(&desk(Some(authority.file("ca.pem")), None), &registry.at, "not for `127.0.0.1`");
    let plain = Desk { options: Options { plain_http: true, ..Options::default() }, ..Desk::default() };
    fails(&plain, &at, "leave `--plain-http` out");
}

#[test]
fn an_expired_certificate_15() {
    let authority = Authority::new("localhost", (2020, 2021));
    let registry = authority.registry(false);
    let at = format!("localhost:{}", registry.port());
    fails(&desk(Some(authority.file("ca.pem")), None), &at, "not valid today");
}

#[test]
fn tls_to_a_registry_that_speaks_none_15() {
    let registry = Real::open();
    // Own certificates mean TLS; it is not given up silently.
    let authority = Authority::new("localhost", (2020, 2090));
    fails(&desk(Some(authority.file("ca.pem")), None), &registry.at, "--plain-http");
}

#[test]
fn client_certificates_16() {
    let authority = Authority::new("localhost", (2020, 2090));
    let registry = authority.registry(true);
    let at = format!("localhost:{}", registry.port());
    let (ca, cert, key) =
        (authority.file("ca.pem"), authority.file("client.pem"), authority.file("client.key"));
    desk(Some(ca.clone()), Some((&cert, &key))).push(&at, &filter()).unwrap();
    fails(&desk(Some(ca.clone()), None), &at, "--cert-file");
    let other = Authority::new("localhost", (2020, 2090));
    let (other_cert, other_key) = (other.file("client.pem"), other.file("client.key"));
    fails(&desk(Some(ca), Some((&other_cert, &other_key))), &at, "--cert-file");
}

#[test]
fn settings_that_cannot_be_are_errors_15() {
    let authority = Authority::new("localhost", (2020, 2090));
    let (ca, cert, key) =
        (authority.file("ca.pem"), authority.file("client.pem"), authority.file("client.key"));
    let at = "localhost:1";
    let text = authority.file("text.pem");
    std::fs::write(&text, "no certificate").unwrap();
    let rotten = authority.file("rotten.pem");
    std::fs::write(&rotten, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fails(&desk(Some(text.clone()), None), at, "has no certificate");
    fails(&desk(Some(rotten), None), at, "cannot be used");
    fails(&desk(Some(authority.file("none.pem")), None), at, "none.pem");
    fails(&desk(Some(ca.clone()), Some((&cert, &authority.file("server.key")))), at, "is not the key");
    fails(&desk(Some(ca.clone()), Some((&cert, &text))), at, "no private key");
    let mut half = desk(Some(ca), Some((&cert, &key)));
    half.options.key_file = None;
    fails(&half, at, "--key-file");
    half.options.plain_http = true;
    fails(&half, at, "contradict");
}
