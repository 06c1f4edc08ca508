//! The two engines that play a row, and the one form in which both say what happened.

mod host;
mod observed;
mod real;

pub use host::play as play_on_host;
pub use observed::Observed;
pub use real::{Referee, VM_PREFIX};
