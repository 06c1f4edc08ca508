//! Keys of signatures: P-256, in PEM files.

use crate::error::{Error, Kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::Path;

/// Largest key file, bytes: a key in PEM has a few hundred.
const MAX_KEY: u64 = 64 << 10;

/// DER of a P-256 public key up to its point (RFC 5480 2).
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A private key. Never shown.
pub struct PrivateKey(SigningKey);

/// The key that others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// Reads a PEM file: `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC 1).
    ///
    /// # Errors
    /// When it cannot be read, is encrypted, or holds no private key of the curve P-256.
    pub fn file(path: &Path) -> Result<Self, Error> {
        Self::pem(&read(path)?).map_err(|e| e.at(path))
    }

    fn pem(bytes: &[u8]) -> Result<Self, Fault> {
        if is_encrypted(bytes) {
            return Err(Fault::Encrypted);
        }
        let key = match PrivateKeyDer::from_pem_slice(bytes) {
            Ok(PrivateKeyDer::Pkcs8(der)) => {
                SigningKey::from_pkcs8_der(der.secret_pkcs8_der()).map_err(|e| e.to_string())
            }
            Ok(PrivateKeyDer::Sec1(der)) => p256::SecretKey::from_sec1_der(der.secret_sec1_der())
                .map(Into::into)
                .map_err(|e| e.to_string()),
            Ok(_) => Err("it is of another kind".to_owned()),
            Err(_) => return Err(Fault::No("private")),
        };
        key.map(Self).map_err(|why| Fault::Other("private", why))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// ECDSA with SHA-256 in DER, as bundles have it. Always the same for the same bytes (RFC 6979).
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(bytes);
        signature.as_bytes().to_vec()
    }
}

impl PublicKey {
    /// Reads a PEM file: `PUBLIC KEY`, or a private key, whose public half is meant.
    ///
    /// # Errors
    /// When it cannot be read, or holds no key of the curve P-256.
    pub fn file(path: &Path) -> Result<Self, Error> {
        Self::pem(&read(path)?).map_err(|e| e.at(path))
    }

    fn pem(bytes: &[u8]) -> Result<Self, Fault> {
        if let Ok(der) = SubjectPublicKeyInfoDer::from_pem_slice(bytes) {
            let key = VerifyingKey::from_public_key_der(&der);
            return key.map(Self).map_err(|e| Fault::Other("public", e.to_string()));
        }
        match PrivateKey::pem(bytes) {
            Ok(key) => Ok(key.public()),
            Err(Fault::No(_)) => Err(Fault::No("public")),
            Err(fault) => Err(fault),
        }
    }

    /// What a bundle calls the key: base64 of the SHA-256 of its DER form.
    pub fn hint(&self) -> String {
        let mut der = SPKI.to_vec();
        der.extend_from_slice(self.0.to_encoded_point(false).as_bytes());
        STANDARD.encode(Sha256::digest(&der))
    }

    pub(super) fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        DerSignature::try_from(signature).is_ok_and(|s| self.0.verify(bytes, &s).is_ok())
    }
}

/// What is wrong with a file.
enum Fault {
    Encrypted,
    No(&'static str),
    Other(&'static str, String),
}

impl Fault {
    fn at(self, path: &Path) -> Error {
        let bad = |text: &str| Error::new(Kind::BadKey, format!("`{}` {text}", path.display()));
        let make = "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes a key, \
                    `openssl ec -in key.pem -pubout -out key.pub` its public half";
        match self {
            Fault::Encrypted => bad("is an encrypted key, which is not read")
                .hint(make)
                .hint("`cosign import-key-pair --key key.pem` makes cosign's encrypted form of the same key"),
            Fault::No(half) => bad(&format!("has no {half} key in PEM")).hint(make),
            Fault::Other(half, why) => {
                bad(&format!("has no {half} key of the curve P-256")).because(why).hint(make)
            }
        }
    }
}

/// OpenSSL's two forms, and those of cosign.
fn is_encrypted(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains("-----BEGIN ENCRYPTED ") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |why: String| {
        Error::new(Kind::BadKey, format!("cannot read the key `{}`", path.display())).because(why)
    };
    let length = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if length > MAX_KEY {
        return Err(fail(format!("it has {length} bytes, more than {MAX_KEY}")));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}
