//! Ten filters on the bare proxy-wasm crate, each an example of this package; docs/migration.md shows them.
