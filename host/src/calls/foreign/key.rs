//! Keys of `verify_signature` and `sign`: RSA and the four curves of BoringSSL.

use super::pem;
use rsa::pkcs1::der::Decode;
use rsa::pkcs8::{PrivateKeyInfo, SubjectPublicKeyInfoRef};
use rsa::rand_core::{self, CryptoRng, RngCore};
use rsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use rsa::{BigUint, Pkcs1v15Sign, pkcs1};
use sha2::{Digest, Sha512};

/// Bits of the longest RSA key (8,192, as in BoringSSL).
const RSA_BITS: usize = 8_192;

/// A hash of what is signed, with how RSA pads it.
pub(super) struct Hashed {
    pub(super) digest: Vec<u8>,
    pub(super) padding: Pkcs1v15Sign,
}

type Check = Box<dyn Fn(&[u8], &[u8]) -> bool>;
type Sign = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;

/// A public key.
pub(super) enum Public {
    Rsa(Box<rsa::RsaPublicKey>),
    /// Takes a digest and a signature in DER.
    Curve(Check),
}

/// A private key.
pub(super) enum Private {
    Rsa(Box<RsaPrivate>),
    /// Takes a digest and gives a signature in DER.
    Curve(Sign),
}

/// Modulus and exponent: longer keys than the library takes can sign too.
pub(super) struct RsaPrivate {
    modulus: BigUint,
    exponent: BigUint,
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// It is none, or one of a curve that BoringSSL does not have.
    Garbage,
    /// It is a key that signs without a hash function.
    Hashless,
}

impl Public {
    /// True when this is the key's signature of the hash.
    pub(super) fn verify(&self, hashed: &Hashed, signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => key.verify(hashed.padding.clone(), &hashed.digest, signature).is_ok(),
            Self::Curve(check) => check(&hashed.digest, signature),
        }
    }
}

impl Private {
    /// None when the key is too short for the hash. ECDSA signs alike each time.
    pub(super) fn sign(&self, hashed: &Hashed) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => key.sign(hashed),
            Self::Curve(sign) => sign(&hashed.digest),
        }
    }
}

impl RsaPrivate {
    fn new(key: &pkcs1::RsaPrivateKey<'_>) -> Option<Self> {
        let number = |n: pkcs1::UintRef<'_>| BigUint::from_bytes_be(n.as_bytes());
        let (modulus, exponent) = (number(key.modulus), number(key.private_exponent));
        (modulus.bits() <= RSA_BITS).then_some(Self { modulus, exponent })
    }

    /// RFC 8017, 8.2.1.
    fn sign(&self, hashed: &Hashed) -> Option<Vec<u8>> {
        let size = self.modulus.bits().div_ceil(8);
        let hash = [&hashed.padding.prefix, hashed.digest.as_slice()].concat();
        let fill = size.checked_sub(hash.len() + 3).filter(|fill| *fill >= 8)?;
        let block = [&[0, 1], vec![0xff; fill].as_slice(), &[0], &hash].concat();
        let signature = BigUint::from_bytes_be(&block).modpow(&self.exponent, &self.modulus).to_bytes_be();
        Some([vec![0; size.saturating_sub(signature.len())], signature].concat())
    }
}

/// What ECDSA needs of randomness, drawn from key and hash: a replay is the same twice.
struct Drawn {
    seed: Vec<u8>,
    drawn: u32,
}

impl Drawn {
    fn from(seed: &[u8]) -> Self {
        Self { seed: seed.to_vec(), drawn: 0 }
    }
}

impl CryptoRng for Drawn {}

impl RngCore for Drawn {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        for piece in out.chunks_mut(64) {
            let block =
                Sha512::new().chain_update(&self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
            self.drawn += 1;
            piece.copy_from_slice(&block[..piece.len()]);
        }
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

/// For each curve: its identifier, and the bytes of a coordinate.
macro_rules! curves {
    ($($curve:ident = $oid:literal, $size:literal;)*) => {
        /// A public key from its point.
        fn public_curve(oid: &str, point: &[u8]) -> Result<Public, NoKey> {
            match oid {
                $($oid => {
                    let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| NoKey::Garbage)?;
                    Ok(Public::Curve(Box::new(move |digest, signature| {
                        let signature = $curve::ecdsa::Signature::from_der(signature);
                        signature.is_ok_and(|s| key.verify_prehash(&padded(digest, $size), &s).is_ok())
                    })))
                })*
                _ => Err(NoKey::Garbage),
            }
        }

        /// A private key from its number, in the form of RFC 5915.
        fn private_curve(oid: &str, sec1: &[u8]) -> Result<Private, NoKey> {
            match oid {
                $($oid => {
                    let key = $curve::SecretKey::from_sec1_der(sec1).map_err(|_| NoKey::Garbage)?;
                    let key = $curve::ecdsa::SigningKey::from_slice(&key.to_bytes()).map_err(|_| NoKey::Garbage)?;
                    Ok(Private::Curve(Box::new(move |digest| {
                        let mut rng = Drawn::from(&[&key.to_bytes(), digest].concat());
                        let signed = key.sign_prehash_with_rng(&mut rng, &padded(digest, $size));
                        let signature: $curve::ecdsa::Signature = signed.ok()?;
                        Some(signature.to_der().as_bytes().to_vec())
                    })))
                })*
                _ => Err(NoKey::Garbage),
            }
        }

        /// The curve of a private key in the form of RFC 5915 that names none outside.
        fn curve_of(sec1: &[u8]) -> Option<&'static str> {
            let named = rsa::pkcs8::der::asn1::AnyRef::from_der(sec1).ok()?;
            [$(($oid, rsa::pkcs8::ObjectIdentifier::new_unwrap($oid))),*]
                .into_iter()
                .find(|(_, oid)| named.value().windows(oid.as_bytes().len()).any(|w| w == oid.as_bytes()))
                .map(|(text, _)| text)
        }
    };
}

