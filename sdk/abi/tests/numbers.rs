//! The numbers, held against the proxy-wasm crate's. Only values of its enums are named: naming a function
//! would ask the native linker for the host's functions.

use proxy_wasm::types;
use tamis_abi as abi;

macro_rules! same {
    ($($ours:ident / $theirs:ident: $($name:ident)*;)*) => {$($(
        assert_eq!(abi::$ours::$name as u32, types::$theirs::$name as u32, stringify!($ours::$name));
    )*)*};
}

#[test]
fn enums_have_the_crates_numbers() {
    same! {
        LogLevel / LogLevel: Trace Debug Info Warn Error Critical;
        StreamType / StreamType: Downstream Upstream;
        BufferType / BufferType: HttpRequestBody HttpResponseBody DownstreamData UpstreamData
            HttpCallResponseBody GrpcReceiveBuffer VmConfiguration PluginConfiguration CallData;
        MapType / MapType: HttpRequestHeaders HttpRequestTrailers HttpResponseHeaders HttpResponseTrailers
            GrpcReceiveInitialMetadata GrpcReceiveTrailingMetadata HttpCallResponseHeaders
            HttpCallResponseTrailers;
        PeerType / PeerType: Unknown Local Remote;
        MetricType / MetricType: Counter Gauge Histogram;
        Action / Action: Continue Pause;
    }
    assert_eq!(abi::StreamType::Request as u32, types::StreamType::HttpRequest as u32);
    assert_eq!(abi::StreamType::Response as u32, types::StreamType::HttpResponse as u32);
}

/// The crate knows eight of the thirteen.
#[test]
fn statuses_have_the_crates_numbers() {
    let known = [
        (abi::Status::Ok, types::Status::Ok),
        (abi::Status::NotFound, types::Status::NotFound),
        (abi::Status::BadArgument, types::Status::BadArgument),
        (abi::Status::SerializationFailure, types::Status::SerializationFailure),
        (abi::Status::ParseFailure, types::Status::ParseFailure),
        (abi::Status::Empty, types::Status::Empty),
        (abi::Status::CasMismatch, types::Status::CasMismatch),
        (abi::Status::InternalFailure, types::Status::InternalFailure),
    ];
    for (ours, theirs) in known {
        assert_eq!(ours.0, theirs as u32, "{ours}");
    }
}
