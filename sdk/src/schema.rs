//! What a filter's configuration may be, as JSON Schema, for those whose type says it.

use std::marker::PhantomData;

/// A type of configuration.
pub struct Config<C>(PhantomData<C>);

impl<C> Config<C> {
    /// Says nothing yet.
    #[expect(clippy::new_without_default, reason = "for `export!` alone")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// One that describes itself.
pub trait Described {
    /// Its schema as JSON; nothing when there is none.
    fn schema(&self) -> String;
}

#[cfg(feature = "schema")]
impl<C: schemars::JsonSchema> Described for Config<C> {
    fn schema(&self) -> String {
        schemars::schema_for!(C).to_value().to_string()
    }
}

/// Any other: found where [`Described`] is not, since one more reference is needed.
pub trait Undescribed {
    /// Nothing.
    fn schema(&self) -> String {
        String::new()
    }
}

impl<C> Undescribed for &Config<C> {}

/// Leaves a text in memory for ever, and gives its address in the upper half and its length in the lower.
pub fn give(text: String) -> u64 {
    let text: &'static str = text.leak();
    (text.as_ptr() as u64) << 32 | text.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "only described")]
    struct Says {
        header: String,
    }

    struct Silent;

    #[test]
    #[allow(clippy::needless_borrow, reason = "as `export!` writes it: the reference decides")]
    fn a_type_that_describes_itself_is_described_and_another_is_not() {
        let schema = (&Config::<Says>::new()).schema();
        assert!(schema.contains("\"required\":[\"header\"]"), "{schema}");
        assert_eq!((&Config::<Silent>::new()).schema(), "");
    }
}