curves! {
    p224 = "1.3.132.0.33", 28;
    p256 = "1.2.840.10045.3.1.7", 32;
    p384 = "1.3.132.0.34", 48;
    p521 = "1.3.132.0.35", 66;
}

/// A hash that is shorter than the curve is the same number with zeros before it; the library wants them.
fn padded(digest: &[u8], size: usize) -> Vec<u8> {
    let mut out = vec![0; size.saturating_sub(digest.len())];
    out.extend_from_slice(digest);
    out
}

/// What a key is for, by the object identifier of its algorithm.
enum Algorithm {
    Rsa,
    Curve(String),
}

fn kind(algorithm: &str, curve: Option<String>) -> Result<Algorithm, NoKey> {
    match (algorithm, curve) {
        ("1.2.840.113549.1.1.1", _) => Ok(Algorithm::Rsa),
        ("1.2.840.10045.2.1", Some(curve)) => Ok(Algorithm::Curve(curve)),
        ("1.3.101.112", _) => Err(NoKey::Hashless),
        _ => Err(NoKey::Garbage),
    }
}

/// `SubjectPublicKeyInfo` in DER; what follows it is not looked at.
pub(super) fn public_der(bytes: &[u8]) -> Result<Public, NoKey> {
    let der = first_element(bytes).ok_or(NoKey::Garbage)?;
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| NoKey::Garbage)?;
    let curve = info.algorithm.parameters_oid().ok().map(|oid| oid.to_string());
    let key = info.subject_public_key.as_bytes().ok_or(NoKey::Garbage)?;
    match kind(&info.algorithm.oid.to_string(), curve)? {
        Algorithm::Rsa => {
            let key = pkcs1::RsaPublicKey::try_from(key).map_err(|_| NoKey::Garbage)?;
            let number = |n: pkcs1::UintRef<'_>| BigUint::from_bytes_be(n.as_bytes());
            let (modulus, exponent) = (number(key.modulus), number(key.public_exponent));
            let key = rsa::RsaPublicKey::new_with_max_size(modulus, exponent, RSA_BITS);
            let key = key.map_err(|_| NoKey::Garbage)?;
            Ok(Public::Rsa(Box::new(key)))
        }
        Algorithm::Curve(oid) => public_curve(&oid, key),
    }
}

/// The first `PUBLIC KEY` of a PEM file.
pub(super) fn public_pem(text: &str) -> Result<Public, NoKey> {
    let (_, der) = pem::first(text, &["PUBLIC KEY"]).ok_or(NoKey::Garbage)?;
    public_der(&der)
}

fn private_rsa(der: &[u8]) -> Result<Private, NoKey> {
    let key = pkcs1::RsaPrivateKey::try_from(der).ok().as_ref().and_then(RsaPrivate::new);
    Ok(Private::Rsa(Box::new(key.ok_or(NoKey::Garbage)?)))
}

/// PKCS #8 in DER; what follows it is not looked at.
pub(super) fn private_der(bytes: &[u8]) -> Result<Private, NoKey> {
    let der = first_element(bytes).ok_or(NoKey::Garbage)?;
    let info = PrivateKeyInfo::try_from(der).map_err(|_| NoKey::Garbage)?;
    let curve = info.algorithm.parameters_oid().ok().map(|oid| oid.to_string());
    match kind(&info.algorithm.oid.to_string(), curve)? {
        Algorithm::Rsa => private_rsa(info.private_key),
        Algorithm::Curve(oid) => private_curve(&oid, info.private_key),
    }
}

/// The first private key of a PEM file, in PKCS #8 or in the older forms of RSA and EC keys.
pub(super) fn private_pem(text: &str) -> Result<Private, NoKey> {
    let labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let (label, der) = pem::first(text, &labels).ok_or(NoKey::Garbage)?;
    match label {
        "PRIVATE KEY" => private_der(&der),
        "RSA PRIVATE KEY" => private_rsa(&der),
        _ => private_curve(curve_of(&der).ok_or(NoKey::Garbage)?, &der),
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
