//! Differences between two header lists.

use super::noise;
use crate::{Change, Changes, Half, Headers, Section};

/// Which differences do not count.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ignore {
    Nothing,
    Noise,
}

/// Fields beyond this many in the part that differs are compared in place only: the search for moved fields
/// is quadratic. Envoy itself refuses more than 100 fields by default; a hostile capture may hold millions.
const MAX_SEARCHED: usize = 2_000;

/// Appends what is different, in the order of `old`, then what is new.
///
/// Values of one name are compared in their order; the order of different names is no difference.
pub(super) fn diff(
    half: Half,
    section: Section,
    ignore: Ignore,
    old: &Headers,
    new: &Headers,
    changes: &mut Changes,
) {
    let same = old.common_prefix(new);
    if same == old.len() && same == new.len() {
        return;
    }
    // A field that was only added at the end is by far the most common change: then nothing of `old` is left.
    let (mut old_end, mut new_end) = (old.len(), new.len());
    while old_end > same && new_end > same && old.at(old_end - 1) == new.at(new_end - 1) {
        old_end -= 1;
        new_end -= 1;
    }
    let olds = View { headers: old, from: same, to: old_end };
    let news = View { headers: new, from: same, to: new_end };
    let mut push = |name, old, new| {
        if ignore == Ignore::Nothing || !noise::ignores(name, old, new) {
            changes.push(Change::Field { half, section, name, old, new });
        }
    };
    if olds.len().max(news.len()) > MAX_SEARCHED {
        return in_place(olds, news, &mut push);
    }
    if news.len() <= 64 {
        searched::<1>(olds, news, &mut push);
    } else {
        searched::<{ MAX_SEARCHED.div_ceil(64) }>(olds, news, &mut push);
    }
}

/// The nth of its name on one side belongs to the nth on the other. There are at most `64 * N` new fields.
fn searched<'a, const N: usize>(
    olds: View<'a>,
    news: View<'a>,
    push: &mut impl FnMut(&'a [u8], Option<&'a [u8]>, Option<&'a [u8]>),
) {
    let mut found = Found::<N> { bits: [0; N], low: 0 };
    for (name, value) in olds.iter() {
        match found.next(news, name) {
            Some(now) if now == value => {}
            now => push(name, Some(value), now),
        }
    }
    for (i, (name, value)) in news.iter().enumerate() {
        if !found.has(i) {
            push(name, None, Some(value));
        }
    }
}

/// Which fields of the new list have their counterpart; all before `low` do.
struct Found<const N: usize> {
    bits: [u64; N],
    low: usize,
}

impl<const N: usize> Found<N> {
    fn has(&self, i: usize) -> bool {
        self.bits[i / 64] >> (i % 64) & 1 == 1
    }

    /// The first field of this name that was not found before.
    fn next<'a>(&mut self, news: View<'a>, name: &[u8]) -> Option<&'a [u8]> {
        let field = |i| news.at(i).filter(|(other, _)| *other == name).map(|(_, value)| (i, value));
        let (i, value) = (self.low..news.len()).filter(|i| !self.has(*i)).find_map(field)?;
        self.bits[i / 64] |= 1 << (i % 64);
        while self.low < news.len() && self.has(self.low) {
            self.low += 1;
        }
        Some(value)
    }
}

fn in_place<'a>(
    olds: View<'a>,
    news: View<'a>,
    push: &mut impl FnMut(&'a [u8], Option<&'a [u8]>, Option<&'a [u8]>),
) {
    for i in 0..olds.len().max(news.len()) {
        match (olds.at(i), news.at(i)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) if old.0 == new.0 => push(old.0, Some(old.1), Some(new.1)),
            (old, new) => {
                if let Some((name, value)) = old {
                    push(name, Some(value), None);
                }
                if let Some((name, value)) = new {
                    push(name, None, Some(value));
                }
            }
        }
    }
}

/// A range of a header list.
#[derive(Clone, Copy)]
struct View<'a> {
    headers: &'a Headers,
    from: usize,
    to: usize,
}

impl<'a> View<'a> {
    fn len(self) -> usize {
        self.to - self.from
    }

    fn at(self, i: usize) -> Option<(&'a [u8], &'a [u8])> {
        (i < self.len()).then(|| self.headers.at(self.from + i)).flatten()
    }

    fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        (self.from..self.to).filter_map(move |i| self.headers.at(i))
    }
}
