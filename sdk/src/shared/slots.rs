//! State for any number of keys in a fixed number of slots.
//!
//! Shared data cannot delete, so what clients send never becomes a key of it: a hash picks the slot. A slot is 12
//! bytes: 4 of the hash as a tag, 8 of state, little endian.

use super::{CREATE, SharedError, get, set_if};

/// Slots that a key may live in.
const PROBES: u64 = 4;

/// A table of fixed size. What a key's hash does not find of its own it takes from a key whose state is not alive any
/// more; when all of its few slots are alive and others', it shares one.
///
/// ```
/// use tamis_sdk::shared::{SharedError, Slots};
///
/// /// Seconds since a start of its own; a client is known for an hour.
/// fn is_new(clients: &Slots, hash: (u64, u64), now: u64) -> Result<bool, SharedError> {
///     let is_alive = |seen: u64| seen + 3600 > now;
///     let updated = clients.update(hash, is_alive, |seen| (Some(now), seen.is_none()))?;
///     Ok(updated.value)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Slots {
    prefix: String,
    slots: u64,
}

/// What [`Slots::update`] did.
///
/// ```
/// use tamis_sdk::metrics;
/// use tamis_sdk::shared::Updated;
///
/// fn tell(updated: &Updated<bool>) {
///     if updated.shared {
///         metrics::counter("slots_shared").add(1);
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updated<T> {
    /// What the change said beside the state.
    pub value: T,
    /// Writes that had to be repeated because another worker was faster.
    pub retries: u32,
    /// True when the slot belongs to another live key too, and both have one state.
    pub shared: bool,
}

/// A slot that was read.
struct Slot {
    key: String,
    tag: u32,
    state: Option<u64>,
    version: u32,
    shared: bool,
}

impl Slots {
    /// A table of so many slots, at least one, under a name. Tables of one name are the same table, on all workers.
    pub fn new(name: &str, slots: u32) -> Self {
        Self { prefix: format!("{name}/"), slots: u64::from(slots.max(1)) }
    }

