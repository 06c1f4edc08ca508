//! A signature as bytes: a Sigstore bundle 0.3 around a DSSE envelope around an in-toto statement.

use super::key::{PrivateKey, PublicKey};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{json, types};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a signature states about an image: nothing but the digest (cosign 3).
pub(super) const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PAYLOAD: &str = "application/vnd.in-toto+json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    media_type: &'a str,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Named,
}

#[derive(Serialize)]
struct Named {
    hint: String,
}

/// Of a bundle that is read only the envelope counts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    dsse_envelope: Option<Envelope>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<One>,
}

#[derive(Serialize, Deserialize)]
struct One {
    sig: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    /// Empty; whatever stands there is not read.
    #[serde(skip_deserializing)]
    predicate: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// The bytes that are signed (DSSE 1.0, "Pre-Authentication Encoding").
fn encoded(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// The bundle with this key's signature of an image.
pub(super) fn make(digest: &Digest, key: &PrivateKey) -> Result<Vec<u8>, Error> {
    let payload = json(&Statement {
        kind: STATEMENT.to_owned(),
        subject: vec![Subject { digest: [("sha256".to_owned(), digest.hex().to_owned())].into() }],
        predicate_type: PREDICATE.to_owned(),
        predicate: BTreeMap::new(),
    })?;
    let signature = key.sign(&encoded(PAYLOAD, &payload));
    json(&Bundle {
        media_type: types::SIGSTORE_BUNDLE,
        verification_material: Material { public_key: Named { hint: key.public().hint() } },
        dsse_envelope: Envelope {
            payload: STANDARD.encode(payload),
            payload_type: PAYLOAD.to_owned(),
            signatures: vec![One { sig: STANDARD.encode(signature) }],
        },
    })
}

/// Checks that a bundle holds this key's signature of this image. Nothing in it is believed before the signature fits.
///
/// # Errors
/// The reason why not.
pub fn check(bytes: &[u8], digest: &Digest, key: &PublicKey) -> Result<(), String> {
    let bundle: Read = serde_json::from_slice(bytes).map_err(|_| "a signature that cannot be read")?;
    let envelope = bundle.dsse_envelope.ok_or("a signature of a file, not of an image")?;
    let payload = STANDARD.decode(&envelope.payload).map_err(|_| "a signature that cannot be read")?;
    let signed = encoded(&envelope.payload_type, &payload);
    let fits = |one: &One| STANDARD.decode(&one.sig).is_ok_and(|s| key.signed(&signed, &s));
    if !envelope.signatures.iter().any(fits) {
        return Err("a signature by another key, or of other bytes".to_owned());
    }
    let statement: Result<Statement, _> = serde_json::from_slice(&payload);
    let statement = statement.map_err(|_| "this key signed something that is no statement")?;
    if envelope.payload_type != PAYLOAD || statement.predicate_type != PREDICATE {
        return Err("this key signed a statement about the image, not the image".to_owned());
    }
    let named = |s: &Subject| s.digest.get("sha256").is_some_and(|hex| hex == digest.hex());
    if !statement.subject.iter().any(named) {
        return Err("this key's signature of another image".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "tests/recorded/cosign-3.1.3";

    fn recorded() -> (Vec<u8>, Digest, PublicKey) {
        let hex = "6b0b609c8d4dda24325f08bfe96ae5aeda0a1cc1bbe47e0af98a7f4469265b75";
        let key = PublicKey::file(format!("{RECORDED}.pub").as_ref()).unwrap();
        let bundle = std::fs::read(format!("{RECORDED}.json")).unwrap();
        (bundle, format!("sha256:{hex}").parse().unwrap(), key)
    }

    #[test]
    fn what_cosign_signed_is_signed() {
        let (bundle, digest, key) = recorded();
        assert_eq!(check(&bundle, &digest, &key), Ok(()));
        let other = check(&bundle, &Digest::of(b"x"), &key).unwrap_err();
        assert!(other.contains("another image"), "{other}");
    }

    #[test]
    fn the_key_has_the_name_that_cosign_gives_it() {
        let (bundle, _, key) = recorded();
        let bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
        assert_eq!(bundle["verificationMaterial"]["publicKey"]["hint"], key.hint());
    }

    #[test]
    fn no_changed_byte_of_the_envelope_passes() {
        let (bundle, digest, key) = recorded();
        let text = String::from_utf8(bundle).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let envelope = &value["dsseEnvelope"];
        for field in [&envelope["payload"], &envelope["signatures"][0]["sig"]] {
            let field = field.as_str().unwrap();
            for at in (0..field.len()).filter(|at| field.as_bytes()[*at] != b'=') {
                let mut other = field.as_bytes().to_vec();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                let other = text.replace(field, &String::from_utf8(other).unwrap());
                assert!(check(other.as_bytes(), &digest, &key).is_err(), "byte {at} of {field}");
            }
        }
    }
}
