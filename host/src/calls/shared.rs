//! Shared data (docs/envoy.md 2.8).

use super::{Answer, Call, Stop};
use crate::world::SetError;
use tamis_abi::Status;

impl From<SetError> for Stop {
    fn from(error: SetError) -> Self {
        match error {
            SetError::CasMismatch => Stop::Tell(Status::CasMismatch),
            SetError::Full(limit) => limit.into(),
        }
    }
}

/// 1 without such a key.
pub(super) fn get(call: &mut Call<'_, '_>, key: u32, klen: u32, at: u32, len: u32, cas: u32) -> Answer {
    let (view, desk) = call.split()?;
    let space = desk.plugins.get(desk.at.current.filter).ok_or(Status::NotFound)?.space;
    let (value, number) = desk.shared.get(space, view.read(key, klen)?).ok_or(Status::NotFound)?;
    // A copy, since the allocator runs in between; small values are the rule.
    let value = value.to_vec();
    call.give_bytes(&value, at, len)?;
    call.put(cas, number)
}

/// 8 when `cas` is neither 0 nor the key's.
pub(super) fn set(call: &mut Call<'_, '_>, key: u32, klen: u32, val: u32, vlen: u32, cas: u32) -> Answer {
    let (view, desk) = call.split()?;
    let space = desk.plugins.get(desk.at.current.filter).ok_or(Status::NotFound)?.space;
    Ok(desk.shared.set(space, view.read(key, klen)?, view.read(val, vlen)?, cas)?)
}
