//! The table under contention, collisions and a hostile host.

use super::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;

/// Shared data as Envoy has it: version 0 writes always, a stale version does not write.
#[derive(Default)]
struct Memory {
    values: RefCell<BTreeMap<String, (Vec<u8>, Version)>>,
    /// So many writes of ours lose against another worker that writes first.
    races: Cell<u32>,
    writes: Cell<u32>,
}

impl Shared for Memory {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, Unavailable> {
        Ok(self.values.borrow().get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8], version: Version) -> Result<bool, Unavailable> {
        let mut values = self.values.borrow_mut();
        let old = values.get(key).map_or(0, |(_, version)| *version);
        if self.races.get() > 0 {
            self.races.set(self.races.get() - 1);
            let value = values.get(key).map_or_else(Vec::new, |(value, _)| value.clone());
            values.insert(key.into(), (value, old + 1));
            return Ok(false);
        }
        if version != 0 && version != old {
            return Ok(false);
        }
        self.writes.set(self.writes.get() + 1);
        values.insert(key.into(), (value.to_vec(), old + 1));
        Ok(true)
    }
}

fn limit() -> Gcra {
    Gcra::new(10, SECOND, 5).unwrap()
}

#[test]
fn row_4_2_9_a_lost_race_is_run_again_and_given_up_after_32() {
    let (table, memory) = (Table::new("", 64), Memory::default());
    memory.races.set(31);
    let spent = spend(&table, &memory, limit(), (1, 2), 0, 1).unwrap();
    assert_eq!((spent.outcome.admitted, spent.retries), (true, 31));
    memory.races.set(32);
    assert_eq!(spend(&table, &memory, limit(), (1, 2), 0, 1), Err(Unavailable));
}

#[test]
fn refusals_write_nothing() {
    let (table, memory) = (Table::new("", 64), Memory::default());
    let admitted =
        (0..50).filter(|_| spend(&table, &memory, limit(), (1, 2), 0, 1).unwrap().outcome.admitted).count();
    assert_eq!((admitted, memory.writes.get()), (5, 5));
    assert!(!peek(&table, &memory, limit(), (1, 2), 0, 1).unwrap().admitted);
    assert!(peek(&table, &memory, limit(), (1, 2), SECOND, 5).unwrap().admitted);
    assert_eq!(memory.writes.get(), 5);
}

#[test]
fn row_4_2_6_ten_thousand_keys_stay_in_the_table_and_collisions_are_stricter() {
    let (table, memory) = (Table::new("", 64), Memory::default());
    let mut shared = 0;
    for key in 0..10_000u64 {
        let hash = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15), key.wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
        let spent = spend(&table, &memory, limit(), hash, 0, 1).unwrap();
        shared += u32::from(spent.shared);
    }
    assert!(memory.values.borrow().len() <= 64);
    assert!(shared > 9_000, "{shared}");
    assert!(memory.writes.get() <= 64 * 5, "no slot admits more than its burst");
}

#[test]
fn a_slot_whose_owner_is_idle_is_taken_over() {
    let (table, memory) = (Table::new("", 1), Memory::default());
    let owner = (0, 1 << 32);
    spend(&table, &memory, limit(), owner, 0, 5).unwrap();
    let other = (0, 2 << 32);
    let early = spend(&table, &memory, limit(), other, SECOND / 10, 1).unwrap();
    assert!(early.shared);
    assert_eq!(early.outcome.remaining, 0);
    let late = spend(&table, &memory, limit(), other, SECOND, 1).unwrap();
    assert_eq!((late.shared, late.outcome.remaining), (false, 4));
}

#[test]
fn row_4_2_20_namespaces_do_not_meet() {
    let memory = Memory::default();
    for namespace in ["a", "b"] {
        let spent = spend(&Table::new(namespace, 64), &memory, limit(), (1, 2), 0, 5).unwrap();
        assert!(spent.outcome.admitted);
    }
}

#[test]
fn foreign_bytes_in_a_slot_hold_no_state() {
    let (table, memory) = (Table::new("", 1), Memory::default());
    for bytes in [&b""[..], b"x", &[0xff; 13], &[0xff; 11]] {
        memory.values.borrow_mut().insert("tamis.rate-limit//0".into(), (bytes.to_vec(), 9));
        assert!(spend(&table, &memory, limit(), (1, 2), 0, 1).unwrap().outcome.admitted);
    }
}

#[test]
fn keys_of_slots_are_decimal() {
    let table = Table::new("n", 16);
    for slot in [0, 7, 10, 1_048_575, u64::MAX] {
        assert_eq!(table.key(slot), format!("tamis.rate-limit/n/{slot}"));
    }
}
