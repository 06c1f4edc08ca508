//! Write Proxy-Wasm filters for Envoy and Istio as one async function.
//!
//! ```
//! use tamis_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     header: String,
//!     value: String,
//! }
//!
//! struct Stamp(Config);
//!
//! impl Filter for Stamp {
//!     type Config = Config;
//!
//!     fn new(config: Config, _root: &Root) -> Result<Self> {
//!         Ok(Self(config))
//!     }
//!
//!     async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
//!         request.headers_mut().set(&self.0.header, &self.0.value)?;
//!         let mut response = next.run(request).await?;
//!         response.headers_mut().set("x-seen", "1")?;
//!         Ok(response)
//!     }
//! }
//!
//! tamis_sdk::export!(Stamp);
//! # fn main() {}
//! ```
//!
//! What an `async fn` means to a proxy: the request is held until `next.run` is awaited, the response until
//! `handle` returns. Awaiting a [`Callout`] holds whichever of the two is in hand. A [`Reply`] that is
//! returned without `next.run` is the answer, and the upstream never sees the request. When the stream ends
//! early the future is dropped. Bodies flow through untouched unless a [`body`] hook is set.
//!
//! An answer is what `handle` or a body hook returns; nothing else can give one, since a reply from elsewhere is lost or
//! crashes the proxy (docs/envoy.md 2.5):
//!
//! ```compile_fail,E0271
//! use tamis_sdk::prelude::*;
//!
//! fn late(root: &Root) {
//!     root.spawn(async { Reply::new(503) });
//! }
//! ```
//!
//! ```compile_fail,E0624
//! use tamis_sdk::prelude::*;
//!
//! struct Held;
//!
//! impl Drop for Held {
//!     fn drop(&mut self) {
//!         // The stream is over: this would end Envoy.
//!         let _ = Reply::new(503).send();
//!     }
//! }
//! ```
//!
//! Nothing here panics on what a host says or on any byte of a header: a panic in a filter is an outage of
//! the whole worker (Envoy 1.40: every later request gets 503).

pub mod access_log;
mod block;
pub mod body;
pub mod callout;
pub mod clock;
mod config;
mod error;
mod events;
mod exchange;
mod filter;
pub mod foreign;
pub mod future;
pub mod grpc;
pub mod headers;
mod host;
mod ids;
mod json;
mod limit;
pub mod log;
pub mod metrics;
mod named;
mod next;
mod others;
pub mod property;
mod reply;
mod request;
mod response;
pub mod retry;
mod root;
mod schema;
pub mod shared;
mod slot;
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively there is one root"))]
mod streams;
mod tasks;
pub mod tcp;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod timers;
mod wire;

pub use access_log::AccessLog;
pub use callout::Callout;
pub use error::{Error, HostError, Result};
pub use filter::{Filter, OnError};
pub use headers::Headers;
pub use limit::{Busy, Limit};
pub use next::Next;
pub use reply::Reply;
pub use request::Request;
pub use response::Response;
pub use root::Root;
pub use tamis_abi::{LogLevel, Status};
pub use tcp::TcpFilter;

/// What a filter needs in scope.
pub mod prelude {
    pub use crate::{
        Callout, Error, Filter, Headers, Next, OnError, Reply, Request, Response, Result, Root, export,
    };
    pub use std::rc::Rc;
}

