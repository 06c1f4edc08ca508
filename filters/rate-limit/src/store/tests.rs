//! The table under contention and collisions; the slots themselves are tested where they are.

use super::*;
use tamis_sdk::testing;

const SECOND: u64 = 1_000_000_000;

fn limit() -> Gcra {
    Gcra::new(10, SECOND, 5).unwrap()
}

fn table(slots: u32) -> Table {
    testing::clean();
    Table::new("", slots)
}

#[test]
fn row_4_2_9_a_lost_race_is_run_again_and_given_up_after_32() {
    let table = table(64);
    testing::lose_writes(31);
    assert!(table.spend(limit(), (1, 2), 0, 1).unwrap().outcome.admitted);
    testing::lose_writes(32);
    assert_eq!(table.spend(limit(), (1, 2), 0, 1), Err(SharedError::Contended));
}

#[test]
fn refusals_write_nothing() {
    let table = table(64);
    let admitted = (0..50).filter(|_| table.spend(limit(), (1, 2), 0, 1).unwrap().outcome.admitted).count();
    assert_eq!(admitted, 5);
    testing::lose_writes(u32::MAX);
    assert!(!table.spend(limit(), (1, 2), 0, 1).unwrap().outcome.admitted, "no write is there to lose");
    assert!(!table.peek(limit(), (1, 2), 0, 1).unwrap().admitted);
    assert!(table.peek(limit(), (1, 2), SECOND, 5).unwrap().admitted);
}

#[test]
fn row_4_2_6_ten_thousand_keys_stay_in_the_table_and_collisions_are_stricter() {
    let table = table(64);
    let (mut shared, mut admitted) = (0, 0);
    for key in 0..10_000u64 {
        let hash = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15), key.wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
        let spent = table.spend(limit(), hash, 0, 1).unwrap();
        shared += u32::from(spent.shared);
        admitted += u32::from(spent.outcome.admitted);
    }
    assert!(testing::shared_keys() <= 64);
    assert!(shared > 9_000, "{shared}");
    assert!(admitted <= 64 * 5, "no slot admits more than its burst");
}

#[test]
fn a_slot_whose_owner_is_idle_is_taken_over() {
    let table = table(1);
    table.spend(limit(), (0, 1 << 32), 0, 5).unwrap();
    let other = (0, 2 << 32);
    let early = table.spend(limit(), other, SECOND / 10, 1).unwrap();
    assert!(early.shared);
    assert_eq!(early.outcome.remaining, 0);
    let late = table.spend(limit(), other, SECOND, 1).unwrap();
    assert_eq!((late.shared, late.outcome.remaining), (false, 4));
}

#[test]
fn row_4_2_20_namespaces_do_not_meet() {
    testing::clean();
    for namespace in ["a", "b"] {
        let spent = Table::new(namespace, 64).spend(limit(), (1, 2), 0, 5).unwrap();
        assert!(spent.outcome.admitted);
    }
}
