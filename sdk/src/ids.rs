//! What is known by a number that a host gave: contexts by their id, callouts by their token.

/// Slots at first, a power of two.
const SLOTS: usize = 16;

/// A hash table whose hash is the number itself: hosts count up, so neighbours fill it evenly. A fifth of the code of
/// the standard library's maps.
pub(crate) struct Ids<T> {
    /// Empty or a power of two, at least half free.
    slots: Vec<Option<(u32, T)>>,
    count: usize,
}

impl<T> Ids<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), count: 0 }
    }

    fn home(&self, id: u32) -> usize {
        id as usize & self.slots.len().wrapping_sub(1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().wrapping_sub(1)
    }

    /// Where this id is, or the free slot where it would be.
    fn find(&self, id: u32) -> Option<usize> {
        let mut at = self.home(id);
        while self.slots.get(at)?.as_ref().is_some_and(|(other, _)| *other != id) {
            at = self.next(at);
        }
        Some(at)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        let mut at = self.home(id);
        loop {
            match self.slots.get(at)? {
                Some((other, known)) if *other == id => return Some(known),
                Some(_) => at = self.next(at),
                None => return None,
            }
        }
    }

    /// Gives what was known by this number before.
    pub(crate) fn insert(&mut self, id: u32, new: T) -> Option<T> {
        if (self.count + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = self.find(id).and_then(|at| self.slots.get_mut(at))?;
        self.count += usize::from(slot.is_none());
        slot.replace((id, new)).map(|(_, old)| old)
    }

    #[cold]
    fn grow(&mut self) {
        let mut slots = Vec::new();
        slots.resize_with((self.slots.len() * 2).max(SLOTS), || None);
        let old = std::mem::replace(&mut self.slots, slots);
        for (id, known) in old.into_iter().flatten() {
            if let Some(at) = self.find(id) {
                self.slots[at] = Some((id, known));
            }
        }
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let mut hole = self.find(id)?;
        let (_, gone) = self.slots[hole].take()?;
        self.count -= 1;
        // Whoever had to go past this slot moves up, so that searches do not stop at the hole.
        let mut at = self.next(hole);
        while let Some((other, _)) = &self.slots[at] {
            let mask = self.slots.len() - 1;
            let from_home = at.wrapping_sub(self.home(*other)) & mask;
            if from_home >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[at].take();
                hole = at;
            }
            at = self.next(at);
        }
        Some(gone)
    }

    /// All that are known, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().flatten().map(|(id, known)| (*id, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_whatever_went_before() {
        // Neighbours, ids that share a slot, and the ends of the numbers.
        let mut ids: Vec<u32> = (2..40).chain([64, 128, 192, 256, 320, u32::MAX, u32::MAX - 64, 0]).collect();
        let mut table = Ids::new();
        ids.iter().for_each(|id| assert!(table.insert(*id, !*id).is_none()));
        assert_eq!(table.iter().count(), ids.len());
        // Some order that is none.
        ids.sort_by_key(|id| id.wrapping_mul(0x9e37_79b9));
        while let Some(id) = ids.pop() {
            assert_eq!(table.remove(id), Some(!id));
            assert!(table.get(id).is_none() && table.remove(id).is_none());
            for other in &ids {
                assert_eq!(table.get(*other), Some(&!*other), "after {id} was removed");
            }
        }
        assert_eq!((table.count, table.iter().count()), (0, 0));
    }

    #[test]
    fn the_last_of_one_id_counts() {
        let mut table = Ids::new();
        assert_eq!((table.insert(7, "a"), table.insert(7, "b")), (None, Some("a")));
        assert_eq!((table.count, table.remove(7), table.remove(7)), (1, Some("b"), None));
    }

    #[test]
    fn nothing_is_found_in_an_empty_table() {
        let mut table = Ids::<()>::new();
        assert!(table.get(0).is_none() && table.remove(7).is_none());
    }
}