    /// The key of a slot. By hand, as several are made for each request: `format!` takes three times as long.
    fn key(&self, mut slot: u64) -> String {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (slot % 10) as u8;
            slot /= 10;
            if slot == 0 || at == 0 {
                break;
            }
        }
        let digits = str::from_utf8(&digits[at..]).unwrap_or_default();
        let mut key = String::with_capacity(self.prefix.len() + digits.len());
        key.push_str(&self.prefix);
        key.push_str(digits);
        key
    }

    /// Finds the slot of a hash: its own, else a free or dead one of a few, else it shares the first.
    fn find(&self, hash: (u64, u64), is_alive: impl Fn(u64) -> bool) -> Result<Slot, SharedError> {
        let tag = (hash.1 >> 32) as u32;
        let (mut free, mut first) = (None, None);
        for probe in 0..PROBES {
            let key = self.key(hash.0.wrapping_add(probe.wrapping_mul(hash.1 | 1)) % self.slots);
            let slot = match get(&key)? {
                Some(found) => match found.value.as_chunks::<4>().0 {
                    [owner, low, high] if found.value.len() == 12 => {
                        let owner = u32::from_le_bytes(*owner);
                        let state =
                            u64::from(u32::from_le_bytes(*low)) | u64::from(u32::from_le_bytes(*high)) << 32;
                        if owner == tag {
                            return Ok(Slot {
                                key,
                                tag,
                                state: Some(state),
                                version: found.version,
                                shared: false,
                            });
                        }
                        let shared = is_alive(state);
                        Slot {
                            key,
                            tag: if shared { owner } else { tag },
                            state: shared.then_some(state),
                            version: found.version,
                            shared,
                        }
                    }
                    // Not ours: written by nobody we know, so it holds no state.
                    _ => Slot { key, tag, state: None, version: found.version, shared: false },
                },
                None => Slot { key, tag, state: None, version: CREATE, shared: false },
            };
            if slot.shared {
                first.get_or_insert(slot);
            } else {
                free.get_or_insert(slot);
            }
        }
        free.or(first).ok_or(SharedError::Contended)
    }

    /// The state of a hash: its own, dead or alive, or the one that it shares.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn get(&self, hash: (u64, u64), is_alive: impl Fn(u64) -> bool) -> Result<Option<u64>, SharedError> {
        Ok(self.find(hash, is_alive)?.state)
    }

    /// Changes the state of a hash exactly: `change` sees it and gives what shall be there, or `None` to leave it, and
    /// something to give back. It runs again when another worker was faster.
    ///
    /// # Errors
    /// [`SharedError::Contended`] when other workers were faster 32 times, or when the host refuses.
    pub fn update<T>(
        &self,
        hash: (u64, u64),
        is_alive: impl Fn(u64) -> bool,
        mut change: impl FnMut(Option<u64>) -> (Option<u64>, T),
    ) -> Result<Updated<T>, SharedError> {
        for retries in 0..super::TRIES {
            let slot = self.find(hash, &is_alive)?;
            let (state, value) = change(slot.state);
            let done = match state {
                None => true,
                Some(state) => {
                    let mut bytes = [0; 12];
                    bytes[..4].copy_from_slice(&slot.tag.to_le_bytes());
                    bytes[4..].copy_from_slice(&state.to_le_bytes());
                    set_if(&slot.key, &bytes, slot.version)?
                }
            };
            if done {
                return Ok(Updated { value, retries, shared: slot.shared });
            }
        }
        Err(SharedError::Contended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::set;
    use crate::testing;

    /// Sets the moment until which the key lives.
    fn live_until(slots: &Slots, hash: (u64, u64), now: u64, until: u64) -> Updated<Option<u64>> {
        slots.update(hash, |state| state > now, |state| (Some(until), state)).expect("written")
    }

    #[test]
    fn a_slot_whose_owner_is_dead_is_taken_over() {
        testing::clean();
        let slots = Slots::new("t", 1);
        live_until(&slots, (0, 1 << 32), 0, 10);
        let early = live_until(&slots, (0, 2 << 32), 5, 12);
        assert_eq!((early.value, early.shared), (Some(10), true));
        let late = live_until(&slots, (0, 2 << 32), 12, 20);
        assert_eq!((late.value, late.shared), (None, false));
        assert_eq!(slots.get((0, 2 << 32), |_| false), Ok(Some(20)), "its own, dead or alive");
    }

    #[test]
    fn the_table_does_not_grow() {
        testing::clean();
        let slots = Slots::new("t", 64);
        let mut shared = 0;
        for key in 0..10_000_u64 {
            let hash = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15), key.wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
            shared += u32::from(live_until(&slots, hash, 0, 1).shared);
        }
        assert!(shared > 9_000, "{shared}");
        assert!(testing::shared_keys() <= 64);
    }

    #[test]
    fn a_lost_race_is_run_again_and_given_up_after_32() {
        testing::clean();
        let slots = Slots::new("t", 64);
        testing::lose_writes(31);
        assert_eq!(live_until(&slots, (1, 2), 0, 1).retries, 31);
        testing::lose_writes(32);
        let lost = slots.update((1, 2), |_| true, |state| (state, ()));
        assert_eq!(lost, Err(SharedError::Contended));
        assert_eq!(slots.update((1, 2), |_| true, |_| (None, 7)).map(|u| u.value), Ok(7), "nothing to write");
    }

    #[test]
    fn foreign_bytes_in_a_slot_hold_no_state() {
        let slots = Slots::new("t", 1);
        for bytes in [&b""[..], b"x", &[0xff; 13], &[0xff; 11]] {
            testing::clean();
            set("t/0", bytes).expect("written");
            assert_eq!(live_until(&slots, (1, 2), 0, 1).value, None);
        }
    }

    #[test]
    fn keys_of_slots_are_decimal() {
        for slot in [0, 7, 10, 1_048_575, u64::MAX] {
            assert_eq!(Slots::new("n", 16).key(slot), format!("n/{slot}"));
        }
    }
}
