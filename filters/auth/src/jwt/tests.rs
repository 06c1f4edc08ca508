//! The cases of docs/filters.md 4.1 that are about tokens, by row.

use super::*;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Signer;
use serde_json::json;
use sha2::Sha256;

/// Inside the lifetime of the recorded token.
pub(crate) const NOW: f64 = 1_795_418_000.0;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

fn ec(seed: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn ec_jwk(seed: u8, kid: &str) -> Value {
    let point = ec(seed).verifying_key().to_encoded_point(false);
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": encode(point.x().unwrap()), "y": encode(point.y().unwrap())})
}

fn issuer(config: Value) -> Issuer {
    Issuer::new(&serde_json::from_value(config).unwrap()).unwrap()
}

/// Three issuers: ES256, HS256, and the one of the recorded traffic (RS256).
pub(crate) fn configs() -> Value {
    let recorded: Value = serde_json::from_str(include_str!("../../tests/data/capture-jwks.json")).unwrap();
    json!([
        {"name": "ec", "issuer": "https://ec.test/", "audiences": ["api"], "algorithms": ["ES256"], "jwks": {"keys": [ec_jwk(1, "k1")]}},
        {"name": "mac", "issuer": "mac", "algorithms": ["HS256"], "jwks": {"keys": [{"kty": "oct", "k": encode(SECRET)}]}},
        {"name": "rsa", "issuer": "issuer@mesh.test", "audiences": ["httpbin"], "algorithms": ["RS256", "ES256"], "jwks": recorded},
    ])
}

fn issuers() -> Vec<Issuer> {
    configs().as_array().unwrap().iter().map(|config| issuer(config.clone())).collect()
}

fn recorded() -> &'static str {
    include_str!("../../tests/data/capture-token.txt")
}

pub(crate) fn es256(header: &str, payload: &str, seed: u8) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature: p256::ecdsa::Signature = ec(seed).sign(message.as_bytes());
    format!("{message}.{}", encode(signature.to_bytes()))
}

fn hs256(header: &str, payload: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(message.as_bytes());
    format!("{message}.{}", encode(mac.finalize().into_bytes()))
}

fn check(token: &str) -> Result<&'static str, Bad> {
    verify(token.as_bytes(), &issuers(), NOW).map(|v| ["ec", "mac", "rsa"][v.issuer])
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k1"}"#;

pub(crate) fn claims(extra: &str) -> String {
    format!(r#"{{"iss":"https://ec.test/","aud":"api","exp":{}{extra}}}"#, NOW as u64 + 100)
}

/// A token of the `ec` issuer with this header and these claims.
fn with(header: &str, payload: &str) -> Result<&'static str, Bad> {
    check(&es256(header, payload, 1))
}

