//! Shared queues (docs/envoy.md 2.8).

use super::{Answer, Call, Stop};
use crate::world::{Owner, QueueError};
use tamis_abi::Status;

impl From<QueueError> for Stop {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Unknown => Stop::Tell(Status::NotFound),
            QueueError::Full(limit) => limit.into(),
        }
    }
}

pub(super) fn register(call: &mut Call<'_, '_>, name: u32, nlen: u32, ret: u32) -> Answer {
    let (mut view, desk) = call.split()?;
    let filter = desk.at.current.filter;
    let plugin = desk.plugins.get(filter).ok_or(Status::NotFound)?;
    let owner = Owner { vm: plugin.vm, context: plugin.root };
    let token = desk.queues.register(&plugin.vm_id, view.read(name, nlen)?, owner)?;
    Ok(view.write_u32(ret, token)?)
}

/// An empty `vm_id` is the filter's own; 1 for an unknown queue.
pub(super) fn resolve(call: &mut Call<'_, '_>, vm: u32, vlen: u32, name: u32, nlen: u32, ret: u32) -> Answer {
    let (mut view, desk) = call.split()?;
    let own = &desk.plugins.get(desk.at.current.filter).ok_or(Status::NotFound)?.vm_id;
    let vm_id = std::str::from_utf8(view.read(vm, vlen)?).map_err(|_| Status::NotFound)?;
    let vm_id = if vm_id.is_empty() { own } else { vm_id };
    let token = desk.queues.resolve(vm_id, view.read(name, nlen)?).ok_or(Status::NotFound)?;
    Ok(view.write_u32(ret, token)?)
}

/// 1 unknown, 7 empty.
pub(super) fn dequeue(call: &mut Call<'_, '_>, token: u32, at: u32, len: u32) -> Answer {
    let message = call.desk().queues.dequeue(token)?.ok_or(Status::Empty)?;
    call.give_bytes(&message, at, len)
}

pub(super) fn enqueue(call: &mut Call<'_, '_>, token: u32, data: u32, dlen: u32) -> Answer {
    let (view, desk) = call.split()?;
    let owner = desk.queues.enqueue(token, view.read(data, dlen)?)?;
    desk.keep(0);
    desk.ready.push_back((owner, token));
    Ok(())
}
