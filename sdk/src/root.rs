//! The part of a filter that outlives exchanges: timers, background tasks, failures counted.

use crate::filter::{Handle, Kind, Make, OnError, Part};
use crate::tasks::WakeId;
use crate::timers::Timers;
use crate::{Error, events, host, log, metrics, streams, tasks};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tamis_abi::BufferType;

/// The counter of failures of `handle` and of body hooks.
const FAILURES: &str = "tamis.filter_errors";

/// The filter's place in the proxy: one on the main thread, one on each worker.
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::prelude::*;
///
/// /// Asks again and again, beside all exchanges.
/// fn watch(root: &Root) {
///     let again = root.clone();
///     root.spawn(async move {
///         loop {
///             let up = Callout::get("keys", "keys.test", "/health").send().await.is_ok();
///             tamis_sdk::metrics::gauge("keys_up").set(up.into());
///             again.sleep(Duration::from_secs(10)).await;
///         }
///     });
/// }
/// ```
#[derive(Clone)]
pub struct Root(pub(crate) Rc<RootState>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What a root knows.
pub(crate) struct RootState {
    id: u32,
    make: Make,
    part: RefCell<Option<Part>>,
    /// The filter is none for HTTP.
    other: Cell<bool>,
    pub(crate) timers: Timers,
    tasks: RefCell<Vec<Task>>,
    waker: Waker,
}

impl Root {
    /// Runs a future in the background, beside all exchanges. It may await callouts.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().push(Box::pin(work));
        self.0.waker.wake_by_ref();
    }

    /// What the deployment tells the VM (Envoy's `vm_config.configuration`), for all filters in it: bytes, none when it says
    /// nothing. What it tells this filter is [`Filter::Config`](crate::Filter::Config).
    ///
    /// ```
    /// use tamis_sdk::prelude::*;
    ///
    /// fn region(root: &Root) -> Result<String> {
    ///     Ok(String::from_utf8(root.vm_configuration())?)
    /// }
    /// ```
    pub fn vm_configuration(&self) -> Vec<u8> {
        let kind = BufferType::VmConfiguration;
        host::buffer_size(kind).and_then(|size| host::buffer(kind, size)).unwrap_or_default()
    }

    /// The id of the root context, to tell roots apart in one VM.
    pub fn id(&self) -> u32 {
        self.0.id
    }
}

impl RootState {
    pub(crate) fn new(id: u32, make: Make) -> Rc<Self> {
        let root = Rc::new(Self {
            id,
            make,
            part: RefCell::new(None),
            other: Cell::new(false),
            timers: Timers::default(),
            tasks: RefCell::new(Vec::new()),
            waker: Waker::from(WakeId::new(id)),
        });
        tasks::keep_root(id, &root);
        root
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn filter(&self) -> Option<Rc<dyn Handle>> {
        match &*self.part.borrow() {
            Some(Part::Http(filter)) => Some(filter.clone()),
            _ => None,
        }
    }

    /// True before it is configured, too.
    pub(crate) fn is_http(&self) -> bool {
        !self.other.get()
    }

    /// The filter, when it is none for HTTP.
    pub(crate) fn kind(&self) -> Option<Rc<dyn Kind>> {
        match &*self.part.borrow() {
            Some(Part::Other(kind)) => Some(kind.clone()),
            _ => None,
        }
    }

    /// Reads the configuration and makes the filter. False refuses it.
    pub(crate) fn configure(self: &Rc<Self>, size: usize) -> bool {
        tasks::enter(self.id, self.id);
        // Absent is empty: hosts answer `not found` for no configuration.
        let config = host::buffer(BufferType::PluginConfiguration, size).unwrap_or_default();
        match (self.make)(&config, &Root(self.clone())) {
            Ok(part) => {
                self.other.set(matches!(part, Part::Other(_)));
                *self.part.borrow_mut() = Some(part);
                streams::outdate(self.id);
                tasks::drain();
                true
            }
            Err(error) => {
                log::critical!("the filter can not start: {error}");
                false
            }
        }
    }

    pub(crate) fn tick(&self) {
        tasks::enter(self.id, self.id);
        self.run_timers();
        tasks::drain();
    }

    pub(crate) fn poll(&self) {
        let _ = tasks::poll_settled(self.id, || {
            let mut waiting = Vec::new();
            // Taken out, so that a task may start another one.
            let tasks = self.tasks.take();
            for mut task in tasks {
                if task.as_mut().poll(&mut Context::from_waker(&self.waker)) == Poll::Pending {
                    waiting.push(task);
                }
            }
            self.tasks.borrow_mut().append(&mut waiting);
            None::<()>
        });
    }

    pub(crate) fn end(&self) {
        tasks::enter(self.id, self.id);
        let (tasks, timers) = (self.tasks.take(), self.timers.take());
        drop((tasks, timers));
        // What the end of those started never runs.
        let (tasks, timers) = (self.tasks.take(), self.timers.take());
        drop((tasks, timers));
        streams::outdate(self.id);
        events::gone(self.id);
    }

    /// As [`count_failure`], with what a filter that is none for HTTP wants.
    pub(crate) fn count_failure(&self, what: &str, error: &Error) -> OnError {
        count_failure(what, self.kind().map_or(OnError::Deny, |kind| kind.on_error()), error)
    }
}

/// Logs and counts a failure once, and gives what the filter wants then.
pub(crate) fn count_failure(what: &str, policy: OnError, error: &Error) -> OnError {
    let then = if matches!(policy, OnError::Pass) { "passed" } else { "denied" };
    log::error!("{what} {then}: {error}");
    metrics::counter(FAILURES).add(1);
    policy
}
