//! Signatures on a real registry, which has no list of referrers, and on scripted ones that have one or lie.

use crate::desk::{Desk, chain};
use crate::real::{Real, Setup, program};
use crate::scripted::{Asked, Say, Scripted, Told};
use crate::shelf::{filter, image, variant};
use std::process::Command;
use tamis_oci::remote::attach;
use tamis_oci::sign::{PrivateKey, PublicKey, Signed, sign, signature, subject, verify};
use tamis_oci::{Artifact, Digest, Document, Kind, Layout, Store, types};

/// A key as OpenSSL makes it, and its public half.
struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        keys.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"]);
        keys.openssl(&["ec", "-in", "key.pem", "-pubout", "-out", "key.pub"]);
        keys
    }

    fn openssl(&self, args: &[&str]) {
        let output = Command::new(program("openssl", "TAMIS_OPENSSL"))
            .args(args)
            .current_dir(self.folder.path())
            .output();
        let output = output.unwrap_or_else(|e| panic!("openssl: {e}; `cargo xtask setup` installs it"));
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn private(&self) -> PrivateKey {
        PrivateKey::file(&self.folder.path().join("key.pem")).unwrap()
    }

    fn public(&self) -> PublicKey {
        PublicKey::file(&self.folder.path().join("key.pub")).unwrap()
    }

    fn refused(&self, name: &str) -> String {
        let error = PrivateKey::file(&self.folder.path().join(name)).unwrap_err();
        assert_eq!(error.kind, Kind::BadKey);
        chain(&error)
    }
}

#[test]
fn keys_of_openssl_are_read_and_others_are_told_apart() {
    let keys = Keys::new();
    keys.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-out", "pkcs8.pem"]);
    let same = PrivateKey::file(&keys.folder.path().join("pkcs8.pem")).unwrap();
    assert_eq!(same.public(), keys.public());
    assert_eq!(PublicKey::file(&keys.folder.path().join("key.pem")).unwrap(), keys.public());
    assert!(!format!("{same:?}").contains(|c: char| c.is_ascii_digit()));
    keys.openssl(&["pkcs8", "-topk8", "-passout", "pass:x", "-in", "key.pem", "-out", "locked.pem"]);
    keys.openssl(&["ec", "-aes128", "-passout", "pass:x", "-in", "key.pem", "-out", "old.pem"]);
    let cosign = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJ4IjoxfQ==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
    std::fs::write(keys.folder.path().join("cosign.key"), cosign).unwrap();
    for locked in ["locked.pem", "old.pem", "cosign.key"] {
        let told = keys.refused(locked);
        assert!(told.contains("encrypted") && told.contains("openssl ecparam"), "{told}");
    }
    keys.openssl(&["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "p384.pem"]);
    keys.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "ed.pem"]);
    for other in ["p384.pem", "ed.pem"] {
        assert!(keys.refused(other).contains("P-256"), "{other}");
    }
    assert!(keys.refused("key.pub").contains("no private key"));
    assert!(keys.refused("none.pem").contains("cannot read"));
    std::fs::write(keys.folder.path().join("huge.pem"), vec![b'x'; 100_000]).unwrap();
    assert!(keys.refused("huge.pem").contains("more than"));
}

#[test]
fn a_signature_is_found_under_the_tag_and_the_same_again_changes_nothing() {
    let (registry, desk, keys) = (Real::open(), Desk::default(), Keys::new());
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let open = desk.open(&registry.at).unwrap();
    let error = verify(&open, &digest, &keys.public()).unwrap_err();
    assert_eq!(error.kind, Kind::NotSigned, "{}", chain(&error));
    let (named, signed) = sign(&open, "v1", &keys.private()).unwrap();
    assert_eq!(named, digest);
    let Signed::New(made) = signed else { panic!("it was not signed before") };
    assert_eq!(verify(&open, &digest, &keys.public()).unwrap().len(), 1);
    // docker-registry 2.8 has no list of its own, and says so with 404.
    assert!(registry.requests("GET", "/referrers/sha256:") > 0);
    let tag = format!("sha256-{}", digest.hex());
    let (bytes, said) = open.manifest(&tag).unwrap();
    let Ok(Document::Index(index)) = Document::read(&bytes, said.as_deref()) else { panic!("{said:?}") };
    assert_eq!(index.manifests.len(), 1);
    let entry = &index.manifests[0];
    assert_eq!((&entry.digest, entry.artifact_type.as_deref()), (&made, Some(types::SIGSTORE_BUNDLE)));

    let puts = registry.requests("PUT", "/");
    assert_eq!(sign(&open, "v1", &keys.private()).unwrap().1, Signed::Already(made));
    assert_eq!(registry.requests("PUT", "/"), puts);
    // A second key's stands beside it.
    let other = Keys::new();
    let error = verify(&open, &digest, &other.public()).unwrap_err();
    assert_eq!(error.kind, Kind::BadSignature);
    assert!(chain(&error).contains("another key"), "{}", chain(&error));
    assert!(matches!(sign(&open, "v1", &other.private()).unwrap().1, Signed::New(_)));
    assert_eq!(verify(&open, &digest, &keys.public()).unwrap().len(), 1);
    assert_eq!(verify(&open, &digest, &other.public()).unwrap().len(), 1);
}

