//! Verification without a host.

use super::{CryptoError, Hash, Key};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::Pkcs1v15Sign;
use rsa::pkcs8::{DecodePublicKey, SubjectPublicKeyInfoRef};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// `rsaEncryption` (RFC 8017 A.1).
const RSA: &str = "1.2.840.113549.1.1.1";

fn refused(why: &str) -> CryptoError {
    CryptoError::Refused(why.to_owned())
}

/// A key of one kind, in whichever form it is.
fn read<K: DecodePublicKey>(key: Key<'_>) -> Option<K> {
    match key {
        Key::Der(der) => K::from_public_key_der(der).ok(),
        Key::Pem(pem) => K::from_public_key_pem(pem).ok(),
    }
}

fn is_rsa(key: Key<'_>) -> bool {
    match key {
        Key::Der(der) => {
            SubjectPublicKeyInfoRef::try_from(der).is_ok_and(|info| info.algorithm.oid.to_string() == RSA)
        }
        Key::Pem(_) => read::<rsa::RsaPublicKey>(key).is_some(),
    }
}

pub(super) fn verify(hash: Hash, key: Key<'_>, text: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let (digest, padding) = match hash {
        Hash::Sha256 => (Sha256::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha256>()),
        Hash::Sha384 => (Sha384::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha384>()),
        Hash::Sha512 => (Sha512::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha512>()),
    };
    let good = if is_rsa(key) {
        let key: rsa::RsaPublicKey = read(key).ok_or_else(|| refused("the key is none"))?;
        key.verify(padding, &digest, signature).is_ok()
    } else {
        let key: p256::ecdsa::VerifyingKey = read(key).ok_or_else(|| refused("the key is none"))?;
        p256::ecdsa::DerSignature::from_bytes(signature)
            .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok())
    };
    if good { Ok(()) } else { Err(refused("it is not of this key and text")) }
}

#[cfg(test)]
mod tests;
