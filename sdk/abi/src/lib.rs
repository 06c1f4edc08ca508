//! Numbers and wire layout of the Proxy-Wasm ABI.
