//! What a filter says by calling it: that it needs this callback. `tamis build` exports a callback when its function
//! here can be reached (docs/decisions/0004-own-dispatcher.md).

use std::hint::black_box;

macro_rules! wants {
    ($($name:ident = $export:literal;)*) => {$(
        // A body of its own, with an effect: equal functions would be made one, and calls to idle ones go away.
        #[unsafe(export_name = $export)]
        #[inline(never)]
        pub(super) extern "C" fn $name() {
            black_box($export);
        }
    )*};
}

wants! {
    tick = "tamis.wants.proxy_on_tick";
    http_call_response = "tamis.wants.proxy_on_http_call_response";
    request_body = "tamis.wants.proxy_on_request_body";
    request_trailers = "tamis.wants.proxy_on_request_trailers";
    response_body = "tamis.wants.proxy_on_response_body";
    response_trailers = "tamis.wants.proxy_on_response_trailers";
    grpc_receive = "tamis.wants.proxy_on_grpc_receive";
    grpc_close = "tamis.wants.proxy_on_grpc_close";
    grpc_initial = "tamis.wants.proxy_on_grpc_receive_initial_metadata";
    grpc_trailing = "tamis.wants.proxy_on_grpc_receive_trailing_metadata";
    queue_ready = "tamis.wants.proxy_on_queue_ready";
    request_headers = "tamis.wants.proxy_on_request_headers";
    response_headers = "tamis.wants.proxy_on_response_headers";
    new_connection = "tamis.wants.proxy_on_new_connection";
    downstream_data = "tamis.wants.proxy_on_downstream_data";
    upstream_data = "tamis.wants.proxy_on_upstream_data";
    log = "tamis.wants.proxy_on_log";
}

/// Unary calls need two of them.
pub(super) fn grpc() {
    grpc_receive();
    grpc_close();
}

/// Streams need the others too.
pub(super) fn grpc_stream() {
    grpc();
    grpc_initial();
    grpc_trailing();
}
