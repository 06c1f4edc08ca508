//! Keys of `verify_signature` and `sign`: RSA and P-256.

use super::pem;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, PrivateKeyInfo, SubjectPublicKeyInfoRef};

/// A public key.
pub(super) enum Public {
    Rsa(Box<rsa::RsaPublicKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
}

/// A private key.
pub(super) enum Private {
    Rsa(Box<rsa::RsaPrivateKey>),
    P256(Box<p256::ecdsa::SigningKey>),
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// It is none.
    Garbage,
    /// It is a key that signs without a hash function.
    Hashless,
    /// It is a key that this host cannot use.
    NotSupported(&'static str),
}

/// What a key is for, by the object identifiers of its algorithm and its curve.
fn kind(algorithm: &str, curve: Option<String>) -> Result<Algorithm, NoKey> {
    match (algorithm, curve.as_deref()) {
        ("1.2.840.113549.1.1.1", _) => Ok(Algorithm::Rsa),
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => Ok(Algorithm::P256),
        ("1.2.840.10045.2.1", _) => Err(NoKey::NotSupported("a key on another curve than P-256")),
        ("1.3.101.112", _) => Err(NoKey::Hashless),
        _ => Err(NoKey::Garbage),
    }
}

enum Algorithm {
    Rsa,
    P256,
}

/// A key that its algorithm claims and the library does not take, for instance an RSA key of more than 4096 bits.
const ODD: NoKey = NoKey::NotSupported("a key of this size or form");

/// `SubjectPublicKeyInfo` in DER; what follows it is not looked at.
pub(super) fn public_der(bytes: &[u8]) -> Result<Public, NoKey> {
    let der = first_element(bytes).ok_or(NoKey::Garbage)?;
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| NoKey::Garbage)?;
    let curve = info.algorithm.parameters_oid().ok().map(|oid| oid.to_string());
    match kind(&info.algorithm.oid.to_string(), curve)? {
        Algorithm::Rsa => {
            rsa::RsaPublicKey::from_public_key_der(der).map(|key| Public::Rsa(Box::new(key))).map_err(|_| ODD)
        }
        Algorithm::P256 => p256::ecdsa::VerifyingKey::from_public_key_der(der)
            .map(|key| Public::P256(Box::new(key)))
            .map_err(|_| NoKey::Garbage),
    }
}

/// The first `PUBLIC KEY` of a PEM file.
pub(super) fn public_pem(text: &str) -> Result<Public, NoKey> {
    let (_, der) = pem::first(text, &["PUBLIC KEY"]).ok_or(NoKey::Garbage)?;
    public_der(&der)
}

/// PKCS #8 in DER; what follows it is not looked at.
pub(super) fn private_der(bytes: &[u8]) -> Result<Private, NoKey> {
    let der = first_element(bytes).ok_or(NoKey::Garbage)?;
    let info = PrivateKeyInfo::try_from(der).map_err(|_| NoKey::Garbage)?;
    let curve = info.algorithm.parameters_oid().ok().map(|oid| oid.to_string());
    match kind(&info.algorithm.oid.to_string(), curve)? {
        Algorithm::Rsa => {
            rsa::RsaPrivateKey::from_pkcs8_der(der).map(|key| Private::Rsa(Box::new(key))).map_err(|_| ODD)
        }
        Algorithm::P256 => {
            let key = p256::SecretKey::from_pkcs8_der(der).map_err(|_| NoKey::Garbage)?;
            Ok(Private::P256(Box::new(key.into())))
        }
    }
}

/// The first private key of a PEM file, in PKCS #8 or in the older forms of RSA and EC keys.
pub(super) fn private_pem(text: &str) -> Result<Private, NoKey> {
    let labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let (label, der) = pem::first(text, &labels).ok_or(NoKey::Garbage)?;
    match label {
        "PRIVATE KEY" => private_der(&der),
        "RSA PRIVATE KEY" => {
            rsa::RsaPrivateKey::from_pkcs1_der(&der).map(|key| Private::Rsa(Box::new(key))).map_err(|_| ODD)
        }
        _ => {
            let key = p256::SecretKey::from_sec1_der(&der)
                .map_err(|_| NoKey::NotSupported("an EC key on another curve than P-256"))?;
            Ok(Private::P256(Box::new(key.into())))
        }
    }
}

/// The first element of DER, by its length.
fn first_element(bytes: &[u8]) -> Option<&[u8]> {
    let first = *bytes.get(1)?;
    let (head, len) = if first < 0x80 {
        (2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        let digits = bytes.get(2..2 + count).filter(|_| count <= 4)?;
        (2 + count, digits.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))
    };
    bytes.get(..head.checked_add(len)?)
}
