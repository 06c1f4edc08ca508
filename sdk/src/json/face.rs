//! The reader as serde wants it.

use super::keys::Key;
use super::{Error, NUMBER, Reader, Result, located};
use serde::de::{self, DeserializeOwned, Deserializer, Expected, Visitor};
use std::borrow::Cow;

/// A whole document.
///
/// # Errors
/// When it is no JSON, or does not fit.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let done =
        T::deserialize(&mut reader).map_err(|error: Error| located(bytes.len().saturating_sub(1), error))?;
    match reader.peek() {
        None => Ok(done),
        Some(_) => Err(reader.wrong("trailing characters")),
    }
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'_, str>, visitor: V) -> Result<V::Value> {
    match text {
        Cow::Borrowed(text) => visitor.visit_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

impl Reader<'_> {
    fn text<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if self.value()? != b'"' {
            return Err(self.mismatch(&visitor));
        }
        let at = self.at;
        visit_text(self.string()?, visitor).map_err(|error: Error| located(at, error))
    }

    fn integer<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if !matches!(self.value()?, b'-' | b'0'..=b'9') {
            return Err(self.mismatch(&visitor));
        }
        let at = self.at;
        let (text, is_integer) = self.number()?;
        if !is_integer {
            self.at = at;
            return Err(self.mismatch(&visitor));
        }
        let Some(integer) = Integer::read(text) else { return Err(Error::at(at, "number out of range")) };
        integer.visit(visitor).map_err(|error| located(at, error))
    }

    fn float<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if !matches!(self.value()?, b'-' | b'0'..=b'9') {
            return Err(self.mismatch(&visitor));
        }
        let at = self.at;
        let (text, is_integer) = self.number()?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let Some(number) = number else { return Err(Error::at(at, "number out of range")) };
        let done: Result<V::Value> = match Integer::read(text).filter(|_| is_integer) {
            Some(integer) => integer.visit(visitor),
            None => visitor.visit_f64(number),
        };
        done.map_err(|mut error: Error| {
            error.text = error.text.replacen(NUMBER, text, 1);
            located(at, error)
        })
    }

    fn boolean<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let at = self.at;
        let done = match self.value()? {
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            _ => return Err(self.mismatch(&visitor)),
        };
        done.map_err(|error: Error| located(at, error))
    }

    fn nothing<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let at = self.at;
        if self.value()? != b'n' {
            return Err(self.mismatch(&visitor));
        }
        self.word("null")?;
        visitor.visit_unit().map_err(|error: Error| located(at, error))
    }

    fn list<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if self.value()? != b'[' {
            return Err(self.mismatch(&visitor));
        }
        let outside = self.depth;
        self.enter()?;
        let mut list = List { reader: self, index: 0 };
        let done = visitor.visit_seq(&mut list).map_err(|error: Error| located(list.reader.last(), error))?;
        if list.reader.depth == outside {
            return Ok(done);
        }
        // The visitor took fewer elements than there are.
        match list.reader.more(b']', list.index == 0)? {
            false => Ok(done),
            true => Err(list.reader.wrong("trailing characters")),
        }
    }

    fn object<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if self.value()? != b'{' {
            return Err(self.mismatch(&visitor));
        }
        let outside = self.depth;
        self.enter()?;
        let mut object = Object { reader: self, key: String::new(), is_first: true };
        let done =
            visitor.visit_map(&mut object).map_err(|error: Error| located(object.reader.last(), error))?;
        if object.reader.depth == outside {
            return Ok(done);
        }
        match object.reader.more(b'}', object.is_first)? {
            false => Ok(done),
            true => Err(object.reader.wrong("trailing characters")),
        }
    }

    /// The byte that was read last.
    fn last(&self) -> usize {
        self.at.saturating_sub(1)
    }
}

/// A number without a fraction.
pub(super) enum Integer {
    Signed(i64),
    Unsigned(u64),
}

impl Integer {
    /// `None` when it is none, or out of the range of 64 bits.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text.starts_with('-') {
            true => text.parse().ok().map(Self::Signed),
            false => text.parse().ok().map(Self::Unsigned),
        }
    }

    pub(super) fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Self::Signed(number) => visitor.visit_i64(number),
            Self::Unsigned(number) => visitor.visit_u64(number),
        }
    }
}

macro_rules! by {
    ($($own:ident: $($method:ident)*;)*) => {
        $($(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.$own(visitor)
        })*)*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value()? {
            b'"' => self.text(visitor),
            b'-' | b'0'..=b'9' => self.float(visitor),
            b't' | b'f' => self.boolean(visitor),
            b'n' => self.nothing(visitor),
            b'[' => self.list(visitor),
            b'{' => self.object(visitor),
            _ => Err(self.wrong("expected value")),
        }
    }

    by! {
        text: deserialize_str deserialize_string deserialize_char deserialize_identifier;
        integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64;
        integer: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64;
        float: deserialize_f32 deserialize_f64;
        boolean: deserialize_bool;
        nothing: deserialize_unit;
        list: deserialize_seq;
        object: deserialize_map;
        bytes_or_list: deserialize_bytes deserialize_byte_buf;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value()? {
            b'n' => {
                self.word("null")?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        self.nothing(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.list(visitor)
    }

    /// An array too, its elements in the order of the fields, as serde's formats do.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.value()? {
            b'[' => self.list(visitor),
            _ => self.object(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.value()? {
            b'"' => {
                let at = self.at;
                let name = self.string()?;
                visitor
                    .visit_enum(de::value::StrDeserializer::new(&name))
                    .map_err(|error: Error| located(at, error))
            }
            b'{' => {
                self.enter()?;
                if !self.more(b'}', true)? {
                    return Err(self.wrong("expected value"));
                }
                let done = visitor.visit_enum(&mut *self)?;
                match self.more(b'}', false)? {
                    false => Ok(done),
                    true => Err(self.wrong("expected `}`")),
                }
            }
            _ => Err(self.mismatch(&"string or map" as &dyn Expected)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }
}

impl Reader<'_> {
    fn bytes_or_list<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.value()? {
            b'"' => visitor.visit_bytes(self.string()?.as_bytes()),
            _ => self.list(visitor),
        }
    }
}

struct List<'r, 'a> {
    reader: &'r mut Reader<'a>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for &mut List<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.reader.more(b']', self.index == 0)? {
            return Ok(None);
        }
        let index = self.index;
        self.index += 1;
        match seed.deserialize(&mut *self.reader) {
            Ok(element) => Ok(Some(element)),
            Err(error) => Err(located(self.reader.last(), error).in_index(index)),
        }
    }
}

struct Object<'r, 'a> {
    reader: &'r mut Reader<'a>,
    key: String,
    is_first: bool,
}

impl<'de> de::MapAccess<'de> for &mut Object<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.reader.more(b'}', self.is_first)? {
            return Ok(None);
        }
        self.is_first = false;
        let at = self.reader.at;
        self.key = self.reader.key()?.into_owned();
        seed.deserialize(Key(&self.key)).map(Some).map_err(|error: Error| located(at, error))
    }

    fn next_value_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.reader.colon()?;
        let done = seed.deserialize(&mut *self.reader);
        done.map_err(|error: Error| located(self.reader.last(), error).in_key(&self.key))
    }
}

impl<'de> de::EnumAccess<'de> for &mut Reader<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self)> {
        let at = self.at;
        let name = self.key()?;
        let variant = seed.deserialize(Key(&name)).map_err(|error: Error| located(at, error))?;
        self.colon()?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_struct("", fields, visitor)
    }
}
