//! What can go wrong, whose it is, and what helps.

use std::fmt;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $blame:ident;)*) => {
        /// Kinds of errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $name,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];

            /// The stable name.
            pub const fn code(self) -> &'static str {
                match self { $(Kind::$name => $code,)* }
            }

            /// Whose it is to repair.
            pub const fn blame(self) -> Blame {
                match self { $(Kind::$name => Blame::$blame,)* }
            }
        }
    };
}

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Who asked: a name, a flag, a file.
    Caller,
    /// Who made the image.
    Image,
    /// The registry, or its rules.
    Registry,
    /// What lies between; the same again may work.
    Network,
}

kinds! {
    /// A reference, tag or setting that cannot be.
    BadReference = "bad-reference", Caller;
    /// A module that no proxy would load.
    BadModule = "bad-push-module", Caller;
    /// An image that cannot be read, or holds no module.
    BadImage = "bad-image", Image;
    /// An image that cannot be wrapped anew so that anybody loads it.
    CannotMend = "cannot-mend", Image;
    /// A file or folder that cannot be read or written.
    Files = "image-files", Caller;
    /// A credential file or helper that cannot be used.
    Credentials = "bad-credentials", Caller;
    /// The registry wants a login and there is none.
    NotLoggedIn = "not-logged-in", Caller;
    /// The login is refused.
    WrongLogin = "wrong-login", Caller;
    /// The login is good and has not this right.
    Denied = "registry-denied", Caller;
    /// No such image, tag or blob.
    NotFound = "image-not-found", Caller;
    /// The repository must be created first.
    NoRepository = "no-repository", Caller;
    /// The tag stands for another image.
    TagTaken = "tag-taken", Caller;
    /// The registry does not let a tag move.
    TagImmutable = "tag-immutable", Registry;
    /// The registry refuses what was sent.
    Refused = "registry-refused", Registry;
    /// The registry takes no pushes.
    ReadOnly = "registry-read-only", Registry;
    /// The registry's answer breaks the protocol or does not fit what was sent.
    Broken = "registry-broken", Registry;
    /// Credentials would have gone where they must not.
    Unsafe = "unsafe-registry", Registry;
    /// TLS: a certificate, a key, plain where TLS is spoken.
    Tls = "registry-tls", Caller;
    /// The registry cannot be reached.
    Unreachable = "registry-unreachable", Network;
    /// It stayed busy or broken for all attempts.
    Busy = "registry-busy", Network;
    /// A key file that cannot be used.
    BadKey = "bad-signing-key", Caller;
    /// Nothing that is attached to the image is a signature.
    NotSigned = "image-not-signed", Image;
    /// None of the image's signatures is by the key.
    BadSignature = "bad-signature", Image;
    /// Signatures without a key want a cosign, and there is none.
    NoCosign = "no-cosign", Caller;
    /// The installed cosign did not do what it was asked for.
    CosignFailed = "cosign-failed", Registry;
    /// An address at which no proxy can be.
    BadProxyAddress = "bad-proxy-address", Caller;
    /// The proxy cannot be reached.
    ProxyUnreachable = "proxy-unreachable", Network;
    /// What answers is no Envoy.
    BadProxyAnswer = "bad-proxy-answer", Caller;
    /// The user asked to stop.
    Interrupted = "interrupted", Caller;
}

/// An error: one line, deeper causes, what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What sort.
    pub kind: Kind,
    text: String,
    cause: Option<Box<Cause>>,
    /// What would make it work, one sentence each.
    pub hints: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

impl Error {
    /// An error without a deeper cause.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), cause: None, hints: Vec::new() }
    }

    /// The cause, as one line.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(Box::new(Cause(cause.to_string())));
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|c| c as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let mut codes: Vec<_> = Kind::ALL.iter().map(|k| k.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
    }
}
