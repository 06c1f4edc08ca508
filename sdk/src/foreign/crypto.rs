//! Signatures: the host's own code, a third of the time that the same takes inside wasm, and pure Rust where a host has
//! none.
//!
//! The pure part is behind the feature `pure-crypto`, since it adds some 200 kB to a module that verifies: Envoy has
//! had `verify_signature` since 1.30 and `sign` since 1.37. Both refuse the same: a key that is none, and a signature
//! that is none or another's.
//!
//! ```
//! use tamis_sdk::foreign::crypto::{Hash, Key, verify};
//!
//! fn is_ours(pem: &str, text: &[u8], signature: &[u8]) -> bool {
//!     verify(Hash::Sha256, Key::Pem(pem), text, signature).is_ok()
//! }
//! ```

use super::{call, is_missing};
use crate::error::HostError;
use crate::wire::{Field, Fields, fields};
use std::fmt;

#[cfg(feature = "pure-crypto")]
mod pure;

/// The hash of the text.
///
/// ```
/// use tamis_sdk::foreign::crypto::Hash;
///
/// /// By the names of RFC 7518 3.1.
/// fn hash(algorithm: &str) -> Option<Hash> {
///     match algorithm {
///         "RS256" | "ES256" => Some(Hash::Sha256),
///         "RS384" => Some(Hash::Sha384),
///         "RS512" => Some(Hash::Sha512),
///         _ => None,
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// A key: of RSA, for PKCS #1 v1.5, or on the curve P-256, for ECDSA with signatures in DER.
///
/// ```
/// use tamis_sdk::foreign::crypto::Key;
///
/// let key = Key::Der(&[0x30, 0x59]);
/// assert_eq!(format!("{key:?}"), "Key::Der", "its bytes are not shown");
/// ```
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// DER: `SubjectPublicKeyInfo`, or PKCS #8 for a private key.
    Der(&'a [u8]),
    /// The same as PEM.
    Pem(&'a str),
}

/// A key's bytes are nobody's business in a log.
impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Der(_) => "Key::Der",
            Self::Pem(_) => "Key::Pem",
        })
    }
}

/// Why a signature is not good, or none was made.
///
/// ```
/// use tamis_sdk::foreign::crypto::CryptoError;
/// use tamis_sdk::prelude::*;
///
/// fn answer(error: CryptoError) -> Error {
///     match error {
///         // The client's fault.
///         CryptoError::Refused(_) => Reply::new(401).into(),
///         error => error.into(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CryptoError {
    /// The signature is not of this key and text, or key or signature are none; with the words of who looked.
    Refused(String),
    /// The host has no such function, and the module has no `pure-crypto`.
    Missing,
    /// The host could not do it.
    Host(HostError),
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the signature is not good: {why}"),
            Self::Missing => f.write_str("the host has no cryptography"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CryptoError {}

/// Verifies a signature of `text`.
///
/// # Errors
/// When it is not good, or nobody could look.
pub fn verify(hash: Hash, key: Key<'_>, text: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let arguments = Fields::default().bytes(1, hash.name().as_bytes());
    let arguments = match key {
        Key::Der(der) => arguments.bytes(2, der),
        Key::Pem(_) => arguments,
    };
    let arguments = arguments.bytes(3, signature).bytes(4, text);
    let arguments = match key {
        Key::Pem(pem) => arguments.bytes(5, pem.as_bytes()),
        Key::Der(_) => arguments,
    };
    match call("verify_signature", &arguments.0) {
        Ok(answer) => judge(&answer, 2).map(|_| ()),
        Err(error) if is_missing(&error) => verify_here(hash, key, text, signature),
        Err(error) => Err(CryptoError::Host(error)),
    }
}

/// Signs a text. Of ECDSA no two signatures need be the same.
///
/// # Errors
/// When the key is none, or nobody could sign. There is no pure part: a host that can not sign has no randomness that
/// is meant for it either.
pub fn sign(hash: Hash, key: Key<'_>, text: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let arguments = Fields::default().bytes(1, hash.name().as_bytes());
    let arguments = match key {
        Key::Der(der) => arguments.bytes(2, der).bytes(3, text),
        Key::Pem(pem) => arguments.bytes(3, text).bytes(4, pem.as_bytes()),
    };
    match call("sign", &arguments.0) {
        Ok(answer) => judge(&answer, 3),
        Err(error) if is_missing(&error) => Err(CryptoError::Missing),
        Err(error) => Err(CryptoError::Host(error)),
    }
}

/// `1 result`, then perhaps `2 signature`, and the error in this field.
fn judge(answer: &[u8], error: u64) -> Result<Vec<u8>, CryptoError> {
    let (mut good, mut why, mut signature) = (false, String::new(), Vec::new());
    for field in fields(answer) {
        match field {
            (1, Field::Number(result)) => good = result != 0,
            (number, Field::Bytes(text)) if number == error => {
                why = String::from_utf8_lossy(text).into_owned()
            }
            (2, Field::Bytes(bytes)) => signature = bytes.to_vec(),
            _ => {}
        }
    }
    if good { Ok(signature) } else { Err(CryptoError::Refused(why)) }
}

#[cfg(feature = "pure-crypto")]
fn verify_here(hash: Hash, key: Key<'_>, text: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    pure::verify(hash, key, text, signature)
}

#[cfg(not(feature = "pure-crypto"))]
fn verify_here(_: Hash, _: Key<'_>, _: &[u8], _: &[u8]) -> Result<(), CryptoError> {
    Err(CryptoError::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tamis_abi::Status;

    #[test]
    fn the_host_is_asked_first_and_believed() {
        testing::clean();
        testing::foreign("verify_signature", |arguments| {
            let key: Vec<_> = fields(arguments).map(|(number, _)| number).collect();
            match key[..] {
                [1, 2, 3, 4] => Ok(vec![8, 1]),
                [1, 3, 4, 5] => Ok(b"\x12\x03bad".to_vec()),
                _ => Err(Status::BadArgument),
            }
        });
        assert_eq!(verify(Hash::Sha256, Key::Der(b"k"), b"t", b"s"), Ok(()));
        assert_eq!(verify(Hash::Sha256, Key::Pem("k"), b"t", b"s"), Err(CryptoError::Refused("bad".into())));
        assert!(matches!(verify(Hash::Sha512, Key::Der(b""), b"t", b"s"), Err(CryptoError::Host(_))));
        testing::foreign("sign", |_| Ok(b"\x08\x01\x12\x02ok".to_vec()));
        assert_eq!(sign(Hash::Sha256, Key::Pem("k"), b"t"), Ok(b"ok".to_vec()));
    }

    #[test]
    fn no_answer_of_a_host_is_a_signature() {
        testing::clean();
        for answer in [&b""[..], b"\x08\x00", b"\x08", b"\xff\xff\xff", b"\x12\x00"] {
            testing::foreign("verify_signature", move |_| Ok(answer.to_vec()));
            assert!(verify(Hash::Sha256, Key::Der(b"k"), b"t", b"s").is_err(), "{answer:?}");
        }
    }
}
