//! Queues between the VMs of a proxy.

use crate::error::{HostError, told};
use crate::ids::Ids;
use crate::slot::Slot;
use crate::{events, host, tasks};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::Poll;
use tamis_abi::Status;

/// A queue by name. What lies there outlives the VMs, and nothing bounds it but the process's memory: take things out.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::shared::Queue;
///
/// fn collect(root: &Root) -> Result<Queue> {
///     let queue = Queue::register("my-filter/events")?;
///     let inbox = queue.clone();
///     root.spawn(async move {
///         while let Ok(item) = inbox.next().await {
///             tamis_sdk::log::info!("{} bytes", item.len());
///         }
///     });
///     Ok(queue)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Queue {
    token: u32,
}

type Waiters = Ids<Vec<Weak<Slot<()>>>>;

thread_local! {
    static WAITING: RefCell<Waiters> = const { RefCell::new(Ids::new()) };
}

impl Queue {
    /// Makes a queue, or finds it. Whoever registers last is told of what comes: the main thread and each worker make
    /// the filter, so one of them receives and the others only send.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn register(name: &str) -> Result<Self, HostError> {
        Ok(Self { token: told("register a queue", host::queue_register(name))? })
    }

    /// A queue that somebody registered; `vm_id` is empty for the filter's own. `None` when nobody did.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn find(vm_id: &str, name: &str) -> Result<Option<Self>, HostError> {
        match host::queue_resolve(vm_id, name) {
            Ok(token) => Ok(Some(Self { token })),
            Err(Status::NotFound) => Ok(None),
            Err(status) => Err(HostError { what: "find a queue", status }),
        }
    }

    /// Puts something in.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn push(&self, item: &[u8]) -> Result<(), HostError> {
        told("put something into a queue", host::queue_push(self.token, item))
    }

    /// Takes what has been there longest.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn pop(&self) -> Result<Option<Vec<u8>>, HostError> {
        match host::queue_pop(self.token) {
            Ok(item) => Ok(Some(item)),
            Err(Status::Empty) => Ok(None),
            Err(status) => Err(HostError { what: "take something from a queue", status }),
        }
    }

    /// Waits for something and takes it. Only who registered last is woken.
    ///
    /// # Errors
    /// When the host refuses.
    pub async fn next(&self) -> Result<Vec<u8>, HostError> {
        host::mark_queue();
        events::want_queue(ready);
        let slot = Rc::<Slot<()>>::default();
        WAITING.with_borrow_mut(|all| {
            let mut waiters = all.remove(self.token).unwrap_or_default();
            waiters.retain(|waiter| waiter.strong_count() > 0);
            waiters.push(Rc::downgrade(&slot));
            all.insert(self.token, waiters);
        });
        poll_fn(|context| {
            let _ = slot.poll(context);
            match self.pop() {
                Ok(None) => Poll::Pending,
                Ok(Some(item)) => Poll::Ready(Ok(item)),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }
}

/// Something was put into a queue.
fn ready(root: u32, token: u32) {
    tasks::enter(root, root);
    let waiter = |at: usize| WAITING.with_borrow(|all| all.get(token)?.get(at).cloned());
    // A waker only says who has a turn later, so the list stays as it is.
    for slot in (0..).map_while(waiter).filter_map(|waiter| waiter.upgrade()) {
        slot.wake();
    }
    tasks::drain();
}
