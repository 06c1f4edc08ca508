//! Shared values with a type.

use super::{SharedError, TRIES, create, get, set, update};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// What a [`SharedCell`] can hold.
///
/// ```
/// use tamis_sdk::shared::Value;
///
/// /// Two counts in eight bytes.
/// struct Counts { good: u32, bad: u32 }
///
/// impl Value for Counts {
///     fn encode(&self) -> Vec<u8> {
///         [self.good.to_le_bytes(), self.bad.to_le_bytes()].concat()
///     }
///
///     fn decode(bytes: &[u8]) -> Option<Self> {
///         let (good, bad) = bytes.split_first_chunk()?;
///         Some(Self { good: u32::from_le_bytes(*good), bad: u32::from_le_bytes(bad.try_into().ok()?) })
///     }
/// }
/// ```
pub trait Value: Sized {
    /// As bytes.
    fn encode(&self) -> Vec<u8>;
    /// From bytes; `None` when they are no such value.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Any type of serde's, as JSON. One that can not be written, such as a map with keys that are no text, is stored as no
/// bytes, which no reader takes for a value.
///
/// ```
/// use tamis_sdk::shared::{Json, SharedCell};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Keys { current: String, next: Option<String> }
///
/// fn current() -> Option<String> {
///     let keys = SharedCell::<Json<Keys>>::new("my-filter/keys");
///     keys.get().ok().flatten().map(|keys| keys.0.current)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Value for Json<T> {
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }
}

impl Value for Vec<u8> {
    fn encode(&self) -> Vec<u8> {
        self.clone()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl Value for String {
    fn encode(&self) -> Vec<u8> {
        self.clone().into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }
}

impl<const N: usize> Value for [u8; N] {
    fn encode(&self) -> Vec<u8> {
        self.to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

impl Value for u64 {
    fn encode(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Value::decode(bytes).map(Self::from_le_bytes)
    }
}

impl Value for i64 {
    fn encode(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Value::decode(bytes).map(Self::from_le_bytes)
    }
}

/// One value that all workers share. The example is on the [module](super)'s page.
///
/// ```
/// use tamis_sdk::shared::{SharedCell, SharedError};
///
/// /// True once, for whichever worker is first.
/// fn is_first() -> Result<bool, SharedError> {
///     let begun = SharedCell::<u64>::new("my-filter/begun");
///     Ok(begun.update(|begun| if begun.is_none() { Some(1) } else { None })?.is_some())
/// }
/// ```
pub struct SharedCell<T> {
    key: String,
    kind: PhantomData<fn() -> T>,
}

impl<T: Value> SharedCell<T> {
    /// The value with this key. All filters of one `vm_id` share the keys, so begin it with the filter's name.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), kind: PhantomData }
    }

    /// The value, when it was ever set.
    ///
    /// # Errors
    /// [`SharedError::Foreign`] when the bytes are of another type, or when the host refuses.
    pub fn get(&self) -> Result<Option<T>, SharedError> {
        match get(&self.key)? {
            Some(found) => T::decode(&found.value).map(Some).ok_or(SharedError::Foreign),
            None => Ok(None),
        }
    }

    /// Sets it whatever was there.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn set(&self, value: &T) -> Result<(), SharedError> {
        Ok(set(&self.key, &value.encode())?)
    }

    /// The value that is there, else the one that `make` gives: of all workers that make one at the same time, one is
    /// kept and all get that.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_or_create(&self, make: impl FnOnce() -> T) -> Result<T, SharedError> {
        if let Some(known) = self.get()? {
            return Ok(known);
        }
        let made = make();
        if create(&self.key, &made.encode())? {
            return Ok(made);
        }
        self.get()?.ok_or(SharedError::Contended)
    }

    /// Changes it exactly: `change` sees what is there and gives what shall be there, or `None` to leave it. It runs
    /// again when another worker was faster. What is of another type is as nothing, and overwritten. Gives what was
    /// written.
    ///
    /// # Errors
    /// [`SharedError::Contended`] when 32 tries lost, or when the host refuses.
    pub fn update(&self, mut change: impl FnMut(Option<T>) -> Option<T>) -> Result<Option<T>, SharedError> {
        let mut written = None;
        update(&self.key, TRIES, |before| {
            written = change(before.and_then(T::decode));
            written.as_ref().map(T::encode)
        })?;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_cell_counts_whoever_is_faster() {
        testing::clean();
        let cell = SharedCell::<u64>::new("n");
        assert_eq!(cell.get(), Ok(None));
        testing::lose_writes(TRIES - 1);
        assert_eq!(cell.update(|n| Some(n.unwrap_or(7) + 1)), Ok(Some(8)), "31 writes lost");
        testing::lose_writes(TRIES);
        assert_eq!(cell.update(|n| n.map(|n| n + 1)), Err(SharedError::Contended));
        assert_eq!(cell.update(|_| None), Ok(None));
        assert_eq!(cell.get(), Ok(Some(8)));
    }

    #[test]
    fn the_first_who_makes_a_value_is_kept() {
        testing::clean();
        let cell = SharedCell::<String>::new("seed");
        let made = cell.get_or_create(|| {
            // Another worker comes between.
            assert_eq!(super::create("seed", b"theirs"), Ok(true));
            "ours".into()
        });
        assert_eq!(made, Ok("theirs".into()));
        assert_eq!(cell.get_or_create(|| unreachable!("it is there")), Ok("theirs".into()));
    }

    #[test]
    fn bytes_of_another_type_are_said_and_overwritten() {
        testing::clean();
        SharedCell::new("x").set(&"text".to_owned()).expect("written");
        let cell = SharedCell::<Json<Vec<u32>>>::new("x");
        assert_eq!(cell.get(), Err(SharedError::Foreign));
        let written = cell.update(|known| {
            assert_eq!(known, None);
            Some(Json(vec![1, 2]))
        });
        assert_eq!(written, Ok(Some(Json(vec![1, 2]))));
        assert_eq!(SharedCell::<[u8; 5]>::new("x").get(), Ok(Some(*b"[1,2]")));
        assert_eq!(SharedCell::<i64>::new("x").get(), Err(SharedError::Foreign));
    }
}