/// The layout that cosign 3 writes and looks for.
#[test]
fn a_signature_is_laid_out_as_cosigns() {
    let (registry, desk, keys) = (Real::open(), Desk::default(), Keys::new());
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let open = desk.open(&registry.at).unwrap();
    let Signed::New(made) = sign(&open, "v1", &keys.private()).unwrap().1 else { panic!() };
    let read = |bytes: &[u8]| -> serde_json::Value { serde_json::from_slice(bytes).unwrap() };
    let manifest = read(&open.manifest(made.as_str()).unwrap().0);
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    assert_eq!(manifest["artifactType"], bundle);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], bundle);
    assert_eq!(manifest["subject"]["digest"], digest.as_str());
    assert_eq!(manifest["subject"]["mediaType"], types::OCI_MANIFEST);
    assert_eq!(manifest["annotations"]["dev.sigstore.bundle.content"], "dsse-envelope");
    assert_eq!(
        manifest["annotations"]["dev.sigstore.bundle.predicateType"],
        "https://sigstore.dev/cosign/sign/v1"
    );
    let layer = serde_json::from_value(manifest["layers"][0].clone()).unwrap();
    let content = read(&open.blob(&layer).unwrap());
    assert_eq!(content["mediaType"], bundle);
    assert_eq!(content["verificationMaterial"]["publicKey"]["hint"], keys.public().hint());
    assert_eq!(content["dsseEnvelope"]["payloadType"], "application/vnd.in-toto+json");
    let decode = |text: &serde_json::Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap()
    };
    let payload = decode(&content["dsseEnvelope"]["payload"]);
    let statement = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": digest.hex()}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {},
    });
    assert_eq!(read(&payload), statement);
    // OpenSSL agrees about the bytes that are signed.
    let mut signed = format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    std::fs::write(keys.folder.path().join("signed"), &signed).unwrap();
    let sig = decode(&content["dsseEnvelope"]["signatures"][0]["sig"]);
    std::fs::write(keys.folder.path().join("sig"), sig).unwrap();
    keys.openssl(&["dgst", "-sha256", "-verify", "key.pub", "-signature", "sig", "signed"]);
}

/// Attaches this bundle to the image.
fn attached(open: &tamis_oci::remote::Registry<'_>, digest: &Digest, bundle: &[u8]) {
    let subject = subject(open, digest.as_str()).unwrap();
    let made = Artifact::new(subject, types::SIGSTORE_BUNDLE, bundle.to_vec(), [].into()).unwrap();
    attach(open, &made).unwrap();
}