/// Makes filters the ones that the module exports. Once in a package.
///
/// - `export!(Stamp)`: a [`Filter`], whatever `root_id` the deployment gives;
/// - `export!(tcp Gate)`: a [`TcpFilter`](tcp::TcpFilter);
/// - `export!(log Statuses)`: an [`AccessLog`](access_log::AccessLog);
/// - `export! { "stamp" => Stamp, "gate" => tcp Gate }`: several, chosen by `root_id`. One that is not there is an
///   error of the configuration: Envoy does not start. Such a module carries no JSON Schema.
#[macro_export]
macro_rules! export {
    (@start $start:ident, $alone:ident, $what:expr) => {
        #[cfg(target_family = "wasm")]
        // The host calls it once, before anything else.
        #[unsafe(no_mangle)]
        extern "C" fn _initialize() {
            $crate::__private::$start($what);
        }

        #[cfg(target_family = "wasm")]
        // `tamis build` puts it in the place of the one above, with callbacks that need no dispatcher.
        #[unsafe(export_name = "tamis.for._initialize")]
        extern "C" fn __tamis_initialize() {
            $crate::__private::$alone($what);
        }

        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::__private::check(&$what);
    };
    (@schema $config:ty) => {
        #[allow(unexpected_cfgs, reason = "`tamis build` sets it")]
        const _: () = {
            // `tamis build` asks for it and takes it out of what ships.
            #[cfg(all(target_family = "wasm", tamis_build))]
            #[unsafe(export_name = "tamis.schema")]
            extern "C" fn __tamis_schema() -> u64 {
                use $crate::__private::{Described as _, Undescribed as _};
                let config = $crate::__private::Config::<$config>::new();
                $crate::__private::give((&config).schema())
            }
        };
    };
    (@named [$($all:tt)*]) => {
        const __TAMIS_FILTERS: &[$crate::__private::Named] = &[$($all)*];
        const _: () = $crate::__private::check_names(__TAMIS_FILTERS);
        $crate::export!(@start start_named, start_named_alone, __TAMIS_FILTERS);
    };
    (@named [$($all:tt)*] $name:literal => tcp $filter:ty $(, $($rest:tt)*)?) => {
        $crate::export!(@named [$($all)* ($name, $crate::__private::tcp::<$filter>()),] $($($rest)*)?);
    };
    (@named [$($all:tt)*] $name:literal => log $filter:ty $(, $($rest:tt)*)?) => {
        $crate::export!(@named [$($all)* ($name, $crate::__private::log::<$filter>()),] $($($rest)*)?);
    };
    (@named [$($all:tt)*] $name:literal => $filter:ty $(, $($rest:tt)*)?) => {
        $crate::export!(@named [$($all)* ($name, $crate::__private::http::<$filter>()),] $($($rest)*)?);
    };
    ($name:literal => $($rest:tt)+) => {
        $crate::export!(@named [] $name => $($rest)+);
    };
    (tcp $filter:ty) => {
        $crate::export!(@start start, start_alone, $crate::__private::tcp::<$filter>());
        $crate::export!(@schema <$filter as $crate::tcp::TcpFilter>::Config);
    };
    (log $filter:ty) => {
        $crate::export!(@start start, start_alone, $crate::__private::log::<$filter>());
        $crate::export!(@schema <$filter as $crate::access_log::AccessLog>::Config);
    };
    ($filter:ty) => {
        $crate::export!(@start start, start_alone, $crate::__private::http::<$filter>());
        $crate::export!(@schema <$filter as $crate::Filter>::Config);
    };
}

#[doc(hidden)]
pub mod __private {
    pub use crate::named::{Named, check_names};
    use crate::{AccessLog, Filter, TcpFilter};

    /// How a filter is made.
    #[derive(Clone, Copy)]
    #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "a native test names the type"))]
    pub struct Make(pub(crate) crate::filter::Make);

    pub const fn http<F: Filter>() -> Make {
        Make(crate::filter::make::<F>)
    }

    pub const fn tcp<F: TcpFilter>() -> Make {
        Make(crate::tcp::make::<F>)
    }

    pub const fn log<F: AccessLog>() -> Make {
        Make(crate::access_log::make::<F>)
    }

    #[cfg(target_family = "wasm")]
    pub fn start(make: Make) {
        crate::host::start(make.0);
    }

    #[cfg(target_family = "wasm")]
    pub fn start_alone(make: Make) {
        crate::host::start_alone(make.0);
    }

    #[cfg(target_family = "wasm")]
    pub fn start_named(all: &'static [Named]) {
        crate::host::start(crate::named::know(all));
    }

    #[cfg(target_family = "wasm")]
    pub fn start_named_alone(all: &'static [Named]) {
        crate::host::start_alone(crate::named::know(all));
    }

    /// Natively the types are checked and nothing starts.
    pub const fn check<T>(_what: &T) {}

    pub use crate::schema::{Config, Described, Undescribed, give};
}