#[test]
fn good_tokens_of_each_algorithm_pass() {
    assert_eq!(with(HEADER, &claims("")), Ok("ec"));
    assert_eq!(check(&hs256(r#"{"alg":"HS256"}"#, r#"{"iss":"mac","exp":4102444800}"#, SECRET)), Ok("mac"));
    // Signed by somebody else's library, as recorded.
    assert_eq!(check(recorded()), Ok("rsa"));
}

#[test]
fn rows_4_1_1_and_2_alg_is_exactly_one_of_the_list() {
    for alg in [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""nOnE""#,
        "null",
        "256",
        r#"["ES256"]"#,
        r#""""#,
        r#""es256""#,
        r#"" ES256""#,
        r#""ES256\u0000""#,
        r#""HS256""#,
        r#""RS256""#,
    ] {
        assert_eq!(
            with(&format!(r#"{{"alg":{alg},"kid":"k1"}}"#), &claims("")),
            Err(Bad::Algorithm),
            "{alg}"
        );
    }
    assert_eq!(with(r#"{"kid":"k1"}"#, &claims("")), Err(Bad::Algorithm));
    for alg in ["none", "ES256"] {
        let unsigned = format!("{}.{}.", encode(format!(r#"{{"alg":"{alg}"}}"#)), encode(claims("")));
        assert!(check(&unsigned).is_err());
        assert_eq!(check(unsigned.trim_end_matches('.')), Err(Bad::Malformed));
    }
}

#[test]
fn row_4_1_3_a_public_key_is_no_secret() {
    let recorded: Value = serde_json::from_str(include_str!("../../tests/data/capture-jwks.json")).unwrap();
    let modulus = Base64UrlUnpadded::decode_vec(recorded["keys"][0]["n"].as_str().unwrap()).unwrap();
    let point = ec(1).verifying_key().to_encoded_point(false).as_bytes().to_vec();
    for secret in [&modulus[..], recorded.to_string().as_bytes(), &point, b""] {
        for iss in ["issuer@mesh.test", "https://ec.test/"] {
            let payload = format!(r#"{{"iss":"{iss}","aud":["api","httpbin"],"exp":4102444800}}"#);
            assert_eq!(check(&hs256(r#"{"alg":"HS256"}"#, &payload, secret)), Err(Bad::Algorithm));
        }
    }
}

#[test]
fn rows_4_1_4_and_5_the_key_fixes_the_algorithm() {
    let parts: Vec<&str> = recorded().split('.').collect();
    for alg in ["RS512", "PS256", "HS256"] {
        let header = encode(format!(r#"{{"alg":"{alg}","kid":"capture-test-key-1"}}"#));
        assert_eq!(check(&format!("{header}.{}.{}", parts[1], parts[2])), Err(Bad::Algorithm), "{alg}");
    }
    // ES256 is on the list of this issuer, but its only key of that name is RSA.
    let token = es256(
        r#"{"alg":"ES256","kid":"capture-test-key-1"}"#,
        r#"{"iss":"issuer@mesh.test","aud":"httpbin","exp":4102444800}"#,
        1,
    );
    assert_eq!(check(&token), Err(Bad::Key));
}

#[test]
fn row_4_1_6_ecdsa_signatures_out_of_range() {
    let message = format!("{}.{}", encode(HEADER), encode(claims("")));
    let good: p256::ecdsa::Signature = ec(1).sign(message.as_bytes());
    let good = good.to_bytes().to_vec();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (r, s) = good.split_at(32);
    let cat = |a: &[u8], b: &[u8]| [a, b].concat();
    let der = p256::ecdsa::Signature::from_slice(&good).unwrap().to_der();
    for bad in [
        vec![0; 64],
        vec![0xff; 64],
        cat(&[0; 32], s),
        cat(r, &[0; 32]),
        cat(&order, s),
        cat(r, &order),
        cat(s, r),
        der.as_bytes().to_vec(),
        good[..63].to_vec(),
        cat(&[0], &good),
        cat(&cat(&[0], r), &cat(&[0], s)),
        vec![],
    ] {
        assert_eq!(check(&format!("{message}.{}", encode(&bad))), Err(Bad::Signature), "{bad:x?}");
    }
    let high = p256::ecdsa::Signature::from_slice(&good).unwrap();
    let flipped = high.normalize_s().unwrap_or_else(|| {
        let (r, s) = (high.r(), high.s());
        p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap()
    });
    assert_eq!(
        check(&format!("{message}.{}", encode(flipped.to_bytes()))),
        Ok("ec"),
        "high and low s are both good"
    );
}

#[test]
fn row_4_1_8_changed_signatures_and_swapped_parts() {
    let tokens = [
        es256(HEADER, &claims(""), 1),
        hs256(r#"{"alg":"HS256"}"#, r#"{"iss":"mac","exp":4102444800}"#, SECRET),
        recorded().to_owned(),
    ];
    for token in tokens {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let bytes = Base64UrlUnpadded::decode_vec(signature).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for bad in [
            vec![],
            flipped,
            bytes[..bytes.len() - 1].to_vec(),
            [&bytes[..], &[0]].concat(),
            [&[0], &bytes[..]].concat(),
        ] {
            assert_eq!(check(&format!("{message}.{}", encode(bad))), Err(Bad::Signature));
        }
    }
    let other = es256(HEADER, &claims(r#","sub":"admin""#), 2);
    let mine = es256(HEADER, &claims(""), 1);
    let (mine, other): (Vec<&str>, Vec<&str>) = (mine.split('.').collect(), other.split('.').collect());
    assert_eq!(check(&format!("{}.{}.{}", mine[0], other[1], mine[2])), Err(Bad::Signature));
    assert_eq!(
        check(&format!("{}.{}.{}", encode(r#"{"alg":"ES256"}"#), mine[1], mine[2])),
        Err(Bad::Signature)
    );
}

#[test]
fn row_4_1_9_kids_that_are_not_in_the_set() {
    for kid in [
        r#""k2""#,
        r#""../../k1""#,
        r#""k1' or 1=1""#,
        r#""https://x/k1""#,
        r#""k1\u0000""#,
        r#"" k1""#,
        r#""K1""#,
        "7",
        "null",
        r#"["k1"]"#,
        r#""""#,
    ] {
        assert_eq!(with(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#), &claims("")), Err(Bad::Key), "{kid}");
    }
    let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(4096));
    assert_eq!(with(&long, &claims("")), Err(Bad::Key));
    assert_eq!(
        with(r#"{"alg":"ES256"}"#, &claims("")),
        Ok("ec"),
        "no kid: every key of that algorithm is tried"
    );
}

#[test]
fn row_4_1_10_keys_inside_a_token_are_not_looked_at() {
    for member in [
        format!(r#""jwk":{}"#, ec_jwk(2, "k1")),
        r#""jku":"https://ec.test@evil.test/""#.into(),
        r#""x5u":"https://x/""#.into(),
        r#""x5c":["AA"]"#.into(),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"k1",{member}}}"#);
        assert_eq!(check(&es256(&header, &claims(""), 2)), Err(Bad::Signature), "{member}");
    }
}

#[test]
fn row_4_1_11_bad_keys_are_refused_with_a_place() {
    let point = ec_jwk(1, "k");
    let set = |member: &str, value: Value| {
        let mut key = point.clone();
        key[member] = value;
        key
    };
    let rsa = |bytes: usize, e: &str| json!({"kty": "RSA", "n": encode(vec![0xff; bytes]), "e": e});
    for (key, why) in [
        (set("use", json!("enc")), "[0].use: is not `sig`"),
        (set("key_ops", json!(["sign"])), "[0].key_ops: is without `verify`"),
        (set("y", json!(encode([1; 32]))), "[0].x: is not on the curve"),
        (set("x", json!(encode([1; 31]))), "[0].x: has to be 32 bytes"),
        (set("x", json!("a=")), "[0].x: is no base64url"),
        (set("d", json!("AA")), "[0].d: is there: this is a private key"),
        (set("kid", json!(7)), "[0].kid: has to be a string"),
        (rsa(128, "AQAB"), "[0].n: has 1024 bits, needs 2048"),
        (rsa(256, "AQ"), "[0].e: is no RSA exponent"),
        (rsa(256, "BA"), "[0].e: is no RSA exponent"),
        (rsa(2048, "AQAB"), "[0].n: is no RSA key"),
        (json!({"kty": "oct", "k": encode("short")}), "[0].k: is shorter than 32 bytes"),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}), "has no key"),
        (set("crv", json!("P-384")), "has no key"),
        (json!([]), "[0]: is no object"),
        (json!({}), "[0].kty: is missing"),
    ] {
        let error = jwk::read_set(std::slice::from_ref(&key)).unwrap_err().to_string();
        assert!(error.starts_with(why), "{error} for {key}");
    }
    let beside = [ec_jwk(1, "k"), json!({"kty": "oct", "kid": "k", "k": encode([7; 32])})];
    assert_eq!(
        jwk::read_set(&beside).unwrap_err().to_string(),
        "[1]: has the `kid` of a key of another type"
    );
    let unknown = [json!({"kty": "XYZ", "use": "enc"}), ec_jwk(1, "k")];
    assert_eq!(jwk::read_set(&unknown).unwrap().len(), 1);
}

#[test]
fn row_4_1_12_keys_are_bound_to_their_issuer() {
    assert_eq!(check(&es256(HEADER, &claims(""), 2)), Err(Bad::Signature));
    let as_mac = es256(r#"{"alg":"ES256"}"#, r#"{"iss":"mac","exp":4102444800}"#, 1);
    assert_eq!(check(&as_mac), Err(Bad::Algorithm));
}

#[test]
fn row_4_1_13_critical_headers_are_not_understood() {
    for member in [
        r#""crit":["x"],"x":1"#,
        r#""crit":[]"#,
        r#""crit":"x""#,
        r#""crit":["alg"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""b64":false"#,
    ] {
        assert_eq!(
            with(&format!(r#"{{"alg":"ES256","kid":"k1",{member}}}"#), &claims("")),
            Err(Bad::Critical),
            "{member}"
        );
    }
}

#[test]
fn row_4_1_14_typ_is_pinned() {
    let mut config = configs()[0].clone();
    config["typ"] = json!(["at+jwt"]);
    let pinned = [issuer(config)];
    let check = |header: &str| verify(es256(header, &claims(""), 1).as_bytes(), &pinned, NOW).map(|_| ());
    for good in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        assert_eq!(check(&format!(r#"{{"alg":"ES256","typ":"{good}"}}"#)), Ok(()), "{good}");
    }
    for bad in [r#"{"alg":"ES256","typ":"JWT"}"#, r#"{"alg":"ES256"}"#, r#"{"alg":"ES256","typ":7}"#] {
        assert_eq!(check(bad), Err(Bad::Type), "{bad}");
    }
}

#[test]
fn rows_4_1_16_to_19_times() {
    let exp = |exp: &str| with(HEADER, &format!(r#"{{"iss":"https://ec.test/","aud":"api","exp":{exp}}}"#));
    for bad in
        ["0", "-1", r#""4102444800""#, "true", "null", "[4102444800]", "{}", "-9223372036854775808", "-1e300"]
    {
        assert_eq!(exp(bad), Err(Bad::Expired), "{bad}");
    }
    for good in
        ["4102444800.5", "4.1e9", "1e300", "9223372036854775808", "18446744073709551616", &"9".repeat(40)]
    {
        assert_eq!(exp(good), Ok("ec"), "{good}");
    }
    assert_eq!(with(HEADER, r#"{"iss":"https://ec.test/","aud":"api"}"#), Err(Bad::Expired));
    let now = NOW as i64;
    for (at, due) in [(now - 59, Ok("ec")), (now - 60, Err(Bad::Expired))] {
        assert_eq!(exp(&at.to_string()), due);
    }
    for (nbf, due) in [
        ((now + 60).to_string(), Ok("ec")),
        ((now + 61).to_string(), Err(Bad::NotYet)),
        (r#""0""#.into(), Err(Bad::NotYet)),
        ("null".into(), Err(Bad::NotYet)),
    ] {
        assert_eq!(with(HEADER, &claims(&format!(r#","nbf":{nbf}"#))), due, "{nbf}");
    }
}

#[test]
fn rows_4_1_20_and_21_iss_and_aud_are_equal_bytes() {
    for iss in [
        r#""https://EC.test/""#,
        r#""https://ec.test""#,
        r#""https://ec.test/x""#,
        r#""https://ec.test.evil/""#,
        r#""https://x@ec.test/""#,
        r#""https://\u0435c.test/""#,
        r#"["https://ec.test/"]"#,
        r#""https://ec.test/\u0000""#,
        "null",
    ] {
        let payload = format!(r#"{{"iss":{iss},"aud":"api","exp":4102444800}}"#);
        assert_eq!(with(HEADER, &payload), Err(Bad::Issuer), "{iss}");
    }
    let aud =
        |aud: &str| with(HEADER, &format!(r#"{{"iss":"https://ec.test/","aud":{aud},"exp":4102444800}}"#));
    for bad in [
        r#""ap""#,
        r#""apis""#,
        r#""API""#,
        r#""x,api""#,
        "7",
        r#"{"api":1}"#,
        r#"[["api"]]"#,
        "[]",
        r#""""#,
        "null",
        r#"["api",7]"#,
    ] {
        assert_eq!(aud(bad), Err(Bad::Audience), "{bad}");
    }
    assert_eq!(aud(r#"["x","api"]"#), Ok("ec"));
    assert_eq!(with(HEADER, r#"{"iss":"https://ec.test/","exp":4102444800}"#), Err(Bad::Audience));
}

#[test]
fn rows_4_1_15_and_22_to_24_tokens_that_are_no_strict_tokens() {
    for payload in [
        claims(r#","exp":1"#),
        claims(r#","\u0065xp":1"#),
        "[]".into(),
        "\"x\"".into(),
        "null".into(),
        String::new(),
        "{}{}".into(),
        format!("\u{feff}{}", claims("")),
        format!("{}1{}", "[".repeat(2500), "]".repeat(2500)),
    ] {
        assert_eq!(with(HEADER, &payload), Err(Bad::Malformed), "{payload}");
    }
    assert_eq!(with(r#"{"alg":"ES256","alg":"none"}"#, &claims("")), Err(Bad::Malformed));
    let token = es256(HEADER, &claims(""), 1);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let last = signature.as_bytes()[signature.len() - 1];
    // 64 bytes leave four stray bits in the last digit: another digit with the same upper bits.
    let stray = format!("{}{}", &signature[..signature.len() - 1], (last + 1) as char);
    for bad in [
        format!("{token}="),
        format!("{token}=="),
        format!("{message}.{stray}"),
        token.replacen('.', ". ", 1),
        token.replace('_', "/").replace('-', "+") + "/",
        format!("{token}."),
        format!("{token}.x.y"),
        message.to_owned(),
        ".".repeat(3000),
        String::new(),
        "..".into(),
        "a".into(),
        format!(r#"{{"payload":"{}"}}"#, encode(claims(""))),
        format!("{message}.\u{e9}"),
    ] {
        assert_eq!(check(&bad), Err(Bad::Malformed), "{bad}");
    }
}

#[test]
fn row_4_1_25_a_long_token_is_refused_undecoded() {
    assert_eq!(check(&"!".repeat(8193)), Err(Bad::TooLong));
    assert_eq!(check(&"!".repeat(8192)), Err(Bad::Malformed));
}

#[test]
fn required_claims_and_sub() {
    let mut config = configs()[0].clone();
    config["required_claims"] = json!(["sub", "realm.id"]);
    let issuers = [issuer(config)];
    let check = |extra: &str| verify(es256(HEADER, &claims(extra), 1).as_bytes(), &issuers, NOW).map(|_| ());
    assert_eq!(check(r#","sub":"ann","realm":{"id":1}"#), Ok(()));
    assert_eq!(check(r#","sub":"ann""#), Err(Bad::Claim));
    assert_eq!(check(r#","sub":7,"realm":{"id":1}"#), Err(Bad::Claim));
}

#[test]
fn impossible_issuers_are_errors_with_a_place() {
    let error = |member: &str, value: Value| {
        let mut config = configs()[0].clone();
        config[member] = value;
        Issuer::new(&serde_json::from_value(config).unwrap()).unwrap_err().to_string()
    };
    assert!(error("algorithms", json!(["HS256", "ES256"])).starts_with("algorithms: mixes HS256"));
    assert_eq!(error("algorithms", json!([])), "algorithms: is empty");
    assert_eq!(error("algorithms", json!(["RS256"])), "jwks.keys: has no key for any of `algorithms`");
    assert_eq!(error("clock_skew", json!("1h")), "clock_skew: is above 10 minutes");
    assert_eq!(error("max_token_bytes", json!(1)), "max_token_bytes: has to be 64 to 65536");
    assert!(error("jwks", json!({"keys": [{"kty": "RSA"}]})).starts_with("jwks.keys[0].n: is missing"));
}
