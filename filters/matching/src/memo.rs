//! What an expression said about values that it saw before.
//!
//! A run of an expression costs a thousand times a look here, and what rules look at (tenants, tiers, sessions,
//! user agents) comes again and again.

use std::cell::RefCell;

/// Values that are remembered at most. A new one takes the place of the one with the same hash.
const VALUES: usize = 64;
/// Longest value that is remembered, bytes: with [`VALUES`] it bounds what clients can make a filter keep, 8 KiB an
/// expression.
const LONGEST: usize = 128;

/// A value and the answer to it.
type Entry = (Box<[u8]>, bool);

/// Answers by value; empty until the first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memo(RefCell<Vec<Option<Entry>>>);

impl Memo {
    /// The answer to this value: the one from before, else that of `ask`.
    pub(crate) fn get_or(&self, value: &[u8], ask: impl FnOnce() -> bool) -> bool {
        if value.len() > LONGEST {
            return ask();
        }
        let at = hash(value) as usize % VALUES;
        if let Some(Some((known, answer))) = self.0.borrow().get(at)
            && **known == *value
        {
            return *answer;
        }
        let answer = ask();
        let mut values = self.0.borrow_mut();
        values.resize(VALUES, None);
        values[at] = Some((value.into(), answer));
        answer
    }
}

/// FNV-1a. Clients that aim at one place only make their own requests cost what they cost without this.
fn hash(value: &[u8]) -> u32 {
    value.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_own_answer_however_many_there_are() {
        let memo = Memo::default();
        let asked = std::cell::Cell::new(0);
        let even = |n: u32| {
            memo.get_or(n.to_string().as_bytes(), || {
                asked.set(asked.get() + 1);
                n.is_multiple_of(2)
            })
        };
        for n in (0..1000).chain(0..1000) {
            assert_eq!(even(n), n.is_multiple_of(2), "{n}");
        }
        asked.set(0);
        assert!(even(8) && even(8));
        assert!(asked.get() <= 1);
        let long = [b'a'; LONGEST + 1];
        assert!(memo.get_or(&long, || true) && !memo.get_or(&long, || false), "too long to be kept");
    }
}
