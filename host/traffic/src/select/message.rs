//! A protobuf message in an expression: fields that may be asked for, and nothing else.

use super::free::boxed;
use crate::MessageValue;
use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use std::any::Any;
use std::sync::Arc;

static TYPE: Type = Type::new_unspecified_type("message");

/// The message as a value.
#[derive(Debug, Clone)]
pub(super) struct Proto(pub(super) MessageValue);

impl Proto {
    /// For `has` a field that is not set is not there; one that the message does not have is an error.
    fn field(&self, key: &dyn Val) -> Result<CowVal<'static, 'static>, ExecutionError> {
        let key = key.downcast_ref::<CelString>().map_or("", |key| key.inner());
        match self.0.fields.iter().find(|(name, _)| *name == key) {
            Some((_, value)) if value.is_unset() => Err(ExecutionError::NoSuchKey(Arc::new(key.to_owned()))),
            Some((_, value)) => Ok(CowVal::Owned(boxed(value.clone()))),
            None => Err(ExecutionError::no_such_overload("_._", Vec::new())),
        }
    }
}

impl StaticVal for Proto {}

impl Val for Proto {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| other.0.bytes == self.0.bytes)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Proto {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.field(key)
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(self.field(key)?.into_owned())
    }
}
