//! Ten filters on the sdk, each an example of this package; docs/migration.md shows them.
