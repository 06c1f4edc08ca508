//! Signatures that OpenSSL made.

use super::*;
use crate::testing;

const P256: &str = include_str!("p256.pem");
const P256_SIGNATURE: &[u8] = include_bytes!("p256.sig");
const RSA_KEY: &[u8] = include_bytes!("rsa.der");
const RSA_SIGNATURE: &[u8] = include_bytes!("rsa.sig");

#[test]
fn where_a_host_has_none_the_module_verifies() {
    testing::clean();
    use super::super::verify;
    let p256 = |text: &[u8], signature: &[u8]| verify(Hash::Sha256, Key::Pem(P256), text, signature);
    let rsa = |text: &[u8], signature: &[u8]| verify(Hash::Sha512, Key::Der(RSA_KEY), text, signature);
    assert_eq!(p256(b"tamis", P256_SIGNATURE), Ok(()));
    assert_eq!(rsa(b"tamis", RSA_SIGNATURE), Ok(()));
    for (verify, signature) in [(&p256 as &dyn Fn(&[u8], &[u8]) -> _, P256_SIGNATURE), (&rsa, RSA_SIGNATURE)]
    {
        assert!(verify(b"tamiS", signature).is_err());
        assert!(verify(b"tamis", b"").is_err());
        for at in 0..signature.len() {
            let mut other = signature.to_vec();
            other[at] ^= 1;
            assert!(verify(b"tamis", &other).is_err(), "byte {at}");
        }
    }
    assert!(verify(Hash::Sha256, Key::Der(RSA_KEY), b"tamis", RSA_SIGNATURE).is_err(), "another hash");
    assert!(verify(Hash::Sha256, Key::Der(b"none"), b"tamis", RSA_SIGNATURE).is_err());
    assert!(verify(Hash::Sha256, Key::Pem("none"), b"tamis", P256_SIGNATURE).is_err());
}
