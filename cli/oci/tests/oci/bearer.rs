//! A real registry that takes the tokens of a token server: signed, and for a scope.

use crate::desk::{Desk, PASSWORD, chain};
use crate::real::{Real, Setup};
use crate::scripted::{Asked, Say, Scripted, Told};
use crate::shelf::{filter, variant};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use tamis_oci::Kind;

/// The key of a token server, and its certificate as the registry and the tokens have it.
struct Signer {
    key: KeyPair,
    pem: String,
    der: String,
}

impl Signer {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["tokens".to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { key, pem: certificate.pem(), der: STANDARD.encode(certificate.der()) }
    }

    /// A JSON Web Token (RFC 7519) for these actions, good for five minutes.
    fn token(&self, actions: &[&str]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.der]});
        let claims = json!({
            "iss": "tests", "sub": "alice", "aud": "lab", "jti": "1", "exp": now + 300, "nbf": now - 100, "iat": now,
            "access": [{"type": "repository", "name": "team/filter", "actions": actions}],
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(head), part(claims));
        let signature = self.key.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(fixed(&signature)))
    }
}

/// The two numbers of an ECDSA signature in DER as 32 bytes each (RFC 7518 3.4).
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.iter().position(|b| *b != 0).unwrap_or(0)..];
        out.extend(vec![0; 32 - number.len()]);
        out.extend(number);
        rest = &rest[2 + length..];
    }
    out
}

/// A registry and its token server: `alice` may push, `bob` and everybody else only pull.
fn lab() -> (Real, Scripted) {
    let signer = Signer::new();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("tokens.crt");
    std::fs::write(&bundle, &signer.pem).unwrap();
    let server = Scripted::start(move |asked: &Asked| {
        let user = asked.header("authorization").and_then(|h| h.strip_prefix("Basic "));
        let user = user.map(|u| String::from_utf8(STANDARD.decode(u).unwrap()).unwrap());
        let (name, password) = user.as_deref().and_then(|u| u.split_once(':')).unwrap_or(("", PASSWORD));
        if password != PASSWORD {
            return Say::Instead(Told::error(401, "UNAUTHORIZED", "wrong password"));
        }
        let pushes = name == "alice" && asked.path.contains("push");
        let actions: &[&str] = if pushes { &["pull", "push"] } else { &["pull"] };
        let body = json!({"access_token": signer.token(actions), "expires_in": 300}).to_string().into_bytes();
        Say::Instead(Told { status: 200, headers: vec![], body })
    });
    let more = format!(
        "auth: {{ token: {{ realm: \"http://{}/token\", service: lab, issuer: tests, rootcertbundle: \"{}\" }} }}",
        server.at,
        bundle.display()
    );
    (Real::start_in(folder, &Setup { more, ..Setup::default() }), server)
}

#[test]
fn tokens_of_a_real_registry_10_11() {
    let (registry, server) = lab();
    Desk::login("alice", PASSWORD).push(&registry.at, &filter()).unwrap();
    // One to look and push; its scope is the challenge's, widened by the right to push.
    assert_eq!(server.count("GET", "service=lab&scope=repository%3Ateam%2Ffilter%3Apull%2Cpush"), 1);
    assert!(Desk::default().pull(&registry.at, "v1").unwrap().child.unwrap().found().is_some());
    // A good login without the right is another thing than a wrong one; the registry says 401 to both.
    let error = Desk::login("bob", PASSWORD).push(&registry.at, &variant(10)).unwrap_err();
    assert_eq!(error.kind, Kind::TagTaken, "{}", chain(&error));
    let error = Desk::login("bob", PASSWORD)
        .push_as(&registry.at, &crate::shelf::image(tamis_oci::Layout::Compat, &variant(10)), &["v2"], false)
        .unwrap_err();
    assert_eq!(error.kind, Kind::Denied, "{}", chain(&error));
    let error = Desk::login("alice", "wrong-password").push(&registry.at, &variant(10)).unwrap_err();
    assert_eq!(error.kind, Kind::WrongLogin, "{}", chain(&error));
    let error = Desk::default()
        .push_as(&registry.at, &crate::shelf::image(tamis_oci::Layout::Compat, &variant(10)), &["v2"], false)
        .unwrap_err();
    assert_eq!(error.kind, Kind::NotLoggedIn, "{}", chain(&error));
}
