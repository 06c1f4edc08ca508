//! `verify_signature` and `sign`: RSA (PKCS #1 v1.5) and ECDSA.

use super::key::{self, Hashed, NoKey};
use super::proto::{Field, put, read, text};
use super::{Answer, Stop};
use rsa::Pkcs1v15Sign;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use tamis_abi::Status;

/// The key has no room for the hash.
const TOO_SHORT: &str = "Failed to create signature.";

/// The arguments of both functions: hash function, key in DER or PEM, text, signature.
#[derive(Default)]
struct Args<'a> {
    hash: &'a str,
    der: &'a [u8],
    pem: &'a str,
    text: &'a [u8],
    signature: &'a [u8],
}

/// Told in the result: it failed, for this reason. Empty: it did not.
/// An older Envoy knows no PEM (docs/envoy.md 2.14).
pub(super) fn verify(bytes: &[u8], with_pem: bool) -> Answer<Vec<u8>> {
    let mut args = Args::default();
    read(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(bytes)) => args.hash = text(bytes)?,
            (2, Field::Bytes(bytes)) => args.der = bytes,
            (3, Field::Bytes(bytes)) => args.signature = bytes,
            (4, Field::Bytes(bytes)) => args.text = bytes,
            (5, Field::Bytes(bytes)) if with_pem => args.pem = text(bytes)?,
            _ => {}
        }
        Ok(())
    })?;
    let key =
        if with_pem { args.one_key(key::public_der, key::public_pem)? } else { key::public_der(args.der) };
    let Some(hashed) = args.hashed() else { return Ok(failed(2, &args.unknown_hash())) };
    let key = match key {
        Ok(key) => key,
        Err(_) => return Ok(failed(2, "Failed to initialize digest verify.")),
    };
    let good = key.verify(&hashed, args.signature);
    Ok(if good { vec![8, 1] } else { failed(2, "Failed to verify digest. Error code: 0") })
}

/// As [`verify`]; an ECDSA signature is the same each time, where Envoy's differs.
pub(super) fn sign(bytes: &[u8]) -> Answer<Vec<u8>> {
    let mut args = Args::default();
    read(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(bytes)) => args.hash = text(bytes)?,
            (2, Field::Bytes(bytes)) => args.der = bytes,
            (3, Field::Bytes(bytes)) => args.text = bytes,
            (4, Field::Bytes(bytes)) => args.pem = text(bytes)?,
            _ => {}
        }
        Ok(())
    })?;
    let key = match args.one_key(key::private_der, key::private_pem)? {
        Ok(key) => key,
        Err(NoKey::Hashless) => {
            return Ok(failed(3, "Invalid private key: key data is corrupted or malformed."));
        }
        Err(NoKey::Garbage) => {
            return Ok(failed(3, "Invalid key type: private key required for signing operation."));
        }
    };
    let Some(hashed) = args.hashed() else { return Ok(failed(3, &args.unknown_hash())) };
    let Some(signature) = key.sign(&hashed) else { return Ok(failed(3, TOO_SHORT)) };
    let mut out = vec![8, 1];
    put(&mut out, 2, &signature);
    Ok(out)
}

/// The result of something that failed; `number` is the field of the reason.
fn failed(number: u8, why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, number, why.as_bytes());
    out
}

impl Args<'_> {
    /// The key in its one form.
    ///
    /// # Errors
    /// 2 when there is none, or two.
    fn one_key<K>(
        &self,
        der: fn(&[u8]) -> Result<K, NoKey>,
        pem: fn(&str) -> Result<K, NoKey>,
    ) -> Answer<Result<K, NoKey>> {
        match (self.der.is_empty(), self.pem.is_empty()) {
            (false, true) => Ok(der(self.der)),
            (true, false) => Ok(pem(self.pem)),
            _ => Err(Stop::Tell(Status::BadArgument)),
        }
    }

    fn hashed(&self) -> Option<Hashed> {
        let text = self.text;
        let hashed = |digest: Vec<u8>, padding| Some(Hashed { digest, padding });
        match self.hash.to_ascii_lowercase().as_str() {
            "sha1" => hashed(Sha1::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha1>()),
            "sha224" => hashed(Sha224::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha224>()),
            "sha256" => hashed(Sha256::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha256>()),
            "sha384" => hashed(Sha384::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha384>()),
            "sha512" => hashed(Sha512::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha512>()),
            _ => None,
        }
    }

    fn unknown_hash(&self) -> String {
        format!("{} is not supported.", self.hash)
    }
}
