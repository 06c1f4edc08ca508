//! Plays recorded exchanges through Proxy-Wasm filters as Envoy would.
