//! How a filter is started.

use super::{Answer, Message, Played, Proxy, ROOT};
use crate::Filter;
use crate::filter::{Make, make};
use crate::host::{Random, World, world};
use crate::metrics;
use crate::root::RootState;
use std::time::Duration;
use tamis_abi::BufferType;

/// Starts the filter with a configuration. Until told otherwise, the upstream answers 200 and callouts are not answered.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::testing::{self, Message};
///
/// struct Stamp(String);
///
/// impl Filter for Stamp {
///     type Config = String;
///
///     fn new(config: String, _root: &Root) -> Result<Self> {
///         Ok(Self(config))
///     }
///
///     async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
///         request.headers_mut().set("x-stamp", &self.0)?;
///         next.run(request).await
///     }
/// }
///
/// let played = testing::run::<Stamp>(r#""blue""#).play(Message::get("/").header("x-stamp", "red"));
/// assert_eq!(played.to_upstream().text("x-stamp").as_deref(), Some("blue"));
/// assert_eq!(played.to_client().status(), 200);
/// ```
///
/// # Panics
/// When the filter refuses to start, with its line in the log. [`Proxy::start`] gives that back instead.
#[track_caller]
pub fn run<F: Filter>(config: &str) -> Proxy {
    Proxy::start::<F>(config).unwrap_or_else(|line| panic!("{line}"))
}

/// What is so before the filter starts.
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::clock;
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::testing::{Message, Setup};
///
/// struct Lot {
///     ends: Duration,
///     drawn: [u8; 4],
/// }
///
/// impl Filter for Lot {
///     type Config = ();
///
///     fn new((): (), _root: &Root) -> Result<Self> {
///         let mut drawn = [0; 4];
///         clock::random(&mut drawn)?;
///         Ok(Self { ends: clock::wall() + Duration::from_secs(60), drawn })
///     }
///
///     async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
///         if clock::wall() < self.ends {
///             return Ok(Reply::new(409).body(self.drawn.to_vec()).into());
///         }
///         next.run(request).await
///     }
/// }
///
/// let setup = Setup { seed: 7, wall: Duration::from_secs(1_700_000_000), ..Setup::default() };
/// let mut proxy = setup.start::<Lot>("")?;
/// let drawn = proxy.play(Message::get("/")).to_client().body.clone();
/// assert_eq!(proxy.play(Message::get("/")).to_client().body, drawn);
/// proxy.advance(Duration::from_secs(60));
/// assert_eq!(proxy.play(Message::get("/")).to_client().status(), 200);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Setup {
    /// Seed of all randomness; the test host draws the same from it.
    pub seed: u64,
    /// What the wall clock shows at the start: time since 1970-01-01 UTC.
    pub wall: Duration,
    /// What [`Root::vm_configuration`](crate::Root::vm_configuration) gives.
    pub vm_configuration: &'static str,
}

impl Setup {
    /// As [`Proxy::start`].
    ///
    /// # Errors
    /// As there.
    pub fn start<F: Filter>(self, config: &str) -> Result<Proxy, String> {
        self.start_with(make::<F>, config)
    }

    pub(super) fn start_with(self, make: Make, config: &str) -> Result<Proxy, String> {
        world(|w| {
            let (random, wall) = (Random::new(self.seed), self.wall);
            *w = World { live: vec![ROOT], random, wall, ..World::default() };
            w.buffers.insert(BufferType::PluginConfiguration, config.as_bytes().to_vec());
            w.buffers.insert(BufferType::VmConfiguration, self.vm_configuration.into());
        });
        metrics::forget();
        let root = RootState::new(ROOT, make);
        let mut proxy = Proxy {
            root: root.clone(),
            streams: ROOT,
            upstream: Box::new(|_| Some(Message::response(200))),
            service: Box::new(|_, _| Answer::Silence),
            patience: Duration::ZERO,
        };
        let good = root.configure(config.len());
        world(|w| w.buffers.remove(&BufferType::PluginConfiguration));
        if !good {
            return Err(world(|w| w.logs.pop()).map(|(_, line)| line).unwrap_or_default());
        }
        proxy.answer_callouts(&mut Played::default());
        Ok(proxy)
    }
}
