//! One call of a filter into the host: the checked way to its memory, and the two ways to fail.

use crate::memory::{GuestView, OutOfBounds};
use crate::stage::Desk;
use crate::vm::{Broke, Door, Guest, HostEnd, full, restricted};
use crate::world::LimitReached;
use tamis_abi::Status;
use tamis_traffic::FaultKind;
use wasmtime::Caller;

/// What a host function that did not succeed does.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Tells the filter.
    Tell(Status),
    /// Ends the playback: the filter sees nothing more.
    End(Broke),
    /// The filter's allocator trapped; the trap goes on through.
    Trap(wasmtime::Error),
}

/// What host functions return: success is status 0.
pub(crate) type Answer<T = ()> = Result<T, Stop>;

impl From<OutOfBounds> for Stop {
    fn from(_: OutOfBounds) -> Self {
        Stop::Tell(Status::InvalidMemoryAccess)
    }
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Stop::Tell(status)
    }
}

impl From<LimitReached> for Stop {
    fn from(limit: LimitReached) -> Self {
        Stop::End(limit.into())
    }
}

/// The number that goes back to the filter, or the end.
#[inline]
pub(crate) fn answer(result: Answer) -> wasmtime::Result<u32> {
    match result {
        Ok(()) => Ok(Status::Ok.0),
        Err(Stop::Tell(status)) => Ok(status.0),
        Err(Stop::End(broke)) => Err(wasmtime::Error::new(HostEnd(broke))),
        Err(Stop::Trap(error)) => Err(error),
    }
}

/// A call on its way.
pub(crate) struct Call<'a, 'b> {
    caller: &'a mut Caller<'b, Guest>,
}

impl<'a, 'b> Call<'a, 'b> {
    /// Counts the call, traps where Envoy does (docs/envoy.md 1.4: restricted callbacks), and ends the playback of a
    /// filter that has filled memory.
    #[inline]
    pub(crate) fn enter(caller: &'a mut Caller<'b, Guest>, name: &'static str) -> wasmtime::Result<Self> {
        let guest = caller.data_mut();
        if guest.door != Door::Open && name != "proxy_log" {
            return Err(restricted(guest.door, name));
        }
        guest.desk.host_calls += 1;
        guest.desk.has_room().map_err(full)?;
        Ok(Self { caller })
    }

    /// The filter's memory and the desk, side by side.
    #[inline]
    pub(crate) fn split(&mut self) -> Answer<(GuestView<'_>, &mut Desk)> {
        let Some(memory) = self.caller.data().memory else {
            return Err(Stop::Tell(Status::InvalidMemoryAccess));
        };
        let (bytes, guest) = memory.data_and_store_mut(&mut *self.caller);
        Ok((GuestView::new(bytes), &mut guest.desk))
    }

    #[inline]
    pub(crate) fn desk(&mut self) -> &mut Desk {
        &mut self.caller.data_mut().desk
    }

    pub(crate) fn is_0_1_0(&self) -> bool {
        self.caller.data().abi == tamis_abi::AbiVersion::V0_1_0
    }

    /// Writes a word.
    pub(crate) fn put(&mut self, at: u32, value: u32) -> Answer {
        Ok(self.split()?.0.write_u32(at, value)?)
    }

    /// Hands `len` bytes to the filter in memory that it allocates; the address goes to `at`, the length to
    /// `size`. Nothing to hand over is address 0, length 0, without asking the allocator (docs/envoy.md 1.2).
    #[inline]
    pub(crate) fn give(
        &mut self,
        len: usize,
        at: u32,
        size: u32,
        fill: impl FnOnce(&Desk, &mut [u8]),
    ) -> Answer {
        let address = if len > 0 { self.allocate(len)? } else { 0 };
        let (mut view, desk) = self.split()?;
        if len > 0 {
            fill(desk, view.slice_mut(address, len)?);
        }
        view.write_u32(at, address)?;
        view.write_u32(size, len as u32)?;
        Ok(())
    }

    /// [`Call::give`] for bytes that are not on the desk.
    pub(crate) fn give_bytes(&mut self, bytes: &[u8], at: u32, size: u32) -> Answer {
        self.give(bytes.len(), at, size, |_, out| out.copy_from_slice(bytes))
    }

    /// Runs one of the filter's callbacks before the host function returns; nothing happens when it has none of the name.
    #[cold]
    pub(crate) fn run_inside(&mut self, name: &str, params: (u32, u32, u32)) -> Answer {
        let export = self.caller.get_export(name).and_then(wasmtime::Extern::into_func);
        let Some(callback) = export.and_then(|f| f.typed::<(u32, u32, u32), ()>(&*self.caller).ok()) else {
            return Ok(());
        };
        callback.call(&mut *self.caller, params).map_err(Stop::Trap)
    }

    /// Puts bytes into memory that the filter allocates, and gives their address; 0 for none, without asking.
    pub(crate) fn hand_over(&mut self, bytes: &[u8]) -> Answer<u32> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let address = self.allocate(bytes.len())?;
        self.split()?.0.write(address, bytes)?;
        Ok(address)
    }

    fn allocate(&mut self, len: usize) -> Answer<u32> {
        let Ok(len) = u32::try_from(len) else { return Err(Stop::Tell(Status::InvalidMemoryAccess)) };
        let guest = self.caller.data_mut();
        // Taken out, not cloned: a clone costs four times the call. It is there: the allocator may call nothing
        // that would come back here.
        let Some(allocate) = guest.allocate.take() else { return Err(Stop::End(no_allocator(guest))) };
        let door = std::mem::replace(&mut guest.door, Door::Allocating);
        let result = allocate.call(&mut *self.caller, len);
        let guest = self.caller.data_mut();
        guest.allocate = Some(allocate);
        guest.door = door;
        match result {
            Ok(0) => Err(Stop::Tell(Status::InvalidMemoryAccess)),
            Ok(address) => Ok(address),
            Err(error) => Err(Stop::Trap(error)),
        }
    }
}

/// Why the allocator is not where it always is.
#[cold]
fn no_allocator(guest: &Guest) -> Broke {
    match guest.limits.starved() {
        Some(number) => Broke::starved(number),
        None => Broke::new(FaultKind::Internal, "the allocator was entered twice"),
    }
}
