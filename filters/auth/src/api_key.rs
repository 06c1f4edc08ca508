//! API keys: hashed in the configuration, compared without telling how close a guess was.

use crate::config::ApiKeyConfig;
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tamis_matching::{ConfigError, header_value};

/// Keys at most: each is compared on each request.
const MAX_KEYS: usize = 4096;
/// Longest key that is hashed, bytes. A longer one is refused.
const MAX_KEY: usize = 1024;

/// All keys.
#[derive(Debug, Clone)]
pub struct ApiKeys(Vec<ApiKey>);

/// One key.
#[derive(Clone)]
pub struct ApiKey {
    /// Whose it is.
    pub client: String,
    /// What the client may.
    pub scopes: Vec<String>,
    hash: [u8; 32],
    not_before: Option<f64>,
    expires: Option<f64>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("client", &self.client).finish_non_exhaustive()
    }
}

impl ApiKeys {
    /// Reads the keys.
    ///
    /// # Errors
    /// When a hash or time is none, or a hash is there twice; the error says where.
    pub fn new(configs: &[ApiKeyConfig]) -> Result<Self, ConfigError> {
        if configs.is_empty() || configs.len() > MAX_KEYS {
            return Err(ConfigError::new(format!("needs 1 to {MAX_KEYS} keys")));
        }
        let mut keys: Vec<ApiKey> = Vec::new();
        for (i, config) in configs.iter().enumerate() {
            let key = ApiKey::new(config).map_err(|e| e.at(format!("[{i}]")))?;
            if keys.iter().any(|known| known.hash == key.hash) {
                return Err(ConfigError::new("is there twice").at(format!("[{i}].sha256")));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// The key that was presented, when it is one of these and in its time; `now` in seconds since 1970.
    pub fn find(&self, presented: &[u8], now: f64) -> Option<&ApiKey> {
        if presented.is_empty() || presented.len() > MAX_KEY {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(presented).into();
        // Every hash is compared whole, whatever was found before.
        let mut found = u32::MAX;
        for (index, key) in self.0.iter().enumerate() {
            found.conditional_assign(&(index as u32), key.hash.ct_eq(&hash));
        }
        let key = self.0.get(found as usize)?;
        let begun = key.not_before.is_none_or(|at| now >= at);
        let over = key.expires.is_some_and(|at| now >= at);
        (begun && !over).then_some(key)
    }
}

impl ApiKey {
    fn new(config: &ApiKeyConfig) -> Result<Self, ConfigError> {
        if config.client.is_empty() {
            return Err(ConfigError::new("is empty").at("client"));
        }
        let time = |value: &Option<String>, place: &str| match value {
            None => Ok(None),
            Some(text) => instant(text).map(Some).ok_or_else(|| {
                ConfigError::new(format!("`{text}` is no time like `2026-01-31T12:00:00Z`")).at(place)
            }),
        };
        Ok(Self {
            client: header_value(&config.client).map_err(|e| e.at("client"))?.to_owned(),
            scopes: config.scopes.clone(),
            hash: digest(&config.sha256).ok_or_else(|| {
                ConfigError::new("has to be 32 bytes as 64 hex digits or base64").at("sha256")
            })?,
            not_before: time(&config.not_before, "not_before")?,
            expires: time(&config.expires, "expires")?,
        })
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return Base64::decode_vec(text).ok()?.try_into().ok();
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |b: u8| (b as char).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(out)
}

/// Seconds since 1970 of a time in UTC, `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, the one form without choices).
fn instant(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 20
        && bytes
            .iter()
            .zip(b"0000-00-00T00:00:00Z")
            .all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == s });
    if !shape {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let since = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1;
    Some(((since - 719_468) * 86_400 + hour * 3600 + minute * 60 + second) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(instant("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(instant("2000-02-29T12:34:56Z"), Some(951_827_696.0));
        assert_eq!(instant("2026-11-24T01:30:00Z"), Some(1_795_483_800.0));
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+00",
            "",
            "2026-01-01T24:00:00Z",
        ] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }

    #[test]
    fn row_4_1_44_only_the_exact_key_in_its_time() {
        let other = "00".repeat(32);
        let hex: String = Sha256::digest(b"secret-key-value").iter().map(|b| format!("{b:02x}")).collect();
        let config = |sha256: &str| ApiKeyConfig {
            client: "ann".into(),
            sha256: sha256.into(),
            scopes: vec![],
            not_before: Some("2026-01-01T00:00:00Z".into()),
            expires: Some("2027-01-01T00:00:00Z".into()),
        };
        let keys = ApiKeys::new(&[config(&other), config(&hex)]).unwrap();
        let now = 1_790_000_000.0;
        assert_eq!(keys.find(b"secret-key-value", now).map(|k| k.client.as_str()), Some("ann"));
        let long = [b'x'; 16 << 10];
        for bad in
            [&b""[..], b"secret-key-valu", b"secret-key-value ", b"Secret-key-value", hex.as_bytes(), &long]
        {
            assert!(keys.find(bad, now).is_none());
        }
        assert!(keys.find(b"secret-key-value", 1_700_000_000.0).is_none(), "before its time");
        assert!(keys.find(b"secret-key-value", 1_900_000_000.0).is_none(), "after its time");
        let base64 = Base64::encode_string(&Sha256::digest(b"secret-key-value"));
        assert!(ApiKeys::new(&[config(&base64)]).unwrap().find(b"secret-key-value", now).is_some());
        assert_eq!(
            ApiKeys::new(&[config("abc")]).unwrap_err().to_string(),
            "[0].sha256: has to be 32 bytes as 64 hex digits or base64"
        );
        assert_eq!(
            ApiKeys::new(&[config(&hex), config(&base64)]).unwrap_err().to_string(),
            "[1].sha256: is there twice"
        );
    }
}
