//! Images read, pushed and judged. Names end with the number of the idea that they hold (docs/publishing.md).

mod reading;
mod shelf;
