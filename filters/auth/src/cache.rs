//! Verified tokens of this VM, so that a client that calls often pays for its signature once.

use crate::jwt::Verified;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Tokens at most; the oldest goes first.
const MAX_ENTRIES: usize = 256;
/// Longest token that is kept, bytes; with the entries this bounds memory to a few MiB.
const MAX_TOKEN: usize = 4096;

/// A bounded cache. Tokens are kept under their hash only; times are checked again at each use.
#[derive(Debug, Default)]
pub struct Cache {
    entries: BTreeMap<[u8; 32], Rc<Verified>>,
    order: VecDeque<[u8; 32]>,
}

impl Cache {
    /// The verified token, or what `verify` gives; only success is kept, so that a flood of bad tokens
    /// pushes nothing out.
    ///
    /// # Errors
    /// What `verify` gives.
    pub fn get_or<E>(
        &mut self,
        token: &[u8],
        verify: impl FnOnce() -> Result<Verified, E>,
    ) -> Result<Rc<Verified>, E> {
        if token.len() > MAX_TOKEN {
            return verify().map(Rc::new);
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.entries.get(&hash) {
            return Ok(known.clone());
        }
        let verified = Rc::new(verify()?);
        if self.order.len() == MAX_ENTRIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(hash);
        self.entries.insert(hash, verified.clone());
        Ok(verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_no_failures() {
        let mut cache = Cache::default();
        let verified = Verified { issuer: 0, claims: serde_json::Map::new() };
        for i in 0..1000 {
            cache.get_or::<()>(format!("token {i}").as_bytes(), || Ok(verified.clone())).unwrap();
        }
        assert_eq!((cache.entries.len(), cache.order.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert!(cache.get_or(b"token 999", || Err(())).is_ok());
        assert!(cache.get_or(b"token 0", || Err(())).is_err());
        assert!(cache.get_or(b"token 0", || Err(())).is_err());
        assert!(cache.get_or::<()>(&[b'x'; MAX_TOKEN + 1], || Ok(verified.clone())).is_ok());
        assert_eq!(cache.entries.len(), MAX_ENTRIES);
    }
}
