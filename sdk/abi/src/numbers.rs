//! The numbers that cross the border between filter and host.

/// What a host function answers. Open: a host may give a number that no text lists, and a filter must
/// survive it (proxy-wasm-cpp-host knows 0 to 12, the specification lists fewer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        #[allow(non_upper_case_globals, reason = "they read as the variants of an open enum")]
        impl Status {
            $($(#[$doc])* pub const $name: Status = Status($number);)*

            /// Short lower-case name, or `unknown status`.
            pub const fn name(self) -> &'static str {
                match self.0 { $($number => $text,)* _ => "unknown status" }
            }
        }
    };
}

statuses! {
    /// Done.
    Ok = 0, "ok";
    /// No such header, key, property, queue or metric.
    NotFound = 1, "not found";
    /// An argument makes no sense here, or the map or buffer is not available in this phase.
    BadArgument = 2, "bad argument";
    /// The property exists and has no byte form.
    SerializationFailure = 3, "serialization failure";
    /// A service or message could not be parsed.
    ParseFailure = 4, "parse failure";
    /// Not seen from Envoy.
    BadExpression = 5, "bad expression";
    /// A pointer or length leaves the filter's memory.
    InvalidMemoryAccess = 6, "invalid memory access";
    /// The queue holds nothing.
    Empty = 7, "empty";
    /// The value changed since it was read.
    CasMismatch = 8, "compare-and-swap mismatch";
    /// Not seen from Envoy.
    ResultMismatch = 9, "result mismatch";
    /// The host could not do it.
    InternalFailure = 10, "internal failure";
    /// Only inside `proxy_get_status`, never returned directly.
    BrokenConnection = 11, "broken connection";
    /// The host does not have this function.
    Unimplemented = 12, "unimplemented";
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $($(#[$vdoc])* $variant = $number,)* }

        impl $name {
            /// All values, in the order of their numbers.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The value with this number, if there is one.
            pub const fn from_u32(number: u32) -> Option<Self> {
                match number { $($number => Some($name::$variant),)* _ => None }
            }
        }
    )*};
}

numbers! {
    /// Levels of `proxy_log`.
    LogLevel {
        /// Finest.
        Trace = 0,
        /// For developers.
        Debug = 1,
        /// Normal.
        Info = 2,
        /// Worth a look.
        Warn = 3,
        /// Something failed.
        Error = 4,
        /// Everything failed.
        Critical = 5,
    }
    /// Kinds of buffers.
    BufferType {
        /// Body of the request.
        HttpRequestBody = 0,
        /// Body of the response.
        HttpResponseBody = 1,
        /// Bytes from the client (TCP).
        DownstreamData = 2,
        /// Bytes from the upstream (TCP).
        UpstreamData = 3,
        /// Body of the answer to an HTTP callout.
        HttpCallResponseBody = 4,
        /// A gRPC message that a callout received.
        GrpcReceiveBuffer = 5,
        /// Configuration of the VM.
        VmConfiguration = 6,
        /// Configuration of the filter; readable in `proxy_on_configure` only.
        PluginConfiguration = 7,
        /// Arguments of a foreign function.
        CallData = 8,
    }
    /// Kinds of header maps.
    MapType {
        /// Request headers.
        HttpRequestHeaders = 0,
        /// Request trailers.
        HttpRequestTrailers = 1,
        /// Response headers.
        HttpResponseHeaders = 2,
        /// Response trailers.
        HttpResponseTrailers = 3,
        /// Initial metadata of a gRPC callout.
        GrpcReceiveInitialMetadata = 4,
        /// Trailing metadata of a gRPC callout.
        GrpcReceiveTrailingMetadata = 5,
        /// Headers of the answer to an HTTP callout.
        HttpCallResponseHeaders = 6,
        /// Trailers of the answer to an HTTP callout.
        HttpCallResponseTrailers = 7,
    }
    /// Streams that can be continued or closed.
    StreamType {
        /// The request.
        Request = 0,
        /// The response.
        Response = 1,
        /// TCP from the client.
        Downstream = 2,
        /// TCP from the upstream.
        Upstream = 3,
    }
    /// Who closed a TCP connection.
    PeerType {
        /// Not known.
        Unknown = 0,
        /// The proxy.
        Local = 1,
        /// The other end.
        Remote = 2,
    }
    /// Kinds of metrics.
    MetricType {
        /// Only rises.
        Counter = 0,
        /// Any value.
        Gauge = 1,
        /// A distribution.
        Histogram = 2,
    }
    /// What a filter may return from a headers, body or trailers callback. The texts list the first two;
    /// Envoy 1.40 reads five, and what each means depends on the callback.
    Action {
        /// Go on.
        Continue = 0,
        /// Hold: all iteration after headers, with buffering after a body.
        Pause = 1,
        /// Headers: as `Continue`. Body: hold with watermark.
        EndStreamOrWatermark = 2,
        /// Headers: hold and buffer. Body: hold without buffering, the piece is dropped.
        BufferOrNoBuffer = 3,
        /// Headers: hold all with watermark. Body: as 3.
        AllAndWatermark = 4,
    }
}

/// Versions of the ABI, told apart by an exported marker function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AbiVersion {
    /// `proxy_abi_version_0_1_0`.
    V0_1_0,
    /// `proxy_abi_version_0_2_0`.
    V0_2_0,
    /// `proxy_abi_version_0_2_1`.
    V0_2_1,
}

impl AbiVersion {
    /// All versions that Envoy 1.40 loads, oldest first.
    pub const ALL: &[AbiVersion] = &[Self::V0_1_0, Self::V0_2_0, Self::V0_2_1];

    /// Name of the exported function that marks a filter of this version.
    pub const fn marker(self) -> &'static str {
        match self {
            Self::V0_1_0 => "proxy_abi_version_0_1_0",
            Self::V0_2_0 => "proxy_abi_version_0_2_0",
            Self::V0_2_1 => "proxy_abi_version_0_2_1",
        }
    }

    /// The version that an export of this name marks.
    pub fn from_marker(export: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|v| v.marker() == export)
    }

    /// `0.2.1` and so on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        }
    }
}

impl core::fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// The gRPC status that Envoy makes of an HTTP status, in a local reply without one (the standard table of gRPC).
pub const fn grpc_of_http(code: u32) -> i32 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
