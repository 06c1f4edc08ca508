//! Shared data: keys and values that outlive VMs (docs/envoy.md 2.8).

use super::LimitReached;
use std::collections::HashMap;
use std::fmt;

/// All keys and values of a stage together, in bytes (64 MiB). Room for a rate limiter with half a million
/// keys; what goes beyond is reported as a limit and not as memory shortage of the machine.
pub(crate) const SHARED_DATA_LIMIT: usize = 64 << 20;

/// The keys of one `vm_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space(usize);

/// Shared data of all VMs of a stage. Keys live under the `vm_id`; cas numbers come from one counter for
/// all of them, starting at 1 (docs/envoy.md 2.8).
#[derive(Debug)]
pub(crate) struct SharedData {
    names: Vec<String>,
    spaces: Vec<HashMap<Vec<u8>, Entry>>,
    next_cas: u32,
    used: usize,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    cas: u32,
}

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetError {
    /// The given cas is not the key's: status 8.
    CasMismatch,
    /// The store is full: a fault.
    Full(LimitReached),
}

impl SharedData {
    /// Without any key.
    pub(crate) fn new() -> Self {
        Self { names: Vec::new(), spaces: Vec::new(), next_cas: 1, used: 0 }
    }

    /// The keys of a `vm_id`; asked once for each VM.
    pub(crate) fn space(&mut self, vm_id: &str) -> Space {
        let found = self.names.iter().position(|name| name == vm_id);
        Space(found.unwrap_or_else(|| {
            self.names.push(vm_id.to_owned());
            self.spaces.push(HashMap::new());
            self.spaces.len() - 1
        }))
    }

    /// Value and cas of a key. A key that holds an empty value is there (there is no delete).
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Option<(&[u8], u32)> {
        self.spaces[space.0].get(key).map(|entry| (entry.value.as_slice(), entry.cas))
    }

    /// Stores a value. `cas` 0 is unconditional; a new key ignores it.
    ///
    /// # Errors
    /// When `cas` is neither 0 nor the key's, and when the store is full.
    pub(crate) fn set(&mut self, space: Space, key: &[u8], value: &[u8], cas: u32) -> Result<(), SetError> {
        let entries = &mut self.spaces[space.0];
        let next_cas = self.next_cas;
        if let Some(entry) = entries.get_mut(key) {
            if cas != 0 && cas != entry.cas {
                return Err(SetError::CasMismatch);
            }
            let used = self.used - entry.value.len() + value.len();
            if used > SHARED_DATA_LIMIT {
                return Err(SetError::Full(FULL));
            }
            self.used = used;
            entry.value.clear();
            entry.value.extend_from_slice(value);
            entry.cas = next_cas;
        } else {
            let used = self.used + key.len() + value.len() + ENTRY_COST;
            if used > SHARED_DATA_LIMIT {
                return Err(SetError::Full(FULL));
            }
            self.used = used;
            entries.insert(key.to_vec(), Entry { value: value.to_vec(), cas: next_cas });
        }
        // 0 means "unconditional", so the counter never shows it.
        self.next_cas = next_cas.checked_add(1).unwrap_or(1);
        Ok(())
    }
}

/// What a key costs beside its bytes, roughly; without it a million empty keys would be free.
const ENTRY_COST: usize = 64;

const FULL: LimitReached = LimitReached { what: "shared data", limit: SHARED_DATA_LIMIT, unit: "bytes" };

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CasMismatch => f.write_str("another cas number than the key's"),
            Self::Full(limit) => limit.fmt(f),
        }
    }
}

impl std::error::Error for SetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_2_8_cas_numbers_come_from_one_counter_from_1() {
        let mut data = SharedData::new();
        let (a, b) = (data.space("a"), data.space("b"));
        data.set(a, b"k", b"1", 0).unwrap();
        data.set(b, b"k", b"2", 0).unwrap();
        data.set(a, b"k", b"3", 1).unwrap();
        assert_eq!(data.get(a, b"k"), Some((&b"3"[..], 3)));
        assert_eq!(data.get(b, b"k"), Some((&b"2"[..], 2)));
        assert_eq!(data.space("a"), a);
    }

    #[test]
    fn envoy_2_8_a_wrong_cas_is_refused_for_an_existing_key_only() {
        let mut data = SharedData::new();
        let s = data.space("");
        assert_eq!(data.get(s, b"k"), None);
        assert_eq!(data.set(s, b"k", b"new", 99), Ok(()), "a new key ignores cas");
        assert_eq!(data.set(s, b"k", b"x", 99), Err(SetError::CasMismatch));
        assert_eq!(data.get(s, b"k"), Some((&b"new"[..], 1)));
        assert_eq!(data.set(s, b"k", b"x", 0), Ok(()), "0 is unconditional");
        assert_eq!(data.get(s, b"k"), Some((&b"x"[..], 2)), "a refused set takes no number");
    }

    #[test]
    fn envoy_2_8_an_empty_value_keeps_the_key() {
        let mut data = SharedData::new();
        let s = data.space("");
        data.set(s, b"k", b"v", 0).unwrap();
        data.set(s, b"k", b"", 0).unwrap();
        assert_eq!(data.get(s, b"k"), Some((&b""[..], 2)));
    }

    #[test]
    fn the_limit_bites_and_replacing_gives_room_back() {
        let mut data = SharedData::new();
        let s = data.space("");
        let half = vec![0u8; SHARED_DATA_LIMIT / 2];
        data.set(s, b"a", &half, 0).unwrap();
        assert_eq!(data.set(s, b"b", &half, 0), Err(SetError::Full(FULL)));
        data.set(s, b"a", b"", 0).unwrap();
        assert_eq!(data.set(s, b"b", &half, 0), Ok(()));
    }

    #[test]
    fn the_counter_skips_0_when_it_wraps() {
        let mut data = SharedData::new();
        data.next_cas = u32::MAX;
        let s = data.space("");
        data.set(s, b"a", b"", 0).unwrap();
        data.set(s, b"b", b"", 0).unwrap();
        assert_eq!(data.get(s, b"b").unwrap().1, 1);
    }
}
