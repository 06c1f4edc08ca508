//! An option that keeps the memory of its value while empty.

/// A value that may be absent, and whose memory outlives its absence: a replay empties and fills the same
/// few messages a million times. `T::default()` is the blank value.
#[derive(Default)]
pub struct Slot<T> {
    value: T,
    set: bool,
}

/// What can be made blank without giving memory back.
pub trait Blank: Default {
    /// Makes it equal to `Self::default()`, keeping memory.
    fn blank(&mut self);
}

impl<T: Blank> Slot<T> {
    /// A slot that holds `value`.
    pub fn some(value: T) -> Self {
        Self { value, set: true }
    }

    /// An empty slot.
    pub fn none() -> Self {
        Self { value: T::default(), set: false }
    }

    /// The value, if there is one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.set.then_some(&self.value)
    }

    /// The value to change, if there is one.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.set.then_some(&mut self.value)
    }

    /// True when there is a value.
    #[inline]
    pub fn is_some(&self) -> bool {
        self.set
    }

    /// True when there is none.
    #[inline]
    pub fn is_none(&self) -> bool {
        !self.set
    }

    /// Makes a blank value present and gives it out to be filled.
    #[inline]
    pub fn fill(&mut self) -> &mut T {
        self.value.blank();
        self.set = true;
        &mut self.value
    }

    /// The present value, or a blank one made present.
    #[inline]
    pub fn get_or_fill(&mut self) -> &mut T {
        if !self.set {
            return self.fill();
        }
        &mut self.value
    }

    /// Empties the slot.
    #[inline]
    pub fn clear(&mut self) {
        self.set = false;
    }
}

impl<T: Blank + Clone> Clone for Slot<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(Self::none, |v| Self::some(v.clone()))
    }

    fn clone_from(&mut self, from: &Self) {
        self.set = from.set;
        if from.set {
            self.value.clone_from(&from.value);
        }
    }
}

impl<T: Blank + PartialEq> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Blank + std::fmt::Debug> std::fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}
