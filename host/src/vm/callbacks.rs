//! The filter's exports, looked up once.

use super::Allowed;
use wasmtime::{Func, Instance, Store, TypedFunc, WasmParams, WasmResults};

macro_rules! callbacks {
    ($($field:ident = $name:literal, ($($param:ty),*) -> $result:ty;)*) => {
        /// One field for each callback; none where the filter does not export it.
        pub(crate) struct Callbacks {
            $(pub(crate) $field: Option<TypedFunc<($($param,)*), $result>>,)*
        }

        impl Callbacks {
            /// Looks up everything that the instance exports and that may be called.
            pub(super) fn of<T: 'static>(instance: &Instance, store: &mut Store<T>, allowed: &Allowed) -> Self {
                Self { $($field: find(instance, store, $name).filter(|_| allowed.has($name)),)* }
            }

            /// Puts another function of the same type in the place of an export, if there is such an export.
            pub(super) fn replace<T: 'static>(
                &mut self,
                name: &str,
                store: &mut Store<T>,
                other: impl Fn(&mut Store<T>, Func) -> Func,
            ) {
                $(if name == $name && let Some(callback) = self.$field.take() {
                    self.$field = other(store, *callback.func()).typed(&*store).ok();
                })*
            }
        }
    };
}

fn find<T: 'static, P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<T>,
    name: &str,
) -> Option<TypedFunc<P, R>> {
    instance.get_typed_func(store, name).ok()
}

callbacks! {
    on_context_create = "proxy_on_context_create", (u32, u32) -> ();
    on_vm_start = "proxy_on_vm_start", (u32, u32) -> u32;
    on_configure = "proxy_on_configure", (u32, u32) -> u32;
    on_tick = "proxy_on_tick", (u32) -> ();
    on_queue_ready = "proxy_on_queue_ready", (u32, u32) -> ();
    on_request_headers = "proxy_on_request_headers", (u32, u32, u32) -> u32;
    on_request_headers_0_1_0 = "proxy_on_request_headers", (u32, u32) -> u32;
    on_request_body = "proxy_on_request_body", (u32, u32, u32) -> u32;
    on_request_trailers = "proxy_on_request_trailers", (u32, u32) -> u32;
    on_request_metadata = "proxy_on_request_metadata", (u32, u32) -> u32;
    on_response_headers = "proxy_on_response_headers", (u32, u32, u32) -> u32;
    on_response_headers_0_1_0 = "proxy_on_response_headers", (u32, u32) -> u32;
    on_response_body = "proxy_on_response_body", (u32, u32, u32) -> u32;
    on_response_trailers = "proxy_on_response_trailers", (u32, u32) -> u32;
    on_response_metadata = "proxy_on_response_metadata", (u32, u32) -> u32;
    on_new_connection = "proxy_on_new_connection", (u32) -> u32;
    on_downstream_data = "proxy_on_downstream_data", (u32, u32, u32) -> u32;
    on_upstream_data = "proxy_on_upstream_data", (u32, u32, u32) -> u32;
    on_downstream_close = "proxy_on_downstream_connection_close", (u32, u32) -> ();
    on_upstream_close = "proxy_on_upstream_connection_close", (u32, u32) -> ();
    on_http_call_response = "proxy_on_http_call_response", (u32, u32, u32, u32, u32) -> ();
    on_grpc_receive_initial_metadata = "proxy_on_grpc_receive_initial_metadata", (u32, u32, u32) -> ();
    on_grpc_receive = "proxy_on_grpc_receive", (u32, u32, u32) -> ();
    on_grpc_receive_trailing_metadata = "proxy_on_grpc_receive_trailing_metadata", (u32, u32, u32) -> ();
    on_grpc_close = "proxy_on_grpc_close", (u32, u32, u32) -> ();
    on_resolve_dns = "envoy_on_resolve_dns", (u32, u32, u32) -> ();
    on_done = "proxy_on_done", (u32) -> u32;
    on_log = "proxy_on_log", (u32) -> ();
    on_delete = "proxy_on_delete", (u32) -> ();
}
