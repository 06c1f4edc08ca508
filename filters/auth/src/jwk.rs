//! Keys: from JWK (RFC 7517, 7518) to something that verifies.

use crate::config::Algorithm;
use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, Mac};
use p256::EncodedPoint;
use p256::ecdsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use serde_json::{Map, Value};
use sha2::Sha256;
use tamis_matching::ConfigError;

/// Keys of one issuer at most: more are a mistake, and each may be tried for a token without `kid`.
const MAX_KEYS: usize = 32;
/// Smallest RSA modulus, bits (RFC 7518 3.3).
const MIN_RSA_BITS: usize = 2048;
/// Smallest HMAC secret, bytes: the size of the hash (RFC 7518 3.2).
const MIN_SECRET: usize = 32;

/// A key that verifies signatures of exactly one algorithm: the key's type fixes it, never the token.
#[derive(Clone)]
pub struct Key {
    /// Its name in the set.
    pub kid: Option<String>,
    /// What it verifies.
    pub algorithm: Algorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Rsa(Box<rsa::pkcs1v15::VerifyingKey<Sha256>>),
    Ec(Box<p256::ecdsa::VerifyingKey>),
    Secret(Vec<u8>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Reads a key set. Keys of unknown type, curve or algorithm are left out.
///
/// # Errors
/// When a key is weak, broken, private or not for signatures, two kinds share a `kid`, or none is left.
pub fn read_set(keys: &[Value]) -> Result<Vec<Key>, ConfigError> {
    if keys.len() > MAX_KEYS {
        return Err(ConfigError::new(format!("has more than {MAX_KEYS} keys")));
    }
    let mut set: Vec<Key> = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        let at = |e: ConfigError| e.at(format!("[{i}]"));
        let members = key.as_object().ok_or_else(|| at(ConfigError::new("is no object")))?;
        let Some(key) = read(members).map_err(at)? else { continue };
        let clash = |known: &&Key| known.kid == key.kid && known.algorithm != key.algorithm;
        if key.kid.is_some() && set.iter().any(|known| clash(&known)) {
            return Err(at(ConfigError::new("has the `kid` of a key of another type")));
        }
        set.push(key);
    }
    if set.is_empty() {
        return Err(ConfigError::new("has no key for RS256, ES256 or HS256"));
    }
    Ok(set)
}

fn read(jwk: &Map<String, Value>) -> Result<Option<Key>, ConfigError> {
    let kid = text(jwk, "kid")?.map(str::to_owned);
    let algorithm = match (text(jwk, "kty")?, text(jwk, "crv")?) {
        (Some("RSA"), _) => Algorithm::RS256,
        (Some("EC"), Some("P-256")) => Algorithm::ES256,
        (Some("oct"), _) => Algorithm::HS256,
        (None, _) => return Err(ConfigError::new("is missing").at("kty")),
        _ => return Ok(None),
    };
    if text(jwk, "use")?.is_some_and(|u| u != "sig") {
        return Err(ConfigError::new("is not `sig`: this key is not for signatures, take it out").at("use"));
    }
    if let Some(ops) = jwk.get("key_ops") {
        let verifies = ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies {
            return Err(ConfigError::new("is without `verify`: this key is not for verifying, take it out")
                .at("key_ops"));
        }
    }
    // An algorithm that is not ours: the key is good, only not for us.
    if text(jwk, "alg")?.is_some_and(|alg| alg != name(algorithm)) {
        return Ok(None);
    }
    if algorithm != Algorithm::HS256 && jwk.contains_key("d") {
        return Err(ConfigError::new("is there: this is a private key, give the public one only").at("d"));
    }
    let material = match algorithm {
        Algorithm::RS256 => rsa_key(jwk)?,
        Algorithm::ES256 => ec_key(jwk)?,
        Algorithm::HS256 => {
            let secret = bytes(jwk, "k")?;
            if secret.len() < MIN_SECRET {
                return Err(ConfigError::new(format!("is shorter than {MIN_SECRET} bytes")).at("k"));
            }
            Material::Secret(secret)
        }
    };
    Ok(Some(Key { kid, algorithm, material }))
}

fn rsa_key(jwk: &Map<String, Value>) -> Result<Material, ConfigError> {
    let modulus = rsa::BigUint::from_bytes_be(&bytes(jwk, "n")?);
    let exponent = rsa::BigUint::from_bytes_be(&bytes(jwk, "e")?);
    let odd = exponent.to_bytes_le().first().is_some_and(|low| low % 2 == 1);
    if !odd || exponent < rsa::BigUint::from(3u32) {
        return Err(ConfigError::new("is no RSA exponent: has to be odd and at least 3").at("e"));
    }
    let key = rsa::RsaPublicKey::new(modulus, exponent)
        .map_err(|_| ConfigError::new("is no RSA key: up to 4096 bits, exponent below 2^33").at("n"))?;
    if key.n().bits() < MIN_RSA_BITS {
        return Err(ConfigError::new(format!("has {} bits, needs {MIN_RSA_BITS}", key.n().bits())).at("n"));
    }
    Ok(Material::Rsa(Box::new(rsa::pkcs1v15::VerifyingKey::new(key))))
}

fn ec_key(jwk: &Map<String, Value>) -> Result<Material, ConfigError> {
    let coordinate = |member| {
        <[u8; 32]>::try_from(bytes(jwk, member)?)
            .map_err(|_| ConfigError::new("has to be 32 bytes").at(member))
    };
    let (x, y) = (coordinate("x")?, coordinate("y")?);
    let point = EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
    let key = p256::ecdsa::VerifyingKey::from_encoded_point(&point);
    Ok(Material::Ec(Box::new(key.map_err(|_| ConfigError::new("is not on the curve with `y`").at("x"))?)))
}

fn text<'j>(jwk: &'j Map<String, Value>, member: &str) -> Result<Option<&'j str>, ConfigError> {
    match jwk.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ConfigError::new("has to be a string").at(member)),
    }
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, ConfigError> {
    let encoded = text(jwk, member)?.ok_or_else(|| ConfigError::new("is missing").at(member))?;
    Base64UrlUnpadded::decode_vec(encoded)
        .map_err(|_| ConfigError::new("is no base64url without padding").at(member))
}

impl Key {
    /// True when `signature` over `message` is this key's.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(key) => {
                rsa::pkcs1v15::Signature::try_from(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }
            // Exactly r and s of 32 bytes each, both in 1..n (CVE-2022-21449).
            Material::Ec(key) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }
            Material::Secret(secret) => Hmac::<Sha256>::new_from_slice(secret)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok()),
        }
    }
}

/// The name of an algorithm in JOSE.
pub const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::HS256 => "HS256",
    }
}
