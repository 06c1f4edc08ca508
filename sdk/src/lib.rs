//! Write Proxy-Wasm filters as one async function.