#[test]
fn a_changed_or_borrowed_signature_is_none() {
    let (registry, desk, keys) = (Real::open(), Desk::default(), Keys::new());
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let other = desk.push_as(&registry.at, &image(Layout::Compat, &variant(2)), &["v2"], false).unwrap();
    let open = desk.open(&registry.at).unwrap();
    let borrowed = signature(subject(&open, "v2").unwrap(), &keys.private()).unwrap();
    let bundle = borrowed.content().to_vec();
    let mut value: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
    for text in ["dsseEnvelope/payload", "dsseEnvelope/payloadType", "dsseEnvelope/signatures/0/sig"] {
        let field = value.pointer_mut(&format!("/{text}")).unwrap();
        let whole = field.clone();
        let mut changed = field.as_str().unwrap().to_owned();
        // A signature is different in every run: the letter to change is one by place.
        let first = if changed.starts_with('A') { "B" } else { "A" };
        changed.replace_range(..1, first);
        *field = changed.into();
        attached(&open, &other.fetched.digest, &serde_json::to_vec(&value).unwrap());
        *value.pointer_mut(&format!("/{text}")).unwrap() = whole;
    }
    for odd in
        [&b"{}"[..], b"[1]", b"", br#"{"dsseEnvelope":{"payload":"","payloadType":"","signatures":[]}}"#]
    {
        attached(&open, &other.fetched.digest, odd);
    }
    let error = verify(&open, &other.fetched.digest, &keys.public()).unwrap_err();
    assert_eq!(error.kind, Kind::BadSignature, "{}", chain(&error));
    assert!(chain(&error).contains("other bytes"), "{}", chain(&error));
    // The good one beside them counts.
    assert_eq!(attach(&open, &borrowed), Ok(true));
    assert_eq!(attach(&open, &borrowed), Ok(false), "the same again");
    assert_eq!(verify(&open, &other.fetched.digest, &keys.public()).unwrap(), [borrowed.digest().clone()]);
    attached(&open, &digest, &bundle);
    let error = verify(&open, &digest, &keys.public()).unwrap_err();
    assert_eq!(error.kind, Kind::BadSignature);
    assert!(chain(&error).contains("another image"), "{}", chain(&error));
}

#[test]
fn a_signature_that_was_changed_on_disk_is_none() {
    let (registry, desk, keys) = (Real::open(), Desk::default(), Keys::new());
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let open = desk.open(&registry.at).unwrap();
    let made = signature(subject(&open, "v1").unwrap(), &keys.private()).unwrap();
    attach(&open, &made).unwrap();
    let mut bytes = made.content().to_vec();
    bytes[30] ^= 1;
    std::fs::write(registry.blob_file(Digest::of(made.content()).hex()), &bytes).unwrap();
    assert_eq!(verify(&open, &digest, &keys.public()).unwrap_err().kind, Kind::BadSignature);
}

#[test]
fn a_registry_with_a_list_of_its_own_gets_no_tag() {
    let keys = Keys::new();
    let listed = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&listed);
    let registry = Scripted::start(move |asked: &Asked| {
        if asked.is("PUT", "/manifests/sha256:") {
            let digest = asked.path.rsplit('/').next().unwrap().to_owned();
            let size: u64 = asked.header("content-length").unwrap().parse().unwrap();
            kept.lock().unwrap().push(serde_json::json!({
                "mediaType": types::OCI_MANIFEST, "digest": digest, "size": size,
                "artifactType": types::SIGSTORE_BUNDLE,
            }));
            return Say::Adorned(vec![("oci-subject".into(), "yes".into())]);
        }
        if asked.is("GET", "/referrers/") {
            let all = kept.lock().unwrap();
            // The first page has nothing, and a second one.
            let last = asked.path.contains("page=2");
            let manifests = if last { all.clone() } else { Vec::new() };
            let body =
                serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes();
            let told =
                Told { status: 200, headers: Vec::new(), body }.header("content-type", types::OCI_INDEX);
            let path = asked.path.split('?').next().unwrap();
            let next = format!("<{path}?page=2>; rel=\"next\"");
            return Say::Instead(if last { told } else { told.header("link", &next) });
        }
        Say::Honest
    });
    let desk = Desk::default();
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let open = desk.open(&registry.at).unwrap();
    sign(&open, "v1", &keys.private()).unwrap();
    assert_eq!(verify(&open, &digest, &keys.public()).unwrap().len(), 1);
    assert_eq!(registry.count("PUT", "/manifests/sha256-"), 0);
    assert_eq!(listed.lock().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_asked_is_never_called_unsigned() {
    let keys = Keys::new();
    for status in [429, 500, 503, 403] {
        let busy = Told::error(status, "X", "not now");
        let registry = Scripted::start(move |asked: &Asked| match asked.is("GET", "/referrers/") {
            true => Say::Instead(busy.clone()),
            false => Say::Honest,
        });
        let desk = Desk::default();
        let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
        let error = verify(&desk.open(&registry.at).unwrap(), &digest, &keys.public()).unwrap_err();
        let want = if status == 403 { Kind::Denied } else { Kind::Busy };
        assert_eq!(error.kind, want, "{}", chain(&error));
    }
}

#[test]
fn who_may_only_read_is_told_so() {
    let (registry, desk, keys) = (Real::open(), Desk::default(), Keys::new());
    desk.push(&registry.at, &filter()).unwrap();
    let storage = "  maintenance:\n    readonly: { enabled: true }\n".to_owned();
    let registry = Real::start_in(registry.kill(), &Setup { storage, ..Setup::default() });
    let open = desk.open(&registry.at).unwrap();
    assert_eq!(sign(&open, "v1", &keys.private()).unwrap_err().kind, Kind::ReadOnly);
}
