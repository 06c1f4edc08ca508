//! Proxy-Wasm filters as OCI images.
//!
//! [`Image::build`] makes an image of a module, the same bytes on every machine; [`Folder`], [`Saved`] and
//! [`remote::Registry`] are places where images lie, each a [`Store`]; [`fetch()`] reads anybody's image from one,
//! [`consumers::judge`] says who would load it, and [`mend::mend`] wraps it anew so that they do. [`remote::push()`] brings an image to a registry and reads it back.
//! [`sign`] attaches and checks signatures, [`sbom`] lists of what a filter is made of.
//! [`deploy::render`] writes what a mesh wants to be told about it, and [`proxy::ask`] hears from a proxy what came of that.
//!
//! Nothing here prints, asks the environment by itself, or waits without a [`Watch`] knowing.

/// An enum of rules with stable names and a text for each, for `tamis explain`.
macro_rules! rules {
    ($(#[doc = $doc:literal])+ $type:ident: $($name:ident = $id:literal, $text:literal;)*) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $(#[doc = $text] $name,)* }

        impl $type {
            /// All of them, for `tamis explain`.
            pub const ALL: &[$type] = &[$($type::$name,)*];

            /// The stable name.
            pub const fn id(self) -> &'static str {
                match self { $($type::$name => $id,)* }
            }

            /// What it says and why.
            pub const fn text(self) -> &'static str {
                match self { $($type::$name => $text,)* }
            }
        }
    };
}

pub mod annotations;
mod artifact;
mod cached;
pub mod consumers;
pub mod deploy;
mod digest;
mod error;
mod fetch;
mod folder;
mod image;
mod manifest;
pub mod mend;
mod module;
pub mod proxy;
mod reference;
pub mod remote;
mod saved;
pub mod sbom;
pub mod sign;
mod tarball;
mod watch;

pub use artifact::{Artifact, Attached, attached};
pub use cached::Cached;
pub use digest::Digest;
pub use error::{Blame, Error, Kind};
pub use fetch::{Child, Fetched, Found, Layer, Look, Shape, fetch};
pub use folder::Folder;
pub use image::{Blob, Image, Layout, Spec};
pub use manifest::{Descriptor, Document, Index, Manifest, Platform, types};
pub use module::{Module, ModuleKind};
pub use reference::Reference;
pub use saved::Saved;
pub use tarball::Archive;
pub use watch::{Silent, Watch};

/// Largest module that is pushed or fetched, bytes. Istio and Envoy Gateway refuse more than this once
/// unpacked (`ISTIO_WASM_MAX_BINARY_SIZE_BYTES`, 256 MiB unless set).
pub const MAX_MODULE: u64 = 256 << 20;

/// A place where images lie: a registry's repository, or a folder.
pub trait Store {
    /// The manifest or index that a tag or digest names: its bytes and the media type that the store says,
    /// if it says one.
    ///
    /// # Errors
    /// When there is none, or the store does not give it.
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, Option<String>), Error>;

    /// A blob, checked: its length and digest are those of the descriptor.
    ///
    /// # Errors
    /// When it is missing, or is not what the descriptor says.
    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error>;
}
